#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/late.h"
#include "core/probe/probe_int.h"

#include <stdlib.h>
#include <string.h>

/* A KDC that was silent for less may only have met a deadline that was nearly over. */
#define KDC_PATIENCE_MS 2000

/* A ticket request that may outlive the probe. */
struct asked_ticket {
    struct krb_login *login;
    char spn[PROBE_NAME_MAX + 8];
    struct krb_ticket ticket;
    enum err err;
    struct errinfo ei;
};

static void get_ticket(void *arg)
{
    struct asked_ticket *k = arg;
    k->err = krb_ticket_get(k->login, k->spn, &k->ticket, &k->ei);
}

static void ticket_free(void *arg)
{
    struct asked_ticket *k = arg;
    krb_login_free(&k->login);
    free(k);
}

static const char *domain_of(const char *fqdn)
{
    const char *dot = strchr(fqdn, '.');
    return dot ? dot + 1 : fqdn;
}

static bool kdc_is_dead(struct prober *b, const char *fqdn)
{
    bool dead = false;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n_dead && !dead; i++)
        dead = str_ieq(b->dead[i], domain_of(fqdn));
    pthread_mutex_unlock(&b->lock);
    return dead;
}

static void kdc_died(struct prober *b, const char *fqdn)
{
    if (kdc_is_dead(b, fqdn))
        return;
    pthread_mutex_lock(&b->lock);
    if (b->n_dead < PROBE_DEAD_MAX)
        str_copy(b->dead[b->n_dead++], PROBE_NAME_MAX, domain_of(fqdn));
    pthread_mutex_unlock(&b->lock);
}

enum err ticket_fetch(struct target *t, struct krb_login *login, const char *host, const struct stop *stop,
                      struct krb_ticket *out, struct errinfo *ei)
{
    struct prober *b = t->prober;
    if (kdc_is_dead(b, host))
        return err_set(ei, ERR_UNREACHABLE, NULL, "no KDC answered for another server; not asked again");
    struct asked_ticket *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a ticket request");
    k->login = krb_login_ref(login);
    str_fmt(k->spn, sizeof k->spn, "HTTP/%s", host);
    int64_t from = clock_mono_ms();
    enum err e = late_run(get_ticket, ticket_free, k, stop);
    int took = (int)(clock_mono_ms() - from);
    if (e == ERR_TIMEOUT || e == ERR_INTERRUPTED) { /* k is the late call's now */
        if (e == ERR_TIMEOUT && took >= KDC_PATIENCE_MS)
            kdc_died(b, host);
        return err_set(ei, e, NULL, "no answer from the KDC within %d.%d s", took / 1000, took / 100 % 10);
    }
    if (e) {
        err_set(ei, e, NULL, "the KDC cannot be asked: too many requests to it hang already");
    } else {
        e = k->err;
        *out = k->ticket;
        if (ei)
            *ei = k->ei;
        if (e == ERR_UNREACHABLE)
            kdc_died(b, host);
    }
    ticket_free(k);
    return e;
}

static void judge_ticket(struct target *t, struct observation *o, enum err e, const struct krb_ticket *k,
                         const struct errinfo *ei)
{
    char until[CLOCK_TEXT_SIZE];
    o->u.ticket.etype = k->etype;
    o->u.ticket.kvno = k->kvno;
    o->u.ticket.end_time = k->end_time;
    o->u.ticket.error = k->error;
    if (e)
        target_say(t, o, k->error ? OUTCOME_FAILED : OUTCOME_ERROR, "%s", ei->what);
    else
        target_say(t, o, OUTCOME_OK, "%s%s, kvno %d, until %s", krb_etype_name(k->etype),
                   krb_etype_is_weak(k->etype) ? " (weak)" : "", k->kvno, clock_rfc3339(k->end_time, until));
}

void step_ticket(struct target *t, bool *have_ticket)
{
    struct prober *b = t->prober;
    struct stop share;
    struct krb_ticket ticket = {0};
    struct errinfo ei = {0};
    char spn[PROBE_NAME_MAX + 8];
    *have_ticket = false;
    str_fmt(spn, sizeof spn, "HTTP/%s", t->fqdn);
    struct observation *o =
        target_note(t, OBSERVATION_TICKET, EVIDENCE_KERBEROS, "ticket", PROTOCOL_UNKNOWN, spn, t->fqdn);
    if (!o)
        return;
    if (!b->req.login) {
        target_say(t, o, OUTCOME_SKIPPED,
                   "no Kerberos login: run kinit, or set krb5_principal and krb5_keytab");
        return;
    }
    int64_t from = clock_mono_ms();
    target_share(t, false, &share);
    enum err e = ticket_fetch(t, b->req.login, t->fqdn, &share, &ticket, &ei);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    judge_ticket(t, o, e, &ticket, &ei);
    *have_ticket = e == ERR_OK;
}
