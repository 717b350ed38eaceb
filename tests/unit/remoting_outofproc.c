/* A session over the out-of-process framing with a server that is right behind the stream: what it asks for while the pool opens, and
   what becomes of a session that is interrupted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/outofproc.h"

#define LIMIT (8 << 20)

/* The other end. It answers each line as it is written; reading with nothing there to read is what a deadline is for. */
struct server {
    struct psrp_joiner joiner;
    struct buf out, log; /* to be read; what came, a word each */
    uint64_t objects;
    struct psrp_guid pipeline;
    bool host_call; /* the pool opens only once a call for a host was answered */
    bool endless;   /* a pipeline gives output until it is told to stop */
    bool mute;      /* data to a pipeline is not acknowledged */
    size_t lines;   /* of data, to the pipeline at hand */
    size_t cut;     /* bytes after which the next read is interrupted; 0: none is */
};

static void say(struct server *s, const char *element, const char *id)
{
    assert_int_equal(buf_addf(&s->out, "<%s PSGuid='%s' />\n", element, id), ERR_OK);
}

static void send(struct server *s, uint32_t type, const struct psrp_guid *pipeline, const char *clixml)
{
    static const struct psrp_guid none;
    struct buf message, fragments;
    uint64_t number = 0, object = ++s->objects;
    buf_init(&message, LIMIT);
    buf_init(&fragments, LIMIT);
    assert_int_equal(
        psrp_message_write(&message, type, &none, pipeline ? pipeline : &none, clixml, strlen(clixml)),
        ERR_OK);
    message.data[0] = 1;
    for (size_t at = 0; at < message.len;)
        at += psrp_fragment_write(&fragments, object, number++, message.data, at, message.len, 1000);
    (void)buf_adds(&s->out, "<Data Stream='Default' PSGuid='00000000-0000-0000-0000-000000000000'>");
    assert_int_equal(base64_encode(&s->out, fragments.data, fragments.len), ERR_OK);
    assert_int_equal(buf_adds(&s->out, "</Data>\n"), ERR_OK);
    buf_fini(&message);
    buf_fini(&fragments);
}

static void open_pool(struct server *s)
{
    send(s, PSRP_RUNSPACEPOOL_STATE, NULL, "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>");
}

static void end_pipeline(struct server *s, int state)
{
    char text[80];
    assert_true(str_fmt(text, sizeof text, "<Obj><MS><I32 N=\"PipelineState\">%d</I32></MS></Obj>", state));
    send(s, PSRP_PIPELINE_STATE, &s->pipeline, text);
}

static enum err on_message(void *arg, const void *data, size_t len, struct errinfo *ei)
{
    struct server *s = arg;
    struct psrp_message m;
    (void)ei;
    assert_true(psrp_message_read(&m, data, len));
    assert_int_equal(buf_addf(&s->log, "%08x ", m.type), ERR_OK);
    if (m.type == PSRP_INIT_RUNSPACEPOOL) {
        send(s, PSRP_SESSION_CAPABILITY, NULL,
             "<Obj><MS><Version N=\"protocolversion\">2.3</Version></MS></Obj>");
        if (s->host_call)
            send(s, PSRP_RUNSPACEPOOL_HOST_CALL, NULL,
                 "<Obj><MS><I64 N=\"ci\">1</I64><I32 N=\"mi\">11</I32></MS></Obj>");
        else
            open_pool(s);
    } else if (m.type == PSRP_RUNSPACEPOOL_HOST_RESPONSE) {
        open_pool(s);
    } else if (m.type == PSRP_CREATE_PIPELINE) {
        s->pipeline = m.pipeline;
        for (int i = 0; i < (s->endless ? 100 : 1); i++)
            send(s, PSRP_PIPELINE_OUTPUT, &s->pipeline, "<S>something that is said</S>");
        if (!s->endless)
            end_pipeline(s, PSRP_COMPLETED);
    }
    return ERR_OK;
}

static enum err heard(void *arg, const void *data, size_t len, const struct stop *stop, struct errinfo *ei)
{
    struct server *s = arg;
    struct outofproc_line line;
    struct buf fragments;
    const char *text = data;
    char id[PSRP_GUID_TEXT];
    (void)stop, (void)ei;
    assert_true(outofproc_parse(&line, text, len - 1)); /* a line a call */
    psrp_guid_text(&line.guid, id);
    bool of_pipeline = strncmp(id, "00000000", 8) != 0;
    if (line.kind == OUTOFPROC_DATA) {
        s->lines += of_pipeline;
        if (of_pipeline && s->mute)
            return ERR_OK;
        buf_init(&fragments, LIMIT);
        assert_int_equal(base64_decode(&fragments, line.data, line.len), ERR_OK);
        say(s, "DataAck", id);
        assert_int_equal(psrp_joiner_feed(&s->joiner, fragments.data, fragments.len, on_message, s, NULL),
                         ERR_OK);
        buf_fini(&fragments);
        return ERR_OK;
    }
    char ack[16];
    size_t n = strcspn(text + 1, " ");
    assert_true(str_fmt(ack, sizeof ack, "%.*sAck", (int)n, text + 1));
    assert_int_equal(buf_addf(&s->log, "%.*s ", (int)n, text + 1), ERR_OK);
    if (strcmp(ack, "CommandAck") == 0)
        s->lines = 0;
    say(s, ack, id);
    if (strcmp(ack, "SignalAck") == 0)
        end_pipeline(s, PSRP_STOPPED);
    return ERR_OK;
}

