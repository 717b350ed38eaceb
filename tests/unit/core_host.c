/* What servers say of themselves: builds and files read from PowerShell's output, and the questions put to a transport of the test. */
#include "core/base/str.h"
#include "core/host/host.h"
#include "tests/unit/org_builder.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void builds_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *build; /* NULL: none is to be found */
    } cases[] = {
        {"VersionInfo : File:             C:\\Program Files\\V14\\bin\\ExSetup.exe\r\n"
         "              FileVersion:      14.03.0361.001\r\n              ProductVersion:   14.03.0123.004",
         "14.3.361.1"},
        {"FileVersion: 8.03.0298.003", "8.3.298.3"},
        {"FileVersion:      15.00.1497.002", "15.0.1497.2"},
        {"FileVersion: 08.00.0000.000", "8.0.0.0"},
        {"[{\"VersionInfo\":{\"FileVersionRaw\":\"x\",\"FileVersion\":\"14.03.0513.000\"}}]", "14.3.513.0"},
        {"[{\"VersionInfo\":\"File: x\\r\\nFileVersion:      14.03.0513.000\\r\\n\"}]", "14.3.513.0"},
        {"FileVersion: 14.03", NULL}, /* the rollup is what matters */
        {"FileVersion:", NULL},
        {"FileVersion: 99999999999999999999.1.2.3", NULL},
        {"ProductVersion: 14.03.0123.004", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct version v;
        char text[VERSION_TEXT_SIZE];
        bool found = host_parse_build(cases[i].text, &v);
        if (found != (cases[i].build != NULL) || (found && !str_eq(version_text(v, text), cases[i].build)))
            fail_msg("case %zu: %s", i, found ? text : "-");
    }
}

static void lines_joined(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool json;
        enum err err;
        const char *out;
    } cases[] = {
        {"<a>\r\n<bb/>\r\n</a>\r\n", false, ERR_OK, "<a>\n<bb/></a>\n"},
        /* cut at ten: an attribute keeps its value */
        {"<x path=\"D\r\nefault Web\r\n Site\"/>\r\n", false, ERR_OK, "<x path=\"Default Web Site\"/>\n"},
        {"", false, ERR_OK, ""},
        {"[\"<a>\",\"<bb/>\",\"</a>\"]", true, ERR_OK, "<a>\n<bb/></a>\n"},
        {"[{\"value\":\"<a>\",\"PSPath\":\"x\"},{\"value\":\"</a>\"},7]", true, ERR_OK, "<a>\n</a>"},
        {"{}", true, ERR_INPUT, NULL},
        {"[", true, ERR_INPUT, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;
        struct errinfo ei;
        buf_init(&b, 1000);
        assert_int_equal(host_join_lines(&b, cases[i].text, cases[i].json, &ei), cases[i].err);
        if (cases[i].out)
            assert_string_equal(buf_str(&b), cases[i].out);
        buf_fini(&b);
    }
    struct buf small;
    buf_init(&small, 4);
    assert_int_equal(host_join_lines(&small, "<aaaaaaaaaa>", false, NULL), ERR_LIMIT);
    buf_fini(&small);
}

/* ---- a transport that answers by cmdlet */

struct answer {
    const char *output, *json, *error, *id;
    enum err err;
};

struct fake_transport {
    struct transport t;
    struct answer build, hotfix, service, file;
    unsigned asked;
    pthread_mutex_t lock;
};

static enum err fake_run(struct transport *self, const struct remote_target *target,
                         const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                         struct errinfo *ei)
{
    struct fake_transport *f = (struct fake_transport *)self;
    const struct answer *a = str_eq(cmdlet->name, "Get-ItemProperty") ? &f->build
                             : str_eq(cmdlet->name, "Get-HotFix")     ? &f->hotfix
                             : str_eq(cmdlet->name, "Get-Service")    ? &f->service
                             : str_eq(cmdlet->name, "Get-Content")    ? &f->file
                                                                      : NULL;
    (void)target, (void)stop;
    assert_non_null(a);
    pthread_mutex_lock(&f->lock);
    f->asked++;
    pthread_mutex_unlock(&f->lock);
    if (a->err)
        return err_set(ei, a->err, NULL, "no route to the server");
    out->sent = out->has_exit_code = true;
    out->exit_code = a->error != NULL;
    out->output = a->output ? strdup(a->output) : NULL;
    out->output_json = a->json ? strdup(a->json) : NULL;
    if (a->error) {
        struct remote_error e = {.message = strdup(a->error), .id = a->id ? strdup(a->id) : NULL};
        assert_true(VEC_PUSH(&out->errors, 10, e));
    }
    return ERR_OK;
}

