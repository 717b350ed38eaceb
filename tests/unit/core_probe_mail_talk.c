/* POP3 conversations with servers that do not behave: bounded, named, and the other port asked all the same. */
#include "tests/unit/probe_bench.h"

static char long_line[4000], many_lines[4000];

static void test_talk(void **state)
{
    static const struct {
        const char *text; /* NULL: silence */
        const char *step;
        enum outcome outcome;
        const char *words;
    } cases[] = {
        {"* OK this is IMAP\r\n", "banner", OUTCOME_FAILED, "no greeting: * OK this is IMAP"},
        {"+OK hi\r\n", "capability", OUTCOME_FAILED, "closed the connection"},
        {"+OK \x1b[31mred\x07\r\n", "banner", OUTCOME_OK, "\xe2\x90\x9b[31mred\xe2\x90\x87"},
        {long_line, "banner", OUTCOME_FAILED, "a line of more than 2048 bytes"},
        {many_lines, "capability", OUTCOME_FAILED, "an answer of more than 100 lines"},
        {"+OK hi\r\n-ERR what?\r\n", "capability", OUTCOME_FAILED, "not told: -ERR what?"},
        {"+OK hi\n+OK\nSTLS\n.\n-ERR no\n", "starttls", OUTCOME_FAILED, "offered, but refused"},
        /* said in the clear, to be taken for something said within TLS */
        {"+OK hi\r\n+OK\r\nSTLS\r\n.\r\n+OK go\r\n+OK\r\nUSER\r\n.\r\n", "starttls", OUTCOME_FAILED,
         "speaks on in the clear"},
        {"+OK hi\r\n+OK\r\nSTLS\r\n.\r\n+OK go\r\n", "starttls", OUTCOME_FAILED, "TLS: "},
        {NULL, "banner", OUTCOME_ERROR, "no answer within "},
    };
    (void)state;
    memset(long_line, 'a', sizeof long_line - 1);
    size_t n = (size_t)snprintf(many_lines, sizeof many_lines, "+OK hi\r\n+OK\r\n");
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(many_lines + n, sizeof many_lines - n, "TOP\r\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_server web = {.serve = say_arg, .arg = "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"};
        struct tls_server pop = {.plain_text = cases[i].text, .plain_silence = !cases[i].text};
        struct bench b;
        char addr[32];
        assert_true(tls_server_start(&web, good, key) && tls_server_start(&pop, NULL, NULL));
        bench_init(&b, web.port);
        str_fmt(addr, sizeof addr, "127.0.0.1:%u", pop.port);
        assert_int_equal(hostmap_add_pair(&b.profile.hosts, "cas01.contoso.lab/110", addr, NULL), ERR_OK);
        assert_int_equal(hostmap_add_pair(&b.profile.hosts, "cas01.contoso.lab/995", "127.0.0.1:1", NULL),
                         ERR_OK);
        b.req = (struct probe_request){.protocols = 1u << PROTOCOL_POP, .deep = true, .timeout_ms = 2000};
        bench_probe(&b);
        assert_true(b.took_ms < 4000);
        is(seen(&b, cases[i].step, NULL), cases[i].outcome, cases[i].words);
        unsigned tcp = 0; /* the web server's, 110, and the refusal of 995 */
        for (size_t k = 0; k < b.e.items.n; k++)
            tcp += str_eq(b.e.items.v[k].step, "tcp");
        assert_int_equal(tcp, 3);
        tls_server_stop(&pop);
        tls_server_stop(&web);
        bench_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_talk)};
    return cmocka_run_group_tests(tests, bench_set_up, bench_tear_down);
}
