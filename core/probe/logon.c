#include "core/probe/logon.h"

#include <stddef.h>

static const struct {
    const char *name, *scheme;
} methods[LOGON_COUNT] = {
#define X(method, id, scheme) {id, scheme},
    LOGON_MAP(X)
#undef X
};

const char *logon_name(enum logon_method m)
{
    return m < LOGON_COUNT ? methods[m].name : NULL;
}

const char *logon_scheme(enum logon_method m)
{
    return m < LOGON_COUNT ? methods[m].scheme : NULL;
}

uint32_t logon_offered(const struct challenge_set *set)
{
    uint32_t out = 0;
    if (set->offered & AUTH_BASIC)
        out |= 1u << LOGON_BASIC;
    if (set->offered & AUTH_NTLM)
        out |= 1u << LOGON_NTLM;
    if (set->offered & AUTH_NEGOTIATE)
        out |= 1u << LOGON_NEGOTIATE_NTLM | 1u << LOGON_KERBEROS;
    return out;
}
