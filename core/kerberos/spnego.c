#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX      (128 * 1024) /* an AD ticket with a large PAC stays below 64 KiB */
#define BINDING_PREFIX "tls-server-end-point:"

static gss_OID_desc spnego_oid = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};
static gss_OID_desc krb5_oid = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};

static enum err gss_error(OM_uint32 major, OM_uint32 minor, struct errinfo *ei, const char *what)
{
    OM_uint32 more = 0, ignored;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    bool by_mech = minor != 0;
    gss_display_status(&ignored, by_mech ? minor : major, by_mech ? GSS_C_MECH_CODE : GSS_C_GSS_CODE,
                       by_mech ? &spnego_oid : GSS_C_NO_OID, &more, &text);
    err_set(ei, ERR_AUTH, NULL, "Kerberos: a token for %s: %.*s", what, (int)text.length,
            text.value ? (const char *)text.value : "");
    gss_release_buffer(&ignored, &text);
    return ERR_AUTH;
}

/* Why there is no token. The mechanism glue renumbers the codes of krb5, so the ticket is asked for once more, plainly. */
static enum err token_error(struct krb_login *l, const char *service, const char *host, OM_uint32 major,
                            OM_uint32 minor, struct errinfo *ei)
{
    char spn[KRB_NAME_MAX + 64];
    struct krb_ticket t;
    str_fmt(spn, sizeof spn, "%s/%s", service, host);
    enum err e = krb_ticket_get(l, spn, &t, ei);
    return e ? e : gss_error(major, minor, ei, host);
}

/* The login's credential, acquired once: a token costs a quarter of what it costs with a new one each time. */
static enum err borrow(struct krb_login *l, struct krb_gss_cred **out, struct errinfo *ei)
{
    OM_uint32 minor, major = GSS_S_COMPLETE;
    enum err e = ERR_OK;
    pthread_mutex_lock(&l->lock);
    if (!l->gss) {
        struct krb_gss_cred *c = calloc(1, sizeof *c);
        if (!c) {
            e = err_set(ei, ERR_NOMEM, NULL, "no memory for a credential");
            goto out;
        }
        atomic_init(&c->refs, 1);
        gss_key_value_element_desc from = {"ccache", l->cache};
        gss_key_value_set_desc store = {1, &from};
        gss_OID_set_desc spnego = {1, &spnego_oid}, krb5 = {1, &krb5_oid};
        major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &spnego, GSS_C_INITIATE,
                                      &store, &c->cred, NULL, NULL);
        if (!GSS_ERROR(major)) /* never fall back to NTLM: it would hide that Kerberos does not work */
            major = gss_set_neg_mechs(&minor, c->cred, &krb5);
        if (GSS_ERROR(major)) {
            krb_gss_cred_drop(c);
            e = gss_error(major, minor, ei, l->name);
            goto out;
        }
        l->gss = c;
    }
    atomic_fetch_add(&l->gss->refs, 1);
    *out = l->gss;
out:
    pthread_mutex_unlock(&l->lock);
    return e;
}

void krb_login_cache(const struct krb_login *login, char *out, size_t cap)
{
    struct krb_login *l = (struct krb_login *)login; /* the lock is no part of the value */
    pthread_mutex_lock(&l->lock);
    str_copy(out, cap, l->cache);
    pthread_mutex_unlock(&l->lock);
}

enum err krb_service_name(struct krb_login *l, const char *spn, struct buf *out, struct errinfo *ei)
{
    char *text = NULL;
    krb5_principal p = NULL;
    pthread_mutex_lock(&l->lock);
    enum err e = krb_service_parse(l->ctx, spn, &p, ei);
    if (!e) {
        krb5_error_code code = krb5_unparse_name(l->ctx, p, &text);
        e = code ? krb_error_set(l->ctx, code, ei, spn) : buf_adds(out, text);
    }
    krb5_free_unparsed_name(l->ctx, text);
    krb5_free_principal(l->ctx, p);
    pthread_mutex_unlock(&l->lock);
    return e;
}

/* The target as a Kerberos name: a host-based name would be looked up in DNS where krb5.conf does not forbid it. */
static enum err target_name(struct krb_login *l, const char *service, const char *host, gss_name_t *out,
                            struct errinfo *ei)
{
    char spn[KRB_NAME_MAX + 64];
    struct buf text;
    OM_uint32 minor;
    str_fmt(spn, sizeof spn, "%s/%s", service, host);
    buf_init(&text, 1024);
    enum err e = krb_service_name(l, spn, &text, ei);
    if (!e) {
        gss_buffer_desc name = {text.len, text.data};
        OM_uint32 major = gss_import_name(&minor, &name, GSS_KRB5_NT_PRINCIPAL_NAME, out);
        if (GSS_ERROR(major))
            e = gss_error(major, minor, ei, host);
    }
    buf_fini(&text);
    return e;
}

enum err krb_binding_set(char bound[static KRB_BINDING_SIZE], struct gss_channel_bindings_struct *cb,
                         const void *hash, size_t len, struct errinfo *ei)
{
    if (!hash)
        return ERR_OK;
    if (len > KRB_BINDING_SIZE - sizeof BINDING_PREFIX)
        return err_set(ei, ERR_INTERNAL, NULL, "a channel binding of %zu bytes", len);
    memcpy(bound, BINDING_PREFIX, sizeof BINDING_PREFIX - 1);
    memcpy(bound + sizeof BINDING_PREFIX - 1, hash, len);
    cb->application_data.value = bound;
    cb->application_data.length = sizeof BINDING_PREFIX - 1 + len;
    return ERR_OK;
}

enum err spnego_token(struct krb_login *login, const char *service, const char *host,
                      const void *channel_binding, size_t channel_binding_len, struct buf *out,
                      struct errinfo *ei)
{
    struct krb_gss_cred *cred = NULL;
    gss_ctx_id_t gss = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    char bound[KRB_BINDING_SIZE];
    struct gss_channel_bindings_struct cb = {0};
    OM_uint32 minor, major;
    enum err e = krb_binding_set(bound, &cb, channel_binding, channel_binding_len, ei);
    if (e)
        return e;
    if ((e = borrow(login, &cred, ei)) || (e = target_name(login, service, host, &name, ei)))
        goto out;
    major = gss_init_sec_context(&minor, cred->cred, &gss, name, &spnego_oid, 0, 0,
                                 channel_binding ? &cb : GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL,
                                 &token, NULL, NULL);
    if (GSS_ERROR(major))
        e = token_error(login, service, host, major, minor, ei);
    else if (token.length == 0 || token.length > TOKEN_MAX)
        e = err_set(ei, ERR_LIMIT, NULL, "a Kerberos token of %zu bytes for %s", token.length, host);
    else if ((e = buf_add(out, token.value, token.length)))
        err_set(ei, e, NULL, "no room for a Kerberos token of %zu bytes", token.length);
out:
    if (gss != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &gss, GSS_C_NO_BUFFER);
    gss_release_buffer(&minor, &token);
    gss_release_name(&minor, &name);
    krb_gss_cred_drop(cred);
    return e;
}
