/* Autodiscover of one server: what the directory says of it, its answer to Outlook and to devices, checked (admin-tools.md 5.2). */
#include "core/probe/app_autodiscover.h"

#include "core/base/str.h"

/* ---- the directory's service connection points */

static bool is_of_site(const struct scp *p, const char *site)
{
    for (size_t i = 0; i < p->n_sites; i++)
        if (str_ieq(p->sites[i], site))
            return true;
    return false;
}

/* Outlook takes those of its own site (keyword Site=), then those of no site, then the others; among equals any, here in the
   directory's order. */
static int rank_of(const struct scp *p, const char *site)
{
    return site && is_of_site(p, site) ? 0 : p->n_sites == 0 ? 1 : 2;
}

static void step_scp(struct target *t)
{
    const struct org *org = t->prober->org;
    const char *site = t->server->site ? t->server->site->name : NULL;
    struct app_step s;
    struct buf list;
    size_t n = 0, by_rank[3] = {0};
    if (!org)
        return;
    app_step_begin(&s, t, PROTOCOL_AUTODISCOVER, "scp", "clients of site %s", site ? site : "(none)");
    buf_init(&list, 2048);
    for (int rank = 0; rank < 3; rank++)
        for (size_t i = 0; i < org->n_scps; i++) {
            const struct scp *p = &org->scps[i];
            bool said = false;
            if (!p->url || p->is_pointer || rank_of(p, site) != rank)
                continue;
            by_rank[rank]++;
            /* the same address of another server is the same place */
            said = str_icontains(buf_str(&list), p->url) != NULL;
            if (said || n++ >= 4)
                continue;
            buf_addf(&list, "%s%s", list.len ? ", then " : "", p->url);
        }
    if (by_rank[0] + by_rank[1] + by_rank[2] == 0)
        app_step_end(&s, OUTCOME_FAILED,
                     "the directory has no service connection point: Outlook inside finds nothing");
    else
        app_step_end(&s, OUTCOME_OK, "Outlook tries %s%s (%zu of this site, %zu of none, %zu of others)",
                     buf_str(&list), n > 4 ? ", ..." : "", by_rank[0], by_rank[1], by_rank[2]);
    buf_fini(&list);
}

/* ---- the server's own answer */

/* The certificate that this server shows under a name. */
static const struct certificate *certificate_under(const struct target *t, const char *name)
{
    for (size_t i = 0; name && i < t->e->items.n; i++) {
        const struct observation *o = &t->e->items.v[i];
        if (o->kind == OBSERVATION_TLS && o->outcome == OUTCOME_OK && str_ieq(o->by_name, name))
            return &o->u.tls.cert;
    }
    return NULL;
}

static void check_settings(struct target *t, const struct pox *x, const char *subject)
{
    const struct org *org = t->prober->org;
    const struct pox_protocol *expr = pox_protocol(x, "EXPR");
    static const char *const names[] = {"exch", "expr", "web"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct app_step s;
        struct buf detail;
        buf_init(&detail, 8192);
        app_step_begin(&s, t, PROTOCOL_AUTODISCOVER, names[i], "%s", subject);
        enum outcome o =
            i == 0   ? pox_judge_exch(x, org, &detail)
            : i == 1 ? pox_judge_expr(x, org, certificate_under(t, expr ? expr->settings[POX_SERVER] : NULL),
                                      &detail)
                     : pox_judge_web(x, org, &detail);
        app_step_end(&s, o, "%s", buf_str(&detail));
        buf_fini(&detail);
    }
}

static void step_settings(struct target *t, const char *address, bool mobile, bool last)
{
    struct autodiscover q;
    struct pox x;
    struct app_step s;
    struct buf detail;
    char subject[APP_URL_MAX];
    buf_init(&detail, 16384);
    str_fmt(subject, sizeof subject, "https://%s%s", t->fqdn, protocol_path(PROTOCOL_AUTODISCOVER));
    app_step_begin(&s, t, PROTOCOL_AUTODISCOVER, mobile ? "mobilesync" : "settings", "%s", subject);
    autodiscover_init(&q, t, address, mobile, last);
    enum outcome o = autodiscover_ask(&q, &x, &detail);
    if (o != OUTCOME_OK) {
        app_step_end(&s, o, "%s", buf_str(&detail));
        goto out;
    }
    if (mobile) {
        o = pox_judge_mobile(&x, t->prober->org, &detail);
        app_step_end(&s, o, "%s", buf_str(&detail));
    } else {
        app_step_end(&s, OUTCOME_OK, "%ssettings for %s, %zu provider%s%s", buf_str(&detail),
                     x.display_name ? x.display_name : q.address, x.n_protocols,
                     x.n_protocols == 1 ? "" : "s", x.cut ? " and more that were not read" : "");
        check_settings(t, &x, subject);
    }
    pox_fini(&x);
out:
    autodiscover_fini(&q);
    buf_fini(&detail);
}

/* The ways by the domain do not depend on the server: one of a run asks. */
static bool claim_ways(struct prober *b)
{
    pthread_mutex_lock(&b->lock);
    bool mine = !b->ways_asked;
    b->ways_asked = true;
    pthread_mutex_unlock(&b->lock);
    return mine;
}

void app_autodiscover(struct target *t, bool last)
{
    char address[AUTODISCOVER_ADDRESS_MAX];
    const char *why;
    struct app_step s;
    step_scp(t);
    app_step_begin(&s, t, PROTOCOL_AUTODISCOVER, "settings", "https://%s%s", t->fqdn,
                   protocol_path(PROTOCOL_AUTODISCOVER));
    if (!autodiscover_address(t, address, sizeof address, &why)) {
        app_step_end(&s, OUTCOME_SKIPPED, "%s", why);
        return;
    }
    bool ways = claim_ways(t->prober);
    step_settings(t, address, false, false);
    step_settings(t, address, true, last && !ways);
    if (ways)
        autodiscover_ways(t, address, last);
}
