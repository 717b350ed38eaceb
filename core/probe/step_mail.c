#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/channel.h"
#include "core/probe/mail.h"
#include "core/probe/probe_int.h"

#include <string.h>

#define LINE_MAX_BYTES 2048
#define LINES_MAX      100

static const struct {
    uint16_t plain, tls;
    const char *caps, *starttls, *quit;
} kinds[] = {
    [MAIL_POP] = {110, 995, "CAPA\r\n", "STLS\r\n", "QUIT\r\n"},
    [MAIL_IMAP] = {143, 993, "a CAPABILITY\r\n", "a STARTTLS\r\n", "a LOGOUT\r\n"},
};

/* A conversation on one port. */
struct talk {
    struct target *t;
    enum protocol protocol;
    enum mail_kind kind;
    uint16_t port;
    struct channel c;
    const struct stop *stop;
    char in[LINE_MAX_BYTES];
    size_t have;
    char line[LINE_MAX_BYTES];
    size_t line_len;
};

static struct observation *note(struct talk *k, const char *step)
{
    char subject[PROBE_NAME_MAX + 8];
    str_fmt(subject, sizeof subject, "%s:%u", k->t->fqdn, k->port);
    return target_note(k->t, OBSERVATION_STEP, EVIDENCE_WIRE, step, k->protocol, subject, k->t->fqdn);
}

static enum err read_line(struct talk *k, struct errinfo *ei)
{
    for (;;) {
        char *end = memchr(k->in, '\n', k->have);
        if (end) {
            size_t whole = (size_t)(end - k->in) + 1;
            k->line_len = whole - 1;
            while (k->line_len && k->in[k->line_len - 1] == '\r')
                k->line_len--;
            memcpy(k->line, k->in, k->line_len);
            memmove(k->in, k->in + whole, k->have - whole);
            k->have -= whole;
            return ERR_OK;
        }
        if (k->have == sizeof k->in)
            return err_set(ei, ERR_LIMIT, NULL, "a line of more than %d bytes", LINE_MAX_BYTES);
        size_t n;
        enum err e = channel_recv(&k->c, k->in + k->have, sizeof k->in - k->have, &n, k->stop, ei);
        if (e)
            return e;
        if (n == 0)
            return err_set(ei, ERR_PROTOCOL, NULL, "the server closed the connection");
        k->have += n;
    }
}

static void end_step(struct talk *k, struct observation *o, int64_t from, enum err e,
                     const struct errinfo *ei)
{
    if (!o)
        return;
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e == ERR_TIMEOUT)
        target_say(k->t, o, OUTCOME_ERROR, "no answer within %d.%d s", o->elapsed_ms / 1000,
                   o->elapsed_ms / 100 % 10);
    else if (e)
        target_say(k->t, o, e == ERR_INTERRUPTED ? OUTCOME_ERROR : OUTCOME_FAILED, "%s", ei->what);
}

static bool banner(struct talk *k)
{
    struct errinfo ei = {0};
    const char *text;
    size_t len;
    struct observation *o = note(k, "banner");
    int64_t from = clock_mono_ms();
    enum err e = read_line(k, &ei);
    bool good = !e && mail_greeting(k->kind, k->line, k->line_len, &text, &len);
    end_step(k, o, from, e, &ei);
    if (good)
        target_say(k->t, o, OUTCOME_OK, "%.*s", (int)(len < 200 ? len : 200), text);
    else if (!e)
        target_say(k->t, o, OUTCOME_FAILED, "no greeting: %.*s", (int)(k->line_len < 200 ? k->line_len : 200),
                   k->line);
    return good;
}

static bool capabilities(struct talk *k, struct mail_caps *caps)
{
    struct errinfo ei = {0};
    struct buf words;
    struct observation *o = note(k, k->c.ssl ? "capability-tls" : "capability");
    int64_t from = clock_mono_ms();
    enum mail_line l = MAIL_MORE;
    *caps = (struct mail_caps){0};
    enum err e = channel_send(&k->c, kinds[k->kind].caps, strlen(kinds[k->kind].caps), k->stop, &ei);
    for (int i = 0; !e && l == MAIL_MORE; i++) {
        e = i == LINES_MAX ? err_set(&ei, ERR_LIMIT, NULL, "an answer of more than %d lines", LINES_MAX)
                           : read_line(k, &ei);
        if (!e)
            l = mail_caps_line(k->kind, caps, k->line, k->line_len, i == 0);
    }
    end_step(k, o, from, e, &ei);
    if (e)
        return false;
    buf_init(&words, 1024);
    mail_caps_words(k->kind, caps, &words);
    if (l == MAIL_NO)
        target_say(k->t, o, OUTCOME_FAILED, "not told: %.*s", (int)(k->line_len < 200 ? k->line_len : 200),
                   k->line);
    else
        target_say(k->t, o, OUTCOME_OK, "%s", buf_str(&words));
    buf_fini(&words);
    return l == MAIL_OK;
}

