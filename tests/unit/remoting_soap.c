/* Envelopes both ways, faults in words, and every recorded answer; whole, cut anywhere, bits flipped. */
#include "remoting/soap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"
#include "remoting/fault.h"

#define ID "uuid:FC40E3CD-53E9-4315-B486-6D538B25D1F5"
#define HEAD(action)                                                                                         \
    "<s:Envelope xmlns:s='" SOAP_NS_ENVELOPE "' xmlns:a='" SOAP_NS_ADDRESS "' xmlns:x='" SOAP_NS_TRANSFER    \
    "' xmlns:w='" SOAP_NS_WSMAN "' xmlns:rsp='" SOAP_NS_SHELL "'><s:Header><a:Action>" action                \
    "</a:Action><a:RelatesTo>" ID "</a:RelatesTo></s:Header><s:Body>"
#define TAIL "</s:Body></s:Envelope>"
#define RECEIVED                                                                                             \
    HEAD(SOAP_NS_SHELL "/ReceiveResponse")                                                                   \
    "<rsp:ReceiveResponse><rsp:Stream Name='stdout' CommandId='C1'>aGkNCg==</rsp:Stream>"                    \
    "<rsp:Stream CommandId='C1' End='true' Name='stderr'/>"                                                  \
    "<rsp:CommandState State='" SOAP_NS_SHELL "/CommandState/Done' CommandId='C1'>"                          \
    "<rsp:ExitCode>-1</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>" TAIL

static enum err read_as(enum soap_op op, const void *xml, size_t len, struct soap_reply *r,
                        struct wsman_output *o)
{
    struct errinfo ei = {0};
    enum err e = soap_read(r, op, ID, "C1", xml, len, o, &ei);
    assert_true(e == ERR_OK || ei.what[0]);
    return e;
}

static enum err read_text(enum soap_op op, const char *xml, struct soap_reply *r)
{
    struct wsman_output o;
    wsman_output_init(&o);
    enum err e = read_as(op, xml, strlen(xml), r, op == SOAP_OP_RECEIVE ? &o : NULL);
    wsman_output_fini(&o);
    return e;
}

static void test_received(void **state)
{
    struct wsman_output o;
    struct soap_reply r;
    (void)state;
    wsman_output_init(&o);
    assert_int_equal(read_as(SOAP_OP_RECEIVE, RECEIVED, sizeof RECEIVED - 1, &r, &o), ERR_OK);
    assert_int_equal(o.chunks.n, 2);
    assert_string_equal(o.chunks.v[0].stream, "stdout");
    assert_int_equal(o.chunks.v[0].len, 4);
    assert_memory_equal(o.data.data, "hi\r\n", 4);
    assert_true(o.chunks.v[1].end && o.chunks.v[1].len == 0);
    assert_int_equal(o.state, WSMAN_STATE_DONE);
    assert_true(o.has_exit_code && o.exit_code == 0xffffffffu);
    wsman_output_fini(&o);
}

static void test_encodings(void **state)
{
    struct wsman_output o;
    struct soap_reply r;
    struct buf text;
    (void)state;
    wsman_output_init(&o);
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 5; i++) {
        buf_reset(&text);
        if (i == 0)
            assert_int_equal(
                buf_adds(&text, "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\r\n" RECEIVED), ERR_OK);
        if (i == 1 || i == 3)
            assert_int_equal(buf_add(&text, "\xff\xfe", 2), ERR_OK);
        if (i == 1 || i == 2)
            assert_int_equal(utf16le_encode(&text, RECEIVED, sizeof RECEIVED - 1), ERR_OK);
        if (i == 3)
            assert_int_equal(utf16le_encode(&text, "<?xml version='1.0' encoding='UTF-16'?>" RECEIVED,
                                            sizeof RECEIVED - 1 + 39),
                             ERR_OK);
        if (i == 4) { /* big endian */
            assert_int_equal(utf16le_encode(&text, RECEIVED, sizeof RECEIVED - 1), ERR_OK);
            for (size_t k = 0; k + 1 < text.len; k += 2) {
                char c = text.data[k];
                text.data[k] = text.data[k + 1];
                text.data[k + 1] = c;
            }
        }
        assert_int_equal(read_as(SOAP_OP_RECEIVE, text.data, text.len, &r, &o), ERR_OK);
        assert_int_equal(o.chunks.n, 2);
    }
    buf_fini(&text);
    wsman_output_fini(&o);
}

