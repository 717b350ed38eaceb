/* What Autodiscover tells a client against what the directory holds (admin-tools.md 5.2 A5). */
#include "core/probe/app_pox.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

/* One detail line: settings, then what is wrong with them. */
struct verdict {
    struct buf *detail;
    bool bad;
};

static void wrong(struct verdict *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void wrong(struct verdict *v, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    (void)!vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_addf(v->detail, "%s%s", v->bad ? "; " : v->detail->len ? ": " : "", text);
    v->bad = true;
}

static enum outcome outcome_of(const struct verdict *v)
{
    return v->bad ? OUTCOME_FAILED : OUTCOME_OK;
}

static size_t path_of(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme ? scheme + 3 : url;
    return (size_t)(host - url) + strcspn(host, "/?");
}

static size_t without_slash(const char *s, size_t n)
{
    while (n && s[n - 1] == '/')
        n--;
    return n;
}

/* An answer's URL is a directory's, or lies below it (OAB adds the address book's folder). Case does not count in IIS; 443 is https. */
static bool url_is_at(const char *url, const char *base)
{
    char a[256], b[256];
    enum tri a_https, b_https;
    uint16_t a_port, b_port;
    if (!base || !url_host(url, a, sizeof a, &a_https, &a_port) ||
        !url_host(base, b, sizeof b, &b_https, &b_port))
        return false;
    if (!str_eq(a, b) || a_https != b_https || a_port != b_port)
        return false;
    const char *path = url + path_of(url), *under = base + path_of(base);
    size_t n = without_slash(under, strcspn(under, "?#"));
    return str_incmp(path, under, n) == 0 && (path[n] == '\0' || strchr("/?#", path[n]));
}

static bool is_some_url(const struct org *org, enum protocol p, bool internal, const char *url)
{
    for (size_t i = 0; i < org->n_vdirs; i++) {
        const struct vdir *v = &org->vdirs[i];
        if (v->protocol == p && !v->back_end && url_is_at(url, internal ? v->internal_url : v->external_url))
            return true;
    }
    return false;
}

static const struct {
    enum pox_setting setting;
    enum protocol protocol;
    const char *name;
} urls[] = {
    {POX_AS_URL, PROTOCOL_EWS, "ASUrl"},   {POX_EWS_URL, PROTOCOL_EWS, "EwsUrl"},
    {POX_OOF_URL, PROTOCOL_EWS, "OOFUrl"}, {POX_OAB_URL, PROTOCOL_OAB, "OABUrl"},
    {POX_ECP_URL, PROTOCOL_ECP, "EcpUrl"},
};

/* Each URL of a provider is the internal (external) URL of some virtual directory; one wrong host is said once. */
static void judge_url(struct verdict *v, const struct org *org, const char *name, enum protocol p,
                      bool internal, const char *url)
{
    char host[256];
    enum tri https;
    uint16_t port;
    if (!url)
        return;
    if (!url_host(url, host, sizeof host, &https, &port) || https == TRI_UNKNOWN)
        wrong(v, "%s is no URL: %s", name, url);
    else if (https == TRI_NO && p != PROTOCOL_OAB)
        wrong(v, "%s is not https: %s", name, url);
    else if (org && !is_some_url(org, p, internal, url))
        wrong(v, "%s %s is no virtual directory's %s URL", name, url, internal ? "internal" : "external");
}

static void judge_urls(struct verdict *v, const struct org *org, const struct pox_protocol *p, bool internal)
{
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const char *url = p->settings[urls[i].setting];
        bool said = false;
        for (size_t k = 0; k < i && url && !said; k++)
            said = urls[k].protocol == urls[i].protocol && str_ieq(p->settings[urls[k].setting], url);
        if (!said)
            judge_url(v, org, urls[i].name, urls[i].protocol, internal, url);
    }
}

/* ---- EXCH: where the mailbox is, from inside */

/* The RPC endpoint: a mailbox by its GUID (2013+), a server, a client access array. */
static bool is_endpoint(const struct org *org, const char *server)
{
    if (strchr(server, '@') || org_server(org, server))
        return true;
    for (size_t i = 0; i < org->n_arrays; i++)
        if (str_ieq(org->arrays[i].fqdn, server) || str_ieq(org->arrays[i].name, server))
            return true;
    for (size_t i = 0; i < org->n_databases; i++)
        if (str_ieq(org->databases[i].rpc_client_access_server, server))
            return true;
    return false;
}