/* The handshake on this port, and what its certificate is worth for the server's own name. */
static bool secure(struct talk *k, const char *step, bool ask_first)
{
    struct errinfo ei = {0};
    struct target *t = k->t;
    struct observation *o = note(k, step);
    int64_t from = clock_mono_ms();
    enum mail_line l = ask_first ? MAIL_MORE : MAIL_OK;
    enum err e = ERR_OK;
    if (!t->prober->tls)
        e = err_set(&ei, ERR_CONFIG, NULL, "%s", t->prober->trust_error.what);
    if (!e && ask_first)
        e = channel_send(&k->c, kinds[k->kind].starttls, strlen(kinds[k->kind].starttls), k->stop, &ei);
    for (int i = 0; !e && l == MAIL_MORE && i < LINES_MAX; i++)
        if (!(e = read_line(k, &ei)))
            l = mail_tls_line(k->kind, k->line, k->line_len);
    if (!e && l != MAIL_OK)
        e = err_set(&ei, ERR_PROTOCOL, NULL, "offered, but refused");
    if (!e && k->have) /* RFC 2595, CVE-2011-0411: what came in the clear must not count as said within TLS */
        e = err_set(&ei, ERR_PROTOCOL, NULL, "the server speaks on in the clear after it agreed to TLS");
    if (!e)
        e = channel_secure(&k->c, t->prober->tls, t->fqdn, k->stop, &ei);
    end_step(k, o, from, e, &ei);
    if (e || !o)
        return !e;
    X509 *leaf = SSL_get1_peer_certificate(k->c.ssl);
    struct certificate cert;
    struct buf words;
    buf_init(&words, 4096);
    if (leaf && !certificate_decode(&t->e->arena, leaf, &cert)) {
        long verify = SSL_get_verify_result(k->c.ssl);
        cert.chain_ok = verify == X509_V_OK;
        cert.chain_error = cert.chain_ok ? NULL : X509_verify_cert_error_string(verify);
        bool good = certificate_words(&words, &cert, certificate_has_name(leaf, t->fqdn), t->fqdn, o->at);
        target_say(t, o, good ? OUTCOME_OK : OUTCOME_FAILED, "%s, certificate %s", SSL_get_version(k->c.ssl),
                   words.len ? buf_str(&words) : "good");
    } else {
        target_say(t, o, OUTCOME_ERROR, "the certificate cannot be read");
    }
    buf_fini(&words);
    X509_free(leaf);
    return true;
}

static bool open_port(struct talk *k)
{
    struct errinfo ei = {0};
    struct reach reach;
    struct buf detail;
    size_t which;
    struct observation *o = note(k, "tcp");
    int64_t from = clock_mono_ms();
    buf_init(&detail, 4096);
    enum err e =
        reach_resolve(&k->t->prober->profile->hosts, k->t->fqdn, k->port, k->stop, &reach, &detail, &ei);
    buf_reset(&detail);
    if (!e)
        e = reach_connect(&reach, k->stop, &k->c.fd, &which, &detail, &ei);
    if (o)
        o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e)
        target_say(k->t, o, e == ERR_UNREACHABLE ? OUTCOME_FAILED : OUTCOME_ERROR, "%s%s", ei.what,
                   e == ERR_UNREACHABLE ? " (Exchange leaves the service off until somebody starts it)" : "");
    else
        target_say(k->t, o, OUTCOME_OK, "%s", buf_str(&detail));
    buf_fini(&detail);
    return !e;
}

static void talk_on(struct target *t, enum protocol p, bool tls, bool last)
{
    struct stop share;
    struct mail_caps caps;
    enum mail_kind kind = p == PROTOCOL_POP ? MAIL_POP : MAIL_IMAP;
    struct talk k = {.t = t,
                     .protocol = p,
                     .kind = kind,
                     .port = tls ? kinds[kind].tls : kinds[kind].plain,
                     .stop = &share};
    struct errinfo ei;
    channel_init(&k.c);
    target_share(t, last, &share);
    if (open_port(&k) && (!tls || secure(&k, "tls", false)) && banner(&k) && capabilities(&k, &caps)) {
        if (!tls && caps.starttls && secure(&k, "starttls", true))
            (void)capabilities(&k, &caps);
        (void)!channel_send(&k.c, kinds[kind].quit, strlen(kinds[kind].quit), &share, &ei);
    }
    channel_fini(&k.c);
}

void step_mail(struct target *t, enum protocol p, bool last)
{
    talk_on(t, p, false, false);
    talk_on(t, p, true, last);
}
