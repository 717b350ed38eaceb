#include "core/base/foreign.h"
#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <gssapi/gssapi_ext.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX (64 * 1024)

static gss_OID_desc ntlm_oid = {10, (void *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"};
static gss_OID_desc spnego_oid = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};

struct ntlm_exchange {
    gss_cred_id_t cred;
    gss_name_t target;
    gss_ctx_id_t ctx;
    gss_OID mech;
};

static bool has_ntlm(void)
{
    OM_uint32 minor;
    int present = 0;
    gss_OID_set all = GSS_C_NO_OID_SET;
    if (!GSS_ERROR(gss_indicate_mechs(&minor, &all)))
        gss_test_oid_set_member(&minor, &ntlm_oid, all, &present);
    gss_release_oid_set(&minor, &all);
    return present != 0;
}

static enum err ntlm_error(OM_uint32 major, OM_uint32 minor, struct errinfo *ei, const char *what)
{
    OM_uint32 more = 0, ignored;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_display_status(&ignored, minor ? minor : major, minor ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, &ntlm_oid,
                       &more, &text);
    err_set(ei, ERR_AUTH, NULL, "NTLM: %s: %.*s", what, (int)text.length,
            text.value ? (const char *)text.value : "refused");
    gss_release_buffer(&ignored, &text);
    return ERR_AUTH;
}

/* The credential is asked for by the name of the mechanism that is used, so that nothing else (Kerberos, which would go to the KDC
   with the password) is tried beside it. */
static enum err acquire(struct ntlm_exchange *x, bool spnego, const char *user, const struct secret *password,
                        struct errinfo *ei)
{
    gss_OID_set_desc ntlm = {1, &ntlm_oid}, neg = {1, &spnego_oid};
    gss_buffer_desc name = {strlen(user), (void *)user};
    gss_buffer_desc pw = {password->len, password->bytes};
    gss_name_t who = GSS_C_NO_NAME;
    OM_uint32 minor, ignored;
    /* gss-ntlmssp 1.2 forgets what it fetches from OpenSSL for MD4 and RC4, 6 KiB an exchange */
    FOREIGN_LEAKS_BEGIN();
    OM_uint32 major = gss_import_name(&minor, &name, GSS_C_NT_USER_NAME, &who);
    if (!GSS_ERROR(major))
        major = gss_acquire_cred_with_password(&minor, who, &pw, GSS_C_INDEFINITE, spnego ? &neg : &ntlm,
                                               GSS_C_INITIATE, &x->cred, NULL, NULL);
    if (!GSS_ERROR(major) && spnego)
        major = gss_set_neg_mechs(&minor, x->cred, &ntlm);
    FOREIGN_LEAKS_END();
    gss_release_name(&ignored, &who);
    return GSS_ERROR(major) ? ntlm_error(major, minor, ei, user) : ERR_OK;
}

enum err ntlm_exchange_new(struct ntlm_exchange **out, bool spnego, const char *user,
                           const struct secret *password, const char *service, const char *host,
                           struct errinfo *ei)
{
    char target[KRB_NAME_MAX + 64];
    OM_uint32 minor;
    if (!has_ntlm())
        return err_set(ei, ERR_NOTFOUND, "install the package gss-ntlmssp",
                       "NTLM: this machine's GSSAPI does not know it");
    if (!secret_is_set(password))
        return err_set(ei, ERR_AUTH, NULL, "NTLM needs a password");
    struct ntlm_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a logon");
    x->mech = spnego ? &spnego_oid : &ntlm_oid;
    enum err e = acquire(x, spnego, user, password, ei);
    if (!e) {
        str_fmt(target, sizeof target, "%s@%s", service, host);
        gss_buffer_desc name = {strlen(target), target};
        OM_uint32 major = gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &x->target);
        if (GSS_ERROR(major))
            e = ntlm_error(major, minor, ei, host);
    }
    if (e)
        ntlm_exchange_free(&x);
    else
        *out = x;
    return e;
}

enum err ntlm_exchange_step(struct ntlm_exchange *x, const void *in, size_t in_len,
                            const void *channel_binding, size_t channel_binding_len, struct buf *out,
                            bool *done, struct errinfo *ei)
{
    gss_buffer_desc input = {in_len, (void *)in}, token = GSS_C_EMPTY_BUFFER;
    char bound[KRB_BINDING_SIZE];
    struct gss_channel_bindings_struct cb = {0};
    OM_uint32 minor, ignored;
    enum err e = krb_binding_set(bound, &cb, channel_binding, channel_binding_len, ei);
    if (e)
        return e;
    FOREIGN_LEAKS_BEGIN();
    OM_uint32 major = gss_init_sec_context(&minor, x->cred, &x->ctx, x->target, x->mech, 0, 0,
                                           channel_binding ? &cb : GSS_C_NO_CHANNEL_BINDINGS,
                                           in ? &input : GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
    FOREIGN_LEAKS_END();
    if (GSS_ERROR(major))
        e = ntlm_error(major, minor, ei, "the server's answer");
    else if (token.length > TOKEN_MAX)
        e = err_set(ei, ERR_LIMIT, NULL, "an NTLM token of %zu bytes", token.length);
    else if ((e = buf_add(out, token.value, token.length)))
        err_set(ei, e, NULL, "no room for an NTLM token of %zu bytes", token.length);
    if (!e)
        *done = major == GSS_S_COMPLETE;
    gss_release_buffer(&ignored, &token);
    return e;
}

void ntlm_exchange_free(struct ntlm_exchange **exchange)
{
    struct ntlm_exchange *x = *exchange;
    OM_uint32 minor;
    *exchange = NULL;
    if (!x)
        return;
    if (x->ctx != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &x->ctx, GSS_C_NO_BUFFER);
    gss_release_name(&minor, &x->target);
    gss_release_cred(&minor, &x->cred);
    free(x);
}
