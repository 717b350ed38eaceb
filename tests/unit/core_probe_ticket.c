/* The Kerberos steps of a probe: a KDC of the test's own, and a server that takes tokens as IIS with Extended Protection would. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/certificate.h"
#include "core/probe/probe.h"
#include "tests/unit/kdc.h"
#include "tests/unit/test_cert.h"
#include "tests/unit/tls_server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct kdc kdc;
static bool have_kdc;
static EVP_PKEY *key;
static X509 *cert;
static struct krb_login *login;

static const char script[] = "addprinc -pw " KDC_PASSWORD " alice\n"
                             "addprinc -randkey HTTP/cas01.contoso.lab\n"
                             "addprinc -randkey -e arcfour-hmac:normal HTTP/cas02.contoso.lab\n"
                             "ktadd -k %s/cas01.keytab -norandkey HTTP/cas01.contoso.lab\n";

static int set_up(void **state)
{
    const struct test_cert spec = {.cn = "cas01.contoso.lab", .from_s = -86400, .until_s = 300 * 86400L};
    struct secret s = {0};
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    have_kdc = kdc_start(&kdc, script);
    if (!have_kdc)
        return 0;
    key = test_key();
    cert = test_cert_make(&spec, key, NULL, NULL);
    enum err e = secret_set(&s, KDC_PASSWORD, strlen(KDC_PASSWORD));
    if (!e)
        e = krb_login_password(&login, "alice", &s, NULL);
    secret_fini(&s);
    return cert && !e ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    krb_login_free(&login);
    X509_free(cert);
    EVP_PKEY_free(key);
    kdc_stop(&kdc);
    return 0;
}

enum manner { TAKES_TICKETS, BASIC_ONLY, OPEN_TO_ALL };

/* 401 without a token; with one what GSSAPI says of it, bound to our certificate. */
static bool serve(struct tls_peer *p, const char *head)
{
    static const char echo[] =
        "HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 20\r\n\r\n"
        "\x05\x00\x14\x03\x10\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00";
    const enum manner *manner = p->server->arg;
    const char *token = strstr(head, "\r\nAuthorization: Negotiate ");
    bool ok = *manner == OPEN_TO_ALL;
    if (token && *manner == TAKES_TICKETS) {
        unsigned char hash[CERTIFICATE_BINDING_MAX];
        size_t len = 0;
        struct buf raw;
        char client[128] = "";
        buf_init(&raw, 65536);
        token += strlen("\r\nAuthorization: Negotiate ");
        ok = base64_decode(&raw, token, strcspn(token, "\r")) == ERR_OK &&
             certificate_binding(cert, hash, &len) &&
             kdc_accept(&kdc, "cas01.keytab", raw.data, raw.len, hash, len, client, sizeof client) == 0 &&
             str_eq(client, "alice@CONTOSO.LAB");
        buf_fini(&raw);
    }
    if (ok)
        return tls_peer_send(p, echo, sizeof echo - 1);
    return tls_peer_say(p,
                        *manner == BASIC_ONLY
                            ? "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
                            : "HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"
                              "Content-Length: 0\r\n\r\n");
}

static void probe_as(enum manner manner, const char *fqdn, struct krb_login *who, struct evidence *e)
{
    struct tls_server s = {.serve = serve, .arg = &manner};
    struct server server = {.name = "CAS", .fqdn = fqdn};
    struct profile profile = {0};
    struct probe_request req = {.tickets = true, .login = who, .timeout_ms = 10000};
    char addr[32];
    assert_true(tls_server_start(&s, cert, key));
    str_fmt(addr, sizeof addr, "127.0.0.1:%u", s.port);
    assert_int_equal(hostmap_add_pair(&profile.hosts, fqdn, addr, NULL), ERR_OK);
    evidence_init(e, 1 << 20);
    probe_server(&profile, NULL, &server, &req, NULL, e);
    tls_server_stop(&s);
    profile_fini(&profile);
}

static void is(const struct observation *o, enum outcome outcome, const char *detail)
{
    assert_non_null(o);
    if (o->outcome != outcome || !strstr(o->detail, detail))
        fail_msg("%s: %s, \"%s\" instead of \"%s\"", o->step, outcome_name(o->outcome), o->detail, detail);
}

static const struct observation *ticket_of(const struct evidence *e)
{
    return evidence_find(e, OBSERVATION_TICKET, "CAS", PROTOCOL_UNKNOWN, "ticket");
}

static const struct observation *logon_of(const struct evidence *e)
{
    return evidence_find(e, OBSERVATION_LOGON, "CAS", PROTOCOL_OA, "logon-negotiate");
}

#define NEED_KDC()                                                                                           \
    if (!have_kdc)                                                                                           \
    skip()

