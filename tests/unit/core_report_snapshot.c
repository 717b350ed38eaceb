/* Snapshots: the same organisation and evidence come back; cut, altered, newer and foreign files are told apart. */
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/directory/directory.h"
#include "core/report/json.h"
#include "core/report/lines.h"
#include "core/report/snapshot_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)
#define CFG "CN=Configuration,DC=contoso,DC=lab"
#define ORG "CN=Contoso,CN=Microsoft Exchange,CN=Services," CFG
#define SRV "CN=EXCAS01,CN=Servers,CN=AG,CN=Administrative Groups," ORG

/* With a note (a broken line), a value in base64, one with a newline, and a computer before its server. */
static const char ldif[] =
    "dn: CN=EXCAS01,OU=Exchange,DC=contoso,DC=lab\nobjectClass: computer\nsAMAccountName: EXCAS01$\n"
    "dNSHostName: excas01.contoso.lab\nservicePrincipalName: HTTP/excas01.contoso.lab\n"
    "msDS-SupportedEncryptionTypes: 28\npwdLastSet: 134399628000000000\n\n"
    "dn: " ORG "\nobjectClass: msExchOrganizationContainer\nobjectVersion: 14726\n\n"
    "dn: " SRV "\nobjectClass: msExchExchangeServer\nserialNumber: Version 14.3 (Build 30123.4)\n"
    "msExchCurrentServerRoles: 36\nnetworkAddress: ncacn_ip_tcp:excas01.contoso.lab\n"
    "msExchServerSite: CN=Barcelona,CN=Sites," CFG "\nwhenChanged: 20261124030000.0Z\n\n"
    "dn: CN=Rpc (Default Web Site),CN=HTTP,CN=Protocols," SRV
    "\nobjectClass: msExchVirtualDirectory\nobjectClass: msExchRpcHttpVirtualDirectory\n"
    "msExchExternalHostName: mail.contoso.lab\nmsExchInternalAuthenticationMethods: 1\nmsExchRpcHttpFlags: "
    "1\n"
    "msExchMetabasePath:: SUlTOi8vw6kKeA==\n\n"
    "this is no line of LDIF\n\n"
    "dn: CN=Barcelona,CN=Sites," CFG "\nobjectClass: site\n\n"
    "dn: CN=Bob,DC=contoso,DC=lab\nobjectClass: user\nuserPassword: secret\nmail: bob@contoso.lab\n\n";