static const char config[] =
    "<configuration><location path=\"Default Web Site/Rpc\"><system.webServer><security><authentication>"
    "<windowsAuthentication enabled=\"true\"/></authentication></security></system.webServer></location>"
    "</configuration>";

static void fake_init(struct fake_transport *f)
{
    *f = (struct fake_transport){.t = {.name = "fake", .run = fake_run}};
    f->build.output = "FileVersion: 14.03.0513.000";
    f->hotfix.output = "Source Description HotFixID\nEXCAS01 Hotfix KB3140410";
    f->service.output = "Status : Running";
    f->file.output = config;
    pthread_mutex_init(&f->lock, NULL);
}

struct asked {
    struct org_builder b;
    struct evidence e;
};

static void ask(struct asked *a, struct fake_transport *f, const char *os, bool no_fqdn)
{
    struct errinfo ei;
    story(&a->b);
    evidence_init(&a->e, (size_t)1 << 20);
    struct server *s = builder_server(a->b.org, "EXCAS01");
    s->os_version = os;
    s->install_path = "D:\\Exchange";
    if (no_fqdn)
        s->fqdn = NULL;
    const struct server *list[] = {s};
    const struct host_request req = {.transport = &f->t};
    assert_int_equal(host_ask(a->b.org, list, 1, &req, NULL, &a->e, &ei), ERR_OK);
}

static void ask_end(struct asked *a)
{
    evidence_fini(&a->e);
    builder_free(&a->b.org);
}

static const struct observation *of(const struct asked *a, const char *step)
{
    for (size_t i = 0; i < a->e.items.n; i++)
        if (str_eq(a->e.items.v[i].step, step))
            return &a->e.items.v[i];
    return NULL;
}

static void healthy(void **state)
{
    (void)state;
    struct fake_transport f;
    struct asked a;
    char text[VERSION_TEXT_SIZE];
    fake_init(&f);
    ask(&a, &f, "6.1 (7601)", false);
    assert_int_equal(of(&a, "build")->outcome, OUTCOME_OK);
    assert_int_equal(of(&a, "build")->kind, OBSERVATION_BUILD);
    assert_string_equal(version_text(of(&a, "build")->u.build.version, text), "14.3.513.0");
    assert_string_equal(of(&a, "build")->subject,
                        "Get-ItemProperty -LiteralPath 'D:\\Exchange\\bin\\ExSetup.exe' -Name 'VersionInfo'");
    assert_int_equal(of(&a, "kb3140410")->outcome, OUTCOME_OK);
    assert_int_equal(of(&a, "rpchttp-configurator")->outcome, OUTCOME_OK);
    assert_int_equal(of(&a, "iis-file")->outcome, OUTCOME_OK);
    assert_true(of(&a, "iis")->u.iis.windows);
    assert_int_equal(of(&a, "iis")->protocol, PROTOCOL_OA);
    assert_int_equal(f.asked, 4);
    ask_end(&a);
    /* another Windows needs no such update */
    fake_init(&f);
    ask(&a, &f, "6.3 (9600)", false);
    assert_null(of(&a, "kb3140410"));
    assert_int_equal(f.asked, 3);
    ask_end(&a);
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        struct answer answer;
        enum outcome outcome;
        const char *words;
    } cases[] = {
        {"build", {.output = "nothing of the kind"}, OUTCOME_ERROR, "does not say it"},
        {"build", {.error = "Cannot find path"}, OUTCOME_ERROR, "Cannot find path"},
        {"kb3140410",
         {.error = "Cannot find the requested hotfix on the 'localhost' computer.",
          .id = "GetHotFixNoEntriesFound,Microsoft.PowerShell.Commands.GetHotFixCommand"},
         OUTCOME_FAILED,
         "not installed"},
        {"kb3140410", {.output = ""}, OUTCOME_FAILED, "not installed"},
        {"kb3140410", {.error = "Access is denied."}, OUTCOME_ERROR, "Access is denied"},
        {"rpchttp-configurator", {.json = "[{\"Status\":\"Stopped\"}]"}, OUTCOME_FAILED, "is stopped"},
        {"rpchttp-configurator", {.output = "StartPending"}, OUTCOME_ERROR, "does not say it"},
        {"iis-file", {.output = "<configuration>"}, OUTCOME_ERROR, "line"},
        {"iis-file", {.output = ""}, OUTCOME_ERROR, "does not say it"},
        {"iis-file", {.json = "[\"<configuration/>\"]"}, OUTCOME_ERROR, "no site"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_transport f;
        struct asked a;
        fake_init(&f);
        *(str_eq(cases[i].step, "build")       ? &f.build
          : str_eq(cases[i].step, "kb3140410") ? &f.hotfix
          : str_eq(cases[i].step, "iis-file")  ? &f.file
                                               : &f.service) = cases[i].answer;
        ask(&a, &f, "6.1 (7601)", false);
        const struct observation *o = of(&a, cases[i].step);
        if (!o || o->outcome != cases[i].outcome || !strstr(o->detail, cases[i].words))
            fail_msg("case %zu: %s", i, o ? o->detail : "-");
        assert_int_equal(f.asked, 4); /* the rest is unharmed */
        ask_end(&a);
    }
}

