/*
 * The ways to log on over HTTP, each tried on its own.
 */
#ifndef CORE_PROBE_LOGON_H
#define CORE_PROBE_LOGON_H

#include "core/probe/challenge.h"

/* name, step and JSON name, scheme on the wire */
#define LOGON_MAP(X)                                                                                         \
    X(BASIC, "basic", "Basic")                                                                               \
    X(NTLM, "ntlm", "NTLM")                                                                                  \
    X(NEGOTIATE_NTLM, "negotiate-ntlm", "Negotiate")                                                         \
    X(KERBEROS, "negotiate", "Negotiate")

enum logon_method {
#define X(name, id, scheme) LOGON_##name,
    LOGON_MAP(X)
#undef X
        LOGON_COUNT,
    LOGON_NONE = LOGON_COUNT
};

/* "basic": what a step is called after "logon-". NULL for LOGON_NONE. */
const char *logon_name(enum logon_method m);
const char *logon_scheme(enum logon_method m);
/* Bit per method that a challenge makes possible. */
uint32_t logon_offered(const struct challenge_set *set);

#endif
