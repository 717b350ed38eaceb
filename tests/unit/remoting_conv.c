/*
 * Conversations against acceptors in this process: Kerberos with AES and RC4 from a KDC of our own, NTLM from gss-ntlmssp. The layouts
 * of remoting.md 3.3, both ways of opening, and what must end a conversation.
 */
#include "remoting/conv.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "tests/unit/kdc.h"

static struct kdc kdc;
static bool have_kdc, have_ntlm;

static const char script[] = "addprinc -pw " KDC_PASSWORD " alice\n"
                             "addprinc -randkey HTTP/cas01.contoso.lab\n"
                             "addprinc -randkey -e arcfour-hmac:normal HTTP/old.contoso.lab\n"
                             "ktadd -k %s/cas01.keytab HTTP/cas01.contoso.lab\n"
                             "ktadd -k %s/old.keytab -e arcfour-hmac:normal HTTP/old.contoso.lab\n";

/* gss-ntlmssp 1.2.0 leaves an OpenSSL context behind with every login */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:CRYPTO_zalloc\nleak:gssntlmssp.so\n";
}

static int start(void **state)
{
    char path[128];
    (void)state;
    have_kdc = kdc_start(&kdc, script);
    if (have_kdc && kdc_write(&kdc, "ntlm", "DOM:bob:Secret-1\n")) {
        kdc_path(&kdc, "ntlm", path, sizeof path);
        setenv("NTLM_USER_FILE", path, 1);
        setenv("GSSNTLMSSP_SERVER_NAME", "cas01", 0);
    }
    /* kept loaded: unloaded at exit it would leave OpenSSL contexts behind that nobody points to */
    have_ntlm =
        dlopen("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so", RTLD_NOW | RTLD_NODELETE) != NULL;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    kdc_stop(&kdc);
    return 0;
}

struct pair {
    struct conv *client;
    gss_ctx_id_t server;
    gss_cred_id_t cred;
    struct krb_login *login;
    struct secret password;
    OM_uint32 flags;
    int legs;
};

static void pair_fini(struct pair *p)
{
    OM_uint32 minor;
    conv_free(&p->client);
    gss_delete_sec_context(&minor, &p->server, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &p->cred);
    krb_login_free(&p->login);
    secret_fini(&p->password);
}

/* The whole exchange of tokens. */
static enum err talk(struct pair *p, const void *binding, size_t len, struct errinfo *ei)
{
    static const char prefix[] = "tls-server-end-point:";
    char bound[128];
    struct gss_channel_bindings_struct cb = {0};
    struct buf ours;
    OM_uint32 minor, major = GSS_S_CONTINUE_NEEDED;
    enum err e = ERR_OK;
    gss_buffer_desc theirs = GSS_C_EMPTY_BUFFER;
    buf_init(&ours, CONV_TOKEN_MAX);
    if (binding) {
        memcpy(bound, prefix, sizeof prefix - 1);
        memcpy(bound + sizeof prefix - 1, binding, len);
        cb.application_data = (gss_buffer_desc){sizeof prefix - 1 + len, bound};
    }
    for (p->legs = 0; p->legs < 10; p->legs++) {
        buf_reset(&ours);
        if (!conv_is_complete(p->client))
            e = conv_step(p->client, theirs.length ? theirs.value : NULL, theirs.length, &ours, ei);
        gss_release_buffer(&minor, &theirs);
        if (e || ours.len == 0 || major != GSS_S_CONTINUE_NEEDED)
            break;
        gss_buffer_desc in = {ours.len, ours.data};
        major = gss_accept_sec_context(&minor, &p->server, p->cred, &in,
                                       binding ? &cb : GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &theirs,
                                       &p->flags, NULL, NULL);
        if (GSS_ERROR(major)) {
            OM_uint32 more = 0, m;
            gss_buffer_desc words = GSS_C_EMPTY_BUFFER;
            gss_display_status(&m, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &words);
            e = err_set(ei, ERR_AUTH, NULL, "the acceptor: %.*s", (int)words.length, (char *)words.value);
            gss_release_buffer(&m, &words);
        }
        if (e || theirs.length == 0)
            break;
    }
    gss_release_buffer(&minor, &theirs);
    buf_fini(&ours);
    return e;
}