static void test_taken(void **state)
{
    (void)state;
    struct evidence e;
    NEED_KDC();
    probe_as(TAKES_TICKETS, "cas01.contoso.lab", login, &e);
    is(ticket_of(&e), OUTCOME_OK, "aes256-cts-hmac-sha1-96, kvno 1, until 20");
    assert_string_equal(ticket_of(&e)->subject, "HTTP/cas01.contoso.lab");
    assert_int_equal(ticket_of(&e)->source, EVIDENCE_KERBEROS);
    assert_int_equal(ticket_of(&e)->u.ticket.etype, 18);
    assert_true(ticket_of(&e)->u.ticket.end_time > clock_unix());
    is(logon_of(&e), OUTCOME_OK, "200 with a Kerberos ticket, the RPC proxy echoes");
    assert_string_equal(logon_of(&e)->u.logon.user, "alice@CONTOSO.LAB");
    assert_string_equal(logon_of(&e)->u.logon.method, "negotiate");
    assert_int_equal(logon_of(&e)->u.logon.status, 200);
    evidence_fini(&e);
}

static void test_refused(void **state)
{
    (void)state;
    struct evidence e;
    NEED_KDC();
    probe_as(BASIC_ONLY, "cas01.contoso.lab", login, &e);
    is(ticket_of(&e), OUTCOME_OK, "aes256");
    is(logon_of(&e), OUTCOME_FAILED, "401: the Kerberos ticket is refused, the server offers Basic only");
    assert_int_equal(logon_of(&e)->u.logon.status, 401);
    evidence_fini(&e);
}

static void test_weak_and_absent(void **state)
{
    (void)state;
    struct evidence e;
    NEED_KDC();
    probe_as(TAKES_TICKETS, "cas02.contoso.lab", login, &e);
    is(ticket_of(&e), OUTCOME_OK, "rc4-hmac (weak), kvno ");
    is(logon_of(&e), OUTCOME_FAILED,
       "401: the Kerberos ticket is refused, the server offers Negotiate, NTLM");
    evidence_fini(&e);
    probe_as(TAKES_TICKETS, "cas03.contoso.lab", login, &e);
    is(ticket_of(&e), OUTCOME_FAILED, "no account owns this service principal name");
    assert_int_equal(ticket_of(&e)->u.ticket.error, 7);
    assert_null(logon_of(&e));
    evidence_fini(&e);
    probe_as(OPEN_TO_ALL, "cas01.contoso.lab", NULL, &e);
    is(ticket_of(&e), OUTCOME_SKIPPED, "no Kerberos login");
    assert_null(logon_of(&e));
    evidence_fini(&e);
}

/* A KDC that does not answer costs the run one wait a domain, not one a server; all else is still found out. */
static void test_dead_kdc(void **state)
{
    (void)state;
    NEED_KDC();
    enum manner manner = BASIC_ONLY;
    struct tls_server s = {.serve = serve, .arg = &manner}, silent = {.plain_silence = true};
    char conf[512], path[128], addr[32], old[256];
    struct server servers[] = {{.name = "A", .fqdn = "a.contoso.lab"},
                               {.name = "B", .fqdn = "b.contoso.lab"}};
    const struct server *list[] = {&servers[0], &servers[1]};
    struct profile profile = {0};
    struct evidence e;
    struct probe_request req = {.tickets = true, .login = login, .timeout_ms = 6000, .parallel = 1};
    assert_true(tls_server_start(&s, cert, key) && tls_server_start(&silent, NULL, NULL));
    str_fmt(
        conf, sizeof conf,
        "[libdefaults]\n default_realm = CONTOSO.LAB\n dns_lookup_kdc = false\n udp_preference_limit = 1\n"
        "[realms]\n CONTOSO.LAB = {\n  kdc = 127.0.0.1:%u\n }\n[domain_realm]\n .contoso.lab = CONTOSO.LAB\n",
        silent.port);
    assert_true(kdc_write(&kdc, "silent.conf", conf));
    kdc_path(&kdc, "silent.conf", path, sizeof path);
    str_copy(old, sizeof old, getenv("KRB5_CONFIG"));
    setenv("KRB5_CONFIG", path, 1);
    str_fmt(addr, sizeof addr, "127.0.0.1:%u", s.port);
    assert_int_equal(hostmap_add_pair(&profile.hosts, "a.contoso.lab", addr, NULL), ERR_OK);
    assert_int_equal(hostmap_add_pair(&profile.hosts, "b.contoso.lab", addr, NULL), ERR_OK);
    evidence_init(&e, 1 << 20);
    assert_int_equal(probe_run(&profile, NULL, list, 2, &req, NULL, NULL, NULL, &e, NULL), ERR_OK);
    is(evidence_find(&e, OBSERVATION_TICKET, "A", PROTOCOL_UNKNOWN, NULL), OUTCOME_ERROR,
       "no answer from the KDC within ");
    is(evidence_find(&e, OBSERVATION_TICKET, "B", PROTOCOL_UNKNOWN, NULL), OUTCOME_ERROR,
       "no KDC answered for another server");
    is(evidence_find(&e, OBSERVATION_CHALLENGE, "A", PROTOCOL_OA, NULL), OUTCOME_OK,
       "401, offers Basic only");
    is(evidence_find(&e, OBSERVATION_CHALLENGE, "B", PROTOCOL_OA, NULL), OUTCOME_OK,
       "401, offers Basic only");
    setenv("KRB5_CONFIG", old, 1);
    tls_server_stop(&silent); /* the look-up left behind ends here */
    tls_server_stop(&s);
    evidence_fini(&e);
    profile_fini(&profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_weak_and_absent),
        cmocka_unit_test(test_dead_kdc),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
