#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <errno.h>
#include <string.h>

struct entry {
    krb5_error_code code;
    enum err err;
    const char *words, *hint;
};

/* RFC 4120 7.5.9. What Active Directory means by a code where that is narrower than the RFC. */
static const struct entry protocol_errors[] = {
    {1, ERR_AUTH, "the account has expired", "extend the account in Active Directory"},
    {3, ERR_PROTOCOL, "the KDC does not speak this protocol version", NULL},
    {6, ERR_AUTH, "no such user in this realm", "check the name and the realm (user@REALM)"},
    {7, ERR_AUTH, "no account owns this service principal name",
     "register it with setspn on the server's account, and look for a mistyped host name"},
    {8, ERR_AUTH, "several accounts own this name", "find the duplicate with setspn -X and remove it"},
    {9, ERR_AUTH, "the account has no key", "set the account's password anew"},
    {11, ERR_AUTH, "the ticket would end before it begins", "check the clocks"},
    {12, ERR_AUTH, "refused by the KDC's policy",
     "log-on hours, log-on workstations or smart card required? see the account"},
    {13, ERR_AUTH, "the KDC cannot do what was asked", "is delegation allowed for this account?"},
    {14, ERR_AUTH, "no encryption type in common",
     "the account's keys or msDS-SupportedEncryptionTypes lack AES; set the password anew or allow AES"},
    {15, ERR_AUTH, "no checksum type in common", NULL},
    {18, ERR_AUTH, "the account is disabled or locked out", "unlock or enable it in Active Directory"},
    {20, ERR_AUTH, "the ticket was revoked", "log in again"},
    {21, ERR_AUTH, "the account is not valid yet", NULL},
    {23, ERR_AUTH, "the password has expired", "change the password"},
    {24, ERR_AUTH, "wrong password (or key)",
     "check the password; a keytab must have the account's current key"},
    {25, ERR_AUTH, "pre-authentication is required", NULL},
    {29, ERR_UNREACHABLE, "a service the KDC needs is not available", "try another domain controller"},
    {31, ERR_AUTH, "wrong password (or key)",
     "check the password; a keytab must have the account's current key"},
    {32, ERR_AUTH, "the ticket has expired", "log in again with kinit"},
    {33, ERR_AUTH, "the ticket is not valid yet", "check the clocks"},
    {34, ERR_AUTH, "the request is a replay", NULL},
    {35, ERR_AUTH, "the ticket is for another server",
     "the name is registered on another account than the one that runs the service"},
    {37, ERR_AUTH, "the clocks differ by more than the KDC allows",
     "set this machine's time (chrony, ntp) to that of the domain controller"},
    {41, ERR_AUTH, "the message was changed on the way",
     "the service's key is not the one the KDC used: duplicate SPN, or a password just changed"},
    {44, ERR_AUTH, "the service's key version is not known",
     "the keytab is older than the account's password"},
    {45, ERR_AUTH, "the service has no key", NULL},
    {52, ERR_PROTOCOL, "the answer is too long for UDP", "allow TCP port 88 to the KDC"},
    {60, ERR_AUTH, "the KDC reports a failure of its own", "see the domain controller's event log"},
    {61, ERR_PROTOCOL, "the field is too long for this implementation", NULL},
    {68, ERR_AUTH, "the account is in another realm", "name the realm: user@REALM"},
};

