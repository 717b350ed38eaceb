#include "core/probe/namespace.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/certificate.h"
#include "core/probe/reach.h"
#include "core/probe/tls.h"

#include <string.h>

#define TIMEOUT_MS 5000
#define PORT       443

static void say(struct evidence *e, struct observation *o, enum outcome outcome, const char *text)
{
    char shown[400];
    str_show_fixed(shown, sizeof shown, text, strlen(text));
    o->outcome = outcome;
    o->detail = arena_str(&e->arena, shown);
}

static enum err shake_hands(const struct profile *p, const char *name, SSL_CTX *tls, const struct stop *stop,
                            struct tls_answer *a, char *address, size_t cap, struct errinfo *ei)
{
    struct reach r;
    struct buf detail;
    size_t which = 0;
    int fd = -1;
    buf_init(&detail, 4096);
    enum err err = reach_resolve(&p->hosts, name, PORT, stop, &r, &detail, ei);
    if (!err)
        err = reach_connect(&r, stop, &fd, &which, &detail, ei);
    if (!err) {
        reach_address(&r, which, address, cap);
        err = tls_handshake(fd, name, tls, stop, a, ei);
    }
    buf_fini(&detail);
    return err;
}

static void probe_one(const struct profile *p, const char *name, SSL_CTX *tls, const struct stop *stop,
                      struct evidence *e)
{
    struct tls_answer a = {0};
    struct errinfo ei = {0};
    char address[64] = "", text[400];
    struct observation *o = evidence_add(e, OBSERVATION_TLS, EVIDENCE_WIRE);
    if (!o)
        return;
    o->step = "tls";
    o->subject = arena_fmt(&e->arena, "%s:%d", name, PORT);
    o->by_name = arena_str(&e->arena, name);
    int64_t from = clock_mono_ms();
    enum err err = shake_hands(p, name, tls, stop, &a, address, sizeof address, &ei);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (err) {
        say(e, o, err == ERR_TLS ? OUTCOME_FAILED : OUTCOME_ERROR, ei.what);
        return;
    }
    struct certificate cert;
    if (certificate_decode(&e->arena, a.leaf, &cert)) {
        say(e, o, OUTCOME_ERROR, "the certificate is too large to keep");
    } else {
        cert.chain_ok = a.chain_ok;
        cert.chain_error = a.chain_error;
        o->u.tls.cert = cert;
        o->u.tls.version = arena_str(&e->arena, a.version);
        o->u.tls.cipher = arena_str(&e->arena, a.cipher);
        o->u.tls.name_ok = certificate_has_name(a.leaf, name);
        str_fmt(text, sizeof text, "%s, %s at %s", a.version, a.cipher, address);
        say(e, o, OUTCOME_OK, text);
    }
    tls_answer_fini(&a);
}

void probe_namespaces(const struct profile *p, const char *const *names, size_t n, int timeout_ms,
                      const struct stop *stop, struct evidence *e)
{
    SSL_CTX *tls = NULL;
    if (tls_client_new(&tls, profile_get(p, PROFILE_trust, NULL), NULL))
        return; /* the probes of the servers, which need the same trust, say why */
    for (size_t i = 0; i < n && stop_left_ms(stop, 1) > 0; i++) {
        struct stop limit;
        stop_init(&limit, timeout_ms > 0 ? timeout_ms : TIMEOUT_MS, (struct stop *)stop);
        probe_one(p, names[i], tls, &limit, e);
    }
    SSL_CTX_free(tls);
}