static void unreached(void **state)
{
    (void)state;
    struct fake_transport f;
    struct asked a;
    fake_init(&f);
    f.build.err = ERR_UNREACHABLE;
    ask(&a, &f, NULL, false);
    assert_int_equal(f.asked, 1);
    assert_int_equal(of(&a, "build")->outcome, OUTCOME_ERROR);
    assert_non_null(strstr(of(&a, "build")->detail, "no route"));
    assert_int_equal(of(&a, "kb3140410")->outcome, OUTCOME_SKIPPED);
    assert_int_equal(of(&a, "iis-file")->outcome, OUTCOME_SKIPPED);
    ask_end(&a);
    fake_init(&f);
    ask(&a, &f, NULL, true);
    assert_int_equal(f.asked, 0);
    assert_int_equal(of(&a, "build")->outcome, OUTCOME_SKIPPED);
    ask_end(&a);
}

static void count_up(void *arg, const struct server *server, size_t done, size_t all)
{
    size_t *last = arg;
    assert_non_null(server);
    assert_int_equal(done, ++*last);
    assert_true(done <= all && all == 9);
}

static void everybody(void **state)
{
    (void)state;
    struct fake_transport f;
    struct org_builder b;
    struct evidence e;
    struct stop stop;
    struct errinfo ei;
    fake_init(&f);
    story(&b);
    evidence_init(&e, (size_t)8 << 20);
    size_t last = 0;
    const struct host_request req = {
        .transport = &f.t, .parallel = 3, .progress = count_up, .progress_arg = &last};
    assert_int_equal(host_ask(b.org, NULL, 0, &req, NULL, &e, &ei), ERR_OK);
    assert_int_equal(last, 9);
    for (size_t i = 0; i < b.org->n_servers; i++)
        assert_non_null(
            evidence_find(&e, OBSERVATION_BUILD, b.org->servers[i].name, PROTOCOL_UNKNOWN, "build"));
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    unsigned before = f.asked;
    assert_int_equal(host_ask(b.org, NULL, 0, &req, &stop, &e, &ei), ERR_INTERRUPTED);
    assert_int_equal(f.asked, before);
    evidence_fini(&e);
    builder_free(&b.org);
}

static void ways(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {NULL, "ssh"}, {"psrp", "ssh"}, {"auto", "ssh"}, {"ssh", "ssh"}, {"winrm", "winrm"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(host_via(rows[i][0]), rows[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_read), cmocka_unit_test(lines_joined), cmocka_unit_test(healthy),
        cmocka_unit_test(faults),      cmocka_unit_test(unreached),    cmocka_unit_test(everybody),
        cmocka_unit_test(ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