static void test_refused(void **state)
{
    static const struct {
        enum soap_op op;
        const char *xml;
    } rows[] = {
        {SOAP_OP_DELETE, ""},
        {SOAP_OP_DELETE, "<html/>"},
        {SOAP_OP_DELETE, "<!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" HEAD(
                             SOAP_NS_TRANSFER "/DeleteResponse") TAIL},
        {SOAP_OP_CREATE, HEAD(SOAP_NS_TRANSFER "/DeleteResponse") TAIL},
        {SOAP_OP_CREATE, HEAD(SOAP_NS_TRANSFER "/CreateResponse") TAIL},
        {SOAP_OP_COMMAND, HEAD(SOAP_NS_SHELL "/CommandResponse") TAIL},
        {SOAP_OP_COMMAND,
         HEAD(SOAP_NS_SHELL "/CommandResponse") "<rsp:CommandResponse><rsp:CommandId>a b&quot;"
                                                "</rsp:CommandId></rsp:CommandResponse>" TAIL},
        {SOAP_OP_RECEIVE,
         HEAD(SOAP_NS_SHELL "/ReceiveResponse") "<rsp:ReceiveResponse><rsp:Stream Name='stdout'>"
                                                "%%%</rsp:Stream></rsp:ReceiveResponse>" TAIL},
        {SOAP_OP_RECEIVE,
         HEAD(SOAP_NS_SHELL "/ReceiveResponse") "<rsp:ReceiveResponse><rsp:Stream Name='stdout' "
                                                "CommandId='C2'/></rsp:ReceiveResponse>" TAIL},
        /* of another namespace */
        {SOAP_OP_DELETE, "<s:Envelope xmlns:s='urn:x'><s:Header/><s:Body/></s:Envelope>"},
        /* relates to another request, or to none */
        {SOAP_OP_DELETE,
         "<s:Envelope xmlns:s='" SOAP_NS_ENVELOPE "' xmlns:a='" SOAP_NS_ADDRESS
         "'><s:Header><a:Action>" SOAP_NS_TRANSFER
         "/DeleteResponse</a:Action><a:RelatesTo>uuid:1</a:RelatesTo></s:Header><s:Body/></s:Envelope>"},
        {SOAP_OP_DELETE, "<s:Envelope xmlns:s='" SOAP_NS_ENVELOPE "' xmlns:a='" SOAP_NS_ADDRESS
                         "'><s:Header><a:Action>" SOAP_NS_TRANSFER
                         "/DeleteResponse</a:Action></s:Header><s:Body/></s:Envelope>"},
    };
    struct soap_reply r;
    (void)state;
    assert_int_equal(read_text(SOAP_OP_DELETE, HEAD(SOAP_NS_TRANSFER "/DeleteResponse") TAIL, &r), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (read_text(rows[i].op, rows[i].xml, &r) != ERR_PROTOCOL)
            fail_msg("row %zu was taken", i);
}

/* Every byte short, every byte changed: refused or understood, never anything else. */
static void test_damaged(void **state)
{
    char copy[sizeof RECEIVED];
    struct wsman_output o;
    struct soap_reply r;
    (void)state;
    wsman_output_init(&o);
    for (size_t n = 0; n < sizeof RECEIVED - 1; n++)
        assert_int_equal(read_as(SOAP_OP_RECEIVE, RECEIVED, n, &r, &o), ERR_PROTOCOL);
    for (size_t n = 0; n < sizeof RECEIVED - 1; n++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, RECEIVED, sizeof copy);
            copy[n] = (char)(copy[n] ^ 1 << bit);
            (void)!read_as(SOAP_OP_RECEIVE, copy, sizeof copy - 1, &r, &o);
        }
    }
    wsman_output_fini(&o);
}

