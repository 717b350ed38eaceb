/* The engine as a CAS: passwords checked by a KDC of the test's own, Kerberos towards a server that really looks at the tokens. */
#include "core/model/profile.h"
#include "tests/unit/kdc.h"
#include "tests/unit/proxy_fixture.h"

static struct kdc kdc;
static bool have_kdc;
static struct profile profile;
static char who[TLS_SERVER_MAX][128]; /* whom a connection belongs to */
static atomic_uint tokens, bad_tokens;
static unsigned char binding[32];

static const char script[] = "addprinc -pw " KDC_PASSWORD " alice\n"
                             "addprinc -pw " KDC_PASSWORD " bob\n"
                             "addprinc -randkey EX13CAS01$\n"
                             "addprinc -randkey HTTP/cas01.contoso.lab\n"
                             "ktadd -k %s/cas01.keytab HTTP/cas01.contoso.lab\n"
                             "ktadd -k %s/machine.keytab EX13CAS01$\n";

/* Takes the token of a head, if there is one, for the connection. */
static bool take_token(struct tls_peer *p, const char *head)
{
    static const char field[] = "Authorization: Negotiate ";
    const char *at = strstr(head, field), *end = at != NULL ? strstr(at, "\r\n") : NULL;
    struct buf raw;
    if (end == NULL)
        return false;
    at += sizeof field - 1;
    buf_init(&raw, 65536);
    bool ok = base64_decode(&raw, at, (size_t)(end - at)) == ERR_OK &&
              kdc_accept(&kdc, "cas01.keytab", raw.data, raw.len, binding, sizeof binding, who[number(p)],
                         sizeof who[0]) == 0;
    atomic_fetch_add(ok ? &tokens : &bad_tokens, 1);
    buf_fini(&raw);
    return ok;
}

static bool iis(struct tls_peer *p, const char *head)
{
    static const char negotiate[] = "401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n";
    char body[256], text[512];
    long long n = length_of(head);
    bool with_token = take_token(p, head), in = who[number(p)][0] != '\0';
    if (strstr(head, "Basic YWxpY2U6") != NULL)
        return say(p, "500 the password went out\r\n", "");
    if (strstr(head, "/basic-only") != NULL)
        return read_body(p, n < 200 ? n : 0) &&
               say(p, "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cas01\"\r\n", "legacy");
    if (strstr(head, "/ntlm-only") != NULL)
        return say(p, "401 Unauthorized\r\nWWW-Authenticate: NTLM\r\n", "");
    if (strstr(head, "/never") != NULL || (strstr(head, "/each") != NULL && !with_token) || !in) {
        if (n > 100000) { /* a channel: nothing is read of it */
            (void)say(p, negotiate, "");
            tls_server_nap(p->server, 200);
            return false;
        }
        return read_body(p, n) && say(p, negotiate, "");
    }
    if (n > (long long)sizeof body - 1)
        return read_body(p, n) && say(p, "200 OK\r\n", "long");
    for (long long i = 0; i < n; i++)
        if (SSL_read(p->ssl, body + i, 1) != 1)
            return false;
    body[n] = '\0';
    snprintf(text, sizeof text, "%s %d %s", who[number(p)], number(p), body);
    return say(p, "200 OK\r\nWWW-Authenticate: Negotiate oRQw\r\nPersistent-Auth: true\r\n", text);
}

static int start(void **state)
{
    (void)state;
    have_kdc = kdc_start(&kdc, script);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    kdc_stop(&kdc);
    return 0;
}

static int one_setup(void **state)
{
    unsigned n = 0;
    memset(who, 0, sizeof who);
    atomic_store(&tokens, 0);
    atomic_store(&bad_tokens, 0);
    if (setup(state) != 0)
        return -1;
    server.serve = iis; /* no client is there yet */
    (void)X509_digest(cert, EVP_sha256(), binding, &n);
    memset(&profile, 0, sizeof profile);
    return hostmap_add(&profile.hosts, "cas01.contoso.lab=127.0.0.1", NULL) == ERR_OK ? 0 : -1;
}

static int one_teardown(void **state)
{
    int r = teardown(state);
    hostmap_fini(&profile.hosts);
    return r;
}

static void start_engine(enum proxy_auth auth)
{
    char url[64], keytab[128];
    kdc_path(&kdc, "machine.keytab", keytab, sizeof keytab);
    snprintf(url, sizeof url, "https://cas01.contoso.lab:%u", server.port);
    engine(&(struct proxy_config){.upstream = url,
                                  .auth = auth,
                                  .profile = &profile,
                                  .keytab = keytab,
                                  .principal = "EX13CAS01$@" KDC_REALM});
}

