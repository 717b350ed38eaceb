/*
 * What the TLS handshakes showed, by the server's own name and by each namespace at the server's own address.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <string.h>

#define DAY              86400
#define ERROR_DAYS       30
#define WARNING_DAYS     60
#define RSA_BITS         2048
#define EC_BITS          256
#define MAX_CERTIFICATES 32

/* One certificate of one server, and the handshake it came from. */
struct seen {
    const struct observation *v[MAX_CERTIFICATES];
    size_t n;
};

static bool has_certificate(const struct observation *o)
{
    return o->kind == OBSERVATION_TLS && (o->outcome == OUTCOME_OK || o->outcome == OUTCOME_FAILED) &&
           o->u.tls.cert.not_after != 0;
}

/* The newest handshake with a certificate per name asked for; probes may record the handshake and the certificate apart. */
static void collect(struct rule_run *run, const struct server *s, struct seen *seen)
{
    struct observations all = facts_of(run, s->name);
    seen->n = 0;
    for (size_t i = 0; i < all.n; i++) {
        const struct observation *o = all.v[i];
        size_t k = 0;
        if (!has_certificate(o))
            continue;
        while (k < seen->n && !str_ieq(seen->v[k]->by_name, o->by_name))
            k++;
        if (k == seen->n && k < MAX_CERTIFICATES)
            seen->v[seen->n++] = o;
        else if (k < seen->n && o->at > seen->v[k]->at)
            seen->v[k] = o;
    }
}

struct verdict_of_certificate {
    struct buf text; /* what is wrong, joined */
    enum severity severity;
    bool bad;
};

static void blame(struct verdict_of_certificate *c, enum severity severity, const char *what)
{
    if (c->bad)
        buf_adds(&c->text, "; ");
    buf_adds(&c->text, what);
    if (!c->bad || severity > c->severity)
        c->severity = severity;
    c->bad = true;
}

static bool same_certificate(const struct observation *a, const struct observation *b)
{
    return a->u.tls.cert.sha256 && str_ieq(a->u.tls.cert.sha256, b->u.tls.cert.sha256);
}

static const char *names_text(struct rule_run *run, const struct certificate *c)
{
    struct buf b;
    buf_init(&b, 1024);
    for (size_t i = 0; i < c->n_names && i < 8; i++)
        buf_addf(&b, "%s%s", i ? ", " : "", c->names[i]);
    if (c->n_names > 8)
        buf_addf(&b, " and %zu more", c->n_names - 8);
    const char *s = rule_text(run, "%s",
                              c->n_names      ? buf_str(&b)
                              : c->subject_cn ? c->subject_cn
                                              : "no name");
    buf_fini(&b);
    return s;
}

static void judge_dates(struct rule_run *run, struct draft *d, struct verdict_of_certificate *c,
                        const struct observation *o)
{
    const struct certificate *cert = &o->u.tls.cert;
    int64_t now = run->in->now, days = (cert->not_after - now) / DAY;
    const char *observed = rule_text(run, "valid from %s to %s", rule_time_text(run, cert->not_before),
                                     rule_time_text(run, cert->not_after));
    if (now >= cert->not_after) {
        blame(c, SEVERITY_ERROR, rule_text(run, "it ended at %s", rule_time_text(run, cert->not_after)));
    } else if (now < cert->not_before) {
        blame(c, SEVERITY_ERROR,
              rule_text(run, "it is not valid before %s", rule_time_text(run, cert->not_before)));
    } else if (days < WARNING_DAYS) {
        blame(c, days < ERROR_DAYS ? SEVERITY_ERROR : SEVERITY_WARNING,
              rule_text(run, "it ends in %lld day%s", (long long)days, days == 1 ? "" : "s"));
    } else {
        return;
    }
    draft_prove_observation(run, d, o, observed, "valid now and for 60 days more");
}