static void test_written(void **state)
{
    const struct wsman_option options[] = {{"A", "<&\"'>", true}, {"B", "2", false}};
    struct soap_head h = {.to = "http://x/",
                          .message_id = ID,
                          .session_id = ID,
                          .resource = "urn:r",
                          .shell_id = "S",
                          .options = options,
                          .n_options = 2,
                          .max_envelope = 153600,
                          .timeout_s = 20};
    struct wsman_command c = {.line = "echo \xe2\x82\xac \r\n", .raw = "\0\1", .raw_len = 2};
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    assert_int_equal(soap_write_command(&out, &h, &c), ERR_OK);
    assert_non_null(
        strstr(out.data, "<w:Option Name=\"A\" MustComply=\"true\">&lt;&amp;&quot;'&gt;</w:Option>"));
    assert_non_null(strstr(out.data, "<w:Option Name=\"B\">2</w:Option>"));
    assert_non_null(strstr(out.data, "<rsp:Command>echo \xe2\x82\xac &#13;&#10;</rsp:Command>"));
    assert_non_null(strstr(out.data, "<rsp:Arguments>AAE=</rsp:Arguments>"));
    static const char *const no[] = {"\x01", "\xff", "\xef\xbf\xbe", "\xed\xa0\x80"};
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        buf_reset(&out);
        c.line = no[i];
        assert_int_equal(soap_write_command(&out, &h, &c), ERR_INPUT);
    }
    buf_fini(&out);
    buf_init(&out, 100);
    c.line = "x";
    assert_int_equal(soap_write_command(&out, &h, &c), ERR_LIMIT);
    buf_fini(&out);
    char a[SOAP_UUID_MAX], b[SOAP_UUID_MAX];
    soap_uuid(a);
    soap_uuid(b);
    assert_string_not_equal(a, b);
    unsigned n[4];
    int end = 0;
    assert_int_equal(sscanf(a, "uuid:%8X-%4X-4%3X-%4X-%*12[0-9A-F]%n", &n[0], &n[1], &n[2], &n[3], &end), 4);
    assert_int_equal(end, strlen(a));
    assert_int_equal(end, SOAP_UUID_MAX - 5);
    assert_true(n[3] >= 0x8000 && n[3] <= 0xbfff);
}

static void test_a_setting(void **state)
{
#define CONFIG(body)                                                                                         \
    HEAD(SOAP_NS_TRANSFER "/GetResponse") "<c:Config xmlns:c='urn:c'>" body "</c:Config>" TAIL
    static const struct {
        const char *xml, *value;
        enum err err;
    } rows[] = {
        {CONFIG("<c:C1>150</c:C1><c:Client><c:C1>9</c:C1></c:Client>"), "150", ERR_OK},
        {CONFIG("<c:Client><c:C1> a b </c:C1></c:Client>"), "a b", ERR_OK},
        {CONFIG("<c:C12>1</c:C12>"), "", ERR_OK},
        {CONFIG("<c:C1/>"), "", ERR_OK},
        {HEAD(SOAP_NS_TRANSFER "/GetResponse") TAIL, "", ERR_PROTOCOL},
        {HEAD(SOAP_NS_TRANSFER "/DeleteResponse") "<C1>1</C1>" TAIL, "", ERR_PROTOCOL},
    };
    struct soap_head h = {
        .to = "http://x/", .message_id = ID, .session_id = ID, .resource = "urn:r", .max_envelope = 153600};
    struct buf out;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct soap_reply r;
        assert_int_equal(read_text(SOAP_OP_GET, rows[i].xml, &r), rows[i].err);
        assert_string_equal(r.value, rows[i].value);
    }
    buf_init(&out, 65536);
    assert_int_equal(soap_write_get(&out, &h), ERR_OK);
    assert_non_null(strstr(out.data, "/transfer/Get</a:Action>"));
    assert_null(strstr(out.data, "SelectorSet"));
    buf_fini(&out);
}

