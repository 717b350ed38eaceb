/* auth-drift: healthy servers are never flagged; each class with what tells it from the others. */
#include "tests/unit/rules_check.h"

#define SEEN    NOW
#define POLL    900
#define LONGAGO (SEEN - 10 * POLL)

enum { NONE = -1 };

static void classes(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        auth_set directory, wire;
        int64_t changed_at, earlier; /* earlier: the same answer was seen then too */
        int iis;                     /* methods read from IIS, NONE not read */
        bool stopped;
        const char *class; /* NULL: passed */
    } cases[] = {
        {"order and spelling", AUTH_NTLM | AUTH_BASIC, AUTH_BASIC | AUTH_NEGOTIATE | AUTH_NTLM, LONGAGO, 0,
         NONE, false, NULL},
        {"windows for ntlm", AUTH_WINDOWS, AUTH_NEGOTIATE | AUTH_NTLM, LONGAGO, 0, NONE, false, NULL},
        {"ntlm provider removed", AUTH_WINDOWS, AUTH_NEGOTIATE, LONGAGO, 0, NONE, false, NULL},
        {"basic only, both", AUTH_BASIC, AUTH_BASIC, LONGAGO, 0, NONE, false, NULL},
        {"2013 default", AUTH_BASIC | AUTH_NTLM | AUTH_NEGOTIATE, AUTH_BASIC | AUTH_NEGOTIATE | AUTH_NTLM,
         LONGAGO, 0, NONE, false, NULL},
        {"changed a minute ago", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, SEEN - 60, 0, NONE, false, "pending"},
        {"one interval and replication", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, SEEN - 2 * POLL + 1, 0, NONE,
         false, "pending"},
        {"edit that adds", AUTH_BASIC, AUTH_BASIC | AUTH_NEGOTIATE | AUTH_NTLM, LONGAGO, 0, NONE, false,
         "will-be-overwritten"},
        {"edit that takes away", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, LONGAGO, 0, NONE, false,
         "will-be-overwritten"},
        {"age unknown", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, 0, 0, NONE, false, "will-be-overwritten"},
        {"read from IIS too", AUTH_BASIC, AUTH_BASIC | AUTH_NEGOTIATE | AUTH_NTLM, LONGAGO, 0,
         AUTH_BASIC | AUTH_NTLM, false, "will-be-overwritten"},
        {"seen before, three intervals ago", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, LONGAGO, SEEN - 3 * POLL,
         NONE, false, "stuck"},
        {"seen before, one interval ago", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, LONGAGO, SEEN - POLL, NONE,
         false, "will-be-overwritten"},
        {"seen before the change", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, SEEN - 5 * POLL, SEEN - 8 * POLL, NONE,
         false, "will-be-overwritten"},
        {"the host says so", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, LONGAGO, 0, NONE, true, "stuck"},
        {"IIS right, wire old", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, LONGAGO, 0, AUTH_BASIC | AUTH_NTLM, false,
         "stuck"},
        {"negotiate provider removed", AUTH_BASIC | AUTH_NTLM, AUTH_BASIC | AUTH_NTLM, LONGAGO, 0, NONE,
         false, "stuck"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, false);
        struct site *site = add_site(&t.b, "Barcelona", NULL);
        struct server *s = add_server(&t.b, "EX01", site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        struct vdir *v = add_outlook_anywhere(&t.b, s, "mail.contoso.lab", AUTH_BASIC, cases[i].directory);
        v->changed_at = cases[i].changed_at;
        challenge(&t, "EX01", PROTOCOL_OA, 401, cases[i].wire, SEEN);
        if (cases[i].earlier)
            challenge(&t, "EX01", PROTOCOL_OA, 401, cases[i].wire, cases[i].earlier);
        if (cases[i].iis != NONE) {
            struct observation *o = observe(&t, OBSERVATION_IIS, EVIDENCE_IIS, "EX01", OUTCOME_OK, SEEN);
            o->protocol = PROTOCOL_OA;
            o->u.iis.path = "Default Web Site/Rpc";
            o->u.iis.basic = (cases[i].iis & AUTH_BASIC) != 0;
            o->u.iis.windows = (cases[i].iis & AUTH_NTLM) != 0;
        }
        if (cases[i].stopped) {
            struct observation *o =
                observe(&t, OBSERVATION_STEP, EVIDENCE_HOST, "EX01", OUTCOME_FAILED, SEEN);
            o->step = "rpchttp-configurator";
            o->detail = "MSExchangeServiceHost is stopped";
        }
        bench_run(&t);
        const struct finding *f = found(&t, "auth-drift", "EX01");
        print_message("%s: %s\n", cases[i].what, f ? f->drift_class : "-");
        assert_said(&t, "auth-drift", "EX01", cases[i].class ? 'F' : 'P');
        if (cases[i].class) {
            assert_string_equal(f->drift_class, cases[i].class);
            assert_int_equal(strncmp(f->summary, cases[i].class, strlen(cases[i].class)), 0);
            assert_int_equal(f->severity, SEVERITY_WARNING);
            assert_true(f->n_evidence >= 2);
            assert_null(f->fix);
        }
        bench_fini(&t);
    }
}

