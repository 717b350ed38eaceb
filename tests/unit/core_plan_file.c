/* The plan file: written in the contract's shape, read back the same, and refused when a hand has made it lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_world.h"

static struct org *org;
static char *whole; /* the story's plan as a file */
static size_t whole_len;

static int setup(void **state)
{
    struct org_builder b;
    struct buf text;
    (void)state;
    org = story(&b);
    struct plan *p = story_plan(org);
    buf_init(&text, 1 << 20);
    if (plan_to_json(p, &text, NULL) != ERR_OK)
        return -1;
    plan_free(&p);
    whole_len = text.len;
    whole = buf_take(&text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(whole);
    builder_free(&org);
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct plan *p = NULL;
    struct errinfo ei = {0};
    struct buf again;
    buf_init(&again, 1 << 20);
    if (plan_from_json(&p, whole, whole_len, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(p->n_steps, 3);
    assert_int_equal(p->target, GENERATION_2013);
    assert_string_equal(p->made_by, "admin@CONTOSO.LAB");
    assert_string_equal(p->steps[2].server, "EXCAS02");
    assert_int_equal(plan_to_json(p, &again, &ei), ERR_OK);
    assert_string_equal(buf_str(&again), whole);
    buf_fini(&again);
    plan_free(&p);
}

/* cli.md: which keys, in which order. */
static void test_shape(void **state)
{
    (void)state;
    static const char *const top[] = {"format",  "id",      "organization", "target",
                                      "made_at", "made_by", "steps"};
    static const char *const step[] = {"n",       "finding",      "server", "cmdlet",
                                       "inverse", "before",       "after",  "preconditions",
                                       "verify",  "takes_effect", "impact"};
    json_t *j = json_loads(whole, 0, NULL), *s = json_array_get(json_object_get(j, "steps"), 1);
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach(j, key, value) assert_string_equal(key, top[i++]);
    assert_int_equal(i, ARRAY_LEN(top));
    i = 0;
    json_object_foreach(s, key, value) assert_string_equal(key, step[i++]);
    assert_int_equal(i, ARRAY_LEN(step));
    assert_int_equal(json_integer_value(json_object_get(j, "format")), 1);
    assert_string_equal(json_string_value(json_object_get(j, "target")), "2013");
    char *text = json_dumps(json_object_get(s, "verify"), JSON_COMPACT);
    assert_string_equal(text, "[\"directory\",\"wire\"]");
    free(text);
    json_decref(j);
    assert_int_equal(whole[whole_len - 1], '\n');
}

/* The nth occurrence of from (1 the first; 0 all) replaced. */
static char *edit(const char *text, const char *from, const char *to, int nth)
{
    struct buf b;
    int seen = 0;
    buf_init(&b, 4 << 20);
    while (*text) {
        if (strncmp(text, from, strlen(from)) == 0 && (++seen == nth || !nth)) {
            buf_adds(&b, to);
            text += strlen(from);
        } else {
            buf_addc(&b, *text++);
        }
    }
    if (seen < nth || !seen)
        fail_msg("'%s' is not there", from);
    return buf_take(&b);
}

#define EXCAS01 "EXCAS01\\\\Rpc (Default Web Site)"

/* Step 1 is E2K7CAS01, 2 EXCAS01, 3 EXCAS02 (Enable). */
static const struct {
    const char *from, *to;
    int nth;
    const char *says;
} edits[] = {
    {"\"format\": 1", "\"format\": 2", 1, "format 2"},
    {"\"format\": 1", "\"format\": \"1\"", 1, "not a plan"},
    {"\"format\": 1", "\"format\": 1.0", 1, "not a plan"},
    {"\"format\": 1,", "", 1, "not a plan"},
    {"\"format\": 1,", "\"format\": 1, \"format\": 1,", 1, "duplicate"},
    {"\"format\": 1,", "\"format\": 1, \"note\": \"mine\",", 1, "\"note\""},
    {"\"organization\": \"Contoso\"", "\"organization\": null", 1, "organization"},
    {"\"organization\": \"Contoso\"", "\"organization\": \"\"", 1, "organization"},
    {"\"target\": \"2013\"", "\"target\": \"2010\"", 1, "target"},
    {"\"target\": \"2013\"", "\"target\": 2013", 1, "target"},
    {"\"made_at\": \"2", "\"made_at\": \"tomorrow 2", 1, "made_at"},
    {"\"steps\": [", "\"steps\": 3, \"unused\": [", 1, "unused"},
    {"\"n\": 2", "\"n\": 3", 1, "step 2: \"n\" is not 2"},
    {"\"n\": 2", "\"n\": \"2\"", 1, "step 2"},
    {"\"n\": 1,", "", 1, "step 1"},
    {"\"verify\": [", "\"verfy\": [", 2, "step 2: nobody knows the key \"verfy\""},
    {"\"finding\": \"oa-iis-auth\"", "\"finding\": [\"oa-iis-auth\"]", 2, "step 2: \"finding\""},
    {"\"server\": \"EXCAS01\"", "\"server\": \"EXCAS02\"", 1, "step 2: -Identity"},
    {"\"server\": \"EXCAS02\"", "\"server\": \"EXCAS01\"", 1, "step 3: -Server"},
    {"Set-OutlookAnywhere -Identity '" EXCAS01 "' -Client", "Remove-Mailbox -Identity '" EXCAS01 "' -Client",
     1, "step 2: Remove-Mailbox"},
    {"Basic,NTLM\"", "Basic,NTLM; Remove-Item x\"", 2, "step 2: \"cmdlet\""},
    {"Basic,NTLM\"", "Basic,NTLM | Out-Null\"", 2, "step 2"},
    {"Basic,NTLM\"", "Basic,NTLM -DomainController $(hostname)\"", 2, "step 2"},
    {"Basic,NTLM\"", "Basic,NTLM -DomainController 'dc9'\"", 2, "-DomainController is not a parameter"},
    {"Basic,NTLM\"", "Basic,NTLM -Confirm:$false\"", 2, "-Confirm is not a parameter"},
    {"Basic,NTLM\"", "Basic,NTLM -WhatIf\"", 2, "-WhatIf"},
    {"Basic,NTLM\"", "Basic,NTLM,Anonymous\"", 2, "no method is called 'Anonymous'"},
    {"Basic,NTLM\"", "NTLM\"", 2, "step 2: after does not follow"},
    {"Basic,NTLM\"", "$null\"", 2, "step 2: after does not follow"},
    {"-IISAuthenticationMethods Basic,NTLM\"", "-InternalClientsRequireSsl:$true\"", 2, "step 2"},
    {"-Identity '" EXCAS01 "' -Client", "-Identity 'EXCAS02\\\\Rpc (Default Web Site)' -Client", 1,
     "-Identity"},
    {"-Identity '" EXCAS01 "' -Client", "-Identity 'EXCAS01' -Client", 1, "-Identity"},
    {"-Identity '" EXCAS01 "' -Client", "-Identity '*' -Client", 1, "-Identity"},
    {"-Identity '" EXCAS01 "' -Client", "-Identity 'EXCAS01\\\\Rpc*' -Client", 1, "is not the object"},
    {"-Identity '" EXCAS01 "' -Client", "-Client", 1, "needs -Identity"},
    {"-IISAuthenticationMethods Basic\"", "-IISAuthenticationMethods NTLM\"", 2, "step 2: the inverse"},
    {"Disable-OutlookAnywhere", "Set-OutlookAnywhere", 1, "step 3: the inverse"},
    {" -Confirm:$false", "", 1, "step 3: the inverse"},
    {" -Confirm:$false", " -Confirm:$true", 1, "step 3: the inverse"},
    {"-ExternalHostname 'mail.contoso.lab'", "-ExternalHostname 'https://mail.contoso.lab/rpc'", 1,
     "no host name"},
    {"-ExternalHostname 'mail.contoso.lab'", "-ExternalHostname 'evil.example'", 1, "step 3: after"},
    {"-SSLOffloading:$false", "-SSLOffloading 'no'", 1, "wrong kind"},
    {"\"before\": {", "\"before\": [", 2, "line"},
    {"\"value\": \"1\"", "\"value\": \"2\"", 4, "step 2: before does not follow"},
    {"\"value\": \"1\"", "\"value\": 1", 4, "step 2: \"value\""},
    {"\"value\": \"1\"", "\"value\": \"many\"", 4, "no cmdlet could put back"},
    {"\"attribute\": \"msExchInternalAuthenticationMethods\"", "\"attribute\": \"msExchRpcHttpFlags\"", 2,
     "without a precondition"},
    {"\"attribute\": \"msExchInternalAuthenticationMethods\"", "\"attribute\": \"description\"", 2,
     "nothing to do with"},
    {"\"attribute\": \"msExchInternalAuthenticationMethods\"",
     "\"attribute\": \"msExchExternalAuthenticationMethods\"", 2, "two preconditions"},
    {"\"attribute\": \"objectClass\"", "\"attribute\": \"msExchInternalAuthenticationMethods\"", 1, "step 3"},
    {"CN=Rpc (Default Web Site),CN=HTTP,CN=Protocols,CN=EXCAS01", "CN=owa (Default Web Site),CN=HTTP,CN=X", 1,
     "more than one object"},
    {"CN=Rpc (Default Web Site),CN=HTTP,CN=Protocols,CN=EXCAS01", "not a name", 0, "step 2"},
    {"\"directory\",", "\"faith\",", 2, "verify"},
    {"\"directory\",", "", 2, "not verified"},
    {"\"directory\",", "\"directory\", \"directory\",", 2, "verify"},
    {"\"takes_effect\": \"", "\"takes_effect\": 15, \"x\": \"", 1, "step 1"},
    {"\"impact\": \"", "\"skip\": \"\", \"impact\": \"", 1, "skip"},
    {"\"ntlm\"", "\"negotiate\"", 2, "step 2: after"},
    {"\"ntlm\"", "2", 2, "list of methods"},
    {"\"enabled\": false", "\"enabled\": \"no\"", 1, "enabled"},
    {"\"enabled\": true,", "", 1, "step 3: after"},
    {"\"ssl_offloading\": false", "\"external_url\": false", 1, "does not set"},
};

static void test_edits_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        char *text = edit(whole, edits[i].from, edits[i].to, edits[i].nth);
        struct plan *p = NULL;
        struct errinfo ei = {0};
        enum err e = plan_from_json(&p, text, strlen(text), &ei);
        if (e != ERR_INPUT || !strstr(ei.what, edits[i].says))
            fail_msg("edit %zu (%s): %s: %s", i, edits[i].to, err_name(e), ei.what);
        assert_null(p);
        free(text);
    }
}

/* What a hand may change: the order of a set, the case of a name, texts, and what is to be verified. */
static void test_edits_that_are_fine(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int nth;
    } rows[] = {
        {"\"basic\",\n          \"ntlm\"", "\"NTLM\", \"Basic\"", 2},
        {"\"impact\": \"", "\"impact\": \"I asked the team. ", 2},
        {"\"impact\": \"", "\"skip\": \"not this week\", \"impact\": \"", 2},
        {"\"server\": \"EXCAS01\"", "\"server\": \"excas01\"", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text = edit(whole, rows[i].from, rows[i].to, rows[i].nth);
        struct plan *p = NULL;
        struct errinfo ei = {0};
        if (plan_from_json(&p, text, strlen(text), &ei) != ERR_OK)
            fail_msg("row %zu: %s", i, ei.what);
        plan_free(&p);
        free(text);
    }
}

static void test_what_is_no_plan(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "[]",
                                       "null",
                                       "{",
                                       "1",
                                       "{}",
                                       "{\"format\":1}",
                                       "\xff\xfe{}",
                                       "{\"format\":1}x",
                                       "{\"steps\":[]}"};
    struct plan *p = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(plan_from_json(&p, rows[i], strlen(rows[i]), NULL), ERR_INPUT);
    for (size_t n = 0; n + 2 < whole_len;
         n += 7) /* cut anywhere; without the last line feed it is still whole */
        assert_int_equal(plan_from_json(&p, whole, n, NULL), ERR_INPUT);
    char *big = calloc(1, PLAN_MAX_FILE + 2);
    assert_int_equal(plan_from_json(&p, big, PLAN_MAX_FILE + 1, NULL), ERR_INPUT);
    free(big);
    assert_null(p);
}

