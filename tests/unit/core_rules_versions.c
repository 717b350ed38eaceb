/* coexistence and version-floor, each way, against the floors of the version table. */
#include "tests/unit/rules_check.h"

struct version_case {
    enum generation target;
    const char *version; /* of the one server; NULL none */
    const char *asked;   /* build asked from it, NULL not asked */
    char coexistence;    /* of the organisation */
    char coexistence_server;
    char floor;
    const char *words; /* in the summary or reason that decides */
};

static const struct version_case cases[] = {
    /* 2013 arrives */
    {GENERATION_2013, "8.3.83.6", NULL, 'P', '-', 'U', "RU10"},
    {GENERATION_2013, "8.3.83.6", "8.3.297.2", 'P', '-', 'F', "RU10"},
    {GENERATION_2013, "8.3.83.6", "8.3.298.3", 'P', '-', 'P', NULL},
    /* of three parts, as a logon page shows it */
    {GENERATION_2013, "8.3.83.6", "8.3.298", 'P', '-', 'P', NULL},
    {GENERATION_2013, "8.3.83.6", "8.3.297", 'P', '-', 'F', "RU10"},
    {GENERATION_2013, "8.2.176.2", NULL, 'P', '-', 'F', "SP3"},
    {GENERATION_2013, "8.0.685.25", NULL, 'P', '-', 'F', "SP3"},
    {GENERATION_2013, "14.3.123.4", NULL, 'P', '-', 'P', NULL},
    {GENERATION_2013, "14.2.247.5", NULL, 'P', '-', 'F', "SP3"},
    {GENERATION_2013, "14.2.247.5", "14.3.123.4", 'P', '-', 'P', NULL},
    {GENERATION_2013, "15.0.1497.2", NULL, 'P', '-', 'P', NULL},
    {GENERATION_2013, "15.0.620.29", NULL, 'P', '-', 'F', "CU2"},
    {GENERATION_2013, "6.5.7638.0", NULL, 'F', '-', '-', "2003"},
    {GENERATION_2013, "15.2.1118.7", NULL, 'U', '-', '-', "2019"}, /* older into newer: nobody says */
    {GENERATION_2013, "99.9.1.1", NULL, '-', 'U', 'U', "99.9.1.1"},
    {GENERATION_2013, NULL, NULL, '-', 'U', 'U', "no version"},
    /* 2016 arrives */
    {GENERATION_2016, "8.3.517.0", NULL, 'F', '-', '-', "2013"},
    {GENERATION_2016, "14.3.123.4", NULL, 'P', '-', 'U', "RU11"},
    {GENERATION_2016, "14.3.123.4", "14.3.248.2", 'P', '-', 'F', "RU11"},
    {GENERATION_2016, "14.3.123.4", "14.3.513.0", 'P', '-', 'P', NULL},
    {GENERATION_2016, "15.0.1130.7", NULL, 'P', '-', 'P', NULL},
    {GENERATION_2016, "15.0.1104.5", NULL, 'P', '-', 'F', "CU10"},
    /* 2019 and SE arrive */
    {GENERATION_2019, "14.3.123.4", NULL, 'F', '-', '-', "2010"},
    {GENERATION_2019, "15.0.1395.4", NULL, 'P', '-', 'P', NULL},
    {GENERATION_2019, "15.0.1367.3", NULL, 'P', '-', 'F', "CU21"},
    {GENERATION_2019, "15.1.1591.10", NULL, 'P', '-', 'P', NULL},
    {GENERATION_2019, "15.1.1531.3", NULL, 'P', '-', 'F', "CU11"},
    {GENERATION_SE, "15.0.1497.2", NULL, 'F', '-', '-', "2016 or 2019"},
    {GENERATION_SE, "15.1.2507.6", NULL, 'P', '-', 'P', NULL},
    {GENERATION_SE, "15.2.1748.10", NULL, 'P', '-', 'P', NULL},
};

