/*
 * One server of an organisation, played by a TLS server of the test, probed. Header only.
 */
#ifndef TESTS_UNIT_PROBE_BENCH_H
#define TESTS_UNIT_PROBE_BENCH_H

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/probe.h"
#include "tests/unit/test_cert.h"
#include "tests/unit/tls_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DAY 86400L

static EVP_PKEY *ca_key, *key;
static X509 *ca, *good;
static char ca_file[] = "/tmp/casbridge-ca-XXXXXX";

static const struct test_cert good_spec = {
    .cn = "cas01",
    .names = {TEST_NAME("cas01.contoso.lab"), TEST_NAME("mail.contoso.lab")},
    .n_names = 2,
    .from_s = -DAY,
    .until_s = 300 * DAY};

static inline int bench_set_up(void **state)
{
    const struct test_cert spec = {.cn = "Test CA", .from_s = -DAY, .until_s = 3000 * DAY, .ca = true};
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    ca_key = test_key();
    key = test_key();
    ca = test_cert_make(&spec, ca_key, NULL, NULL);
    good = test_cert_make(&good_spec, key, ca, ca_key);
    int fd = mkstemp(ca_file);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool ok = f && ca && good && PEM_write_X509(f, ca) == 1;
    return f && fclose(f) == 0 && ok ? 0 : -1;
}

static inline int bench_tear_down(void **state)
{
    (void)state;
    unlink(ca_file);
    X509_free(ca);
    X509_free(good);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return 0;
}

/* A realm whose KDC refuses connections: nobody but the servers can judge a password. unlink() the file after. */
static inline bool bench_no_kdc(char *conf_file)
{
    static const char conf[] = "[libdefaults]\n default_realm = CONTOSO.LAB\n dns_lookup_kdc = false\n"
                               " udp_preference_limit = 1\n"
                               "[realms]\n CONTOSO.LAB = {\n  kdc = 127.0.0.1:1\n }\n";
    int fd = mkstemp(conf_file);
    if (fd < 0)
        return false;
    bool ok = write(fd, conf, sizeof conf - 1) == (ssize_t)sizeof conf - 1;
    setenv("KRB5_CONFIG", conf_file, 1);
    return close(fd) == 0 && ok;
}

/* One server of an organisation, reached at a port of ours. */
struct bench {
    struct profile profile;
    struct server server;
    struct evidence e;
    struct probe_request req;
    int took_ms;
};

static inline void bench_init(struct bench *b, uint16_t port)
{
    char addr[32];
    *b =
        (struct bench){.server = {.name = "CAS01", .fqdn = "cas01.contoso.lab"}, .req = {.timeout_ms = 8000}};
    str_fmt(addr, sizeof addr, "127.0.0.1:%u", port);
    assert_int_equal(hostmap_add_pair(&b->profile.hosts, "cas01.contoso.lab", addr, NULL), ERR_OK);
    assert_int_equal(profile_set(&b->profile, PROFILE_trust, ca_file, NULL), ERR_OK);
    evidence_init(&b->e, 1 << 20);
}

static inline void bench_fini(struct bench *b)
{
    evidence_fini(&b->e);
    profile_fini(&b->profile);
}

static inline void bench_probe(struct bench *b)
{
    int64_t from = clock_mono_ms();
    probe_server(&b->profile, NULL, &b->server, &b->req, NULL, &b->e);
    b->took_ms = (int)(clock_mono_ms() - from);
    for (size_t i = 0; i < b->e.items.n; i++) {
        const struct observation *o = &b->e.items.v[i];
        assert_non_null(o->detail);
        assert_string_equal(o->server, b->server.name);
        assert_true(utf8_valid(o->detail, strlen(o->detail)));
        for (const char *p = o->detail; *p; p++)
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
}

static inline const struct observation *seen(const struct bench *b, const char *step, const char *by_name)
{
    for (size_t i = 0; i < b->e.items.n; i++) {
        const struct observation *o = &b->e.items.v[i];
        if (str_eq(o->step, step) && (!by_name || str_eq(o->by_name, by_name)))
            return o;
    }
    fail_msg("no step %s", step);
    return NULL;
}

static inline void is(const struct observation *o, enum outcome outcome, const char *detail)
{
    if (o->outcome != outcome || !strstr(o->detail, detail))
        fail_msg("%s: %s, \"%s\" instead of \"%s\"", o->step, outcome_name(o->outcome), o->detail, detail);
}

static inline bool say_arg(struct tls_peer *p, const char *head)
{
    (void)head;
    return tls_peer_say(p, p->server->arg);
}

/* The answer of a server that says `answer` to every request. */
static inline void probe_answer(struct bench *b, const char *answer,
                                bool (*serve)(struct tls_peer *, const char *), int timeout_ms)
{
    struct tls_server s = {.serve = serve ? serve : say_arg, .arg = answer};
    assert_true(tls_server_start(&s, good, key));
    bench_init(b, s.port);
    b->req.timeout_ms = timeout_ms;
    bench_probe(b);
    tls_server_stop(&s);
}

#endif
