/* Applications asked on a TLS server of the test's own: what is sent, answers that break off or drip, redirects without end; and DNS SRV on
   a name server of the test's own. */
#include "core/probe/app_srv.h"
#include "tests/unit/probe_bench.h"

#include <netinet/in.h>

#define LOGON "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"
#define SOAP_HEAD                                                                                            \
    "<s:Envelope xmlns:s='u'><s:Header><t:ServerVersionInfo xmlns:t='t' MajorVersion='15' MinorVersion='0' " \
    "MajorBuildNumber='1497' MinorBuildNumber='36'/></s:Header><s:Body><m:R xmlns:m='m'><m:M>"               \
    "<m:GetFolderResponseMessage ResponseClass='Success'><m:ResponseCode>NoError</m:ResponseCode>"
#define SOAP_TAIL "</m:GetFolderResponseMessage></m:M></m:R></s:Body></s:Envelope>"

static struct secret password;

/* As a user with a password, whom no KDC knows: Basic is what is left. */
static void ask(struct bench *b, enum protocol p, bool (*serve)(struct tls_peer *, const char *),
                const char *answer, int timeout_ms)
{
    struct tls_server s = {.serve = serve, .arg = answer};
    const struct org org = {.lockout_threshold = 0}; /* some answers do not say whether the logon worked */
    assert_true(tls_server_start(&s, good, key));
    bench_init(b, s.port);
    b->server.generation = GENERATION_2013;
    b->req.timeout_ms = timeout_ms;
    b->req.protocols = 1u << p;
    b->req.deep = true;
    b->req.user = (struct probe_user){.name = "alice", .password = &password};
    int64_t from = clock_mono_ms();
    probe_server(&b->profile, &org, &b->server, &b->req, NULL, &b->e);
    b->took_ms = (int)(clock_mono_ms() - from);
    tls_server_stop(&s);
}

static bool is_logged_on(const char *head)
{
    return str_icontains(head, "\r\nAuthorization: Basic YWxpY2U6c2VzYW1l\r\n") != NULL; /* alice:sesame */
}

/* A logon is asked for; then the answer is the server's argument. */
static bool say_after_logon(struct tls_peer *p, const char *head)
{
    return tls_peer_say(p, is_logged_on(head) ? p->server->arg : LOGON);
}

/* The end of the connection is the end of the answer, as HTTP/1.0 has it. */
static bool end_after_logon(struct tls_peer *p, const char *head)
{
    bool on = is_logged_on(head);
    return tls_peer_say(p, on ? p->server->arg : LOGON) && !on;
}

static bool drip_after_logon(struct tls_peer *p, const char *head)
{
    if (!is_logged_on(head))
        return tls_peer_say(p, LOGON);
    if (strncmp(head, "POST", 4) != 0)
        return tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100000\r\n\r\n<");
    for (int i = 0; i < 1000 && !tls_server_stopping(p->server); i++) {
        if (!tls_peer_say(p, "a"))
            return false;
        tls_server_nap(p->server, 60);
    }
    return false;
}

static bool cut_after_logon(struct tls_peer *p, const char *head)
{
    if (!is_logged_on(head))
        return tls_peer_say(p, LOGON);
    tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100000\r\n\r\n" SOAP_HEAD);
    return false;
}

/* Another address each time, all of this server. */
static bool redirect_on(struct tls_peer *p, const char *head)
{
    char text[256];
    int n = 0;
    if (sscanf(head, "GET /owa/hop%d", &n) != 1)
        n = 0;
    str_fmt(text, sizeof text, "HTTP/1.1 302 Found\r\nLocation: /owa/hop%d\r\nContent-Length: 0\r\n\r\n",
            n + 1);
    return tls_peer_say(p, text);
}

static bool redirect_home(struct tls_peer *p, const char *head)
{
    (void)head;
    return tls_peer_say(
        p, "HTTP/1.1 302 Found\r\nLocation: https://cas01.contoso.lab/owa/\r\nContent-Length: 0\r\n"
           "\r\n");
}

