/*
 * The script around one cmdlet, and the command line that starts it. Pure.
 *
 * The script is five statements, one a line, known to every PowerShell since 1.0: no progress records (they
 * would arrive as CLIXML on standard error), output in UTF-8, stop at the first error (a snap-in that does
 * not load must not let the cmdlet run), the snap-in of the server's version, the cmdlet. It travels as
 * -EncodedCommand (base64 of UTF-16LE). Where that is longer than cmd.exe takes (8,191 characters), a
 * bootstrap travels instead and the script comes by standard input, base64 again so that no code page touches
 * it; the bootstrap refuses to run what arrived shorter than it was sent. Source: remoting.md 6.1,
 * cmdlets.md 8.1.
 */
#ifndef REMOTING_SCRIPT_H
#define REMOTING_SCRIPT_H

#include "core/base/buf.h"
#include "core/model/cmdlet.h"
#include "core/model/version.h"

#define SCRIPT_LINE_MAX  8000   /* characters of the command line, below cmd.exe's 8,191 */
#define SCRIPT_TEXT_MAX  262144 /* bytes of a script */
#define SCRIPT_SHELL_MAX 512    /* bytes of the program's name */

struct script {
    struct buf text;  /* the script itself, UTF-8, as PowerShell will read it */
    struct buf line;  /* what the server is asked to execute */
    struct buf input; /* what it is sent on standard input; empty for a short script */
};

void script_init(struct script *s);
void script_fini(struct script *s);

/* The snap-in that knows Exchange's cmdlets on a server of that generation; NULL when there is none (2003,
 * unknown). */
const char *script_snapin(enum generation g);

/*
 * Fills an initialised script. program starts PowerShell; NULL is "powershell". It is taken as it is: it
 * comes from the admin's own configuration and may hold arguments; without control characters. ERR_INPUT: the
 * generation has no snap-in, or a value of the cmdlet cannot travel; ERR_CONFIG: the program's name;
 * ERR_LIMIT: longer than SCRIPT_TEXT_MAX.
 */
enum err script_build(struct script *s, const char *program, enum generation generation,
                      const struct cmdlet *cmdlet, struct errinfo *ei) MUST_CHECK;

#endif