struct fixture {
    char folder[64], path[100], source[120];
    struct org *org;
    struct buf kept;
    struct evidence evidence;
    struct snapshot_facts facts;
    acceptances accepted;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char file[100];
    struct errinfo ei = {0};
    str_copy(f->folder, sizeof f->folder, "/tmp/casbridge-snapshot-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/a.snap", f->folder);
    snprintf(file, sizeof file, "%s/a.ldif", f->folder);
    snprintf(f->source, sizeof f->source, "ldif:%s", file);
    buf_init(&f->kept, 16 * MIB);
    evidence_init(&f->evidence, MIB);
    if (path_write(file, ldif, sizeof ldif - 1, 0600, &ei) ||
        directory_read_keeping(&f->org, &f->kept, NULL, f->source, NULL, &ei)) {
        fprintf(stderr, "%s\n", ei.what);
        return -1;
    }
    struct observation *o = evidence_add(&f->evidence, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    o->server = "EXCAS01";
    o->step = "challenge";
    o->u.challenge.status = 401;
    o->detail = "401, offers basic";
    o = evidence_add(&f->evidence, OBSERVATION_TICKET, EVIDENCE_KERBEROS);
    o->server = "EXCAS01";
    o->u.ticket.etype = 18;
    f->facts = (struct snapshot_facts){.made_at = 1795489200,
                                       .made_by = "admin@CONTOSO.LAB",
                                       .program = "casbridge test",
                                       .probed = true,
                                       .target = GENERATION_2013,
                                       .namespaces = {"mail.contoso.lab"},
                                       .n_namespaces = 1,
                                       .legacy_namespace = "legacy.contoso.lab",
                                       .poll_interval_s = 900};
    struct acceptance a = {.n = 7,
                           .organization = strdup("Contoso"),
                           .rule = strdup("oa-wire"),
                           .server = strdup("EXCAS01"),
                           .by = strdup("admin"),
                           .reason = strdup("known"),
                           .at = 5};
    if (!VEC_PUSH(&f->accepted, 10, a) ||
        snapshot_write(f->path, &f->facts, f->org, &f->kept, &f->evidence, &f->accepted, &ei)) {
        fprintf(stderr, "%s\n", ei.what);
        return -1;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    org_free(&f->org);
    evidence_fini(&f->evidence);
    acceptances_free(&f->accepted);
    buf_fini(&f->kept);
    unlink(f->path);
    unlink(f->source + strlen("ldif:"));
    rmdir(f->folder);
    free(f);
    return 0;
}

/* Everything of an organisation that inventory shows, but for where and when it was read. */
static char *shown(const struct org *org)
{
    json_t *j = json_inventory(org), *notes = json_array();
    json_object_del(j, "source");
    json_object_del(j, "taken_at");
    for (size_t i = 0; i < org->n_notes; i++)
        json_array_append_new(notes, json_text(org->notes[i].text));
    json_object_set_new(j, "notes", notes);
    char *text = json_dumps(j, JSON_INDENT(1));
    json_decref(j);
    return text;
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct snapshot *s = NULL;
    struct errinfo ei = {0};
    struct stat st;
    char want[130];
    if (snapshot_read(&s, f->path, NULL, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    char *a = shown(f->org), *b = shown(s->org);
    assert_string_equal(a, b);
    free(a);
    free(b);
    assert_true(f->org->n_notes > 0); /* the broken line: noted when read, kept */
    assert_int_equal(s->org->taken_at, f->org->taken_at);
    snprintf(want, sizeof want, "snapshot:%s", f->path);
    assert_string_equal(s->org->source, want);
    assert_string_equal(s->origin, f->source);
    const struct server *x = org_server(s->org, "EXCAS01");
    assert_int_equal(x->n_spns, 1);
    assert_int_equal(x->pwd_last_set, org_server(f->org, "EXCAS01")->pwd_last_set);
    assert_string_equal(x->vdirs[0]->metabase_path, "IIS://\xc3\xa9\nx");
    assert_int_equal(x->vdirs[0]->ssl_offloading, TRI_YES);

    assert_int_equal(s->evidence.items.n, 2);
    assert_string_equal(s->evidence.items.v[0].detail, "401, offers basic");
    assert_int_equal(s->evidence.items.v[1].u.ticket.etype, 18);
    assert_true(s->facts.probed && s->facts.target == GENERATION_2013 && s->facts.made_at == 1795489200);
    assert_string_equal(s->facts.made_by, "admin@CONTOSO.LAB");
    assert_string_equal(s->facts.namespaces[0], "mail.contoso.lab");
    assert_string_equal(s->facts.legacy_namespace, "legacy.contoso.lab");
    assert_int_equal(s->accepted.n, 1);
    assert_string_equal(s->accepted.v[0].reason, "known");
    snapshot_free(&s);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* The archive without its compression, for spoiling. */
static void unzip(const char *path, struct buf *out)
{
    char chunk[4096];
    int n;
    gzFile z = gzopen(path, "rb");
    assert_non_null(z);
    buf_init(out, 16 * MIB);
    while ((n = gzread(z, chunk, sizeof chunk)) > 0)
        assert_int_equal(buf_add(out, chunk, (size_t)n), ERR_OK);
    assert_int_equal(gzclose(z), Z_OK);
}

static void test_no_secrets(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    unzip(f->path, &b);
    assert_null(memmem(b.data, b.len, "secret", 6));
    assert_null(memmem(b.data, b.len, "bob", 3)); /* nobody's mailbox */
    buf_fini(&b);
}

static void test_truncated(void **state)
{
    struct fixture *f = *state;
    struct buf whole;
    char path[100];
    buf_init(&whole, 16 * MIB);
    assert_int_equal(path_read(&whole, f->path, NULL), ERR_OK);
    snprintf(path, sizeof path, "%s/cut.snap", f->folder);
    for (size_t len = 0; len < whole.len;
         len += len + 100 < whole.len || len + 1 == whole.len ? 100 : whole.len - 1 - len) {
        struct snapshot *s = NULL;
        struct errinfo ei = {0};
        assert_int_equal(path_write(path, whole.data, len, 0600, &ei), ERR_OK);
        if (snapshot_read(&s, path, NULL, &ei) != ERR_INPUT)
            fail_msg("cut at %zu of %zu: %s", len, whole.len, ei.what);
        assert_null(s);
        assert_non_null(strstr(ei.what, path));
        assert_true(ei.hint[0]);
    }
    assert_int_equal(buf_addc(&whole, 'x'), ERR_OK); /* and longer than it should be */
    struct snapshot *s = NULL;
    assert_int_equal(path_write(path, whole.data, whole.len, 0600, NULL), ERR_OK);
    assert_int_equal(snapshot_read(&s, path, NULL, NULL), ERR_INPUT);
    buf_fini(&whole);
    unlink(path);
}

/* Feeds an archive in pieces of so many bytes. */
static enum err unpack(const struct buf *b, size_t piece, struct errinfo *ei)
{
    struct unpack *u = NULL;
    struct snapshot *s = NULL;
    enum err e = unpack_new(&u, ei);
    for (size_t i = 0; !e && i < b->len; i += piece)
        e = unpack_feed(u, b->data + i, b->len - i < piece ? b->len - i : piece, ei);
    if (!e)
        e = unpack_end(u, "snapshot:test", &s, ei);
    snapshot_free(&s);
    unpack_free(&u);
    return e;
}

static void test_pieces(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    unzip(f->path, &b);
    static const size_t pieces[] = {1, 7, 511, 512, 513, 100000};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct errinfo ei = {0};
        if (unpack(&b, pieces[i], &ei) != ERR_OK)
            fail_msg("pieces of %zu: %s", pieces[i], ei.what);
    }
    buf_fini(&b);
}

static void replace(struct buf *b, const char *from, const char *to)
{
    char *at = memmem(b->data, b->len, from, strlen(from));
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
}

static void test_spoilt(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"format\": 1", "\"format\": 2", "newer casbridge"},
        {"\"format\": 1", "\"format\": 0", "not known"},
        {"casbridge snapshot", "casbridge snapshut", "no snapshot"},
        {"mail.contoso.lab\nmsExchInternal", "mail.c0ntoso.lab\nmsExchInternal", "checksum"},
        {"\"status\":401", "\"status\":402", "checksum"},
        {"\"source\":\"wire\"", "\"source\":\"wore\"", "line 1"},
        {"evidence.jsonl\0", "evidence.jsonl\0", NULL},
        {"\"poll_interval\": 900", "\"poll_interval\": -90", "poll_interval"},
        {"\"target\": \"2013\"", "\"target\": \"2014\"", "target"},
        {"\"notes\"", "\"nodes\"", "notes"},
        {"ustar", "ustra", "no snapshot"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errinfo ei = {0};
        struct buf b;
        unzip(f->path, &b);
        replace(&b, cases[i].from, cases[i].to);
        enum err e = unpack(&b, 4096, &ei);
        assert_int_equal(e, cases[i].says ? ERR_INPUT : ERR_OK);
        if (cases[i].says && !strstr(ei.what, cases[i].says))
            fail_msg("%s: says %s", cases[i].to, ei.what);
        buf_fini(&b);
    }
}

/* Much out of little: refused at the first block, or where the limit of the manifest stands. */
static void test_bomb(void **state)
{
    struct fixture *f = *state;
    static char zeros[65536];
    char path[100];
    snprintf(path, sizeof path, "%s/bomb.snap", f->folder);
    gzFile z = gzopen(path, "wb9");
    for (int i = 0; i < 1600; i++)
        assert_int_equal(gzwrite(z, zeros, sizeof zeros), sizeof zeros);
    assert_int_equal(gzclose(z), Z_OK);
    struct snapshot *s = NULL;
    struct errinfo ei = {0};
    assert_int_equal(snapshot_read(&s, path, NULL, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "manifest.json"));
    unlink(path);

    /* a header that is sound and claims 8 GiB */
    struct buf b;
    unsigned sum = 0;
    unzip(f->path, &b);
    memcpy(b.data + 124, "77777777777", 11);
    memset(b.data + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)b.data[i];
    snprintf(b.data + 148, 7, "%06o", sum);
    assert_int_equal(unpack(&b, 4096, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "length"));
    buf_fini(&b);
}

static void test_foreign(void **state)
{
    struct fixture *f = *state;
    struct snapshot *s = NULL;
    struct errinfo ei = {0};
    assert_int_equal(snapshot_read(&s, f->source + strlen("ldif:"), NULL, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "no snapshot"));
    assert_int_equal(snapshot_read(&s, f->folder, NULL, &ei), ERR_INPUT);
    assert_int_equal(snapshot_read(&s, "/proc/nonexistent/x", NULL, &ei), ERR_INPUT);
    assert_string_equal(snapshot_path("snapshot:x"), "x");
    assert_null(snapshot_path("ldif:x"));
    assert_null(snapshot_path(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_no_secrets),
        cmocka_unit_test(test_truncated),  cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_spoilt),     cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_foreign),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
