/* PSRP without a network: messages, the state of pool and pipeline, host calls, lines of the framing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/outofproc.h"
#include "remoting/psrp_result.h"
#include "remoting/psxml.h"

#define LIMIT (8 << 20)

/* ---- the conversation ---- */

struct scene {
    struct psrp *psrp;
    struct psrp_result result;
    struct remote_result out;
    struct buf said; /* events, a word each */
    uint64_t objects;
};

static void on_event(void *arg, const struct psrp_event *e)
{
    static const char *const names[] = {"opened",  "closed", "output",      "error",    "warning",
                                        "verbose", "debug",  "information", "progress", "ended",
                                        "host",    "secret", "unreadable"};
    struct scene *s = arg;
    assert_int_equal(
        buf_addf(&s->said, "%s%s%s ", names[e->kind], e->text ? ":" : "", e->text ? e->text : ""), ERR_OK);
    psrp_result_event(&s->result, e);
}

static enum err serve_to(struct scene *s, uint32_t type, const struct psrp_guid *pipeline, const char *clixml,
                         struct errinfo *ei)
{
    struct buf message, fragments;
    buf_init(&message, LIMIT);
    buf_init(&fragments, LIMIT);
    assert_int_equal(
        psrp_message_write(&message, type, psrp_pool_id(s->psrp), pipeline, clixml, strlen(clixml)), ERR_OK);
    message.data[0] = 1;
    uint64_t number = 0, object = ++s->objects;
    for (size_t at = 0; at < message.len;)
        at += psrp_fragment_write(&fragments, object, number++, message.data, at, message.len, 64);
    enum err err = psrp_receive(s->psrp, fragments.data, fragments.len, ei);
    buf_fini(&message);
    buf_fini(&fragments);
    return err;
}

static enum err serve(struct scene *s, uint32_t type, const char *clixml)
{
    return serve_to(s, type, psrp_pipeline_id(s->psrp), clixml, NULL);
}

#define CAPABILITY(v)                                                                                        \
    "\xef\xbb\xbf<Obj RefId=\"0\"><MS><Version N=\"protocolversion\">" v "</Version></MS></Obj>"
#define POOL(n)     "<Obj RefId=\"0\"><MS><I32 N=\"RunspaceState\">" #n "</I32></MS></Obj>"
#define PIPELINE(n) "<Obj RefId=\"0\"><MS><I32 N=\"PipelineState\">" #n "</I32></MS></Obj>"
#define RECORD(ref)                                                                                          \
    "RefId=\"" ref "\"><ToString>boom</ToString><MS><Obj N=\"Exception\" RefId=\"7" ref                      \
    "\"><Props><S N=\"Message\">boom</S></Props></Obj>"                                                      \
    "<S N=\"TargetObject\">EXCAS01</S><S N=\"FullyQualifiedErrorId\">Id,Set-X</S><I32 "                      \
    "N=\"ErrorCategory_Category\">13</I32></MS></Obj>"

static void begin(struct scene *s)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->said, LIMIT);
    psrp_result_init(&s->result, &s->out);
    assert_int_equal(psrp_new(&s->psrp, 0, on_event, s, NULL), ERR_OK);
}

static void end(struct scene *s)
{
    psrp_result_fini(&s->result);
    remote_result_fini(&s->out);
    buf_fini(&s->said);
    psrp_free(&s->psrp);
}

static enum err start(struct scene *s, const char *value)
{
    struct arena a;
    struct cmdlet c;
    arena_init(&a, 1 << 20);
    cmdlet_init(&c, &a, "Set-X");
    assert_int_equal(cmdlet_string(&c, "Identity", value), ERR_OK);
    struct errinfo ei = {0};
    enum err err = psrp_start(s->psrp, &c, &ei);
    if (err == ERR_INPUT)
        assert_non_null(strstr(ei.what, "-Identity"));
    arena_fini(&a);
    return err;
}

static enum err keep_message(void *arg, const void *data, size_t len, struct errinfo *ei)
{
    struct psrp_message m;
    (void)ei;
    assert_true(psrp_message_read(&m, data, len));
    assert_int_equal(m.destination, 2);
    (void)buf_addf(arg, "%08x ", m.type);
    return buf_add(arg, m.data, m.len);
}

/* What waits to be sent, put together again: "type clixml" each. */
static void taken(struct scene *s, size_t max, struct buf *out, struct psrp_packet *last)
{
    struct psrp_joiner j;
    struct buf bytes;
    buf_init(&bytes, LIMIT);
    psrp_joiner_init(&j);
    buf_reset(out);
    while (psrp_take(s->psrp, max, &bytes, last)) {
        assert_true(bytes.len > 0 && bytes.len <= max);
        assert_int_equal(psrp_joiner_feed(&j, bytes.data, bytes.len, keep_message, out, NULL), ERR_OK);
        buf_reset(&bytes);
    }
    assert_true(psrp_joiner_is_idle(&j));
    assert_false(psrp_has_output(s->psrp));
    psrp_joiner_fini(&j);
    buf_fini(&bytes);
}