/* ---- faults ---- */

static void test_fault_words(void **state)
{
    static const struct {
        uint32_t code;
        const char *subcode, *text;
        enum err err;
        const char *says, *hints;
        int wait_ms;
    } rows[] = {
        {2150858793u, "TimedOut", "x", ERR_TIMEOUT, "OperationTimeout", "MaxTimeoutms", -1},
        {2150858843u, "InvalidSelectors", "x", ERR_REMOTE, "is gone", "Read the settings", -1},
        {2150858811u, "", "x", ERR_CONFIG, "does not know", "/PowerShell/", -1},
        {2150859174u, "QuotaLimit", "x", ERR_REMOTE, "too many commands", "another shell", -1},
        {2147942606u, "InternalError", "The filename or extension is too long.", ERR_REMOTE, "too long",
         "standard input", -1},
        {2147942402u, "InternalError", "x", ERR_REMOTE, "not there", "full path", -1},
        {2150858767u, "", "invalid timeout field", ERR_REMOTE, "header", "", -1},
        {87, "", "x", ERR_REMOTE, "parameter", "", -1},
        {995, "", "x", ERR_REMOTE, "broke", "Read the settings", -1},
        {5, "", "Access is denied.", ERR_DENIED, "denied", "administrator", -1},
        {0, "AccessDenied", "x", ERR_DENIED, "denied", "administrator", -1},
        {0, "QuotaLimit", "This user is allowed a maximum number of 30 concurrent shells", ERR_REMOTE,
         "too many shells", "MaxShellsPerUser", -1},
        {0, "QuotaLimit", "This user is allowed a maximum number of 15 concurrent operations", ERR_REMOTE,
         "15 concurrent", "--parallel", -1},
        {0, "", "This user is allowed a maximum of 18 concurrent shells, which has been exceeded", ERR_REMOTE,
         "too many shells", "PowerShellMaxConcurrency", -1},
        {0, "EncodingLimit", "x", ERR_REMOTE, "message too long", "MaxEnvelopeSizekb", -1},
        {0, "",
         "The user load quota of 1000 requests per 2 seconds has been exceeded.  Send future requests at a "
         "slower rate or\r\n"
         "  raise the quota for this user. The next request from this user will not be approved for at least "
         "4273 milliseconds.",
         ERR_REMOTE, "throttles", "wait 4.2 s", 4273},
        {2150859161u, "",
         "The request needs to be sent to a different machine. Redirect location reported: "
         "https://b.contoso.lab/PowerShell?x=1.",
         ERR_REFUSED, "another one", "https://b.contoso.lab/PowerShell?x=1 ", -1},
        {4711, "Strange", "something", ERR_REMOTE, "refused (fault 4711): something", "", -1},
        {0, "", "", ERR_REMOTE, "refused", "", -1},
        {0, "", "at least 99999999999999999999 milliseconds", ERR_REMOTE, "", "", 86400000},
        {0, "", "at least x milliseconds", ERR_REMOTE, "", "", -1},
        {0, "", " milliseconds", ERR_REMOTE, "", "", -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wsman_fault f = {.code = rows[i].code};
        struct errinfo ei = {0};
        str_copy(f.subcode, sizeof f.subcode, rows[i].subcode);
        fault_take_text(&f, rows[i].text);
        assert_int_equal(f.wait_ms, rows[i].wait_ms);
        assert_int_equal(fault_words(&f, "S", &ei), rows[i].err);
        if (!strstr(ei.what, rows[i].says) || !strstr(ei.hint, rows[i].hints))
            fail_msg("row %zu: \"%s\": \"%s\"", i, ei.what, ei.hint);
    }
}

static void test_http_words(void **state)
{
    static const struct {
        int status;
        enum err err;
    } rows[] = {{302, ERR_REFUSED},  {401, ERR_AUTH},   {403, ERR_DENIED},   {404, ERR_CONFIG},
                {413, ERR_REMOTE},   {500, ERR_REMOTE}, {200, ERR_PROTOCOL}, {503, ERR_UNREACHABLE},
                {100, ERR_PROTOCOL}, {-1, ERR_PROTOCOL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errinfo ei = {0};
        assert_int_equal(fault_http_words(rows[i].status, "", "S", &ei), rows[i].err);
        assert_true(ei.what[0]);
    }
}

/* ---- recordings ---- */

static const char *shared(void)
{
    const char *s = getenv("CASBRIDGE_SHARED");
    return s ? s : "../shared";
}

/* The answer's own RelatesTo, to be taken for ours. */
static void relates_to(const char *xml, char out[static 128])
{
    const char *s = strstr(xml, "RelatesTo>");
    out[0] = '\0';
    if (!s)
        return;
    s += strlen("RelatesTo>");
    s += strspn(s, " \r\n\t");
    str_fmt(out, 128, "%.*s", (int)strcspn(s, " \r\n\t<"), s);
}

static void read_file(const char *name, struct buf *out)
{
    char path[600];
    struct errinfo ei = {0};
    str_fmt(path, sizeof path, "%s/fixtures/winrm/%s", shared(), name);
    buf_reset(out);
    if (path_read(out, path, &ei) != ERR_OK) {
        print_message("skipped: the recordings (../shared/fixtures/winrm) are not here\n");
        skip();
    }
}

/* Streams as "name: text", one after the other. */
static void expect_output(const struct wsman_output *o, const char *file, const char *said)
{
    struct buf text;
    buf_init(&text, 4096);
    for (size_t i = 0; i < o->chunks.n; i++)
        assert_int_equal(buf_addf(&text, "%s: %.*s\n", o->chunks.v[i].stream, (int)o->chunks.v[i].len,
                                  o->data.data + o->chunks.v[i].at),
                         ERR_OK);
    if (strcmp(buf_str(&text), said) != 0)
        fail_msg("%s: %s instead of %s", file, buf_str(&text), said);
    buf_fini(&text);
}

static void test_recorded(void **state)
{
    static const struct {
        const char *file;
        enum soap_op op;
        const char *id; /* shell or command */
        uint32_t fault;
        int exit_code;
        const char *said; /* a fault's subcode and the beginning of its reason; or streams */
    } rows[] = {
        {"masterzen/createShellResponse.xml", SOAP_OP_CREATE, "67A74734-DD32-4F10-89DE-49A060483810", 0, -1,
         NULL},
        {"masterzen/executeCommandResponse.xml", SOAP_OP_COMMAND, "1A6DEE6B-EC68-4DD6-87E9-030C0048ECC4", 0,
         -1, NULL},
        {"masterzen/executeCommandResponseWithError.xml", SOAP_OP_COMMAND, NULL, 2147942606u, -1,
         "InternalError: The filename or extension is too long."},
        {"masterzen/operationTimeoutResponse.xml", SOAP_OP_RECEIVE, NULL, 2150858793u, -1,
         "TimedOut: The WS-Management service cannot complete the operation within the time"},
        {"masterzen/doneCommandResponse.xml", SOAP_OP_RECEIVE, NULL, 0, 123, NULL},
        {"masterzen/doneCommandExitCode0Response.xml", SOAP_OP_RECEIVE, NULL, 0, 0, NULL},
        {"masterzen/outputResponse.xml", SOAP_OP_RECEIVE, NULL, 0, -1,
         "stdout: That's all folks!!!\nstderr: This is stderr, I'm pretty sure!\n"},
        {"masterzen/singleOutputResponse.xml", SOAP_OP_RECEIVE, NULL, 0, -1, "stdout: That's all folks!!!\n"},
        {"winrb-stubs/responses/open_shell_v1.xml", SOAP_OP_CREATE,
         "uuid:739990FF-1492-4CDD-80BB-6E07ADB06D85", 0, -1, NULL},
        {"winrb-stubs/responses/open_shell_v2.xml", SOAP_OP_CREATE, "62DE33F0-8674-43D9-B6A5-3298012CC4CD", 0,
         -1, NULL},
        {"winrb-stubs/responses/open_shell_omi.xml", SOAP_OP_CREATE, "74142DC5-E14D-4FCC-86ED-63DA3EE8407E",
         0, -1, NULL},
        {"winrb-stubs/responses/soap_fault_v1.xml", SOAP_OP_CREATE, NULL, 2150858778u, -1,
         "CannotProcessFilter: The specified class does not exist in the given namespace."},
        {"winrb-stubs/responses/soap_fault_v2.xml", SOAP_OP_COMMAND, NULL, 2150858778u, -1,
         "CannotProcessFilter: The specified class does not exist in the given namespace."},
        {"winrb-stubs/responses/soap_fault_omi.xml", SOAP_OP_DELETE, NULL, 0, -1,
         "InternalError: get-instance: instance name parameter is missing"},
        {"winrb-stubs/responses/get_omi_config_response.xml", SOAP_OP_GET, NULL, 0, -1,
         "InternalError: get-instance: instance name parameter is missing"},
        {"winrb-stubs/responses/wmi_error_v2.xml", SOAP_OP_CREATE, NULL, 2150859173u, -1,
         "QuotaLimit: The WS-Management service cannot process the request. This user is allowed a maximum "
         "number of 30 concurrent shells"},
    };
    struct wsman_output o;
    struct buf xml;
    (void)state;
    wsman_output_init(&o);
    buf_init(&xml, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct soap_reply r;
        struct errinfo ei = {0};
        char id[128];
        read_file(rows[i].file, &xml);
        relates_to(buf_str(&xml), id);
        enum err e = soap_read(&r, rows[i].op, id, NULL, xml.data, xml.len, &o, &ei);
        if (e != ERR_OK)
            fail_msg("%s: %s", rows[i].file, ei.what);
        bool fault = strstr(rows[i].file, "fault") || strstr(rows[i].file, "rror") ||
                     strstr(rows[i].file, "Timeout") || strstr(rows[i].file, "config");
        assert_int_equal(r.is_fault, fault);
        assert_int_equal(r.fault.code, rows[i].fault);
        char told[700];
        str_fmt(told, sizeof told, "%s: %s", r.fault.subcode, r.fault.reason);
        if (fault && strncmp(told, rows[i].said, strlen(rows[i].said)) != 0)
            fail_msg("%s: %s", rows[i].file, told);
        if (!fault && rows[i].op == SOAP_OP_RECEIVE)
            expect_output(&o, rows[i].file, rows[i].said ? rows[i].said : "");
        if (rows[i].id)
            assert_string_equal(rows[i].op == SOAP_OP_CREATE ? r.shell_id : r.command_id, rows[i].id);
        if (rows[i].exit_code >= 0)
            assert_true(o.has_exit_code && o.exit_code == (uint32_t)rows[i].exit_code &&
                        o.state == WSMAN_STATE_DONE);
        assert_int_equal(soap_read(&r, rows[i].op, "uuid:another", NULL, xml.data, xml.len, &o, NULL),
                         id[0] ? ERR_PROTOCOL : ERR_OK);
    }
    buf_fini(&xml);
    wsman_output_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_received),   cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_written),    cmocka_unit_test(test_fault_words),
        cmocka_unit_test(test_http_words), cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_a_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