/* ServerVersion: versionNumber of the directory in hexadecimal. */
static bool version_of(const char *hex, struct version *out)
{
    uint64_t n = 0;
    if (!hex || strlen(hex) != 8 || strspn(hex, "0123456789abcdefABCDEF") != 8)
        return false;
    for (const char *p = hex; *p; p++)
        n = n << 4 | (uint64_t)(*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
    return version_from_number((int64_t)n, out);
}

enum outcome pox_judge_exch(const struct pox *x, const struct org *org, struct buf *detail)
{
    const struct pox_protocol *p = pox_protocol(x, "EXCH");
    struct verdict v = {.detail = detail};
    struct version version;
    char text[VERSION_TEXT_SIZE];
    if (!p) {
        wrong(&v, "EXCH is missing: Outlook inside the network learns no server");
        return outcome_of(&v);
    }
    const char *server = p->settings[POX_SERVER];
    buf_addf(detail, "EXCH server %s", server ? server : "-");
    if (version_of(p->settings[POX_SERVER_VERSION], &version))
        buf_addf(detail, ", version %s", version_text(version, text));
    if (!server)
        wrong(&v, "EXCH names no Server");
    else if (org && !is_endpoint(org, server))
        wrong(&v, "%s is no server, array or mailbox of this organisation", server);
    if (p->settings[POX_SERVER_VERSION] && !version_of(p->settings[POX_SERVER_VERSION], &version))
        wrong(&v, "ServerVersion %s is none", p->settings[POX_SERVER_VERSION]);
    judge_urls(&v, org, p, true);
    return outcome_of(&v);
}

/* ---- EXPR: Outlook Anywhere */

static const struct vdir *outlook_anywhere(const struct org *org, const char *host)
{
    const struct vdir *inside = NULL;
    for (size_t i = 0; i < org->n_vdirs; i++) {
        const struct vdir *v = &org->vdirs[i];
        if (v->protocol != PROTOCOL_OA || v->back_end)
            continue;
        if (str_ieq(v->external_hostname, host))
            return v;
        if (str_ieq(v->internal_hostname, host))
            inside = v;
    }
    return inside;
}

/* "Ntlm" of the answer in our terms; "Nego2" is 2013's word for NegoEx. */
static bool package(const char *word, auth_set *one)
{
    if (str_ieq(word, "Nego2") || str_ieq(word, "Negotiate")) {
        *one = AUTH_NEGOTIATE | AUTH_NEGO2;
        return true;
    }
    return auth_from_name(word, one);
}

static void judge_package(struct verdict *v, const struct org *org, const struct pox_protocol *p)
{
    const char *word = p->settings[POX_AUTH_PACKAGE];
    auth_set one, told = 0;
    if (!word) {
        wrong(v, "AuthPackage is missing: is Server of the EXPR provider set? It should be empty");
        return;
    }
    if (!package(word, &one)) {
        wrong(v, "AuthPackage %s is no method", word);
        return;
    }
    /* any Outlook Anywhere under that name may be meant: servers of one name ought to agree, but that is another rule's business */
    for (size_t i = 0; org && i < org->n_vdirs; i++) {
        const struct vdir *d = &org->vdirs[i];
        if (d->protocol != PROTOCOL_OA || d->back_end)
            continue;
        if (str_ieq(d->external_hostname, p->settings[POX_SERVER]) && d->has_client_auth)
            told |= d->client_auth;
        if (str_ieq(d->internal_hostname, p->settings[POX_SERVER]) && d->has_internal_client_auth)
            told |= d->internal_client_auth;
    }
    if (told & AUTH_NEGOTIATE)
        told |= AUTH_NEGO2;
    if (told && !(told & one))
        wrong(v, "AuthPackage %s is not what the directory tells clients to use", word);
}

static bool is_name_of(const struct certificate *c, const char *name)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (str_ieq(c->names[i], name) || (str_istarts(c->names[i], "*.") && strchr(name, '.') &&
                                           str_ieq(c->names[i] + 1, strchr(name, '.'))))
            return true;
    return false;
}

/* msstd: is meant for the subject of the certificate; that newer Outlooks are content with an alternative name is why those only get a
   remark. */