static void test_a_pipeline(void **state)
{
    struct scene s;
    struct buf out;
    struct psrp_packet packet;
    (void)state;
    begin(&s);
    buf_init(&out, LIMIT);
    assert_int_equal(start(&s, "x"), ERR_INTERNAL); /* not open yet */
    taken(&s, 100, &out, &packet);
    assert_non_null(strstr(buf_str(&out), "00010002 <Obj"));
    assert_non_null(strstr(buf_str(&out), "00010004 <Obj"));
    assert_int_equal(serve(&s, PSRP_SESSION_CAPABILITY, CAPABILITY("2.3")), ERR_OK);
    assert_int_equal(serve(&s, 0x00021004, "<Obj><MS><I64 N=\"ci\">1</I64></MS></Obj>"),
                     ERR_OK);                                           /* availability: of no use */
    assert_int_equal(serve(&s, 0x00099999, "not even CLIXML"), ERR_OK); /* unknown: passed over */
    assert_int_equal(serve(&s, PSRP_RUNSPACEPOOL_STATE, POOL(2)), ERR_OK);
    assert_int_equal(psrp_pool_state(s.psrp), PSRP_POOL_OPENED);
    assert_true(psrp_server_is(s.psrp, 2, 2) && psrp_server_is(s.psrp, 2, 3) &&
                !psrp_server_is(s.psrp, 2, 4));
    assert_int_equal(start(&s, "\xef\xbf\xbf"), ERR_INPUT);
    assert_false(psrp_has_output(s.psrp));
    assert_int_equal(start(&s, "EXCAS01\\Rpc ($x)"), ERR_OK);
    assert_int_equal(start(&s, "second"), ERR_INTERNAL);
    taken(&s, 60, &out, &packet);
    assert_true(packet.pipeline && !packet.answer);
    assert_non_null(strstr(buf_str(&out), "<S N=\"N\">Identity</S><S N=\"V\">EXCAS01\\Rpc ($x)</S>"));
    assert_non_null(strstr(buf_str(&out), "<B N=\"IsScript\">false</B>"));

    static const struct psrp_guid other;
    assert_int_equal(serve_to(&s, PSRP_PIPELINE_OUTPUT, &other, "<S>another's</S>", NULL), ERR_OK);
    assert_int_equal(serve(&s, PSRP_PIPELINE_STATE, PIPELINE(1)), ERR_OK);
    assert_int_equal(serve(&s, PSRP_PIPELINE_OUTPUT, "<S>one</S>"), ERR_OK);
    assert_int_equal(serve(&s, PSRP_PIPELINE_OUTPUT, ""), ERR_OK);
    assert_int_equal(serve(&s, PSRP_PIPELINE_OUTPUT, "<NewKind>x</NewKind>"), ERR_OK);
    assert_int_equal(serve(&s, PSRP_ERROR_RECORD, "<Obj " RECORD("0")), ERR_OK);
    assert_int_equal(serve(&s, PSRP_WARNING_RECORD,
                           "<Obj><MS><S N=\"InformationalRecord_Message\">careful</S></MS></Obj>"),
                     ERR_OK);
    assert_int_equal(serve(&s, PSRP_PUBLIC_KEY_REQUEST, "<S></S>"), ERR_OK);
    assert_int_equal(serve(&s, PSRP_PIPELINE_STATE, PIPELINE(4)), ERR_OK);
    assert_int_equal(serve(&s, PSRP_PIPELINE_STATE, PIPELINE(5)), ERR_OK); /* it ended before */
    assert_true(psrp_pipeline_has_ended(s.psrp));
    if (!str_istarts(buf_str(&s.said), "opened output output unreadable:"))
        fail_msg("%s", buf_str(&s.said));
    assert_int_equal(psrp_result_finish(&s.result, NULL), ERR_OK);
    assert_string_equal(s.out.output_json, "[\"one\",null]");
    assert_int_equal(s.out.errors.n, 1);
    assert_string_equal(s.out.errors.v[0].message, "boom");
    assert_string_equal(s.out.errors.v[0].id, "Id,Set-X");
    assert_string_equal(s.out.errors.v[0].category, "ObjectNotFound");
    assert_string_equal(s.out.errors.v[0].target, "EXCAS01");
    assert_int_equal(s.out.warnings.n, 3); /* unreadable, careful, SecureString */
    assert_string_equal(s.out.warnings.v[1], "careful");
    psrp_forget_pipeline(s.psrp);
    assert_int_equal(start(&s, "the next"), ERR_OK);
    buf_fini(&out);
    end(&s);
}

