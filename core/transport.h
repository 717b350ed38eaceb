/*
 * The interface that remoting implements and core/plan uses: run one cmdlet on one server.
 *
 * A transport is blocking and is called from job threads, several at once with different targets. It never sends a
 * command twice: when the connection is lost after the command was sent, the result is ERR_REMOTE or ERR_UNREACHABLE
 * with outcome_unknown set, and the caller re-reads before it does anything else.
 */
#ifndef CORE_TRANSPORT_H
#define CORE_TRANSPORT_H

#include "core/base/buf.h"
#include "core/base/stop.h"
#include "core/base/vec.h"
#include "core/model/cmdlet.h"
#include "core/model/version.h"

struct remote_error {
    char *message;  /* plain text, CLIXML decoded */
    char *id;       /* FullyQualifiedErrorId or NULL */
    char *category; /* or NULL */
    char *target;   /* or NULL */
};

/* What a command said besides: shown, never judged. */
struct remote_note {
    const char *stream; /* "verbose", "debug", "information"; static text */
    char *text;
};

struct remote_result {
    bool has_exit_code;
    int exit_code;
    bool sent;            /* the command left for the server */
    bool outcome_unknown; /* sent, but no answer came back whole */
    char *output;         /* standard output as UTF-8, NULL when none (text transports) */
    char *output_json;    /* JSON array of objects (object transports), else NULL */
    VEC(char *) warnings;
    VEC(struct remote_error) errors;
    VEC(struct remote_note) notes;
    int elapsed_ms;
    const char
        *via; /* the transport that carried it, where one was chosen by itself; static text, else NULL */
};
void remote_result_fini(struct remote_result *r);

struct remote_target {
    const char *server; /* name as in the organisation */
    const char *fqdn;
    enum generation generation; /* decides the snap-in */
};

struct transport {
    const char *name; /* "ssh" */
    /* ERR_OK: the command ran and its result is in *out (errors there may still say that it failed: ok means exit code 0 and no errors).
       Otherwise *out is valid too and says how far it came. out must be zeroed by the caller. */
    enum err (*run)(struct transport *self, const struct remote_target *target, const struct cmdlet *cmdlet,
                    const struct stop *stop, struct remote_result *out, struct errinfo *ei);
    void (*free)(struct transport *self);
};

/* True when the result means that the cmdlet did what it was told. */
bool remote_result_ok(const struct remote_result *r);

#endif