#define NEED_KDC()                                                                                           \
    if (!have_kdc)                                                                                           \
    skip()

/* "alice:Passw0rd!lab", "bob:...", "CONTOSO\alice:..." */
#define ALICE "Authorization: Basic YWxpY2U6UGFzc3cwcmQhbGFi\r\n"
#define BOB   "Authorization: Basic Ym9iOlBhc3N3MHJkIWxhYg==\r\n"
#define WRONG "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n"

static void ask(struct tls_client *c, const char *method, const char *path, const char *fields,
                const char *body, int status, char *got, size_t cap)
{
    char t[2048];
    snprintf(t, sizeof t, "%s %s HTTP/1.1\r\nHost: mail.test\r\n%sContent-Length: %zu\r\n\r\n%s", method,
             path, fields, strlen(body), body);
    assert_true(tls_client_say(c, t));
    assert_true(tls_client_response(c, got, cap));
    if (c->status != status)
        fail_msg("%s %s: %d, wanted %d: %s", method, path, c->status, status, got);
}

/* One token a connection, in its first request; none after, and another user's connection is another. */
static void test_token_per_connection(void **state)
{
    (void)state;
    NEED_KDC();
    struct tls_client a, b;
    char x[300], y[300];
    start_engine(PROXY_AUTH_AS_CLIENT);
    open_client(&a);
    open_client(&b);
    for (int i = 0; i < 5; i++) {
        ask(&a, "POST", "/ews/x", ALICE, "hello", 200, x, sizeof x);
        assert_string_equal(x, "alice@CONTOSO.LAB 0 hello");
        ask(&b, "POST", "/ews/x", BOB, "hello", 200, y, sizeof y);
        assert_string_equal(y, "bob@CONTOSO.LAB 1 hello");
    }
    /* the client may change who it is: so does the connection behind */
    ask(&a, "POST", "/ews/x", BOB, "", 200, x, sizeof x);
    assert_string_equal(x, "bob@CONTOSO.LAB 1 ");
    assert_int_equal(atomic_load(&tokens), 2);
    assert_int_equal(atomic_load(&bad_tokens), 0);
    /* what the server says about our logon is not the client's */
    assert_null(strstr(a.head, "Negotiate"));
    assert_null(strstr(a.head, "Persistent-Auth"));
    struct proxy_stats s;
    proxy_stats(proxy, &s);
    assert_int_equal(s.tokens, 2);
    assert_int_equal(s.logons_ok, 2);
    struct proxy_row row;
    assert_true(find_row("/ews/x", &row, true));
    assert_string_equal(row.auth, "basic->kerberos");
    tls_client_close(&a);
    tls_client_close(&b);
}

static void test_challenges(void **state)
{
    (void)state;
    NEED_KDC();
    struct tls_client c;
    struct proxy_row row;
    char got[512];
    start_engine(PROXY_AUTH_AS_CLIENT);
    open_client(&c);
    static const char *const fields[] = {"",
                                         WRONG,
                                         "Authorization: Negotiate YII=\r\n",
                                         "Authorization: NTLM TlRM\r\n",
                                         "Authorization: Basic ????\r\n",
                                         "Authorization: Basic YWxpY2U=\r\n",
                                         "Authorization: Basic\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        ask(&c, "POST", "/ews/x", fields[i], "small body", 401, got, sizeof got);
        assert_non_null(strstr(c.head, "WWW-Authenticate: Basic realm=\"cas01.contoso.lab\"\r\n"));
    }
    assert_int_equal(atomic_load(&server.n_requests), 0);
    /* the server that offers Basic only, as the mission has it */
    ask(&c, "RPC_IN_DATA", "/rpc/basic-only", ALICE, "ABCD", 401, got, sizeof got);
    assert_string_equal(got, "legacy");
    assert_non_null(strstr(c.head, "WWW-Authenticate: Basic realm=\"cas01.contoso.lab\"\r\n"));
    assert_null(strstr(c.head, "realm=\"cas01\""));
    assert_true(find_row("/rpc/basic-only", &row, true));
    assert_string_equal(row.rule, "oa-iis-auth");
    assert_non_null(strstr(
        row.reason,
        "offers Basic only; the new CAS speaks only Negotiate (Kerberos): Outlook will prompt for ever"));
    ask(&c, "GET", "/ews/ntlm-only", ALICE, "", 401, got, sizeof got);
    assert_true(find_row("/ews/ntlm-only", &row, true));
    assert_non_null(strstr(row.reason, "NTLM"));
    ask(&c, "GET", "/ews/never", ALICE, "", 401, got, sizeof got);
    assert_true(find_row("/ews/never", &row, true));
    assert_string_equal(row.rule, "kerberos-ticket");
    tls_client_close(&c);
}

