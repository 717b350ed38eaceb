/* The wizard's gates both ways over the story's organisation, and the text that keeps what people answered. */
#include "tui/views/gates.h"

#include "org_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct profile profile; /* empty */

/* Takes the organisation. */
static struct world *make_world(struct org *org)
{
    struct org_box *box = org_box_new(org);
    assert_non_null(box);
    struct world *w = world_new(box, NULL, NULL, 0, &profile, GENERATION_2013);
    assert_non_null(w);
    assert_true(w->has_findings);
    return w;
}

static size_t gate_index(const char *id)
{
    for (size_t i = 0; i < GATE_COUNT; i++) {
        if (str_eq(gate_at(i)->id, id))
            return i;
    }
    fail_msg("no gate %s", id);
    return 0;
}

static struct gate_answer ask(const struct world *w, const char *id)
{
    static const struct gate_settled none[GATE_COUNT];
    struct gate_input in = {.world = w, .settled = none, .rehearsed = 1, .to_rehearse = 3};
    struct gate_answer a;
    gate_evaluate(gate_index(id), &in, &a);
    return a;
}

static void story_as_it_is(void **state)
{
    (void)state;
    struct org_builder b;
    struct world *w = make_world(story(&b));
    static const struct {
        const char *id;
        enum gate_state state;
    } cases[] = {
        {"G1", GATE_PASS},     {"G3", GATE_ASK},      {"G5", GATE_ASK},      {"G7", GATE_PASS},
        {"G8", GATE_PASS},     {"G9", GATE_PASS},     {"G11", GATE_FAIL},    {"G13", GATE_PASS},
        {"G14", GATE_UNKNOWN}, {"G16", GATE_UNKNOWN}, {"G18", GATE_UNKNOWN}, {"G19", GATE_ASK},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gate_answer a = ask(w, cases[i].id);
        if (a.state != cases[i].state)
            fail_msg("%s is %s (%s), not %s", cases[i].id, gate_state_name(a.state), a.text,
                     gate_state_name(cases[i].state));
        assert_true(a.text[0]);
    }
    world_unref(w);
}

static void computed_ones_fail(void **state)
{
    (void)state;
    struct org_builder b;
    struct org *org = story(&b);
    struct gate_answer a;
    org->databases[0].oab_dn = NULL;
    org->arrays[0].fqdn = "MAIL.contoso.lab";
    for (size_t i = 0; i < org->n_servers; i++) {
        struct server *s = &org->servers[i];
        if (str_eq(s->name, "EX13CAS01")) {
            s->version = (struct version){15, 0, 995, 29, true}; /* CU6 */
            s->roles = 0;
        }
    }
    struct world *w = make_world(org);
    a = ask(w, "G6");
    assert_int_equal(a.state, GATE_FAIL);
    assert_non_null(strstr(a.text, "DB10-BCN01"));
    a = ask(w, "G7");
    assert_int_equal(a.state, GATE_FAIL);
    assert_string_equal(a.text, "Barcelona has none");
    a = ask(w, "G8");
    assert_int_equal(a.state, GATE_FAIL);
    assert_string_equal(a.text, "EX13CAS01 is at CU6");
    a = ask(w, "G13");
    assert_int_equal(a.state, GATE_FAIL);
    world_unref(w);
}

static void without_2007(void **state)
{
    (void)state;
    struct org_builder b;
    org_begin(&b, "Contoso", "contoso.lab");
    struct site *site = add_site(&b, "Barcelona", NULL);
    add_server(&b, "EX10", site, "14.3.123.4", BUILDER_ROLES_LEGACY);
    struct world *w = make_world(org_end(&b));
    assert_int_equal(ask(w, "G8").state, GATE_NOT_APPLICABLE);
    assert_int_equal(ask(w, "G9").state, GATE_NOT_APPLICABLE);
    assert_int_equal(ask(w, "G13").state, GATE_NOT_APPLICABLE);
    assert_int_equal(ask(w, "G6").state, GATE_UNKNOWN); /* no database named is no proof */
    world_unref(w);
}

/* Missing evidence means stop. */
static void nothing_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < GATE_COUNT; i++)
        assert_false(gate_is_open(ask(NULL, gate_at(i)->id).state));
}