static void judge_principal(struct verdict *v, const struct pox_protocol *p, const struct certificate *cert)
{
    const char *word = p->settings[POX_CERT_PRINCIPAL];
    const char *name = p->settings[POX_SERVER], *cn = cert && cert->subject_cn ? cert->subject_cn : NULL;
    if (word && str_ieq(word, "none"))
        return;
    if (word && !str_istarts(word, "msstd:")) {
        wrong(v, "CertPrincipalName %s does not begin with msstd:", word);
        return;
    }
    if (word)
        name = word + strlen("msstd:");
    if (!name || !cn || str_ieq(cn, name))
        return;
    if (is_name_of(cert, name))
        buf_addf(v->detail,
                 " (%s is an alternative name only, the certificate's CN is %s: old Outlooks refuse that)",
                 name, cn);
    else if (word)
        wrong(v, "CertPrincipalName is %s, but the certificate's CN is %s", word, cn);
    else
        wrong(v,
              "no CertPrincipalName, so Outlook expects msstd:%s, but the certificate's CN is %s: set "
              "CertPrincipalName of the EXPR provider to msstd:%s",
              name, cn, cn);
}

enum outcome pox_judge_expr(const struct pox *x, const struct org *org, const struct certificate *cert,
                            struct buf *detail)
{
    const struct pox_protocol *p = pox_protocol(x, "EXPR");
    struct verdict v = {.detail = detail};
    char host[256];
    if (!p) {
        wrong(&v, "EXPR is missing: Outlook Anywhere is off for this mailbox");
        return outcome_of(&v);
    }
    const char *server = p->settings[POX_SERVER], *ssl = p->settings[POX_SSL];
    const char *auth = p->settings[POX_AUTH_PACKAGE], *principal = p->settings[POX_CERT_PRINCIPAL];
    buf_addf(detail, "EXPR server %s, SSL %s, AuthPackage %s, CertPrincipalName %s", server ? server : "-",
             ssl ? ssl : "-", auth ? auth : "-", principal ? principal : "not sent");
    judge_principal(&v, p, cert);
    const struct vdir *d = NULL;
    if (!server || !url_host(server, host, sizeof host, NULL, NULL)) {
        wrong(&v, "EXPR names no Server");
    } else if (org && !(d = outlook_anywhere(org, host))) {
        wrong(&v, "%s is no server's Outlook Anywhere host name", host);
    }
    if (ssl && !str_ieq(ssl, "On") && !str_ieq(ssl, "Off"))
        wrong(&v, "SSL is neither On nor Off: %s", ssl);
    else if (d && d->external_ssl == TRI_YES && (!ssl || !str_ieq(ssl, "On")))
        wrong(&v, "SSL is %s, the directory's external host name is https", ssl ? ssl : "not sent");
    judge_package(&v, org, p);
    judge_urls(&v, org, p, false);
    return outcome_of(&v);
}

/* ---- WEB, devices */

enum outcome pox_judge_web(const struct pox *x, const struct org *org, struct buf *detail)
{
    const struct pox_protocol *p = pox_protocol(x, "WEB");
    struct verdict v = {.detail = detail};
    if (!p) {
        /* nothing but "Outlook on the Web" links in clients depend on it */
        buf_adds(detail, "no WEB provider: no links to Outlook Web App are handed out");
        return OUTCOME_OK;
    }
    const char *inside = p->settings[POX_OWA_INTERNAL], *outside = p->settings[POX_OWA_EXTERNAL];
    buf_addf(detail, "OWA inside %s, outside %s", inside ? inside : "-", outside ? outside : "-");
    judge_url(&v, org, "internal OWAUrl", PROTOCOL_OWA, true, inside);
    judge_url(&v, org, "external OWAUrl", PROTOCOL_OWA, false, outside);
    return outcome_of(&v);
}

enum outcome pox_judge_mobile(const struct pox *x, const struct org *org, struct buf *detail)
{
    struct verdict v = {.detail = detail};
    char host[256];
    enum tri https;
    uint16_t port;
    if (!x->mobile_url) {
        wrong(&v, "no URL for devices");
        return outcome_of(&v);
    }
    buf_addf(detail, "ActiveSync at %s", x->mobile_url);
    if (!url_host(x->mobile_url, host, sizeof host, &https, &port) || https != TRI_YES)
        wrong(&v, "it is no https URL");
    else if (org && !is_some_url(org, PROTOCOL_EAS, false, x->mobile_url) &&
             !is_some_url(org, PROTOCOL_EAS, true, x->mobile_url))
        wrong(&v, "it is no virtual directory's URL");
    return outcome_of(&v);
}
