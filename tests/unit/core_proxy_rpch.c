/* RTS decoding against recordings of independent programs (fixtures/rpch): every PDU, its header and its name. */
#include "core/base/str.h"
#include "core/rpch/rts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_STREAM (1u << 20)

struct stream {
    uint8_t *p;
    size_t n;
};

static bool shared_path(char *out, size_t cap, const char *name)
{
    const char *base = getenv("CASBRIDGE_SHARED");
    return str_fmt(out, cap, "%s/fixtures/rpch/%s", base != NULL && base[0] != '\0' ? base : "../shared",
                   name);
}

/* Joins the blocks of one direction and connection. */
static bool load(struct stream *s, const char *file, const char *dir, const char *conn)
{
    char path[512], line[512], name[128];
    FILE *f;
    bool ours = false;
    (void)str_fmt(name, sizeof name, "%s.rec", file);
    s->n = 0;
    if (!shared_path(path, sizeof path, name) || (f = fopen(path, "r")) == NULL)
        return false;
    while (fgets(line, sizeof line, f) != NULL) {
        char d[8] = "", c[16] = "";
        if (line[0] == '@') {
            ours =
                sscanf(line, "@ %*s %7s conn%15s", d, c) == 2 && strcmp(d, dir) == 0 && strcmp(c, conn) == 0;
            continue;
        }
        for (const char *h = line; ours && s->n < MAX_STREAM; h += 2) {
            unsigned v;
            if (sscanf(h, "%2x", &v) != 1 || h[0] == '\n' || h[1] == '\n')
                break;
            s->p[s->n++] = (uint8_t)v;
        }
    }
    (void)fclose(f);
    return true;
}

static void test_recordings(void **state)
{
    (void)state;
    char path[512], line[1024], have[64] = "";
    struct stream s = {malloc(MAX_STREAM), 0};
    FILE *f;
    unsigned n = 0, rts = 0;
    if (!shared_path(path, sizeof path, "pdus.tsv") || (f = fopen(path, "r")) == NULL) {
        printf("skipped: %s is not there\n", path);
        free(s.p);
        skip();
        return;
    }
    assert_non_null(fgets(line, sizeof line, f)); /* column names */
    while (fgets(line, sizeof line, f) != NULL) {
        char *col[13] = {NULL}, *p = line, key[64];
        for (size_t i = 0; i < 13 && p != NULL; i++)
            col[i] = strsep(&p, "\t");
        assert_non_null(col[12]);
        (void)str_fmt(key, sizeof key, "%s %s %s", col[0], col[1], col[2]);
        if (strcmp(key, have) != 0) {
            assert_true(load(&s, col[0], col[1], col[2]));
            memcpy(have, key, sizeof have);
        }
        size_t at = strtoul(col[3], NULL, 10), len = strtoul(col[4], NULL, 10);
        assert_true(at + len <= s.n);
        uint8_t *exact = malloc(len);
        memcpy(exact, s.p + at, len);
        struct rts_pdu pdu;
        assert_int_equal(rts_length(exact, len), len);
        assert_true(rts_decode(exact, len, &pdu));
        assert_int_equal(pdu.ptype, strtoul(col[5], NULL, 10));
        assert_int_equal(pdu.pfc, strtoul(col[6], NULL, 10));
        assert_int_equal(pdu.call_id, strtoul(col[7], NULL, 10));
        assert_int_equal(pdu.auth_length, strtoul(col[8], NULL, 10));
        const char *name = rts_name(&pdu), *summary = col[12];
        if (pdu.ptype == 20) {
            assert_int_equal(pdu.flags, strtoul(col[9], NULL, 10));
            assert_int_equal(pdu.n_commands, strtoul(col[10], NULL, 10));
            summary += 4; /* "RTS " */
            rts++;
        }
        if (strncmp(summary, name, strlen(name)) != 0)
            fail_msg("%s at %zu: %s, expected %s", key, at, name, summary);
        /* cut anywhere it is no whole PDU */
        for (size_t cut = 0; cut < len && cut < 60; cut++)
            assert_false(rts_decode(exact, cut, &pdu));
        free(exact);
        n++;
    }
    (void)fclose(f);
    free(s.p);
    assert_true(n > 100 && rts > 30);
}

/* A1 and B1 of one virtual connection are paired by the first cookie. */
static void test_pairing(void **state)
{
    (void)state;
    struct stream s = {malloc(MAX_STREAM), 0};
    struct rts_pdu in, out;
    if (!load(&s, "02-emsmdb-bind", "C>S", "1")) {
        free(s.p);
        skip();
        return;
    }
    assert_true(rts_decode(s.p + 319, 104, &in));
    assert_true(load(&s, "02-emsmdb-bind", "C>S", "2"));
    assert_true(rts_decode(s.p + 312, 76, &out));
    assert_string_equal(rts_name(&in), "CONN/B1");
    assert_string_equal(rts_name(&out), "CONN/A1");
    assert_true(rts_session(&in) != 0);
    assert_true(rts_session(&in) == rts_session(&out));
    assert_memory_not_equal(in.cookies[1], out.cookies[1], 16);
    assert_int_equal(out.window, 262144);
    assert_int_equal(in.lifetime, 1073741824);
    free(s.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recordings), cmocka_unit_test(test_pairing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
