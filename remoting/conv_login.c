#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/foreign.h"
#include "core/base/str.h"
#include "remoting/conv_int.h"

#define BINDING_PREFIX "tls-server-end-point:"
#define FLAGS                                                                                                \
    (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)

const gss_OID_desc conv_spnego_oid = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};
const gss_OID_desc conv_krb5_oid = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
const gss_OID_desc conv_ntlm_oid = {10, (void *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"};

const char *conv_scheme_name(enum conv_scheme s)
{
    static const char *const names[] = {"Negotiate", "Kerberos", "NTLM"};
    return names[s];
}

static gss_OID mechanism(const struct conv *c)
{
    static const gss_OID_desc *const oids[] = {&conv_spnego_oid, &conv_krb5_oid, &conv_ntlm_oid};
    return (gss_OID)(uintptr_t)oids[c->scheme]; /* GSSAPI's own type knows no const */
}

enum err conv_words(struct conv *c, OM_uint32 major, OM_uint32 minor, enum err err, const char *what,
                    struct errinfo *ei)
{
    OM_uint32 more = 0, ignored;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    bool by_mech = minor != 0;
    gss_display_status(&ignored, by_mech ? minor : major, by_mech ? GSS_C_MECH_CODE : GSS_C_GSS_CODE,
                       by_mech ? mechanism(c) : GSS_C_NO_OID, &more, &text);
    err_set(ei, err, NULL, "%s: %s: %.*s", c->kerberos ? "Kerberos" : "NTLM", what, (int)text.length,
            text.value ? (const char *)text.value : "");
    gss_release_buffer(&ignored, &text);
    return err;
}

static void set_binding(struct conv *c, const struct conv_settings *s)
{
    size_t n = sizeof BINDING_PREFIX - 1;
    if (!s->binding || s->binding_len > sizeof c->binding - n)
        return;
    memcpy(c->binding, BINDING_PREFIX, n);
    memcpy(c->binding + n, s->binding, s->binding_len);
    c->bindings.application_data = (gss_buffer_desc){n + s->binding_len, c->binding};
}

/* The login's own cache, never the environment's; Kerberos only: falling back to NTLM would hide that Kerberos does not work. */
static enum err acquire_kerberos(struct conv *c, struct errinfo *ei)
{
    char cache[256];
    OM_uint32 minor, major;
    krb_login_cache(c->login, cache, sizeof cache);
    gss_key_value_element_desc from = {"ccache", cache};
    gss_key_value_set_desc store = {1, &from};
    gss_OID_set_desc set = {1, mechanism(c)}, krb5 = {1, (gss_OID)(uintptr_t)&conv_krb5_oid};
    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &set, GSS_C_INITIATE, &store,
                                  &c->cred, NULL, NULL);
    if (!GSS_ERROR(major) && c->scheme == CONV_SCHEME_NEGOTIATE)
        major = gss_set_neg_mechs(&minor, c->cred, &krb5);
    return GSS_ERROR(major) ? conv_words(c, major, minor, ERR_AUTH, c->who, ei) : ERR_OK;
}

static enum err name_kerberos(struct conv *c, struct errinfo *ei)
{
    struct buf text;
    OM_uint32 minor;
    buf_init(&text, 1024);
    enum err e = krb_service_name(c->login, c->spn, &text, ei);
    if (!e) {
        gss_buffer_desc name = {text.len, text.data};
        OM_uint32 major = gss_import_name(&minor, &name, GSS_KRB5_NT_PRINCIPAL_NAME, &c->target);
        if (GSS_ERROR(major))
            e = conv_words(c, major, minor, ERR_INPUT, c->spn, ei);
    }
    buf_fini(&text);
    return e;
}

static enum err acquire_ntlm(struct conv *c, const struct conv_settings *s, struct errinfo *ei)
{
    OM_uint32 minor, major, ignored;
    gss_name_t name = GSS_C_NO_NAME;
    gss_buffer_desc user = {strlen(s->user), (void *)(uintptr_t)s->user};
    gss_buffer_desc password = {s->password->len, s->password->bytes};
    gss_OID_set_desc set = {1, mechanism(c)}, ntlm = {1, (gss_OID)(uintptr_t)&conv_ntlm_oid};
    FOREIGN_LEAKS_BEGIN(); /* gss-ntlmssp 1.2 forgets what it fetches from OpenSSL */
    major = gss_import_name(&minor, &user, GSS_C_NT_USER_NAME, &name);
    if (!GSS_ERROR(major))
        major = gss_acquire_cred_with_password(&minor, name, &password, GSS_C_INDEFINITE, &set,
                                               GSS_C_INITIATE, &c->cred, NULL, NULL);
    if (!GSS_ERROR(major) && c->scheme == CONV_SCHEME_NEGOTIATE)
        major = gss_set_neg_mechs(&minor, c->cred, &ntlm);
    FOREIGN_LEAKS_END();
    gss_release_name(&ignored, &name);
    if (!GSS_ERROR(major))
        return ERR_OK;
    conv_words(c, major, minor, ERR_AUTH, c->who, ei);
    if (ei)
        err_hint(ei, "NTLM needs the package gss-ntlmssp on this machine");
    return ERR_AUTH;
}

static enum err name_ntlm(struct conv *c, struct errinfo *ei)
{
    char text[sizeof c->spn];
    OM_uint32 minor;
    str_copy(text, sizeof text, c->spn);
    char *slash = strchr(text, '/');
    if (slash)
        *slash = '@';
    gss_buffer_desc name = {strlen(text), text};
    OM_uint32 major = gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &c->target);
    return GSS_ERROR(major) ? conv_words(c, major, minor, ERR_INPUT, c->spn, ei) : ERR_OK;
}