/* A server that wants a token for each request: found out once, by one repetition with the body, then obeyed. */
static void test_token_per_request(void **state)
{
    (void)state;
    NEED_KDC();
    struct tls_client c;
    char got[300];
    start_engine(PROXY_AUTH_AS_CLIENT);
    open_client(&c);
    ask(&c, "POST", "/ews/each", ALICE, "one", 200, got, sizeof got);
    assert_int_equal(atomic_load(&server.n_requests), 1);
    ask(&c, "POST", "/ews/each", ALICE, "two", 200, got, sizeof got); /* 401, then again */
    assert_non_null(strstr(got, " two"));
    assert_int_equal(atomic_load(&server.n_requests), 3);
    for (unsigned i = 0; i < 3; i++)
        ask(&c, "POST", "/ews/each", ALICE, "three", 200, got, sizeof got);
    assert_int_equal(atomic_load(&server.n_requests), 6);
    assert_int_equal(atomic_load(&tokens), 5);
    tls_client_close(&c);
}

/* What was streamed is never sent twice: a channel, or a body longer than what is held. */
static void test_never_twice(void **state)
{
    (void)state;
    NEED_KDC();
    struct tls_client c;
    char got[512];
    static char big[90000];
    start_engine(PROXY_AUTH_AS_CLIENT);
    open_client(&c);
    assert_true(tls_client_say(&c, "RPC_IN_DATA /rpc/never HTTP/1.1\r\nHost: x\r\n" ALICE
                                   "Content-Length: 1073741824\r\n\r\nabc"));
    assert_true(tls_client_response(&c, got, sizeof got));
    assert_int_equal(c.status, 401);
    assert_int_equal(atomic_load(&server.n_requests), 1);
    assert_true(tls_client_closed(&c));
    tls_client_close(&c);
    open_client(&c);
    memset(big, 'b', sizeof big);
    assert_true(
        tls_client_say(&c, "POST /ews/never HTTP/1.1\r\nHost: x\r\n" ALICE "Content-Length: 90000\r\n\r\n"));
    assert_true(tls_client_send(&c, big, sizeof big));
    assert_true(tls_client_response(&c, got, sizeof got));
    assert_int_equal(c.status, 401);
    assert_int_equal(atomic_load(&server.n_requests), 2);
    tls_client_close(&c);
}

static void test_own_identity(void **state)
{
    (void)state;
    NEED_KDC();
    struct tls_client a, b;
    char x[300], y[300];
    start_engine(PROXY_AUTH_KEYTAB);
    open_client(&a);
    open_client(&b);
    ask(&a, "POST", "/ews/x", ALICE, "", 200, x, sizeof x);
    ask(&b, "POST", "/ews/x", BOB, "", 200, y, sizeof y);
    assert_string_equal(x, "EX13CAS01$@CONTOSO.LAB 0 ");
    assert_string_equal(y, "EX13CAS01$@CONTOSO.LAB 1 "); /* not shared between users even so */
    ask(&a, "POST", "/ews/x", WRONG, "", 401, x, sizeof x);
    tls_client_close(&a);
    tls_client_close(&b);
}

static void test_no_kdc(void **state)
{
    (void)state;
    NEED_KDC();
    struct tls_client c;
    struct proxy_row row;
    char got[512], path[128], config[256];
    str_fmt(config, sizeof config,
            "[libdefaults]\n default_realm = " KDC_REALM "\n dns_lookup_kdc = false\n[realms]\n " KDC_REALM
            " = {\n  kdc = 127.0.0.1:1\n }\n");
    assert_true(kdc_write(&kdc, "none.conf", config));
    kdc_path(&kdc, "none.conf", path, sizeof path);
    setenv("KRB5_CONFIG", path, 1);
    start_engine(PROXY_AUTH_AS_CLIENT);
    open_client(&c);
    ask(&c, "GET", "/ews/down", ALICE, "", 500, got, sizeof got);
    assert_true(find_row("/ews/down", &row, true));
    assert_string_equal(row.rule, "kerberos-ticket");
    assert_true(row.reason[0] != '\0');
    tls_client_close(&c);
    kdc_path(&kdc, "krb5.conf", path, sizeof path);
    setenv("KRB5_CONFIG", path, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, one_setup, one_teardown)
    const struct CMUnitTest tests[] = {T(test_token_per_connection), T(test_challenges),
                                       T(test_token_per_request),    T(test_never_twice),
                                       T(test_own_identity),         T(test_no_kdc)};
    (void)signal(SIGPIPE, SIG_IGN); /* of the test's own clients and server */
    return cmocka_run_group_tests(tests, start, stop);
}
