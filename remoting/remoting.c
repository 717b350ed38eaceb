#include "remoting/remoting.h"

#include <string.h>

#include "core/base/str.h"

static const struct {
    const char *name;
    enum err (*new)(struct transport **out, const struct profile *p, remoting_ask_host_key *ask, void *arg,
                    struct errinfo *ei);
} transports[] = {
    {"ssh", remoting_ssh_new},
    {"winrm", remoting_winrm_new},
    {"psrp", remoting_psrp_new},
    {"auto", remoting_auto_new},
};

/* One way for all servers lets secrets be asked for at once, before anything else is done. */
static const char *profile_choice(const struct profile *p)
{
    const char *via = profile_get(p, PROFILE_via, NULL);
    for (size_t i = 0; via && i < p->servers.n; i++)
        if (p->servers.v[i].values[PROFILE_via] && !str_ieq(p->servers.v[i].values[PROFILE_via], via))
            via = NULL;
    return via ? via : "auto";
}

enum err remoting_transport_new(struct transport **out, const char *via, const struct profile *p,
                                remoting_ask_host_key *ask, void *arg, struct errinfo *ei)
{
    char names[64] = "", shown[64];
    via = via ? via : profile_choice(p);
    for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
        size_t len = strlen(names);
        if (str_ieq(via, transports[i].name))
            return transports[i].new(out, p, ask, arg, ei);
        str_fmt(names + len, sizeof names - len, "%s%s", i ? ", " : "", transports[i].name);
    }
    str_show_fixed(shown, sizeof shown, via, strlen(via));
    enum err err = err_set(ei, ERR_USAGE, NULL, "there is no transport \"%s\"", shown);
    err_hint(ei, "transports of this build: %s", names);
    return err;
}