static void kerberos(struct pair *p, enum conv_scheme scheme, const char *host, const char *keytab,
                     const void *binding, size_t len)
{
    char path[160], spn[80];
    struct errinfo ei = {0};
    OM_uint32 minor;
    *p = (struct pair){0};
    assert_int_equal(secret_set(&p->password, KDC_PASSWORD, strlen(KDC_PASSWORD)), ERR_OK);
    assert_int_equal(krb_login_password(&p->login, "alice@" KDC_REALM, &p->password, &ei), ERR_OK);
    str_fmt(path, sizeof path, "FILE:%s/%s", kdc.dir, keytab);
    gss_key_value_element_desc from[] = {{"keytab", path}, {"rcache", "none:"}};
    gss_key_value_set_desc store = {2, from};
    assert_int_equal(gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
                                           GSS_C_ACCEPT, &store, &p->cred, NULL, NULL),
                     0);
    str_fmt(spn, sizeof spn, "HTTP/%s", host);
    struct conv_settings s = {.scheme = scheme,
                              .login = p->login,
                              .spn = spn,
                              .binding = binding,
                              .binding_len = len,
                              .seal = true};
    assert_int_equal(conv_new(&p->client, &s, &ei), ERR_OK);
    if (talk(p, binding, len, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_true(conv_is_complete(p->client));
    assert_true(conv_is_kerberos(p->client));
}

static enum err ntlm(struct pair *p, const char *password)
{
    struct errinfo ei = {0};
    OM_uint32 minor;
    gss_OID_desc oid = {10, (void *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"};
    gss_OID_set_desc set = {1, &oid};
    gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};
    gss_OID_set_desc outer = {1, &spnego};
    *p = (struct pair){0};
    assert_int_equal(secret_set(&p->password, password, strlen(password)), ERR_OK);
    assert_int_equal(
        gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &outer, GSS_C_ACCEPT, &p->cred, NULL, NULL),
        0);
    assert_int_equal(gss_set_neg_mechs(&minor, p->cred, &set), 0);
    struct conv_settings s = {.scheme = CONV_SCHEME_NEGOTIATE,
                              .user = "DOM\\bob",
                              .password = &p->password,
                              .spn = "HTTP/cas01.contoso.lab",
                              .seal = true};
    assert_int_equal(conv_new(&p->client, &s, &ei), ERR_OK);
    return talk(p, NULL, 0, &ei);
}

/* What the server gets of one sealed message: opened as one token. */
static bool server_opens(struct pair *p, const struct conv_sealed *s, const char *plain)
{
    struct buf whole;
    OM_uint32 minor;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    buf_init(&whole, 1 << 20);
    assert_int_equal(buf_add(&whole, s->head, s->head_len), ERR_OK);
    assert_int_equal(buf_add(&whole, s->data, s->data_len), ERR_OK);
    gss_buffer_desc in = {whole.len, whole.data};
    OM_uint32 major = gss_unwrap(&minor, p->server, &in, &out, NULL, NULL);
    bool same = !GSS_ERROR(major) && out.length == strlen(plain) && memcmp(out.value, plain, out.length) == 0;
    gss_release_buffer(&minor, &out);
    buf_fini(&whole);
    return same;
}

/* What the server says, in one of two forms; head_len is where it cuts. */
static enum err client_opens(struct pair *p, bool iov, size_t cut, const char *plain, bool spoil,
                             struct buf *out)
{
    OM_uint32 minor;
    enum err e;
    struct errinfo ei = {0};
    buf_reset(out);
    if (iov) {
        struct buf data;
        buf_init(&data, 1 << 16);
        assert_int_equal(buf_adds(&data, plain), ERR_OK);
        gss_iov_buffer_desc v[3] = {{GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
                                    {GSS_IOV_BUFFER_TYPE_DATA, {data.len, data.data}},
                                    {GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}}};
        assert_int_equal(gss_wrap_iov(&minor, p->server, 1, 0, NULL, v, 3), 0);
        if (v[2].buffer.length)
            assert_int_equal(buf_add(&data, v[2].buffer.value, v[2].buffer.length), ERR_OK);
        data.data[0] = (char)(data.data[0] ^ spoil);
        e = conv_open(p->client, v[0].buffer.value, v[0].buffer.length, data.data, data.len, out, &ei);
        gss_release_iov_buffer(&minor, v, 3);
        buf_fini(&data);
    } else {
        gss_buffer_desc in = {strlen(plain), (void *)(uintptr_t)plain}, token = GSS_C_EMPTY_BUFFER;
        assert_int_equal(gss_wrap(&minor, p->server, 1, 0, &in, NULL, &token), 0);
        ((char *)token.value)[token.length - 1] ^= spoil;
        e = conv_open(p->client, token.value, cut, (char *)token.value + cut, token.length - cut, out, &ei);
        gss_release_buffer(&minor, &token);
    }
    return e;
}

static const char text[] = "<s:Envelope>an envelope of some length</s:Envelope>";

static void exchange(struct pair *p, size_t head, size_t pad, bool iov_too, size_t cut)
{
    struct conv_sealed s;
    struct errinfo ei = {0};
    struct buf out;
    buf_init(&out, 1 << 16);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(conv_seal(p->client, text, strlen(text), &s, &ei), ERR_OK);
        assert_int_equal(s.head_len, head);
        assert_int_equal(s.length, strlen(text) + pad);
        assert_int_equal(s.data_len, strlen(text) + pad);
        assert_true(server_opens(p, &s, text));
        assert_int_equal(client_opens(p, iov_too && i % 2, cut, text, false, &out), ERR_OK);
        assert_string_equal(buf_str(&out), text);
    }
    /* one bit wrong, and it is over */
    assert_int_equal(client_opens(p, false, cut, text, true, &out), ERR_PROTOCOL);
    assert_int_equal(client_opens(p, false, cut, text, false, &out), ERR_PROTOCOL);
    assert_int_equal(conv_seal(p->client, text, strlen(text), &s, &ei), ERR_PROTOCOL);
    buf_fini(&out);
}