static void test_two_steps_on_one_object(void **state)
{
    (void)state;
    json_t *j = json_loads(whole, 0, NULL), *steps = json_object_get(j, "steps");
    json_t *copy = json_deep_copy(json_array_get(steps, 1));
    json_t *pre = json_array_get(json_object_get(copy, "preconditions"), 0);
    json_object_set_new(copy, "n", json_integer(4));
    struct errinfo ei = {0};
    struct plan *p = NULL;
    /* the same name written otherwise */
    struct buf b;
    buf_init(&b, 4096);
    const char *dn = json_string_value(json_object_get(pre, "dn"));
    for (; *dn; dn++)
        buf_addc(&b, *dn >= 'A' && *dn <= 'Z' ? (char)(*dn + 32) : *dn);
    json_object_set_new(pre, "dn", json_string(buf_str(&b)));
    buf_fini(&b);
    json_array_append_new(steps, copy);
    char *text = json_dumps(j, 0);
    assert_int_equal(plan_from_json(&p, text, strlen(text), &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "two steps change the same object"));
    free(text);
    json_decref(j);
}

/* Names are hostile: a quote in a web site's name must come back out of the file as it went in. */
static void test_hostile_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Rpc (It's)",
        "Rpc (\xe2\x80\x98x\xe2\x80\x99; Remove-Mailbox *)",
        "Rpc ($(calc) `n \"q\")",
        "Rpc (\xc3\xa9\xe6\xbc\xa2)",
        "Rpc (a\nb)",
        "Rpc (--%)",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct org_builder b;
        struct org *o = story(&b);
        struct vdir *v = builder_vdir(o, "EXCAS01", PROTOCOL_OA);
        struct findings f;
        struct plan *p = NULL, *q = NULL;
        struct errinfo ei = {0};
        struct buf text;
        char identity[200];
        v->name = arena_str(&o->arena, names[i]);
        v->dn = arena_fmt(&o->arena, "CN=%s,CN=HTTP,CN=Protocols,%s", names[i], v->server->dn);
        if (strchr(names[i], ';')) /* RFC 4514 */
            v->dn = arena_fmt(&o->arena, "CN=Rpc (\xe2\x80\x98x\xe2\x80\x99\\; Remove-Mailbox *),CN=HTTP,%s",
                              v->server->dn);
        else if (strchr(names[i], '"'))
            v->dn = arena_fmt(&o->arena, "CN=Rpc ($(calc) `n \\\"q\\\"),CN=HTTP,%s", v->server->dn);
        snprintf(identity, sizeof identity, "EXCAS01\\%s", names[i]);
        findings_init(&f);
        f.target = GENERATION_2013;
        struct cmdlet *c = &world_fix(&f, "oa-iis-auth", "EXCAS01", "Set-OutlookAnywhere")->cmdlet;
        cmdlet_string(c, "Identity", identity);
        cmdlet_words(c, "IISAuthenticationMethods", (const char *const[]){"Basic", "NTLM"}, 2);
        buf_init(&text, 1 << 20);
        if (plan_build(&p, o, &f, NULL, "admin", &ei) != ERR_OK || p->n_steps != 1 ||
            plan_to_json(p, &text, &ei) != ERR_OK ||
            plan_from_json(&q, buf_str(&text), text.len, &ei) != ERR_OK)
            fail_msg("%s: %s", names[i], ei.what);
        assert_string_equal(cmdlet_param(&q->steps[0].cmdlet, "Identity")->value.strings[0], identity);
        buf_fini(&text);
        plan_free(&p);
        plan_free(&q);
        findings_fini(&f);
        builder_free(&o);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_round_trip),          T(test_shape),           T(test_edits_are_refused),
        T(test_edits_that_are_fine), T(test_what_is_no_plan), T(test_two_steps_on_one_object),
        T(test_hostile_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
