/* The compiled routing table against the file it was made from, cell by cell, with a reader of its own; every look-up, hit and miss. */
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/route/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS    564
#define COLUMNS 17

static char *cell[ROWS + 2][COLUMNS];
static size_t n_rows;
static struct buf file;

/* RFC 4180 in place: rows of cells that point into the file's own bytes. */
static int read_table(void **state)
{
    (void)state;
    struct errinfo ei;
    buf_init(&file, 4 << 20);
    if (path_read(&file, "core/route/routing.csv", &ei) != ERR_OK) {
        print_message("%s (run from the root of the tree)\n", ei.what);
        return 1;
    }
    char *p = file.data, *end = file.data + file.len;
    while (p < end) {
        assert_true(n_rows < ROWS + 2);
        for (size_t c = 0; c < COLUMNS; c++) {
            char *w = p, last;
            cell[n_rows][c] = p;
            if (*p == '"') {
                p++;
                while (!(p[0] == '"' && p[1] != '"')) {
                    p += p[0] == '"';
                    *w++ = *p++;
                }
                p++;
            } else {
                while (*p != ',' && *p != '\n')
                    *w++ = *p++;
            }
            last = *p++;
            assert_int_equal(last, c + 1 < COLUMNS ? ',' : '\n');
            *w = '\0';
        }
        n_rows++;
    }
    return 0;
}

static int forget_table(void **state)
{
    (void)state;
    buf_fini(&file);
    return 0;
}

static int index_of(const char *s, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (names[i] && strcmp(s, names[i]) == 0)
            return i;
    fail_msg("no such spelling: %s", s);
    return -1;
}

static const char *const generations[] = {
    [GENERATION_2007] = "2007", [GENERATION_2010] = "2010", [GENERATION_2013] = "2013",
    [GENERATION_2016] = "2016", [GENERATION_2019] = "2019", [GENERATION_SE] = "SE"};
static const char *const places[] = {"same_site", "other_site_external_url", "other_site_no_external_url"};
static const char *const protocols[] = {[PROTOCOL_OA] = "OutlookAnywhere",
                                        [PROTOCOL_MAPI] = "MAPI/HTTP",
                                        [PROTOCOL_OWA] = "OWA",
                                        [PROTOCOL_ECP] = "ECP",
                                        [PROTOCOL_EWS] = "EWS",
                                        [PROTOCOL_EAS] = "EAS",
                                        [PROTOCOL_OAB] = "OAB",
                                        [PROTOCOL_AUTODISCOVER] = "Autodiscover",
                                        [PROTOCOL_POWERSHELL] = "RemotePowerShell",
                                        [PROTOCOL_POP] = "POP3",
                                        [PROTOCOL_IMAP] = "IMAP4",
                                        [PROTOCOL_UNKNOWN] = "*"};
static const char *const confidences[] = {"documented", "observed", "unconfirmed"};

static enum route_front_auth front_of(const char *s)
{
    if (strcmp(s, "FBA") == 0)
        return ROUTE_FRONT_FBA;
    if (strcmp(s, "non-FBA") == 0)
        return ROUTE_FRONT_NON_FBA;
    assert_true(strcmp(s, "n/a") == 0 || strcmp(s, "*") == 0);
    return ROUTE_FRONT_NA;
}

static void cell_by_cell(void **state)
{
    (void)state;
    static const char *const header[COLUMNS] = {"id",
                                                "arriving",
                                                "mailbox",
                                                "location",
                                                "protocol",
                                                "front_auth",
                                                "action",
                                                "legal",
                                                "target_selection",
                                                "target_url",
                                                "auth_cas_to_target",
                                                "client_status",
                                                "preconditions",
                                                "failure_symptom",
                                                "confidence",
                                                "note",
                                                "sources"};
    assert_int_equal(n_rows, ROWS + 1);
    assert_int_equal(route_rows_count, ROWS);
    for (size_t c = 0; c < COLUMNS; c++)
        assert_string_equal(cell[0][c], header[c]);
    for (size_t i = 0; i < ROWS; i++) {
        const struct route_row *r = &route_rows[i];
        char **v = cell[i + 1];
        assert_string_equal(r->id, v[0]);
        assert_int_equal(r->arriving, index_of(v[1], generations, ARRAY_LEN(generations)));
        assert_int_equal(r->mailbox, index_of(v[2], generations, ARRAY_LEN(generations)));
        assert_int_equal(r->place, index_of(v[3], places, ARRAY_LEN(places)));
        assert_int_equal(r->protocol, index_of(v[4], protocols, ARRAY_LEN(protocols)));
        assert_int_equal(r->front_auth, front_of(v[5]));
        assert_string_equal(r->action, v[6]);
        assert_int_equal(r->legal, strcmp(v[7], "yes") == 0);
        assert_string_equal(r->target_selection, v[8]);
        assert_string_equal(r->target_url, v[9]);
        assert_string_equal(r->auth_cas_to_target, v[10]);
        assert_string_equal(r->client_status, v[11]);
        assert_string_equal(r->preconditions, v[12]);
        assert_string_equal(r->failure_symptom, v[13]);
        assert_int_equal(r->confidence, index_of(v[14], confidences, ARRAY_LEN(confidences)));
        assert_string_equal(r->note, v[15]);
        assert_string_equal(r->sources, v[16]);
    }
}