/* Virtual directories that no service stamps, forms, anonymous access, answers that show no methods. */
static void other_directories(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum protocol p;
        auth_set directory;
        int status;
        auth_set wire;
        char said;
    } cases[] = {
        {"EWS with anonymous on", PROTOCOL_EWS, AUTH_NTLM | AUTH_WINDOWS | AUTH_WSSECURITY | AUTH_OAUTH, 401,
         AUTH_NEGOTIATE | AUTH_NTLM, 'P'},
        {"bearer on top", PROTOCOL_EWS, AUTH_NTLM | AUTH_OAUTH, 401, AUTH_NEGOTIATE | AUTH_NTLM | AUTH_OAUTH,
         'P'},
        {"EWS lost Windows", PROTOCOL_EWS, AUTH_NTLM | AUTH_WSSECURITY, 401, AUTH_BASIC, 'F'},
        {"forms in front", PROTOCOL_OWA, AUTH_BASIC | AUTH_FBA, 302, 0, 'U'},
        {"forms, and 401 all the same", PROTOCOL_OWA, AUTH_BASIC | AUTH_FBA, 401, AUTH_BASIC, 'U'},
        {"EWS anonymous allowed", PROTOCOL_EWS, AUTH_NTLM | AUTH_WSSECURITY, 200, 0, 'P'},
        {"OAB anonymous", PROTOCOL_OAB, AUTH_WINDOWS, 200, 0, 'F'},
        {"OAB without TLS", PROTOCOL_OAB, AUTH_WINDOWS, 403, 0, 'U'},
        {"EAS", PROTOCOL_EAS, AUTH_BASIC, 401, AUTH_BASIC, 'P'},
        {"no methods at all", PROTOCOL_POWERSHELL, 0, 401, AUTH_BASIC, 'U'},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, false);
        struct site *site = add_site(&t.b, "Barcelona", NULL);
        struct server *s = add_server(&t.b, "EX01", site, "15.0.1497.2", BUILDER_ROLES_CAFE);
        struct vdir *v = add_vdir(&t.b, s, cases[i].p, NULL, NULL, NULL);
        set_auth(v, cases[i].directory, cases[i].directory);
        challenge(&t, "EX01", cases[i].p, cases[i].status, cases[i].wire, SEEN);
        bench_run(&t);
        print_message("%s\n", cases[i].what);
        assert_said(&t, "auth-drift", "EX01", cases[i].said);
        if (cases[i].said == 'F')
            assert_string_equal(found(&t, "auth-drift", "EX01")->drift_class, "stuck");
        bench_fini(&t);
    }
}

/* What was seen before the directory changed says nothing about now; nor does silence. */
static void no_evidence(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    bench_run(&t);
    assert_non_null(strstr(unknown(&t, "auth-drift", "EXCAS01"), "not probed"));
    struct vdir *v = builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA);
    set_auth(v, AUTH_BASIC | AUTH_NTLM, AUTH_BASIC);
    v->changed_at = SEEN + 10;
    challenge(&t, "EXCAS01", PROTOCOL_OA, 401, AUTH_BASIC, SEEN);
    challenge(&t, "EX10NTLM", PROTOCOL_OA, 0, 0, SEEN)->outcome = OUTCOME_ERROR;
    bench_run(&t);
    assert_non_null(strstr(unknown(&t, "auth-drift", "EXCAS01"), "probe it again"));
    assert_said(&t, "auth-drift", "EX10NTLM", 'U');
    bench_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(other_directories),
        cmocka_unit_test(no_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