enum err conv_new(struct conv **out, const struct conv_settings *s, struct errinfo *ei)
{
    struct conv *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a login");
    c->scheme = s->scheme;
    c->kerberos = s->login != NULL;
    c->seal = s->seal;
    buf_init(&c->sealed, (size_t)64 << 20);
    set_binding(c, s);
    str_copy(c->who, sizeof c->who, s->login ? krb_login_name(s->login) : s->user);
    enum err e = ERR_OK;
    if (!str_copy(c->spn, sizeof c->spn, s->spn))
        e = err_set(ei, ERR_CONFIG, NULL, "the service principal name is too long");
    if (!e && s->login) {
        c->login = krb_login_ref(s->login);
        e = acquire_kerberos(c, ei);
        e = e ? e : name_kerberos(c, ei);
    } else if (!e) {
        e = acquire_ntlm(c, s, ei);
        e = e ? e : name_ntlm(c, ei);
    }
    if (e)
        conv_free(&c);
    else
        *out = c;
    return e;
}

void conv_free(struct conv **conv)
{
    struct conv *c = *conv;
    OM_uint32 minor;
    *conv = NULL;
    if (!c)
        return;
    if (c->n_buffers)
        gss_release_iov_buffer(&minor, c->iov, (int)c->n_buffers);
    gss_delete_sec_context(&minor, &c->ctx, GSS_C_NO_BUFFER);
    gss_release_name(&minor, &c->target);
    gss_release_cred(&minor, &c->cred);
    krb_login_free(&c->login);
    buf_fini(&c->sealed);
    free(c);
}

/* The mechanism glue renumbers the codes of krb5; asking for the ticket once more says plainly what is wrong with it. */
static enum err step_failed(struct conv *c, OM_uint32 major, OM_uint32 minor, bool first, struct errinfo *ei)
{
    struct krb_ticket t;
    if (c->kerberos && first) {
        enum err e = krb_ticket_get(c->login, c->spn, &t, ei);
        if (e) {
            if (ei && t.error == 7)
                err_hint(ei, "is %.80s registered? winrm_spn names another one, e.g. WSMAN/host", c->spn);
            return e;
        }
    }
    conv_words(c, major, minor, ERR_AUTH, first ? c->who : "the server's answer does not prove who it is",
               ei);
    if (ei && !first && c->kerberos)
        err_hint(ei, "is %.80s the account that serves there? Else set winrm_spn", c->spn);
    else if (ei && !first)
        err_hint(ei, "wrong password, or NTLM not allowed there?");
    return ERR_AUTH;
}

/* What an established conversation must have. */
static enum err check_flags(struct conv *c, OM_uint32 flags, struct errinfo *ei)
{
    if (c->kerberos && !(flags & GSS_C_MUTUAL_FLAG))
        return err_set(ei, ERR_AUTH, NULL, "Kerberos: the server did not prove who it is");
    if (c->seal && (flags & (GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)) != (GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG))
        return err_set(ei, ERR_AUTH, "use https in winrm_url", "%s: the server gives no encryption",
                       c->kerberos ? "Kerberos" : "NTLM");
    return ERR_OK;
}

enum err conv_step(struct conv *c, const void *in, size_t len, struct buf *out, struct errinfo *ei)
{
    gss_buffer_desc input = {len, (void *)(uintptr_t)in}, token = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, ignored, major, flags = 0;
    bool first = c->ctx == GSS_C_NO_CONTEXT;
    if (c->dead || c->complete)
        return err_set(ei, ERR_PROTOCOL, NULL, "the server goes on with a login that is over");
    major =
        gss_init_sec_context(&minor, c->cred, &c->ctx, c->target, mechanism(c), FLAGS, 0,
                             c->bindings.application_data.length ? &c->bindings : GSS_C_NO_CHANNEL_BINDINGS,
                             in ? &input : GSS_C_NO_BUFFER, NULL, &token, &flags, NULL);
    enum err e = ERR_OK;
    if (GSS_ERROR(major))
        e = step_failed(c, major, minor, first, ei);
    else if (token.length > CONV_TOKEN_MAX)
        e = err_set(ei, ERR_LIMIT, NULL, "a login token of %zu bytes", token.length);
    else if (token.length && (e = buf_add(out, token.value, token.length)))
        err_set(ei, e, NULL, "no room for a login token of %zu bytes", token.length);
    if (!e && major == GSS_S_COMPLETE) {
        e = check_flags(c, flags, ei);
        c->complete = !e;
    }
    c->dead = e != ERR_OK;
    if (token.value)
        explicit_bzero(token.value, token.length);
    gss_release_buffer(&ignored, &token);
    return e;
}

bool conv_is_complete(const struct conv *c)
{
    return c->complete && !c->dead;
}

bool conv_is_kerberos(const struct conv *c)
{
    return c->kerberos;
}

enum conv_scheme conv_scheme(const struct conv *c)
{
    return c->scheme;
}
