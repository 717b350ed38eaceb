/* What the audit needs, fetched: owners from the directory, tickets from the KDC. */
#include "core/audit/spn.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/directory/spn.h"
#include "core/probe/namespace.h"

#include <stdlib.h>
#include <string.h>

struct names {
    char (*v)[SPN_NAME_MAX];
    size_t n;
    const struct org *org;
};

static void take(struct names *names, const char *host)
{
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
    if (!len || host[len] || len >= SPN_NAME_MAX || names->n == SPN_MAX_NAMESPACES ||
        org_server(names->org, host))
        return;
    for (size_t i = 0; i < names->n; i++)
        if (str_ieq(names->v[i], host))
            return;
    str_copy(names->v[names->n++], SPN_NAME_MAX, host);
}

static void take_url(struct names *names, const char *url)
{
    char host[SPN_NAME_MAX];
    if (url && url_host(url, host, sizeof host, NULL, NULL))
        take(names, host);
}

size_t spn_namespaces(const struct profile *p, const struct org *org,
                      char out[static SPN_MAX_NAMESPACES][SPN_NAME_MAX])
{
    struct names names = {.v = out, .org = org};
    char name[SPN_NAME_MAX];
    const char *legacy = profile_get(p, PROFILE_legacy_namespace, NULL);
    for (size_t i = 0; profile_namespace(p, i, name, sizeof name); i++)
        take(&names, name);
    if (legacy)
        take(&names, legacy);
    for (size_t i = 0; i < org->n_vdirs; i++) {
        if (org->vdirs[i].external_hostname)
            take(&names, org->vdirs[i].external_hostname);
        take_url(&names, org->vdirs[i].external_url);
    }
    for (size_t i = 0; i < org->n_scps; i++)
        if (!org->scps[i].is_pointer)
            take_url(&names, org->scps[i].url);
    return names.n;
}

enum err spn_gather_owners(struct directory *d, const struct org *org, const char *const *namespaces,
                           size_t n, struct evidence *e, const struct stop *stop, struct errinfo *ei)
{
    struct spn_host *hosts = calloc(n + org->n_servers + 1, sizeof *hosts);
    size_t used = 0;
    if (!hosts)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the names to look up");
    for (size_t i = 0; i < n; i++)
        hosts[used++] = (struct spn_host){.host = namespaces[i]};
    for (size_t i = 0; i < org->n_servers; i++)
        if (server_is_cas(&org->servers[i]) && org->servers[i].fqdn)
            hosts[used++] = (struct spn_host){org->servers[i].fqdn, org->servers[i].name};
    enum err err = directory_spn_owners(d, hosts, used, e, stop, ei);
    free(hosts);
    return err;
}

struct asking {
    struct krb_login *login;
    struct evidence *e;
    bool dead; /* no KDC answered once: each further name would cost the same wait */
};

static void say(struct asking *a, struct observation *o, enum outcome outcome, const char *text)
{
    char shown[400];
    str_show_fixed(shown, sizeof shown, text, strlen(text));
    o->outcome = outcome;
    o->detail = arena_str(&a->e->arena, shown);
}

static enum err ask(struct asking *a, const char *host, const char *server, struct errinfo *ei)
{
    struct krb_ticket t;
    struct errinfo why = {0};
    char spn[SPN_NAME_MAX + 8], text[200], until[CLOCK_TEXT_SIZE];
    struct observation *o = evidence_add(a->e, OBSERVATION_TICKET, EVIDENCE_KERBEROS);
    str_fmt(spn, sizeof spn, "HTTP/%s", host);
    if (!o)
        return err_set(ei, ERR_LIMIT, NULL, "no room for the tickets' evidence");
    o->server = arena_str(&a->e->arena, server);
    o->step = "ticket";
    o->subject = arena_str(&a->e->arena, spn);
    o->by_name = arena_str(&a->e->arena, host);
    if (a->dead) {
        say(a, o, OUTCOME_ERROR, "no KDC answered for another name; not asked again");
        return ERR_OK;
    }
    int64_t from = clock_mono_ms();
    enum err err = krb_ticket_get(a->login, spn, &t, &why);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    o->u.ticket.error = t.error;
    if (err) {
        a->dead = err == ERR_UNREACHABLE;
        /* a number of the KDC's own is its answer; without one it was not asked */
        say(a, o, t.error ? OUTCOME_FAILED : OUTCOME_ERROR, why.what);
        return ERR_OK;
    }
    o->u.ticket.etype = t.etype;
    o->u.ticket.kvno = t.kvno;
    o->u.ticket.end_time = t.end_time;
    str_fmt(text, sizeof text, "%s, kvno %d, until %s", krb_etype_name(t.etype), t.kvno,
            clock_rfc3339(t.end_time, until));
    say(a, o, krb_etype_is_weak(t.etype) ? OUTCOME_FAILED : OUTCOME_OK, text);
    return ERR_OK;
}

enum err spn_gather_tickets(struct krb_login *login, const struct org *org, const char *const *namespaces,
                            size_t n, bool with_servers, struct evidence *e, const struct stop *stop,
                            struct errinfo *ei)
{
    struct asking a = {.login = login, .e = e};
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < n; i++) {
        err = stop_check(stop, ei, "asking for tickets");
        if (!err)
            err = ask(&a, namespaces[i], NULL, ei);
    }
    for (size_t i = 0; !err && with_servers && i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (!server_is_cas(s) || !s->fqdn)
            continue;
        err = stop_check(stop, ei, "asking for tickets");
        if (!err)
            err = ask(&a, s->fqdn, s->name, ei);
    }
    return err;
}

enum err spn_gather(const struct profile *p, const char *source, const struct org *org,
                    struct krb_login *login, struct evidence *e, const struct stop *stop, struct errinfo *ei)
{
    char(*names)[SPN_NAME_MAX] = calloc(SPN_MAX_NAMESPACES, sizeof *names);
    const char *spaces[SPN_MAX_NAMESPACES];
    struct directory *d = NULL;
    struct errinfo why = {0};
    if (!names)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the namespaces");
    size_t n = spn_namespaces(p, org, names);
    for (size_t i = 0; i < n; i++)
        spaces[i] = names[i];
    enum err err = directory_open(&d, p, source, stop, &why);
    if (!err)
        err = spn_gather_owners(d, org, spaces, n, e, stop, &why);
    directory_close(&d);
    if (!err && login)
        err = spn_gather_tickets(login, org, spaces, n, false, e, stop, &why);
    if (err && err != ERR_INTERRUPTED)
        log_err(&why);
    if (err != ERR_INTERRUPTED)
        probe_namespaces(p, spaces, n, 0, stop, e);
    free(names);
    if (stop_is_raised(stop))
        return err_set(ei, ERR_INTERRUPTED, NULL, "looking service names up: interrupted");
    return ERR_OK;
}