static void each(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct version_case *c = &cases[i];
        struct bench t;
        bench_init(&t, false);
        struct site *site = add_site(&t.b, "Barcelona", NULL);
        add_server(&t.b, "EX01", site, c->version, ROLE_MAILBOX);
        t.in.target = c->target;
        if (c->asked) {
            struct observation *o = observe(&t, OBSERVATION_BUILD, EVIDENCE_HOST, "ex01", OUTCOME_OK,
                                            NOW); /* case does not matter */
            assert_true(version_parse(c->asked, &o->u.build.version));
        }
        bench_run(&t);
        print_message("case %zu: target %s, %s\n", i, generation_name(c->target),
                      c->version ? c->version : "-");
        assert_said(&t, "coexistence", NULL, c->coexistence);
        assert_said(&t, "coexistence", "EX01", c->coexistence_server);
        assert_said(&t, "version-floor", "EX01", c->floor);
        const struct finding *f = found(&t, "coexistence", NULL);
        if (!f)
            f = found(&t, "version-floor", "EX01");
        const char *text = f ? f->summary : NULL;
        if (!text && c->coexistence == 'U')
            text = unknown(&t, "coexistence", NULL);
        if (!text && c->coexistence_server == 'U')
            text = unknown(&t, "coexistence", "EX01");
        if (!text)
            text = unknown(&t, "version-floor", "EX01");
        if (c->words)
            assert_non_null(strstr(text, c->words));
        if (f) {
            assert_int_equal(f->severity, SEVERITY_BLOCKER);
            assert_true(f->n_evidence == 1 && *f->evidence[0].observed && *f->evidence[0].expected);
            assert_int_equal(t.out.verdict, VERDICT_BLOCKED);
        }
        bench_fini(&t);
    }
}

/* Edge servers stand in the directory too and count; their source of evidence is the directory or the host. */
static void edge_and_source(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, false);
    add_server(&t.b, "EDGE1", NULL, "14.2.247.5", ROLE_EDGE);
    bench_run(&t);
    const struct finding *f = found(&t, "version-floor", "EDGE1");
    assert_non_null(f);
    assert_non_null(strstr(f->summary, "Edge included"));
    assert_int_equal(f->evidence[0].source, EVIDENCE_DIRECTORY);
    assert_null(f->site);
    bench_fini(&t);
}

/* What the server says of itself counts before what a page of it shows. */
static void sources(void **state)
{
    (void)state;
    static const struct {
        const char *host, *wire;
        int64_t host_age;
        char said;
    } rows[] = {
        {"8.3.297.2", "8.3.298.3", 60, 'F'},
        {"8.3.298.3", "8.3.83.6", 60, 'P'},
        {"8.3.297.2", "8.3.298.3", 3 * 86400, 'P'}, /* a rollup was installed since */
        {NULL, "8.3.298.3", 0, 'P'},
        {"8.3.297.2", NULL, 3 * 86400, 'F'},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench t;
        bench_init(&t, false);
        add_server(&t.b, "EX01", add_site(&t.b, "Barcelona", NULL), "8.3.83.6", ROLE_MAILBOX);
        t.in.target = GENERATION_2013;
        if (rows[i].host) {
            struct observation *o =
                observe(&t, OBSERVATION_BUILD, EVIDENCE_HOST, "EX01", OUTCOME_OK, NOW - rows[i].host_age);
            assert_true(version_parse(rows[i].host, &o->u.build.version));
        }
        if (rows[i].wire) {
            struct observation *o = observe(&t, OBSERVATION_BUILD, EVIDENCE_WIRE, "EX01", OUTCOME_OK, NOW);
            assert_true(version_parse(rows[i].wire, &o->u.build.version));
        }
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "version-floor", "EX01", rows[i].said);
        bench_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each), cmocka_unit_test(sources),
                                       cmocka_unit_test(edge_and_source)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
