/* What a pipeline said as a result: nothing grows without bound, and nothing is left out in silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/psrp_result.h"

#define LIMIT (8 << 20)

struct scene {
    struct psrp *psrp;
    struct psrp_result result;
    struct remote_result out;
    uint64_t objects;
};

static void on_event(void *arg, const struct psrp_event *e)
{
    struct scene *s = arg;
    psrp_result_event(&s->result, e);
}

static enum err serve(struct scene *s, uint32_t type, const char *clixml)
{
    struct buf message, fragments;
    uint64_t number = 0, object = ++s->objects;
    buf_init(&message, LIMIT);
    buf_init(&fragments, LIMIT);
    assert_int_equal(psrp_message_write(&message, type, psrp_pool_id(s->psrp), psrp_pipeline_id(s->psrp),
                                        clixml, strlen(clixml)),
                     ERR_OK);
    message.data[0] = 1;
    for (size_t at = 0; at < message.len;)
        at += psrp_fragment_write(&fragments, object, number++, message.data, at, message.len, 32768);
    enum err err = psrp_receive(s->psrp, fragments.data, fragments.len, NULL);
    buf_fini(&message);
    buf_fini(&fragments);
    return err;
}

static void begin(struct scene *s, const char *value)
{
    struct arena a;
    struct cmdlet c;
    struct buf sent;
    struct psrp_packet packet;
    memset(s, 0, sizeof *s);
    psrp_result_init(&s->result, &s->out);
    s->out.sent = true;
    assert_int_equal(psrp_new(&s->psrp, 0, on_event, s, NULL), ERR_OK);
    buf_init(&sent, LIMIT);
    while (psrp_take(s->psrp, 32768, &sent, &packet))
        buf_reset(&sent);
    buf_fini(&sent);
    assert_int_equal(
        serve(s, PSRP_SESSION_CAPABILITY, "<Obj><MS><Version N=\"protocolversion\">2.2</Version></MS></Obj>"),
        ERR_OK);
    assert_int_equal(
        serve(s, PSRP_RUNSPACEPOOL_STATE, "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>"), ERR_OK);
    arena_init(&a, 4 << 20);
    cmdlet_init(&c, &a, "Set-X");
    assert_int_equal(cmdlet_string(&c, "Identity", value), ERR_OK);
    assert_int_equal(psrp_start(s->psrp, &c, NULL), ERR_OK);
    arena_fini(&a);
}

static void complete(struct scene *s)
{
    assert_int_equal(serve(s, PSRP_PIPELINE_STATE, "<Obj><MS><I32 N=\"PipelineState\">4</I32></MS></Obj>"),
                     ERR_OK);
    assert_int_equal(psrp_result_finish(&s->result, NULL), ERR_OK);
}

static void end(struct scene *s)
{
    psrp_result_fini(&s->result);
    remote_result_fini(&s->out);
    psrp_free(&s->psrp);
}

#define RECORD(inside)                                                                                       \
    "<Obj RefId=\"0\"><ToString>boom</ToString><MS><S N=\"FullyQualifiedErrorId\">Id</S>" inside "</MS></"   \
    "Obj>"

/* A change that failed must not look as one that was made because its error is of a kind we do not know. */
static void test_an_error_that_cannot_be_read(void **state)
{
    static const char *const records[] = {RECORD("<NewKind N=\"x\" />"),
                                          RECORD("<Ref N=\"x\" RefId=\"7\" />"), "<Obj", "\xff"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct scene s;
        begin(&s, "x");
        assert_int_equal(serve(&s, PSRP_ERROR_RECORD, records[i]), ERR_OK);
        assert_int_equal(serve(&s, PSRP_PIPELINE_OUTPUT, "<S>after</S>"), ERR_OK);
        complete(&s);
        assert_string_equal(s.out.output_json, "[\"after\"]");
        assert_int_equal(s.out.errors.n, 1);
        assert_non_null(strstr(s.out.errors.v[0].message, "could not be read"));
        assert_false(remote_result_ok(&s.out));
        end(&s);
    }
}

