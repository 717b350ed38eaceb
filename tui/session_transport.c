/* A push fails for a host, not for the task: without this the refused password would be offered again at every attempt, and count. */
#include "tui/session_int.h"

#include <stdlib.h>

struct watched {
    struct transport base; /* first: the vtable's self */
    struct transport *inner;
    struct session *session;
};

static enum err run(struct transport *self, const struct remote_target *target, const struct cmdlet *cmdlet,
                    const struct stop *stop, struct remote_result *out, struct errinfo *ei)
{
    struct watched *w = (struct watched *)self;
    enum err e = w->inner->run(w->inner, target, cmdlet, stop, out, ei);
    if (e == ERR_AUTH)
        session_secrets_forget(w->session);
    return e;
}

static void free_both(struct transport *self)
{
    struct watched *w = (struct watched *)self;
    w->inner->free(w->inner);
    free(w);
}

enum err session_transport(struct session *s, const char *via, struct transport **out, struct errinfo *ei)
{
    struct transport *inner = NULL;
    enum err e = s->config->transport_new(&inner, via, s->config->profile, ei);
    if (e == ERR_AUTH)
        session_secrets_forget(s);
    if (e != ERR_OK)
        return e;
    struct watched *w = calloc(1, sizeof *w);
    if (!w) {
        inner->free(inner);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the way to the servers");
    }
    w->base = (struct transport){.name = inner->name, .run = run, .free = free_both};
    w->inner = inner;
    w->session = s;
    *out = &w->base;
    return ERR_OK;
}
