/*
 * PSRP's out-of-process framing: what PowerShell speaks as the SSH subsystem "powershell", or on the standard input and output of a
 * process (remoting.md 6.2). One element a line:
 *
 *     <Data Stream='Default' PSGuid='...'>base64 of fragments</Data>   the zero GUID is the pool, else a pipeline
 *     <Command PSGuid='...' />   <Signal PSGuid='...' />   <Close PSGuid='...' />
 *
 * each answered by its <...Ack PSGuid='...' />, which is awaited. The lines are read without I/O; the session drives any byte stream.
 */
#ifndef REMOTING_OUTOFPROC_H
#define REMOTING_OUTOFPROC_H

#include "core/base/stop.h"
#include "core/transport.h"
#include "remoting/psrp.h"

#define OUTOFPROC_MAX_LINE (6u << 20) /* bytes: PSRP_MAX_FRAGMENT in base64 */
#define OUTOFPROC_FRAGMENT 32768 /* bytes of fragments in one line of ours, as PowerShell's client does */
#define OUTOFPROC_OPEN_MS  60000 /* until the pool is open */
#define OUTOFPROC_GRACE_MS 5000  /* for an interrupted command to stop, and for a farewell */

/* ---- lines ---- */

enum outofproc_kind {
    OUTOFPROC_DATA,
    OUTOFPROC_DATA_ACK,
    OUTOFPROC_COMMAND_ACK,
    OUTOFPROC_SIGNAL_ACK,
    OUTOFPROC_CLOSE_ACK,
    OUTOFPROC_OTHER /* an element of the framing that a client has no use for */
};

struct outofproc_line {
    enum outofproc_kind kind;
    struct psrp_guid guid;
    const char *data; /* DATA: base64; borrowed */
    size_t len;
};
/* A line without its end. False: none of the framing's. */
bool outofproc_parse(struct outofproc_line *out, const char *line, size_t len);

/* ---- a session ---- */

struct outofproc_io {
    void *arg;
    /* All of data. */
    enum err (*write)(void *arg, const void *data, size_t len, const struct stop *stop, struct errinfo *ei);
    /* At least one byte; *n 0: the server has closed its end. With an error *n is 0, or what came before it. */
    enum err (*read)(void *arg, void *data, size_t cap, size_t *n, const struct stop *stop,
                     struct errinfo *ei);
};

struct outofproc;
/* Opens a pool. io is copied, its arg borrowed. On failure nothing was run. */
enum err outofproc_open(struct outofproc **out, const struct outofproc_io *io, const struct stop *stop,
                        struct errinfo *ei) MUST_CHECK;
/*
 * Runs one command and closes its pipeline; any number of times, one after the other. out as transport.run has it. When stop is raised
 * or over, the command is signalled and given OUTOFPROC_GRACE_MS to say how it ended. After an error of the stream the session is of no
 * use any more.
 */
enum err outofproc_run(struct outofproc *o, const struct cmdlet *cmdlet, const struct stop *stop,
                       struct remote_result *out, struct errinfo *ei) MUST_CHECK;
/* Closes the pool as far as it still can (at most OUTOFPROC_GRACE_MS), frees. NULL is fine. */
void outofproc_close(struct outofproc **o);

#endif