static const struct observation *step(const struct bench *b, enum protocol p, const char *name)
{
    const struct observation *o = evidence_find(&b->e, OBSERVATION_STEP, "CAS01", p, name);
    if (!o)
        fail_msg("no step %s", name);
    return o;
}

static void test_answers(void **state)
{
    static const struct {
        enum protocol protocol;
        bool (*serve)(struct tls_peer *, const char *);
        const char *answer, *step;
        enum outcome outcome;
        const char *detail;
    } cases[] = {
        {PROTOCOL_EWS, end_after_logon,
         "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n" SOAP_HEAD SOAP_TAIL,
         "get-folder", OUTCOME_OK, "200, the folder inbox answers, answered by version 15.0.1497.36"},
        {PROTOCOL_EWS, say_after_logon, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "get-folder",
         OUTCOME_FAILED, "200 without Content-Type, but no answer of EWS: the answer is empty"},
        {PROTOCOL_EWS, say_after_logon,
         "HTTP/1.1 200 OK\r\nContent-Type: te\x1bxt/html\r\nContent-Length: 6\r\n\r\n<html>", "get-folder",
         OUTCOME_FAILED, "but no answer of EWS: "},
        {PROTOCOL_EWS, say_after_logon,
         "HTTP/1.1 302 x\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n", "get-folder",
         OUTCOME_FAILED, "302, redirects to https://evil.example/ (not followed)"},
        {PROTOCOL_EWS, cut_after_logon, NULL, "get-folder", OUTCOME_FAILED,
         "the answer broke off or came too slowly"},
        {PROTOCOL_EWS, drip_after_logon, NULL, "get-folder", OUTCOME_FAILED,
         "the answer broke off or came too slowly"},
        {PROTOCOL_EAS, say_after_logon,
         "HTTP/1.1 200 OK\r\nMS-Server-ActiveSync: 15.0\r\nMS-ASProtocolVersions: 2.5,14.1\r\n"
         "Content-Type: application/vnd.ms-sync.wbxml\r\nContent-Length: 0\r\n\r\n",
         "folder-sync", OUTCOME_FAILED, "the answer is empty"},
        {PROTOCOL_MAPI, say_after_logon,
         "HTTP/1.1 200 OK\r\nX-ResponseCode: 0\r\nX-ServerApplication: "
         "Exchange/15.00.1497.002\r\nContent-Length: 0\r\n"
         "\r\n",
         "ping-nspi", OUTCOME_OK, "PING is answered with X-ResponseCode 0: success, Exchange/15.00.1497.002"},
        {PROTOCOL_MAPI, say_after_logon, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ping-emsmdb",
         OUTCOME_FAILED, "without X-ResponseCode: this is no MAPI endpoint"},
        {PROTOCOL_OWA, redirect_on, NULL, "redirects", OUTCOME_FAILED,
         "more than 10 redirects: 302 to /owa/hop1, 302"},
        {PROTOCOL_OWA, redirect_home, NULL, "redirects", OUTCOME_FAILED,
         "redirect loop: 302 to https://cas01.contoso.lab/owa/"},
        {PROTOCOL_OWA, say_arg,
         "HTTP/1.1 200 OK\r\nX-OWA-Version: 15.0.1497.36\r\nContent-Length: 63\r\n\r\n"
         "<form action=\"/owa/auth.owa\"><input type=\"password\" name=\"p\">    ",
         "form", OUTCOME_OK, "logon form, sent to /owa/auth.owa"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench b;
        ask(&b, cases[i].protocol, cases[i].serve, cases[i].answer,
            cases[i].serve == drip_after_logon ? 2500 : 8000);
        is(step(&b, cases[i].protocol, cases[i].step), cases[i].outcome, cases[i].detail);
        if (b.took_ms > 12000)
            fail_msg("%zu took %d ms", i, b.took_ms);
        bench_fini(&b);
    }
}

static void test_the_builds(void **state)
{
    struct bench b;
    char text[VERSION_TEXT_SIZE];
    (void)state;
    ask(&b, PROTOCOL_OWA, say_arg,
        "HTTP/1.1 200 OK\r\nX-OWA-Version: 15.0.1497.36\r\nContent-Length: 0\r\n\r\n", 6000);
    const struct observation *o = evidence_find(&b.e, OBSERVATION_BUILD, "CAS01", PROTOCOL_UNKNOWN, NULL);
    assert_non_null(o);
    assert_string_equal(version_text(o->u.build.version, text), "15.0.1497.36");
    bench_fini(&b);
    /* a page of another version than the directory's is a proxied one: it says nothing about this server */
    struct tls_server s = {
        .serve = say_arg, .arg = "HTTP/1.1 200 OK\r\nX-OWA-Version: 14.3.123.4\r\nContent-Length: 0\r\n\r\n"};
    assert_true(tls_server_start(&s, good, key));
    bench_init(&b, s.port);
    b.server.has_version = true;
    b.server.version = (struct version){.major = 15, .build = 1497};
    b.req.protocols = 1u << PROTOCOL_OWA;
    b.req.deep = true;
    bench_probe(&b);
    tls_server_stop(&s);
    assert_null(evidence_find(&b.e, OBSERVATION_BUILD, "CAS01", PROTOCOL_UNKNOWN, NULL));
    bench_fini(&b);
}

/* What goes over the wire for a device. */
static bool check_device(struct tls_peer *p, const char *head)
{
    static const char *const must[] = {
        "POST /Microsoft-Server-ActiveSync?Cmd=FolderSync&DeviceId=casbridgeprobe1&"
        "DeviceType=casbridge&User=alice HTTP/1.1\r\n",
        "\r\nMS-ASProtocolVersion: 14.1\r\n", "\r\nX-MS-PolicyKey: 0\r\n",
        "\r\nContent-Type: application/vnd.ms-sync.wbxml\r\n", "\r\nContent-Length: 13\r\n"};
    char answer[300], wrong[160] = "";
    if (!is_logged_on(head))
        return tls_peer_say(p, LOGON);
    if (strncmp(head, "POST", 4) != 0)
        return tls_peer_say(
            p, "HTTP/1.1 200 OK\r\nMS-Server-ActiveSync: 14.3\r\nMS-ASProtocolVersions: 2.5,12.1,14.1\r\n"
               "Content-Length: 0\r\n\r\n");
    for (size_t i = 0; i < ARRAY_LEN(must); i++)
        if (!strstr(head, must[i]))
            str_copy(wrong, sizeof wrong, must[i]);
    wrong[strcspn(wrong, "\r")] = '\0';
    str_fmt(answer, sizeof answer, "HTTP/1.1 451 x\r\nX-MS-Location: [%s]\r\nContent-Length: 0\r\n\r\n",
            wrong);
    tls_peer_say(p, answer);
    return false; /* the body was not read */
}

static void test_device_request(void **state)
{
    struct bench b;
    (void)state;
    ask(&b, PROTOCOL_EAS, check_device, NULL, 6000);
    is(step(&b, PROTOCOL_EAS, "folder-sync"), OUTCOME_FAILED, "served elsewhere, at [] (not followed)");
    bench_fini(&b);
}

/* ---- DNS */

struct name_server {
    int fd;
    const unsigned char *answers; /* the answer section */
    size_t len;
    unsigned n, rcode;
    bool silent;
    pthread_t thread;
};

static void *serve_names(void *arg)
{
    struct name_server *d = arg;
    unsigned char msg[2048];
    struct sockaddr_in from;
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(d->fd, msg, 512, 0, (struct sockaddr *)&from, &size);
        if (n < 12)
            return NULL; /* the socket was shut down */
        if (d->silent)
            continue;
        size_t question = 12;
        while (question < (size_t)n && msg[question])
            question += msg[question] + 1u;
        question += 5;
        msg[2] = 0x81;
        msg[3] = (unsigned char)(0x80 | d->rcode);
        msg[6] = 0;
        msg[7] = (unsigned char)d->n;
        memset(msg + 8, 0, 4);
        if (d->len)
            memcpy(msg + question, d->answers, d->len);
        sendto(d->fd, msg, question + d->len, 0, (struct sockaddr *)&from, size);
    }
}

