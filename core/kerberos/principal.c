#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <profile.h>
#include <string.h>

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

static void upper(char *s)
{
    for (; *s; s++)
        if (*s >= 'a' && *s <= 'z')
            *s = (char)(*s - 'a' + 'A');
}

static bool has_lower(const char *s)
{
    for (; *s; s++)
        if (*s >= 'a' && *s <= 'z')
            return true;
    return false;
}

/* Is realm the one that a NetBIOS domain name stands for? By custom the first label of the DNS name. */
static bool realm_has_short_name(const char *realm, const char *domain)
{
    size_t n = strlen(domain);
    return str_incmp(realm, domain, n) == 0 && (realm[n] == '.' || realm[n] == '\0');
}

/* The realm as krb5.conf spells it, found by its name (short: by its first label) without regard to case. */
static bool known_realm(krb5_context ctx, const char *name, bool by_short_name, char *out, size_t cap)
{
    char *realm = NULL, **list = NULL;
    profile_t profile = NULL;
    bool found = false;
#define FITS(r) (by_short_name ? realm_has_short_name((r), name) : str_ieq((r), name))
    if (krb5_get_default_realm(ctx, &realm) == 0) {
        found = FITS(realm) && str_copy(out, cap, realm);
        krb5_free_default_realm(ctx, realm);
    }
    const char *section[] = {"realms", NULL};
    if (!found && krb5_get_profile(ctx, &profile) == 0) {
        if (profile_get_subsection_names(profile, section, &list) == 0) {
            for (size_t i = 0; list[i] && !found; i++)
                found = FITS(list[i]) && str_copy(out, cap, list[i]);
            profile_free_list(list);
        }
        profile_release(profile);
    }
#undef FITS
    return found;
}

/* user may be "name" or "name/instance"; nothing in it is a separator or an escape otherwise. */
static krb5_error_code build(krb5_context ctx, const char *realm, const char *user, krb5_principal *out)
{
    char name[KRB_NAME_MAX];
    unsigned len = (unsigned)strlen(realm);
    const char *slash = strchr(user, '/');
    if (!slash)
        return krb5_build_principal(ctx, out, len, realm, user, (char *)NULL);
    if (!str_copy(name, sizeof name, user))
        return KRB5_PARSE_MALFORMED;
    name[slash - user] = '\0';
    return krb5_build_principal(ctx, out, len, realm, name, slash + 1, (char *)NULL);
}

static enum err bad_name(struct errinfo *ei, const char *text)
{
    return err_set(ei, ERR_AUTH, "write user, user@REALM or DOMAIN\\user", "\"%s\" is no user name", text);
}

void krb_user_fini(krb5_context ctx, struct krb_user *u)
{
    krb5_free_principal(ctx, u->first);
    krb5_free_principal(ctx, u->second);
    *u = (struct krb_user){0};
}

/* user@domain where the domain is no realm we know: a UPN with a suffix of its own. Active Directory looks it up. */
static krb5_error_code build_upn(krb5_context ctx, const char *text, const char *user, char *domain,
                                 struct krb_user *out)
{
    krb5_error_code code = krb5_parse_name_flags(ctx, text, KRB5_PRINCIPAL_PARSE_ENTERPRISE, &out->first);
    if (code)
        return code;
    out->enterprise = true;
    upper(domain);
    return build(ctx, domain, user, &out->second);
}

enum err krb_user_parse(krb5_context ctx, const char *text, struct krb_user *out, struct errinfo *ei)
{
    char user[KRB_NAME_MAX], realm[KRB_NAME_MAX];
    struct krb_user u = {0};
    krb5_error_code code = 0;
    if (!*text || has_control(text) || !str_copy(user, sizeof user, text))
        return bad_name(ei, text);
    char *back = strchr(user, '\\'), *at = strrchr(user, '@');
    if (back) {
        *back = '\0';
        const char *name = back + 1;
        if (back == user || !*name || at || strchr(name, '\\'))
            return bad_name(ei, text);
        if (!known_realm(ctx, user, strchr(user, '.') == NULL, realm, sizeof realm))
            return err_set(ei, ERR_AUTH,
                           "name the realm (user@REALM), or list it in krb5.conf under [realms]",
                           "Kerberos: no realm is known for the domain %s", user);
        code = build(ctx, realm, name, &u.first);
    } else if (at) {
        *at = '\0';
        char *domain = at + 1;
        if (at == user || !*domain || strchr(user, '@'))
            return bad_name(ei, text);
        if (known_realm(ctx, domain, false, realm, sizeof realm))
            code = build(ctx, realm, user, &u.first);
        else if (!has_lower(domain))
            code = build(ctx, domain, user, &u.first);
        else
            code = build_upn(ctx, text, user, domain, &u);
    } else {
        char *def = NULL;
        code = krb5_get_default_realm(ctx, &def);
        if (!code) {
            code = build(ctx, def, user, &u.first);
            krb5_free_default_realm(ctx, def);
        }
    }
    if (code) {
        krb_user_fini(ctx, &u);
        return krb_error_set(ctx, code, ei, text);
    }
    *out = u;
    return ERR_OK;
}

static bool host_is_plain(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:");
    return n > 0 && s[n] == '\0' && n < KRB_NAME_MAX;
}

enum err krb_service_parse(krb5_context ctx, const char *spn, krb5_principal *out, struct errinfo *ei)
{
    char service[64], host[KRB_NAME_MAX], **realms = NULL;
    const char *slash = strchr(spn, '/'), *at = strchr(spn, '@');
    krb5_error_code code;
    size_t n = slash ? (size_t)(slash - spn) : 0;
    if (!slash || n == 0 || n >= sizeof service || (at && at < slash))
        goto bad;
    memcpy(service, spn, n);
    service[n] = '\0';
    if (!str_copy(host, sizeof host, slash + 1))
        goto bad;
    if (at)
        host[at - slash - 1] = '\0';
    if (!host_is_plain(service) || !host_is_plain(host) || (at && !host_is_plain(at + 1)))
        goto bad;
    if (at) {
        code = krb5_build_principal(ctx, out, (unsigned)strlen(at + 1), at + 1, service, host, (char *)NULL);
    } else {
        code = krb5_get_host_realm(ctx, host, &realms); /* krb5.conf only; "" lets the KDC refer */
        if (code)
            return krb_error_set(ctx, code, ei, spn);
        const char *realm = realms[0] ? realms[0] : "";
        code = krb5_build_principal(ctx, out, (unsigned)strlen(realm), realm, service, host, (char *)NULL);
        krb5_free_host_realm(ctx, realms);
    }
    if (code)
        return krb_error_set(ctx, code, ei, spn);
    (*out)->type = KRB5_NT_SRV_HST;
    return ERR_OK;
bad:
    return err_set(ei, ERR_INPUT, "write HTTP/host.domain", "\"%s\" is no service principal name", spn);
}