static void test_kerberos_aes(void **state)
{
    struct pair p;
    (void)state;
    if (!have_kdc)
        skip();
    kerberos(&p, CONV_SCHEME_NEGOTIATE, "cas01.contoso.lab", "cas01.keytab", NULL, 0);
    exchange(&p, 60, 0, true, 60);
    pair_fini(&p);
    kerberos(&p, CONV_SCHEME_KERBEROS, "cas01.contoso.lab", "cas01.keytab", NULL, 0);
    exchange(&p, 60, 0, true, 16);
    pair_fini(&p);
}

/* A realm's view in which RC4 comes first, as where the servers are old. */
static void prefer_rc4(void)
{
    char config[2048], path[128];
    str_fmt(config, sizeof config,
            "[libdefaults]\n default_realm = " KDC_REALM
            "\n dns_lookup_realm = false\n dns_lookup_kdc = false\n"
            " udp_preference_limit = 1\n allow_weak_crypto = true\n allow_rc4 = true\n"
            " permitted_enctypes = arcfour-hmac aes256-cts\n default_tgs_enctypes = arcfour-hmac aes256-cts\n"
            "[realms]\n " KDC_REALM
            " = {\n  kdc = 127.0.0.1:%u\n }\n[domain_realm]\n .contoso.lab = " KDC_REALM "\n",
            kdc.port);
    assert_true(kdc_write(&kdc, "rc4.conf", config));
    kdc_path(&kdc, "rc4.conf", path, sizeof path);
    setenv("KRB5_CONFIG", path, 1);
}

static void test_kerberos_rc4(void **state)
{
    struct pair p;
    char path[128];
    (void)state;
    if (!have_kdc)
        skip();
    prefer_rc4();
    kerberos(&p, CONV_SCHEME_NEGOTIATE, "old.contoso.lab", "old.keytab", NULL, 0);
    exchange(&p, 45, 1, true, 45);
    pair_fini(&p);
    kdc_path(&kdc, "krb5.conf", path, sizeof path);
    setenv("KRB5_CONFIG", path, 1);
}

static void test_ntlm(void **state)
{
    struct pair p;
    (void)state;
    if (!have_kdc || !have_ntlm) {
        print_message("skipped: gss-ntlmssp is not installed\n");
        skip();
    }
    assert_int_equal(ntlm(&p, "Secret-1"), ERR_OK);
    assert_true(conv_is_complete(p.client) && !conv_is_kerberos(p.client));
    exchange(&p, 16, 0, false, 16);
    pair_fini(&p);
    assert_int_not_equal(ntlm(&p, "Secret-2"), ERR_OK);
    pair_fini(&p);
}

/* A message that was dropped on the way: the next one opens, but says that one is missing. */
static void test_gap(void **state)
{
    struct pair p;
    struct buf out;
    (void)state;
    if (!have_kdc)
        skip();
    buf_init(&out, 1 << 16);
    kerberos(&p, CONV_SCHEME_NEGOTIATE, "cas01.contoso.lab", "cas01.keytab", NULL, 0);
    OM_uint32 minor;
    char lost[] = "lost";
    gss_buffer_desc in = {4, lost}, token = GSS_C_EMPTY_BUFFER;
    assert_int_equal(gss_wrap(&minor, p.server, 1, 0, &in, NULL, &token), 0);
    gss_release_buffer(&minor, &token);
    assert_int_equal(client_opens(&p, true, 60, text, false, &out), ERR_PROTOCOL);
    assert_false(conv_is_complete(p.client));
    buf_fini(&out);
    pair_fini(&p);
}

static void test_binding(void **state)
{
    struct pair p;
    unsigned char hash[32] = {1, 2, 3};
    (void)state;
    if (!have_kdc)
        skip();
    kerberos(&p, CONV_SCHEME_NEGOTIATE, "cas01.contoso.lab", "cas01.keytab", hash, sizeof hash);
    assert_true(p.flags & GSS_C_CHANNEL_BOUND_FLAG);
    pair_fini(&p);
}

