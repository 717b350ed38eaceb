#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/probe_int.h"

#include <stdarg.h>
#include <string.h>

#define DETAIL_MAX 400

struct observation *target_note(struct target *t, enum observation_kind kind, enum evidence_source source,
                                const char *step, enum protocol protocol, const char *subject,
                                const char *by_name)
{
    struct observation *o = evidence_add(t->e, kind, source);
    if (!o)
        return NULL;
    struct arena *a = &t->e->arena;
    o->server = arena_str(a, t->server->name);
    o->step = arena_str(a, step);
    o->protocol = protocol;
    o->subject = arena_str(a, subject);
    o->by_name = arena_str(a, by_name);
    return o;
}

void target_say(struct target *t, struct observation *o, enum outcome outcome, const char *fmt, ...)
{
    char raw[2048], text[DETAIL_MAX];
    va_list ap;
    if (!o)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    str_show_fixed(text, sizeof text, raw, len);
    o->outcome = outcome;
    o->detail = arena_str(&t->e->arena, text);
}

void target_share(const struct target *t, bool last, struct stop *out)
{
    int left = stop_left_ms(t->stop, 600000);
    /* stop_init() takes 0 for "none": a deadline that is over stays over through the parent */
    stop_init(out, left > 1 && !last ? left / 2 : left, (struct stop *)t->stop);
}

static void unreached(struct target *t, const char *why)
{
    str_copy(t->unreached, sizeof t->unreached, why);
}

void step_reach(struct target *t, bool record)
{
    struct errinfo ei = {0};
    struct buf detail;
    struct stop share;
    char subject[PROBE_NAME_MAX + 8];
    buf_init(&detail, 4096);
    str_fmt(subject, sizeof subject, "%s:%u", t->fqdn, PROBE_PORT);
    int64_t from = clock_mono_ms();
    target_share(t, false, &share);
    struct observation *o =
        record ? target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "dns", PROTOCOL_UNKNOWN, t->fqdn, t->fqdn)
               : NULL;
    enum err e =
        reach_resolve(&t->prober->profile->hosts, t->fqdn, PROBE_PORT, &share, &t->reach, &detail, &ei);
    if (o)
        o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e) {
        /* an answer that there is no such name is a fact about DNS; silence is not */
        target_say(t, o, e == ERR_UNREACHABLE || e == ERR_NOTFOUND ? OUTCOME_FAILED : OUTCOME_ERROR, "%s",
                   ei.what);
        unreached(t, ei.what);
        goto out;
    }
    target_say(t, o, OUTCOME_OK, "%s", buf_str(&detail));
    buf_reset(&detail);
    from = clock_mono_ms();
    target_share(t, false, &share);
    o = record ? target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "tcp", PROTOCOL_UNKNOWN, subject, t->fqdn)
               : NULL;
    e = reach_connect(&t->reach, &share, &t->fd, &t->which, &detail, &ei);
    if (o)
        o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e) {
        target_say(t, o, e == ERR_UNREACHABLE ? OUTCOME_FAILED : OUTCOME_ERROR, "%s", ei.what);
        unreached(t, ei.what);
        goto out;
    }
    target_say(t, o, OUTCOME_OK, "%s", buf_str(&detail));
    t->reached = true;
out:
    buf_fini(&detail);
}

static bool known(char names[static PROBE_MAX_NAMESPACES][PROBE_NAME_MAX], size_t n, const char *fqdn,
                  const char *name)
{
    if (str_ieq(fqdn, name))
        return true;
    for (size_t i = 0; i < n; i++)
        if (str_ieq(names[i], name))
            return true;
    return false;
}

bool is_host_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
    return n > 0 && s[n] == '\0' && n < PROBE_NAME_MAX && s[0] != '.' && s[0] != '-';
}