static void settled_opens(void **state)
{
    (void)state;
    static struct gate_settled settled[GATE_COUNT];
    struct gate_answer a;
    str_copy(settled[2].reason, sizeof settled[2].reason, "seen");
    str_copy(settled[2].who, sizeof settled[2].who, "ann");
    struct gate_input in = {.settled = settled};
    gate_evaluate(2, &in, &a);
    assert_int_equal(a.state, GATE_SETTLED);
    assert_true(gate_is_open(a.state));
    assert_string_equal(a.text, "seen (ann)");
}

static void rehearsal_counts(void **state)
{
    (void)state;
    static const struct gate_settled none[GATE_COUNT];
    static const struct {
        unsigned done, all;
        enum gate_state state;
    } cases[] = {{0, 0, GATE_NOT_APPLICABLE}, {0, 3, GATE_UNKNOWN}, {2, 3, GATE_UNKNOWN}, {3, 3, GATE_PASS}};
    struct org_builder b;
    struct world *w = make_world(story(&b));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gate_input in = {w, none, cases[i].done, cases[i].all};
        struct gate_answer a;
        gate_evaluate(gate_index("G18"), &in, &a);
        assert_int_equal(a.state, cases[i].state);
    }
    world_unref(w);
}

static void kept_and_found_again(void **state)
{
    (void)state;
    static struct gate_settled s[GATE_COUNT];
#define ROW(o, g, st, w, n)                                                                                  \
    {                                                                                                        \
        .organization = (char *)o, .gate = (char *)g, .state = (char *)st, .who = (char *)w,                 \
        .note = (char *)n, .at = 1795489200, .version = 1                                                    \
    }
    struct store_progress rows[] = {
        ROW("Contoso", "G4", "settled", "ann@CONTOSO.LAB", "logs read; none"),
        ROW("Contoso", "G5", "open", "ann", "not any more"),
        ROW("Contoso", "G3", "settled", "ann", ""),
        ROW("Contoso", "G99", "settled", "ann", "no such gate"),
        ROW("Fabrikam", "G5", "settled", "bob", "no plans"),
        ROW("Contoso", "G1", "settled", "eve\033[2J", "\033[31mred"), /* anybody may have written it */
    };
#undef ROW
    const store_progresses all = {rows, ARRAY_LEN(rows), ARRAY_LEN(rows)};
    gates_load(&all, "CONTOSO", s);
    assert_string_equal(s[3].reason, "logs read; none");
    assert_string_equal(s[3].who, "ann@CONTOSO.LAB");
    assert_int_equal(s[3].at, 1795489200);
    assert_string_equal(s[4].reason, "");
    assert_string_equal(s[2].reason, "");
    assert_non_null(strstr(s[0].reason, "[31mred"));
    assert_null(strchr(s[0].reason, '\033'));
    assert_null(strchr(s[0].who, '\033'));
    gates_load(&all, "Fabrikam", s);
    assert_string_equal(s[4].reason, "no plans");
    assert_string_equal(s[3].reason, "");
}

static void summaries(void **state)
{
    (void)state;
    struct org_builder b;
    struct world *w = make_world(story(&b));
    static const struct {
        const char *server;
        enum state state;
    } cases[] = {{"EXCAS01", STATE_ERROR},
                 {"EXCAS02", STATE_ERROR},
                 {"E2K7CAS01", STATE_ERROR},
                 {"EX10NTLM", STATE_OK}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct server *s = org_server(w->org, cases[i].server);
        assert_int_equal(world_server(w, s)->state, cases[i].state);
    }
    assert_int_equal(world_rule(w, "oa-iis-auth", NULL).found, 2);
    assert_int_equal(world_rule(w, "oa-iis-auth", "EXCAS01").state, STATE_ERROR);
    assert_int_equal(world_rule(w, "oa-iis-auth", "EX10NTLM").state, STATE_OK);
    assert_int_equal(world_rule(w, "oa-wire", NULL).state, STATE_UNKNOWN);
    assert_int_equal(world_rule(w, "nosuch", NULL).state, STATE_NONE);
    assert_string_equal(world_new_cas(w->org)->name, "EX13CAS01");
    assert_int_equal(w->by_severity[SEVERITY_ERROR], 3);
    world_unref(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(story_as_it_is),       cmocka_unit_test(computed_ones_fail),
        cmocka_unit_test(without_2007),         cmocka_unit_test(nothing_known),
        cmocka_unit_test(settled_opens),        cmocka_unit_test(rehearsal_counts),
        cmocka_unit_test(kept_and_found_again), cmocka_unit_test(summaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