static void judge_strength(struct rule_run *run, struct draft *d, struct verdict_of_certificate *c,
                           const struct observation *o)
{
    const struct certificate *cert = &o->u.tls.cert;
    const char *type = cert->key_type ? cert->key_type : "";
    int least = str_istarts(type, "RSA") ? RSA_BITS : str_ieq(type, "EC") ? EC_BITS : 0;
    if (least && cert->key_bits < least) {
        blame(c, SEVERITY_ERROR, rule_text(run, "its %s key has %d bits only", type, cert->key_bits));
        draft_prove_observation(run, d, o, rule_text(run, "%s %d", type, cert->key_bits),
                                rule_text(run, "%s %d or more", type, least));
    }
    const char *hash = cert->signature_hash;
    if (hash && (str_icontains(hash, "md5") || str_icontains(hash, "md2") || str_ieq(hash, "sha1"))) {
        blame(c, SEVERITY_ERROR, rule_text(run, "it is signed with %s", hash));
        draft_prove_observation(run, d, o, hash, "sha256 or better");
    }
    if (!cert->chain_ok) {
        blame(c, SEVERITY_ERROR,
              rule_text(run, "its chain is not trusted (%s)",
                        cert->chain_error ? cert->chain_error : "no reason given"));
        draft_prove_observation(run, d, o, cert->chain_error ? cert->chain_error : "not trusted",
                                "a chain to a trusted authority");
    }
}

/* A name that nobody is sent to on this server makes no error: internal-only CAS before the namespace is theirs. */
static enum severity name_severity(const struct rule_run *run, const struct server *s, const char *name)
{
    if (judge_is_own_name(s, name) || s->generation == run->in->target || server_is_published(s))
        return SEVERITY_ERROR;
    return SEVERITY_WARNING;
}

static void certificate_of(struct rule_run *run, const struct server *s, const struct seen *seen)
{
    struct verdict_of_certificate c = {.severity = SEVERITY_WARNING};
    struct draft d;
    draft_init(&d, run, s);
    buf_init(&c.text, 1500);
    for (size_t i = 0; i < seen->n; i++) {
        const struct observation *o = seen->v[i];
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= same_certificate(seen->v[k], o);
        if (!o->u.tls.name_ok) {
            const char *name = o->by_name ? o->by_name : s->name;
            blame(&c, name_severity(run, s, name), rule_text(run, "it does not hold %s", name));
            draft_prove_observation(run, &d, o, names_text(run, &o->u.tls.cert),
                                    rule_text(run, "a name that matches %s", name));
        }
        if (again)
            continue;
        judge_dates(run, &d, &c, o);
        judge_strength(run, &d, &c, o);
    }
    if (c.bad) {
        d.f.severity = c.severity;
        rule_found(run, &d, "The certificate of %s: %s", s->name, buf_str(&c.text));
    } else {
        rule_pass(run, s);
    }
    buf_fini(&c.text);
}

void judge_certificate(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_cas; i++) {
        const struct server *s = run->facts.cas[i];
        struct seen seen;
        collect(run, s, &seen);
        if (seen.n)
            certificate_of(run, s, &seen);
        else
            rule_unknown(run, s, "%s",
                         rule_why_unseen(run,
                                         facts_newest(run, s->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, NULL),
                                         "certificate"));
    }
}

/* The best version known: what the handshake agreed on, or of those asked for one by one. */
static const char *best_version(const struct observation *o)
{
    if (o->u.tls.version)
        return o->u.tls.version;
    for (unsigned i = TLS_VERSIONS; i-- > 0;)
        if (o->u.tls.versions_tried & o->u.tls.versions_offered & (1u << i))
            return tls_version_name(i);
    return NULL;
}

void judge_tls_version(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_cas; i++) {
        const struct server *s = run->facts.cas[i];
        const struct observation *o = facts_newest(run, s->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, NULL);
        const char *best =
            o && (o->outcome == OUTCOME_OK || o->outcome == OUTCOME_FAILED) ? best_version(o) : NULL;
        if (!best) {
            rule_unknown(run, s, "%s", rule_why_unseen(run, o, "TLS handshake"));
            continue;
        }
        bool modern = str_ieq(best, "TLSv1.2") || str_ieq(best, "TLSv1.3");
        bool broken = o->u.tls.versions_offered & TLS_SSL_3_0;
        if (modern && !broken) {
            rule_pass(run, s);
            continue;
        }
        struct draft d;
        draft_init(&d, run, s);
        if (!modern) {
            draft_prove_observation(run, &d, o, best, "TLSv1.2 or TLSv1.3");
            rule_found(
                run, &d,
                "%s agrees on %s at best: clients and servers that insist on TLS 1.2 cannot connect to it",
                s->name, best);
        } else {
            draft_prove_observation(run, &d, o, "SSLv3 offered as well", "no SSLv3");
            rule_found(run, &d, "%s still offers SSL 3.0, which is broken (POODLE)", s->name);
        }
    }
}