/* A server that cannot read the ticket it was sent has no proof to give; rubbish is none either. */
static void test_no_proof(void **state)
{
    static const char rubbish[] = "\xa1\x07\x30\x05\xa0\x03\x0a\x01";
    struct pair p;
    struct buf out;
    struct errinfo ei = {0};
    (void)state;
    if (!have_kdc)
        skip();
    buf_init(&out, CONV_TOKEN_MAX);
    kerberos(&p, CONV_SCHEME_NEGOTIATE, "cas01.contoso.lab", "cas01.keytab", NULL, 0);
    struct conv *fresh = NULL;
    struct conv_settings s = {
        .scheme = CONV_SCHEME_NEGOTIATE, .login = p.login, .spn = "HTTP/cas01.contoso.lab", .seal = true};
    assert_int_equal(conv_new(&fresh, &s, &ei), ERR_OK);
    assert_int_equal(conv_step(fresh, NULL, 0, &out, &ei), ERR_OK);
    assert_false(conv_is_complete(fresh));
    struct conv_sealed sealed;
    assert_int_equal(conv_seal(fresh, text, 4, &sealed, &ei), ERR_PROTOCOL);
    assert_int_equal(conv_step(fresh, rubbish, sizeof rubbish, &out, &ei), ERR_PROTOCOL);
    conv_free(&fresh);
    assert_int_equal(conv_new(&fresh, &s, &ei), ERR_OK);
    assert_int_equal(conv_step(fresh, NULL, 0, &out, &ei), ERR_OK);
    assert_int_equal(conv_step(fresh, rubbish, sizeof rubbish - 1, &out, &ei), ERR_AUTH);
    assert_false(conv_is_complete(fresh));
    conv_free(&fresh);
    s.spn = "HTTP/nowhere.contoso.lab";
    assert_int_equal(conv_new(&fresh, &s, &ei), ERR_OK);
    assert_int_equal(conv_step(fresh, NULL, 0, &out, &ei), ERR_AUTH);
    assert_int_equal(ei.sys, 7);
    conv_free(&fresh);
    pair_fini(&p);
    buf_fini(&out);
}

/* Tokens that were made for others: none completes a conversation of ours, whatever its kind. */
static void test_foreign_tokens(void **state)
{
    static const char *const names[] = {"initial_context_token_krb_ap_rep",
                                        "initial_context_token_krb_ap_req",
                                        "initial_context_token_neg_token_init",
                                        "initial_context_token_neg_token_init2",
                                        "krb_as_rep",
                                        "krb_as_req",
                                        "krb_error",
                                        "krb_tgs_rep",
                                        "krb_tgs_req",
                                        "neg_token_resp",
                                        "ntlm_authenticate",
                                        "ntlm_authenticate_no_sign_seal",
                                        "ntlm_challenge",
                                        "ntlm_negotiate"};
    const char *shared = getenv("CASBRIDGE_SHARED");
    struct pair p;
    struct buf token, out;
    struct errinfo ei = {0};
    (void)state;
    if (!have_kdc)
        skip();
    buf_init(&token, 1 << 16);
    buf_init(&out, CONV_TOKEN_MAX);
    kerberos(&p, CONV_SCHEME_NEGOTIATE, "cas01.contoso.lab", "cas01.keytab", NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(names) * 3; i++) {
        char path[600];
        struct conv *c = NULL;
        size_t kind = i % 3;
        buf_reset(&token);
        buf_reset(&out);
        str_fmt(path, sizeof path, "%s/fixtures/winrm/pyspnego-tokens/%s", shared ? shared : "../shared",
                names[i / 3]);
        if (path_read(&token, path, &ei) != ERR_OK) {
            print_message("skipped: the recordings (../shared/fixtures/winrm) are not here\n");
            break;
        }
        struct conv_settings s = {.scheme = kind == 0 ? CONV_SCHEME_KERBEROS : CONV_SCHEME_NEGOTIATE,
                                  .login = kind == 2 ? NULL : p.login,
                                  .user = "DOM\\bob",
                                  .password = &p.password,
                                  .spn = "HTTP/cas01.contoso.lab",
                                  .seal = true};
        if (kind == 2 && !have_ntlm)
            continue;
        assert_int_equal(conv_new(&c, &s, &ei), ERR_OK);
        assert_int_equal(conv_step(c, NULL, 0, &out, &ei), ERR_OK);
        buf_reset(&out);
        enum err e = conv_step(c, token.data, token.len, &out, &ei);
        assert_true(e == ERR_OK || ei.what[0]);
        assert_false(conv_is_complete(c) && kind != 2);
        conv_free(&c);
    }
    pair_fini(&p);
    buf_fini(&token);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kerberos_aes),   cmocka_unit_test(test_kerberos_rc4),
        cmocka_unit_test(test_ntlm),           cmocka_unit_test(test_gap),
        cmocka_unit_test(test_binding),        cmocka_unit_test(test_no_proof),
        cmocka_unit_test(test_foreign_tokens),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
