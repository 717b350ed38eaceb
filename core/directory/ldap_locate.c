/* Domain controllers by DNS, as [MS-ADTS] 6.3.6 has it: _ldap._tcp.dc._msdcs.DOMAIN. */
#include "core/directory/ldap_session.h"

#include "core/base/str.h"
#include "core/model/org.h"

#include <arpa/nameser.h>
#include <krb5.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

bool ldap_parse_srv(const unsigned char *msg, size_t len, struct ldap_target *out, size_t max, size_t *n)
{
    char name[NS_MAXDNAME];
    *n = 0;
    if (len < NS_HFIXEDSZ)
        return false;
    unsigned questions = get16(msg + 4), answers = get16(msg + 6);
    const unsigned char *at = msg + NS_HFIXEDSZ, *end = msg + len;
    for (; questions; questions--) {
        int skip = dn_expand(msg, end, at, name, sizeof name);
        if (skip < 0 || end - at < skip + NS_QFIXEDSZ)
            return false;
        at += skip + NS_QFIXEDSZ;
    }
    for (; answers && *n < max; answers--) {
        int skip = dn_expand(msg, end, at, name, sizeof name);
        if (skip < 0 || end - at < skip + NS_RRFIXEDSZ)
            return false;
        at += skip;
        unsigned type = get16(at), data = get16(at + 8);
        at += NS_RRFIXEDSZ;
        if (end - at < (ptrdiff_t)data)
            return false;
        if (type == ns_t_srv && data > 6) {
            struct ldap_target t = {.priority = (uint16_t)get16(at),
                                    .weight = (uint16_t)get16(at + 2),
                                    .port = (uint16_t)get16(at + 4)};
            if (dn_expand(msg, end, at + 6, name, sizeof name) < 0)
                return false;
            if (t.port && name[0] &&
                url_host(name, t.host, sizeof t.host, NULL, NULL)) /* "." says: not here */
                out[(*n)++] = t;
        }
        at += data;
    }
    return true;
}

/* RFC 2782, but by weight alone among equals: one reader needs no balancing, and runs are alike. */
static int by_priority(const void *a, const void *b)
{
    const struct ldap_target *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return strcmp(x->host, y->host);
}

/* The realm of whoever is logged in, else of krb5.conf. */
static bool kerberos_realm(char *out, size_t cap)
{
    krb5_context k = NULL;
    krb5_ccache cache = NULL;
    krb5_principal who = NULL;
    char *realm = NULL;
    bool found = false;
    if (krb5_init_context(&k))
        return false;
    if (krb5_cc_default(k, &cache) == 0 && krb5_cc_get_principal(k, cache, &who) == 0) {
        const krb5_data *d = krb5_princ_realm(k, who);
        found = str_fmt(out, cap, "%.*s", (int)d->length, d->data);
    } else if (krb5_get_default_realm(k, &realm) == 0) {
        found = str_copy(out, cap, realm);
    }
    if (realm)
        krb5_free_default_realm(k, realm);
    if (who)
        krb5_free_principal(k, who);
    if (cache)
        krb5_cc_close(k, cache);
    krb5_free_context(k);
    return found && out[0];
}

enum err ldap_locate(const char *domain, struct ldap_target *out, size_t max, size_t *n, struct errinfo *ei)
{
    static const char hint[] = "name a controller with --source ldap://HOST, or source in the profile";
    char realm[256], query[320];
    unsigned char answer[16384];
    struct __res_state state = {0};
    *n = 0;
    if (!domain) {
        if (!kerberos_realm(realm, sizeof realm))
            return err_set(ei, ERR_CONFIG, hint,
                           "no source was named, and no Kerberos realm tells where to look");
        domain = realm;
    }
    if (!str_fmt(query, sizeof query, "_ldap._tcp.dc._msdcs.%s", domain))
        return err_set(ei, ERR_CONFIG, hint, "%.80s is no domain", domain);
    if (res_ninit(&state) < 0)
        return err_set(ei, ERR_SYSTEM, hint, "the DNS resolver cannot be set up");
    state.retrans = 2; /* seconds; a resolver that does not answer must not hold a job for half a minute */
    state.retry = 2;
    int len = res_nquery(&state, query, ns_c_in, ns_t_srv, answer, sizeof answer);
    int why = state.res_h_errno;
    res_nclose(&state);
    if (len < 0)
        return err_set(ei, ERR_UNREACHABLE, hint, "no domain controller of %s: DNS %s for %s", domain,
                       why == HOST_NOT_FOUND || why == NO_DATA ? "has no SRV record" : "does not answer",
                       query);
    bool whole =
        ldap_parse_srv(answer, (size_t)len < sizeof answer ? (size_t)len : sizeof answer, out, max, n);
    if (*n)
        qsort(out, *n, sizeof *out, by_priority);
    return *n ? ERR_OK
              : err_set(ei, ERR_UNREACHABLE, hint, "DNS answers for %s %s", query,
                        whole ? "without a controller" : "with a broken record");
}
