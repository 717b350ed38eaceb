/*
 * Authentication methods as a set of bits: the flag encoding of msExchInternalAuthenticationMethods and
 * msExchExternalAuthenticationMethods (reference: CSS-Exchange Get-VirtualDirectoriesLdap.ps1). The ordinal
 * encoding of cmdlet objects and msExchManagementSettings is another numbering: convert, never mix.
 */
#ifndef CORE_MODEL_AUTH_H
#define CORE_MODEL_AUTH_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* name, AD flag, ordinal (-1: none), JSON name (cli.md), cmdlet spelling */
#define AUTH_MAP(X)                                                                                          \
    X(BASIC, 1, 0, "basic", "Basic")                                                                         \
    X(NTLM, 2, 2, "ntlm", "NTLM")                                                                            \
    X(FBA, 4, 3, "fba", "Fba")                                                                               \
    X(DIGEST, 8, 1, "digest", "Digest")                                                                      \
    X(WINDOWS, 16, 4, "windows", "WindowsIntegrated")                                                        \
    X(LIVEID_FBA, 32, 5, "liveid_fba", "LiveIdFba")                                                          \
    X(LIVEID_BASIC, 64, 6, "liveid_basic", "LiveIdBasic")                                                    \
    X(WSSECURITY, 128, 7, "wssecurity", "WSSecurity")                                                        \
    X(CERTIFICATE, 256, 8, "certificate", "Certificate")                                                     \
    X(NEGO2, 512, 9, "nego2", "NegoEx")                                                                      \
    X(OAUTH, 1024, 10, "oauth", "OAuth")                                                                     \
    X(ADFS, 2048, 11, "adfs", "Adfs")                                                                        \
    X(KERBEROS, 4096, 12, "kerberos", "Kerberos")                                                            \
    X(NEGOTIATE, 8192, 13, "negotiate", "Negotiate")                                                         \
    X(LIVEID_NEGOTIATE, 16384, 14, "liveid_negotiate", "LiveIdNegotiate")

enum auth {
#define X(name, flag, ordinal, json, cmdlet) AUTH_##name = flag,
    AUTH_MAP(X)
#undef X
};

/* A set: OR of enum auth. 0 is the empty set ("none" in JSON when the directory says None). */
typedef uint32_t auth_set;
#define AUTH_ALL 0x7fffu

/* One bit. NULL for anything else. */
const char *auth_name(auth_set one);
const char *auth_cmdlet_name(auth_set one);
/* Accepts JSON and cmdlet spellings without regard to case. */
bool auth_from_name(const char *name, auth_set *one);
bool auth_from_ordinal(int64_t ordinal, auth_set *one);
/* "basic, ntlm" or "none"; for people. */
enum err auth_set_text(struct buf *out, auth_set set);
/* "Basic,NTLM" in the order of the table; bare words for a cmdlet. */
enum err auth_set_cmdlet(struct buf *out, auth_set set);

/* What IIS must offer on the wire for a set in the directory (admin-tools.md section 7): Basic -> Basic; Ntlm, WindowsIntegrated
   or Negotiate -> Negotiate and NTLM; Digest; Fba is an Exchange module, no IIS switch. Result holds BASIC, NTLM, NEGOTIATE, DIGEST only. */
auth_set auth_expected_challenge(auth_set directory);
/* WSSecurity or OAuth mean that IIS has anonymous on. */
bool auth_expects_anonymous(auth_set directory);
/* One scheme of a WWW-Authenticate header ("Negotiate", "NTLM", "Basic", "Digest", "Kerberos", "Bearer" -> OAUTH); 0 when unknown. */
auth_set auth_from_scheme(const char *scheme, size_t len);

#endif