static void test_old_server(void **state)
{
    struct scene s;
    struct buf out;
    struct psrp_packet packet;
    (void)state;
    begin(&s);
    buf_init(&out, LIMIT);
    taken(&s, 4096, &out, &packet);
    assert_int_equal(serve(&s, PSRP_SESSION_CAPABILITY, CAPABILITY("2.1")), ERR_OK);
    assert_int_equal(serve(&s, PSRP_RUNSPACEPOOL_STATE, POOL(2)), ERR_OK);
    assert_int_equal(start(&s, "x"), ERR_OK);
    taken(&s, 4096, &out, &packet);
    assert_null(strstr(buf_str(&out), "MergeError")); /* came with 2.2 */
    assert_non_null(strstr(buf_str(&out), "MergePreviousResults"));
    buf_fini(&out);
    end(&s);
}

static void test_refused_servers(void **state)
{
    static const struct {
        uint32_t type;
        const char *clixml, *why;
    } rows[] = {
        {PSRP_SESSION_CAPABILITY, CAPABILITY("3.0"), "protocol 3.0"},
        {PSRP_SESSION_CAPABILITY, "<S>x</S>", "which protocol"},
        {PSRP_SESSION_CAPABILITY, "<Obj", "ends within"},
        {PSRP_RUNSPACEPOOL_STATE, POOL(2), "before the protocol"},
        {PSRP_RUNSPACEPOOL_STATE, "<Obj><MS /></Obj>", "without its number"},
        {PSRP_RUNSPACEPOOL_HOST_CALL, "<Obj><MS><I64 N=\"ci\">1</I64></MS></Obj>", "host call"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene s;
        struct errinfo ei = {0};
        begin(&s);
        assert_int_equal(serve_to(&s, rows[i].type, psrp_pipeline_id(s.psrp), rows[i].clixml, &ei),
                         ERR_PROTOCOL);
        if (!strstr(ei.what, rows[i].why))
            fail_msg("\"%s\" does not say \"%s\"", ei.what, rows[i].why);
        assert_int_equal(serve(&s, PSRP_SESSION_CAPABILITY, CAPABILITY("2.3")), ERR_PROTOCOL);
        end(&s);
    }
}

static void test_broken_and_failed(void **state)
{
    struct scene s;
    struct buf out;
    struct psrp_packet packet;
    (void)state;
    begin(&s);
    buf_init(&out, LIMIT);
    assert_int_equal(serve(&s, PSRP_SESSION_CAPABILITY, CAPABILITY("2.3")), ERR_OK);
    assert_int_equal(serve(&s, PSRP_RUNSPACEPOOL_STATE, POOL(2)), ERR_OK);
    taken(&s, 4096, &out, &packet);
    assert_int_equal(start(&s, "x"), ERR_OK);
    assert_int_equal(
        serve(
            &s, PSRP_PIPELINE_STATE,
            "<Obj RefId=\"0\"><MS><I32 N=\"PipelineState\">5</I32><Obj N=\"ExceptionAsErrorRecord\" " RECORD(
                "1") "</MS></Obj>"),
        ERR_OK);
    assert_int_equal(
        serve(
            &s, PSRP_RUNSPACEPOOL_STATE,
            "<Obj RefId=\"0\"><MS><I32 N=\"RunspaceState\">5</I32><Obj N=\"ExceptionAsErrorRecord\" " RECORD(
                "1") "</MS></Obj>"),
        ERR_OK);
    assert_string_equal(buf_str(&s.said), "opened ended closed:boom ");
    assert_int_equal(s.result.state, PSRP_FAILED);
    assert_true(s.result.pool_closed);
    assert_string_equal(s.result.why, "boom");
    assert_int_equal(s.out.errors.n, 1);
    buf_fini(&out);
    end(&s);
}

#define CALL(ci, mi)                                                                                         \
    "<Obj><MS><I64 N=\"ci\">" #ci "</I64><Obj N=\"mi\" RefId=\"1\"><ToString>x</ToString><I32>" #mi          \
    "</I32></Obj></MS></Obj>"

static void test_host_calls(void **state)
{
    struct scene s;
    struct buf out;
    struct psrp_packet packet;
    (void)state;
    begin(&s);
    buf_init(&out, LIMIT);
    assert_int_equal(serve(&s, PSRP_SESSION_CAPABILITY, CAPABILITY("2.3")), ERR_OK);
    assert_int_equal(serve(&s, PSRP_RUNSPACEPOOL_STATE, POOL(2)), ERR_OK);
    assert_int_equal(start(&s, "x"), ERR_OK);
    taken(&s, 4096, &out, &packet);
    assert_int_equal(serve(&s, PSRP_PIPELINE_HOST_CALL, CALL(-100, 6)),
                     ERR_OK); /* SetShouldExit: nobody waits */
    assert_int_equal(serve(&s, PSRP_PIPELINE_HOST_CALL, CALL(5, 16)), ERR_OK); /* WriteLine2 */
    assert_false(psrp_has_output(s.psrp));
    assert_int_equal(serve(&s, PSRP_PIPELINE_HOST_CALL, CALL(6, 11)), ERR_OK); /* ReadLine */
    taken(&s, 4096, &out, &packet);
    assert_true(packet.pipeline && packet.answer);
    assert_non_null(strstr(buf_str(&out), "00041101 <Obj RefId=\"0\"><MS><I64 N=\"ci\">6</I64>"));
    assert_non_null(strstr(buf_str(&out), "<ToString>ReadLine</ToString><I32>11</I32>"));
    assert_non_null(strstr(buf_str(&out), "<Obj N=\"me\""));
    assert_non_null(strstr(buf_str(&out), "RemoteHostExecutionException"));
    assert_null(strstr(buf_str(&out), "N=\"mr\""));
    assert_int_equal(serve(&s, PSRP_RUNSPACEPOOL_HOST_CALL, CALL(7, 3)), ERR_OK);
    taken(&s, 4096, &out, &packet);
    assert_true(!packet.pipeline && packet.answer);
    assert_non_null(strstr(buf_str(&out), "00021101 "));
    assert_int_equal(serve(&s, PSRP_PIPELINE_HOST_CALL, CALL(8, 999)), ERR_OK);
    assert_true(psrp_has_output(s.psrp));
    assert_non_null(
        strstr(buf_str(&s.said),
               "host:SetShouldExit host:WriteLine2 host:ReadLine host:GetInstanceId host:an unknown method"));
    buf_fini(&out);
    end(&s);
}

/* ---- lines ---- */

#define ZERO "00000000-0000-0000-0000-000000000000"

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        bool ok;
        enum outofproc_kind kind;
        const char *data;
    } rows[] = {
        {"<Data Stream='Default' PSGuid='" ZERO "'>QUJD</Data>", true, OUTOFPROC_DATA, "QUJD"},
        {"<Data PSGuid=\"" ZERO "\" Stream=\"Default\">QUJD</Data>\r", true, OUTOFPROC_DATA, "QUJD"},
        {"<Data Stream='Default' PSGuid='" ZERO "'></Data>", true, OUTOFPROC_DATA, ""},
        {"<DataAck PSGuid='" ZERO "' />", true, OUTOFPROC_DATA_ACK, ""},
        {"<CommandAck PSGuid='" ZERO "'/>", true, OUTOFPROC_COMMAND_ACK, ""},
        {"<SignalAck PSGuid='" ZERO "' />", true, OUTOFPROC_SIGNAL_ACK, ""},
        {"<CloseAck PSGuid='" ZERO "' />", true, OUTOFPROC_CLOSE_ACK, ""},
        {"<Signal PSGuid='" ZERO "' />", true, OUTOFPROC_OTHER, ""},
        {"", false, 0, NULL},
        {"<", false, 0, NULL},
        {"Welcome to EXCAS01", false, 0, NULL},
        {"<Datum PSGuid='" ZERO "' />", false, 0, NULL},
        {"<Data>QUJD</Data>", false, 0, NULL},
        {"<Data PSGuid='0'>QUJD</Data>", false, 0, NULL},
        {"<Data PSGuid='" ZERO ">QUJD</Data>", false, 0, NULL},
        {"<Data PSGuid='" ZERO "'>QUJD", false, 0, NULL},
        {"<DataAck PSGuid='" ZERO "' />more", false, 0, NULL},
        {"<DataAck XPSGuid='" ZERO "' />", false, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outofproc_line line = {0};
        size_t len = strlen(rows[i].line);
        char *copy = malloc(len + 1); /* without its NUL: the end is the length */
        memcpy(copy, rows[i].line, len);
        bool ok = outofproc_parse(&line, copy, len);
        if (ok != rows[i].ok)
            fail_msg("%s", rows[i].line);
        if (ok) {
            assert_int_equal(line.kind, rows[i].kind);
            assert_int_equal(line.len, strlen(rows[i].data));
            assert_memory_equal(line.data, rows[i].data, line.len);
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pipeline),      cmocka_unit_test(test_old_server),
        cmocka_unit_test(test_refused_servers), cmocka_unit_test(test_broken_and_failed),
        cmocka_unit_test(test_host_calls),      cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