/* Codes of the library itself: what happened on this machine, or between it and the KDC. */
static const struct entry library_errors[] = {
    {KRB5_KDC_UNREACH, ERR_UNREACHABLE, "no KDC of the realm answers",
     "is port 88 open to a domain controller? does krb5.conf (or DNS) name it?"},
    {KRB5_REALM_CANT_RESOLVE, ERR_UNREACHABLE, "the KDC's name cannot be resolved", "check DNS or krb5.conf"},
    {KRB5_REALM_UNKNOWN, ERR_CONFIG, "no KDC is known for the realm",
     "name one in krb5.conf ([realms]), or check the realm's spelling (upper case)"},
    {KRB5_CONFIG_NODEFREALM, ERR_CONFIG, "no default realm", "set default_realm in krb5.conf"},
    {KRB5_CONFIG_CANTOPEN, ERR_CONFIG, "krb5.conf cannot be read", "check krb5_config and the file's mode"},
    {KRB5_CONFIG_BADFORMAT, ERR_CONFIG, "krb5.conf is malformed", NULL},
    {KRB5_FCC_NOFILE, ERR_AUTH, "no Kerberos ticket",
     "run kinit, or set krb5_principal and krb5_keytab in the profile"},
    {KRB5_CC_NOTFOUND, ERR_AUTH, "no Kerberos ticket",
     "run kinit, or set krb5_principal and krb5_keytab in the profile"},
    {KRB5_CC_NOSUPP, ERR_CONFIG, "this kind of credential cache is not supported", "use FILE: or KEYRING:"},
    {KRB5_CC_BADNAME, ERR_CONFIG, "the credential cache's name is wrong", "check krb5_ccache (FILE:PATH)"},
    {KRB5_CC_UNKNOWN_TYPE, ERR_CONFIG, "this kind of credential cache is not known",
     "check krb5_ccache (FILE:PATH)"},
    {KRB5_CC_FORMAT, ERR_CONFIG, "the credential cache is malformed", "run kinit again"},
    {KRB5_FCC_PERM, ERR_CONFIG, "the credential cache cannot be read", "check its owner and mode"},
    {KRB5_KT_NOTFOUND, ERR_AUTH, "the keytab holds no key for this principal",
     "list it with klist -k; the realm and the case count"},
    {KRB5_KT_BADNAME, ERR_CONFIG, "the keytab's name is wrong", "check krb5_keytab"},
    {KRB5_KT_UNKNOWN_TYPE, ERR_CONFIG, "this kind of keytab is not known", "check krb5_keytab (FILE:PATH)"},
    {KRB5_KEYTAB_BADVNO, ERR_CONFIG, "this file is no keytab", "export it anew (ktpass, ktutil)"},
    {KRB5_KDCREP_SKEW, ERR_AUTH, "the clocks differ by more than the KDC allows",
     "set this machine's time (chrony, ntp) to that of the domain controller"},
    {KRB5_KDCREP_MODIFIED, ERR_PROTOCOL, "the KDC's answer does not fit the question",
     "does something else than a KDC answer on port 88?"},
    {KRB5_PREAUTH_FAILED, ERR_AUTH, "wrong password (or key)",
     "check the password; a keytab must have the account's current key"},
    {KRB5_GET_IN_TKT_LOOP, ERR_PROTOCOL, "the KDC asks again and again", NULL},
    {KRB5_PARSE_MALFORMED, ERR_AUTH, "this is no principal name", "write user@REALM"},
    {KRB5_NO_TKT_IN_RLM, ERR_AUTH, "the realm cannot be reached from ours", "is there a trust between them?"},
};

int krb_error_number(krb5_error_code code)
{
    krb5_error_code n = code - ERROR_TABLE_BASE_krb5;
    return n >= 0 && n < 128 ? (int)n : (int)code;
}

static const struct entry *find(const struct entry *t, size_t n, krb5_error_code code)
{
    for (size_t i = 0; i < n; i++)
        if (t[i].code == code)
            return &t[i];
    return NULL;
}

const char *krb_error_words(int code)
{
    const struct entry *e = find(protocol_errors, ARRAY_LEN(protocol_errors), code);
    if (!e)
        e = find(library_errors, ARRAY_LEN(library_errors), code);
    return e ? e->words : code == 0 ? "no error" : "a Kerberos error";
}

enum err krb_error_set(krb5_context ctx, krb5_error_code code, struct errinfo *ei, const char *what)
{
    int number = krb_error_number(code);
    const struct entry *e = find(protocol_errors, ARRAY_LEN(protocol_errors), number);
    if (!e)
        e = find(library_errors, ARRAY_LEN(library_errors), code);
    enum err err = e ? e->err : code == ENOMEM ? ERR_NOMEM : ERR_AUTH;
    if (e) {
        err_set(ei, err, e->hint, "Kerberos: %s: %s", what, e->words);
    } else {
        const char *text = krb5_get_error_message(ctx, code);
        if (code == ENOENT || code == EACCES)
            err = ERR_CONFIG;
        err_set(ei, err, NULL, "Kerberos: %s: %s", what, text);
        krb5_free_error_message(ctx, text);
    }
    if (ei)
        ei->sys = number;
    return err;
}

struct etype {
    int number;
    bool weak;
    const char *name;
};

/* The IANA registry of Kerberos encryption type numbers. Weak: RFC 6649 and RFC 8429 say never to use them. */
static const struct etype etypes[] = {
    {1, true, "des-cbc-crc"},
    {2, true, "des-cbc-md4"},
    {3, true, "des-cbc-md5"},
    {5, true, "des3-cbc-md5"},
    {16, true, "des3-cbc-sha1"},
    {17, false, "aes128-cts-hmac-sha1-96"},
    {18, false, "aes256-cts-hmac-sha1-96"},
    {19, false, "aes128-cts-hmac-sha256-128"},
    {20, false, "aes256-cts-hmac-sha384-192"},
    {23, true, "rc4-hmac"},
    {24, true, "rc4-hmac-exp"},
    {25, false, "camellia128-cts-cmac"},
    {26, false, "camellia256-cts-cmac"},
};

const char *krb_etype_name(int etype)
{
    for (size_t i = 0; i < ARRAY_LEN(etypes); i++)
        if (etypes[i].number == etype)
            return etypes[i].name;
    return etype == 0 ? "none" : "unknown encryption type";
}

bool krb_etype_is_weak(int etype)
{
    for (size_t i = 0; i < ARRAY_LEN(etypes); i++)
        if (etypes[i].number == etype)
            return etypes[i].weak;
    return etype < 0; /* Microsoft's private numbers: RC4 without hashes and other old forms */
}