/* Counts of routing.md 1.2. */
static void counts(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        size_t n;
    } actions[] = {{"proxy_backend", 352},    {"proxy_legacy_cas", 67},
                   {"by_server_version", 39}, {"refuse", 30},
                   {"sso_redirect", 29},      {"silent_redirect", 26},
                   {"local_proxy", 9},        {"autodiscover_directed", 6},
                   {"explicit_redirect", 3},  {"proxy_backend_then_legacy", 3}};
    size_t all = 0, marks[3] = {0}, illegal = 0;
    for (size_t a = 0; a < ARRAY_LEN(actions); a++) {
        size_t n = 0;
        for (size_t i = 0; i < route_rows_count; i++)
            n += strcmp(route_rows[i].action, actions[a].action) == 0;
        assert_int_equal(n, actions[a].n);
        all += n;
    }
    assert_int_equal(all, ROWS);
    for (size_t i = 0; i < route_rows_count; i++) {
        marks[route_rows[i].confidence]++;
        illegal += !route_rows[i].legal;
    }
    assert_int_equal(marks[ROUTE_DOCUMENTED], 501);
    assert_int_equal(marks[ROUTE_OBSERVED], 20);
    assert_int_equal(marks[ROUTE_UNCONFIRMED], 43);
    assert_int_equal(illegal, 18);
}

/* What the file says about a key: the row of the pair for all protocols first. */
static int expected(int a, int m, int place, int p, int front)
{
    int row = -1;
    for (size_t i = 1; i <= ROWS; i++) {
        char **v = cell[i];
        if (index_of(v[1], generations, ARRAY_LEN(generations)) != a ||
            index_of(v[2], generations, ARRAY_LEN(generations)) != m || strcmp(v[3], places[place]) != 0)
            continue;
        if (strcmp(v[4], "*") == 0)
            return (int)i - 1;
        if (strcmp(v[4], protocols[p]) == 0 && (int)front_of(v[5]) == front)
            row = (int)i - 1;
    }
    return row;
}

static void every_look_up(void **state)
{
    (void)state;
    size_t hits = 0, misses = 0;
    for (int a = 0; a < GENERATION_COUNT; a++)
        for (int m = 0; m < GENERATION_COUNT; m++)
            for (int place = 0; place < 3; place++)
                for (int p = 0; p < PROTOCOL_COUNT; p++)
                    for (int front = 0; front < 3; front++) {
                        int want = expected(a, m, place, p, front);
                        const struct route_row *r =
                            route_row_find((enum generation)a, (enum generation)m, (enum route_place)place,
                                           (enum protocol)p, (enum route_front_auth)front);
                        assert_true(r == (want < 0 ? NULL : &route_rows[want]));
                        hits += r != NULL;
                        misses += r == NULL;
                    }
    assert_true(hits > ROWS - 18 && misses > 0);
    /* older arriving servers, forms where there are none, values out of range */
    assert_null(
        route_row_find(GENERATION_2010, GENERATION_2007, ROUTE_SAME_SITE, PROTOCOL_OA, ROUTE_FRONT_NA));
    assert_null(
        route_row_find(GENERATION_2013, GENERATION_2010, ROUTE_SAME_SITE, PROTOCOL_OA, ROUTE_FRONT_FBA));
    assert_null(
        route_row_find(GENERATION_2013, GENERATION_2010, ROUTE_SAME_SITE, PROTOCOL_OWA, ROUTE_FRONT_NA));
    assert_null(
        route_row_find((enum generation)99, GENERATION_2010, ROUTE_SAME_SITE, PROTOCOL_OA, ROUTE_FRONT_NA));
    assert_null(
        route_row_find(GENERATION_2013, GENERATION_2010, (enum route_place)7, PROTOCOL_OA, ROUTE_FRONT_NA));
    assert_null(
        route_row_find(GENERATION_2013, GENERATION_2010, ROUTE_SAME_SITE, (enum protocol)77, ROUTE_FRONT_NA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cell_by_cell),
        cmocka_unit_test(counts),
        cmocka_unit_test(every_look_up),
    };
    return cmocka_run_group_tests(tests, read_table, forget_table);
}
