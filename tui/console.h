/*
 * The console: casbridge without a command. Owns the terminal while it runs; everything that blocks runs as a job.
 *
 * Called by main.c only, from the main thread, before any other thread was started (it blocks the signals it takes care of, and
 * threads inherit that).
 */
#ifndef TUI_CONSOLE_H
#define TUI_CONSOLE_H

#include "core/model/profile.h"
#include "core/transport.h"

#include <stdbool.h>
#include <stdint.h>

/* All borrowed until console_run() returns. */
struct console_config {
    const struct profile *profile; /* never NULL; may be empty */
    const char *source;            /* as --source; NULL: the profile's, else found by DNS */
    enum generation target;        /* GENERATION_UNKNOWN: the newest present, else 2013 */
    bool read_only;                /* can't be unlocked */
    bool ascii, no_color;
    bool
        no_probe; /* do not ask the servers anything until told to (p); an LDIF source never is probed unasked */
    const char *theme;       /* NULL: the profile's, else "default" */
    const char *via;         /* ssh, winrm, psrp; NULL: the profile's, else by version and what answers */
    const char *arrive;      /* the CAS the engine behaves as; NULL: the newest one */
    const char *listen_addr; /* of the engine; NULL: 127.0.0.1 */
    uint16_t listen_port;    /* 0: any free one */
    const char *who;         /* for the journal: principal or user; NULL: the user's login name */
    /* Makes the transport `via`; so that this folder knows nothing of remoting. Called on a job thread. NULL: no changes can be pushed. */
    enum err (*transport_new)(struct transport **out, const char *via, const struct profile *p,
                              struct errinfo *ei);
};

/* Until the user leaves. Returns the program's exit code; what went wrong was written to standard error, after the terminal was given
   back. 130 after SIGTERM, SIGHUP or a terminal that went away. */
int console_run(const struct console_config *c) MUST_CHECK;

#endif