size_t target_namespaces(const struct target *t, char out[static PROBE_MAX_NAMESPACES][PROBE_NAME_MAX])
{
    const struct profile *p = t->prober->profile;
    const char *legacy = profile_get(p, PROFILE_legacy_namespace, NULL);
    char name[PROBE_NAME_MAX];
    size_t n = 0;
#define TAKE(host)                                                                                           \
    do {                                                                                                     \
        if (n < PROBE_MAX_NAMESPACES && is_host_name(host) && !known(out, n, t->fqdn, (host)))               \
            str_copy(out[n++], PROBE_NAME_MAX, (host));                                                      \
    } while (0)
    for (size_t i = 0; profile_namespace(p, i, name, sizeof name); i++)
        TAKE(name);
    if (legacy)
        TAKE(legacy);
    for (size_t i = 0; i < t->server->n_vdirs; i++) {
        const struct vdir *v = t->server->vdirs[i];
        enum tri https;
        uint16_t port;
        if (v->external_hostname)
            TAKE(v->external_hostname);
        if (v->external_url && url_host(v->external_url, name, sizeof name, &https, &port))
            TAKE(name);
    }
#undef TAKE
    return n;
}

/* Only a finding when there is something to tell: nearly no server asks. */
static void record_client_certificate(struct target *t, const struct tls_answer *a, const char *name,
                                      const char *as)
{
    char subject[PROBE_NAME_MAX + 8];
    if (!a->asks_for_certificate)
        return;
    str_fmt(subject, sizeof subject, "%s:%u", t->fqdn, PROBE_PORT);
    target_say(t,
               target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "client-certificate", PROTOCOL_UNKNOWN,
                           subject, name),
               a->needs_certificate ? OUTCOME_FAILED : OUTCOME_OK, "%s%s",
               a->needs_certificate ? "required: clients and proxies without one are turned away"
                                    : "asked for, but not required",
               as);
}

/* What the handshake by this name showed, as two facts: that it came about, and what the certificate is worth. */
static void record_tls(struct target *t, struct observation *o, struct tls_answer *a, const char *name)
{
    struct buf words;
    char subject[PROBE_NAME_MAX + 8];
    char as[PROBE_NAME_MAX + 8] = "";
    bool name_ok = certificate_has_name(a->leaf, name);
    struct certificate cert;
    if (certificate_decode(&t->e->arena, a->leaf, &cert)) {
        target_say(t, o, OUTCOME_ERROR, "the certificate is too large to keep");
        return;
    }
    if (!str_ieq(name, t->fqdn))
        str_fmt(as, sizeof as, " (as %s)", name);
    cert.chain_ok = a->chain_ok;
    cert.chain_error = a->chain_error;
    o->elapsed_ms = a->elapsed_ms;
    o->u.tls.version = arena_str(&t->e->arena, a->version);
    o->u.tls.cipher = arena_str(&t->e->arena, a->cipher);
    o->u.tls.cert = cert;
    o->u.tls.name_ok = name_ok;
    o->u.tls.asks_for_certificate = a->asks_for_certificate;
    o->u.tls.needs_certificate = a->needs_certificate;
    target_say(t, o, OUTCOME_OK, "%s, %s%s", a->version, a->cipher, as);
    record_client_certificate(t, a, name, as);
    str_fmt(subject, sizeof subject, "%s:%u", t->fqdn, PROBE_PORT);
    o = target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "certificate", PROTOCOL_UNKNOWN, subject, name);
    if (!o)
        return;
    buf_init(&words, 4096);
    bool good = certificate_words(&words, &cert, name_ok, name, o->at);
    char until[CLOCK_TEXT_SIZE];
    if (words.len)
        target_say(t, o, good ? OUTCOME_OK : OUTCOME_FAILED, "certificate %s%s", buf_str(&words), as);
    else
        target_say(t, o, OUTCOME_OK, "good for %s until %s, %s %d, %s", name,
                   clock_rfc3339(cert.not_after, until), cert.key_type, cert.key_bits, cert.signature_hash);
    buf_fini(&words);
}

