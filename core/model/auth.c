#include "core/model/auth.h"

#include "core/base/str.h"

#include <string.h>

static const struct {
    auth_set flag;
    int ordinal;
    const char *json, *cmdlet;
} methods[] = {
#define X(name, flag, ordinal, json, cmdlet) {flag, ordinal, json, cmdlet},
    AUTH_MAP(X)
#undef X
};

const char *auth_name(auth_set one)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].flag == one)
            return methods[i].json;
    return NULL;
}

const char *auth_cmdlet_name(auth_set one)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].flag == one)
            return methods[i].cmdlet;
    return NULL;
}

bool auth_from_name(const char *name, auth_set *one)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_ieq(name, methods[i].json) || str_ieq(name, methods[i].cmdlet)) {
            *one = methods[i].flag;
            return true;
        }
    }
    return false;
}

bool auth_from_ordinal(int64_t ordinal, auth_set *one)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (methods[i].ordinal == ordinal) {
            *one = methods[i].flag;
            return true;
        }
    }
    return false;
}

static enum err join(struct buf *out, auth_set set, const char *separator, bool cmdlet)
{
    bool first = true;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (!(set & methods[i].flag))
            continue;
        if (!first)
            buf_adds(out, separator);
        buf_adds(out, cmdlet ? methods[i].cmdlet : methods[i].json);
        first = false;
    }
    return out->failed;
}

enum err auth_set_text(struct buf *out, auth_set set)
{
    return set & AUTH_ALL ? join(out, set, ", ", false) : buf_adds(out, "none");
}

enum err auth_set_cmdlet(struct buf *out, auth_set set)
{
    return join(out, set, ",", true);
}

auth_set auth_expected_challenge(auth_set directory)
{
    auth_set wire = directory & (AUTH_BASIC | AUTH_DIGEST);
    if (directory & (AUTH_NTLM | AUTH_WINDOWS | AUTH_NEGOTIATE | AUTH_KERBEROS))
        wire |= AUTH_NEGOTIATE | AUTH_NTLM;
    return wire;
}

bool auth_expects_anonymous(auth_set directory)
{
    return (directory & (AUTH_WSSECURITY | AUTH_OAUTH)) != 0;
}

auth_set auth_from_scheme(const char *scheme, size_t len)
{
    static const struct {
        const char *name;
        auth_set flag;
    } schemes[] = {
        {"Basic", AUTH_BASIC},   {"NTLM", AUTH_NTLM},         {"Negotiate", AUTH_NEGOTIATE},
        {"Digest", AUTH_DIGEST}, {"Kerberos", AUTH_KERBEROS}, {"Bearer", AUTH_OAUTH},
    };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (strlen(schemes[i].name) == len && str_incmp(schemes[i].name, scheme, len) == 0)
            return schemes[i].flag;
    return 0;
}