static enum err spoken(void *arg, void *data, size_t cap, size_t *n, const struct stop *stop,
                       struct errinfo *ei)
{
    struct server *s = arg;
    bool cut = s->cut > 0 && s->cut <= s->out.len;
    (void)stop;
    *n = cut ? s->cut : s->out.len;
    if (s->host_call && *n > 0) /* a line a time */
        *n = strcspn(s->out.data, "\n") + 1;
    *n = *n < cap ? *n : cap;
    if (*n == 0)
        return err_set(ei, ERR_TIMEOUT, NULL, "nothing more comes");
    memcpy(data, s->out.data, *n);
    buf_drop(&s->out, *n);
    if (!cut)
        return ERR_OK;
    s->cut = 0;
    return err_set(ei, ERR_INTERRUPTED, NULL, "interrupted");
}

static void server_begin(struct server *s)
{
    memset(s, 0, sizeof *s);
    psrp_joiner_init(&s->joiner);
    buf_init(&s->out, LIMIT);
    buf_init(&s->log, LIMIT);
}

static void server_end(struct server *s)
{
    psrp_joiner_fini(&s->joiner);
    buf_fini(&s->out);
    buf_fini(&s->log);
}

static enum err run(struct outofproc *o, const char *value, struct remote_result *out, struct errinfo *ei)
{
    struct arena a;
    struct cmdlet c;
    arena_init(&a, 4 << 20);
    cmdlet_init(&c, &a, "Set-X");
    assert_int_equal(cmdlet_string(&c, "Identity", value), ERR_OK);
    memset(out, 0, sizeof *out);
    enum err err = outofproc_run(o, &c, NULL, out, ei);
    arena_fini(&a);
    return err;
}

static void test_a_host_call_while_the_pool_opens(void **state)
{
    struct outofproc *o = NULL;
    struct remote_result out;
    struct errinfo ei = {0};
    struct server s;
    (void)state;
    server_begin(&s);
    s.host_call = true;
    if (outofproc_open(&o, &(struct outofproc_io){&s, heard, spoken}, NULL, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(run(o, "x", &out, &ei), ERR_OK);
    assert_string_equal(out.output_json, "[\"something that is said\"]");
    remote_result_fini(&out);
    outofproc_close(&o);
    assert_string_equal(buf_str(&s.log), "00010002 00010004 00021101 Command 00021006 Close Close ");
    server_end(&s);
}

/* Bytes that came with the interruption belong to the stream, wherever it cut them. */
static void test_interrupted_between_two_bytes(void **state)
{
    (void)state;
    for (size_t cut = 100; cut < 20000; cut += 997) {
        struct outofproc *o = NULL;
        struct remote_result out;
        struct errinfo ei = {0};
        struct server s;
        server_begin(&s);
        assert_int_equal(outofproc_open(&o, &(struct outofproc_io){&s, heard, spoken}, NULL, &ei), ERR_OK);
        s.endless = true;
        s.cut = cut;
        assert_int_equal(run(o, "x", &out, &ei), ERR_INTERRUPTED);
        assert_true(out.sent && out.outcome_unknown);
        assert_non_null(strstr(ei.what, "its outcome is not known"));
        assert_non_null(strstr(ei.what, "interrupted"));
        size_t values = 0;
        for (const char *at = out.output_json; (at = strstr(at, "something")) != NULL; at++)
            values++;
        assert_int_equal(values, 100);
        remote_result_fini(&out);
        s.endless = false;
        assert_int_equal(run(o, "y", &out, &ei), ERR_OK); /* it is as good as before */
        remote_result_fini(&out);
        outofproc_close(&o);
        assert_non_null(strstr(buf_str(&s.log), "Signal Close Command 00021006 Close Close "));
        server_end(&s);
    }
}

/* A command that is still being handed over when it is to stop is not handed over any further. */
static void test_interrupted_before_the_command_was_whole(void **state)
{
    struct outofproc *o = NULL;
    struct remote_result out;
    struct errinfo ei = {0};
    struct server s;
    char value[CMDLET_MAX_VALUE - 100]; /* two lines of ours */
    (void)state;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    server_begin(&s);
    assert_int_equal(outofproc_open(&o, &(struct outofproc_io){&s, heard, spoken}, NULL, &ei), ERR_OK);
    s.mute = true;
    assert_int_equal(run(o, value, &out, &ei), ERR_TIMEOUT);
    assert_true(out.sent && out.outcome_unknown);
    assert_int_equal(s.lines, 1);
    remote_result_fini(&out);
    outofproc_close(&o);
    assert_null(strstr(buf_str(&s.log), "00021006")); /* CREATE_PIPELINE never came whole */
    assert_non_null(strstr(buf_str(&s.log), "Command Signal "));
    server_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_host_call_while_the_pool_opens),
                                       cmocka_unit_test(test_interrupted_between_two_bytes),
                                       cmocka_unit_test(test_interrupted_before_the_command_was_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