/* Issued by an authority that is trusted, for the server's own name or one of those it is asked by. */
static void judge_trust(struct target *t, const struct tls_answer *a)
{
    char names[PROBE_MAX_NAMESPACES][PROBE_NAME_MAX];
    size_t n = target_namespaces(t, names);
    bool named = certificate_has_name(a->leaf, t->fqdn);
    for (size_t i = 0; i < n && !named; i++)
        named = certificate_has_name(a->leaf, names[i]);
    if (a->chain_ok && named)
        *t->untrusted = '\0';
    else
        str_fmt(t->untrusted, sizeof t->untrusted,
                "the password itself is not sent to this server: its certificate is %s%s%s",
                a->chain_ok ? "for other names" : "not trusted: ", a->chain_ok ? "" : a->chain_error,
                a->chain_ok ? "" : " (name its authority as trust in the profile)");
}

/* own: by the server's own name; a silence there is not waited for again. */
static void tls_by_name(struct target *t, const char *name, bool own)
{
    struct errinfo ei = {0};
    struct tls_answer a = {0};
    struct stop share;
    char subject[PROBE_NAME_MAX + 8];
    int64_t from = clock_mono_ms();
    str_fmt(subject, sizeof subject, "%s:%u", t->fqdn, PROBE_PORT);
    struct observation *o =
        target_note(t, OBSERVATION_TLS, EVIDENCE_WIRE, "tls", PROTOCOL_UNKNOWN, subject, name);
    if (!o)
        return;
    if (!t->reached || !t->prober->tls) {
        target_say(t, o, OUTCOME_ERROR, "%s", t->reached ? t->prober->trust_error.what : t->unreached);
        return;
    }
    target_share(t, false, &share);
    int fd = t->fd;
    t->fd = -1;
    enum err e = fd >= 0 ? ERR_OK : reach_connect_one(&t->reach, t->which, &share, &fd, &ei);
    if (!e)
        e = tls_handshake(fd, name, t->prober->tls, &share, &a, &ei);
    int took = (int)(clock_mono_ms() - from);
    if (e) {
        o->elapsed_ms = took;
        if (e == ERR_TIMEOUT)
            target_say(t, o, OUTCOME_ERROR, "TLS: no answer within %d.%d s", took / 1000, took / 100 % 10);
        else
            target_say(t, o, e == ERR_TLS ? OUTCOME_FAILED : OUTCOME_ERROR, "%s", ei.what);
        if (own && (e == ERR_TIMEOUT || e == ERR_INTERRUPTED)) {
            t->reached = false;
            unreached(t, o->detail ? o->detail : "TLS: no answer");
        }
        return;
    }
    record_tls(t, o, &a, name);
    if (own && !certificate_binding(a.leaf, t->binding, &t->binding_len))
        t->binding_len = 0;
    if (own)
        judge_trust(t, &a);
    tls_answer_fini(&a);
}

/* Versions are the server's, whatever the name: each of its handshakes says them. */
static void spread_versions(struct target *t, size_t from)
{
    for (size_t i = from; i < t->e->items.n; i++)
        if (t->e->items.v[i].kind == OBSERVATION_TLS) {
            t->e->items.v[i].u.tls.versions_tried = t->tls_tried;
            t->e->items.v[i].u.tls.versions_offered = t->tls_offered;
        }
}

void step_tls(struct target *t)
{
    char names[PROBE_MAX_NAMESPACES][PROBE_NAME_MAX];
    size_t n = target_namespaces(t, names), from = t->e->items.n;
    tls_by_name(t, t->fqdn, true);
    const struct observation *own = from < t->e->items.n ? &t->e->items.v[from] : NULL;
    if (own && t->reached && own->outcome != OUTCOME_ERROR)
        step_versions(t, own->u.tls.version);
    for (size_t i = 0; i < n; i++)
        tls_by_name(t, names[i], false);
    spread_versions(t, from);
}