#define SRV(priority, weight, port, target)                                                                  \
    "\xc0\x0c\0\x21\0\x01\0\0\0\x0a\0" target_len(target) "\0" priority "\0" weight port target
/* length of priority, weight, port and the name; names here are as long as "\4mail\7contoso\3lab\0" */
#define target_len(target) "\x18"
#define MAIL               "\4mail\7contoso\3lab\0"
#define AUTO               "\4auto\7contoso\3lab\0"

static void test_srv(void **state)
{
#define A(text) (const unsigned char *)(text), sizeof text - 1
    static const struct {
        const unsigned char *answers;
        size_t len;
        unsigned n, rcode;
        bool silent;
        enum err e;
        const char *host;
        unsigned port, records;
    } cases[] = {
        {A(SRV("\x0a", "\0", "\x01\xbb", MAIL)), 1, 0, false, ERR_OK, "mail.contoso.lab", 443, 1},
        {A(SRV("\x0a", "\0", "\x01\xbb", MAIL) SRV("\x05", "\0", "\x20\xfb", AUTO)), 2, 0, false, ERR_OK,
         "auto.contoso.lab", 8443, 2},
        {A(SRV("\x0a", "\1", "\x01\xbb", MAIL) SRV("\x0a", "\x09", "\x01\xbb", AUTO)), 2, 0, false, ERR_OK,
         "auto.contoso.lab", 443, 2},
        {A(""), 0, 3, false, ERR_NOTFOUND, NULL, 0, 0}, /* no such name */
        {A(""), 0, 0, false, ERR_NOTFOUND, NULL, 0, 0}, /* of no such type */
        {A("\xc0\x0c\0\x21\0\x01\0\0\0\x0a\0\x07\0\0\0\0\0\0\0"), 1, 0, false, ERR_NOTFOUND, NULL, 0,
         0}, /* "." */
        {A("\xc0\x0c\0\x21\0\x01\0\0\0\x0a\xff\xff"), 1, 0, false, ERR_PROTOCOL, NULL, 0, 0},
        {A(""), 0, 2, false, ERR_UNREACHABLE, NULL, 0, 0}, /* the server fails */
        {A(""), 0, 0, true, ERR_TIMEOUT, NULL, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct name_server d = {.answers = cases[i].answers,
                                .len = cases[i].len,
                                .n = cases[i].n,
                                .rcode = cases[i].rcode,
                                .silent = cases[i].silent};
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        struct app_srv found;
        struct errinfo ei = {0};
        struct stop stop;
        d.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(d.fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(d.fd, (struct sockaddr *)&at, &size), 0);
        assert_int_equal(pthread_create(&d.thread, NULL, serve_names, &d), 0);
        stop_init(&stop, cases[i].silent ? 700 : 10000, NULL);
        int64_t from = clock_mono_ms();
        enum err e = app_srv_find(&found, "contoso.lab", &at, &stop, &ei);
        if (e != cases[i].e)
            fail_msg("%zu: %s: %s", i, err_name(e), ei.what);
        if (!e) {
            assert_string_equal(found.host, cases[i].host);
            assert_int_equal(found.port, cases[i].port);
            assert_int_equal(found.records, cases[i].records);
        }
        assert_in_range(clock_mono_ms() - from, 0, 9000);
        shutdown(d.fd, SHUT_RDWR);
        pthread_join(d.thread, NULL);
        close(d.fd);
    }
}

static int set_up(void **state)
{
    setenv("KRB5_CONFIG", "/dev/null", 1); /* nobody to ask about alice */
    return secret_set(&password, "sesame", 6) ? -1 : bench_set_up(state);
}

static int tear_down(void **state)
{
    secret_fini(&password);
    return bench_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_the_builds),
        cmocka_unit_test(test_device_request),
        cmocka_unit_test(test_srv),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