static void test_records_are_counted(void **state)
{
    struct scene s;
    (void)state;
    begin(&s, "x");
    for (int i = 0; i < PSRP_MAX_RECORDS + 7; i++) {
        assert_int_equal(serve(&s, PSRP_ERROR_RECORD, RECORD("")), ERR_OK);
        assert_int_equal(serve(&s, PSRP_WARNING_RECORD, "<S>careful</S>"), ERR_OK);
    }
    complete(&s);
    assert_int_equal(s.out.errors.n, PSRP_MAX_RECORDS);
    assert_int_equal(s.out.warnings.n, PSRP_MAX_RECORDS + 1);
    assert_string_equal(s.out.warnings.v[PSRP_MAX_RECORDS - 1], "careful");
    assert_non_null(strstr(s.out.warnings.v[PSRP_MAX_RECORDS], "7 errors and 7 warnings are missing"));
    end(&s);
}

/* A thousand records of a text as large as an object may be would be 60 GB. */
static void test_texts_are_cut(void **state)
{
    struct scene s;
    struct buf text;
    (void)state;
    begin(&s, "x");
    buf_init(&text, LIMIT);
    (void)buf_adds(&text, "<Obj><ToString>");
    for (int i = 0; i < PSRP_MAX_TEXT; i++)
        (void)buf_adds(&text, "\xe2\x82\xac"); /* three bytes: a cut falls within one */
    (void)buf_adds(&text, "</ToString><MS><S N=\"FullyQualifiedErrorId\">Id</S></MS></Obj>");
    assert_int_equal(text.failed, ERR_OK);
    assert_int_equal(serve(&s, PSRP_ERROR_RECORD, text.data), ERR_OK);
    assert_int_equal(serve(&s, PSRP_WARNING_RECORD, text.data), ERR_OK);
    complete(&s);
    const char *const texts[] = {s.out.errors.v[0].message, s.out.warnings.v[0]};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = strlen(texts[i]);
        assert_in_range(len, PSRP_MAX_TEXT - 16, PSRP_MAX_TEXT);
        assert_string_equal(texts[i] + len - 9, "\xe2\x82\xac [...]");
        assert_true(utf8_valid(texts[i], len));
    }
    assert_string_equal(s.out.errors.v[0].id, "Id");
    buf_fini(&text);
    end(&s);
}

static size_t to_the_pipeline(struct scene *s)
{
    struct psrp_packet packet;
    struct buf bytes;
    size_t n = 0;
    buf_init(&bytes, LIMIT);
    for (; psrp_take(s->psrp, 1000, &bytes, &packet); buf_reset(&bytes))
        n += packet.pipeline;
    buf_fini(&bytes);
    return n;
}

static void test_what_is_withdrawn_is_not_sent(void **state)
{
    static const char call[] = "<Obj><MS><I64 N=\"ci\">1</I64><I32 N=\"mi\">11</I32></MS></Obj>";
    char value[5000];
    struct scene s;
    struct psrp_packet packet;
    struct buf bytes;
    (void)state;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    begin(&s, value);
    buf_init(&bytes, LIMIT);
    assert_true(psrp_take(s.psrp, 1000, &bytes, &packet) && packet.pipeline);
    assert_int_equal(serve(&s, PSRP_RUNSPACEPOOL_HOST_CALL, call), ERR_OK);
    psrp_withdraw(s.psrp);
    assert_true(psrp_has_output(s.psrp)); /* the answer to the pool */
    assert_int_equal(to_the_pipeline(&s), 0);
    assert_int_equal(serve(&s, PSRP_PIPELINE_HOST_CALL, call), ERR_OK);
    psrp_forget_pipeline(s.psrp);
    assert_false(psrp_has_output(s.psrp));
    psrp_result_event(&s.result, &(struct psrp_event){.kind = PSRP_EVENT_ENDED, .state = PSRP_STOPPED});
    buf_fini(&bytes);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_that_cannot_be_read), cmocka_unit_test(test_records_are_counted),
        cmocka_unit_test(test_texts_are_cut), cmocka_unit_test(test_what_is_withdrawn_is_not_sent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
