/* IIS's own words for flags, both ways. */
#include "core/iis/iis_int.h"

#include "core/base/str.h"

#include <string.h>

struct word {
    const char *name;
    uint32_t bit;
};

/* IIS configuration reference: access@sslFlags, extendedProtection@flags */
static const struct word ssl_words[] = {
    {"Ssl", IIS_SSL},
    {"SslNegotiateCert", IIS_SSL_NEGOTIATE_CERT},
    {"SslRequireCert", IIS_SSL_REQUIRE_CERT},
    {"SslMapCert", IIS_SSL_MAP_CERT},
    {"Ssl128", IIS_SSL_128},
};
static const struct word protection_words[] = {
    {"Proxy", IIS_PROTECTION_PROXY},
    {"NoServiceNameCheck", IIS_PROTECTION_NO_SERVICE_NAME_CHECK},
    {"AllowDotlessSpn", IIS_PROTECTION_ALLOW_DOTLESS_SPN},
    {"ProxyCohosting", IIS_PROTECTION_PROXY_COHOSTING},
};
static const struct word provider_words[] = {
    {"Negotiate", IIS_PROVIDER_NEGOTIATE},
    {"NTLM", IIS_PROVIDER_NTLM},
    {"Negotiate:Kerberos", IIS_PROVIDER_KERBEROS},
};
static const char *const token_words[] = {
    [IIS_TOKEN_NONE] = "None", [IIS_TOKEN_ALLOW] = "Allow", [IIS_TOKEN_REQUIRE] = "Require"};

static uint32_t from(const char *s, const struct word *words, size_t n)
{
    uint64_t number;
    uint32_t set = 0;
    if (str_to_u64(s, strlen(s), &number))
        return (uint32_t)number;
    while (*s) {
        size_t skip = strspn(s, ", \t\r\n"), len = strcspn(s + skip, ", \t\r\n");
        for (size_t i = 0; i < n; i++)
            if (strlen(words[i].name) == len && str_incmp(words[i].name, s + skip, len) == 0)
                set |= words[i].bit;
        s += skip + len;
    }
    return set;
}

uint32_t iis_flags_from(const char *s)
{
    return from(s, ssl_words, ARRAY_LEN(ssl_words));
}

uint32_t iis_protection_flags_from(const char *s)
{
    return from(s, protection_words, ARRAY_LEN(protection_words));
}

uint32_t iis_provider_from(const char *s)
{
    for (size_t i = 0; i < ARRAY_LEN(provider_words); i++)
        if (str_ieq(s, provider_words[i].name))
            return provider_words[i].bit;
    return IIS_PROVIDER_OTHER;
}

bool iis_token_from(const char *s, enum iis_token *out)
{
    for (size_t i = 0; i < ARRAY_LEN(token_words); i++) {
        const char number[] = {(char)('0' + i), '\0'}; /* the enumeration's values are its order */
        if (str_ieq(s, token_words[i]) || strcmp(s, number) == 0) {
            *out = (enum iis_token)i;
            return true;
        }
    }
    return false;
}

const char *iis_token_name(enum iis_token t)
{
    return (size_t)t < ARRAY_LEN(token_words) ? token_words[t] : "?";
}

static enum err text(struct buf *out, uint32_t set, const struct word *words, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (!(set & words[i].bit))
            continue;
        buf_adds(out, any ? ", " : "");
        buf_adds(out, words[i].name);
        any = true;
    }
    return any ? out->failed : buf_adds(out, "None");
}

enum err iis_flags_text(struct buf *out, uint32_t ssl_flags)
{
    return text(out, ssl_flags, ssl_words, ARRAY_LEN(ssl_words));
}

enum err iis_providers_text(struct buf *out, uint32_t providers)
{
    return text(out, providers, provider_words, ARRAY_LEN(provider_words));
}
