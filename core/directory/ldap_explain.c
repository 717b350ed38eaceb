/* What LDAP, SASL and GSSAPI say when they refuse, in the words of somebody who has to do something about it. */
#include "core/directory/ldap_session.h"

#include "core/base/str.h"

#include <string.h>

enum err ldap_filter_escape(struct buf *out, const char *value, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c == '(' || c == ')' || c == '*' || c == '\\' || c < 0x20 || c >= 0x7f) {
            char hex[3] = {'\\', digits[c >> 4], digits[c & 15]};
            buf_add(out, hex, 3);
        } else {
            buf_addc(out, (char)c);
        }
    }
    return out->failed;
}

/* AD puts the cause of a refused password behind "data" in the diagnostic ([MS-ADTS] 5.1.1.5 gives the Windows codes). */
static const char *bad_password_cause(const char *diagnostic)
{
    static const struct {
        const char *code, *cause;
    } causes[] = {
        {"data 525", "there is no such user"},
        {"data 52e", "wrong password (or no such user)"},
        {"data 530", "the account may not log in at this time"},
        {"data 531", "the account may not log in from here"},
        {"data 532", "the password has expired"},
        {"data 533", "the account is disabled"},
        {"data 701", "the account has expired"},
        {"data 773", "the password must be changed first"},
        {"data 775", "the account is locked"},
    };
    for (size_t i = 0; diagnostic && i < ARRAY_LEN(causes); i++)
        if (str_icontains(diagnostic, causes[i].code))
            return causes[i].cause;
    return "name or password are wrong";
}

static const char *name_of(const struct ldap_session *s)
{
    return s->host[0] ? s->host : s->uri;
}

enum err ldap_explain(struct ldap_session *s, int rc, const char *diagnostic, const char *what,
                      struct errinfo *ei)
{
    static const struct {
        int rc;
        enum err code;
        const char *text, *hint;
    } table[] = {
        {LDAP_SIZELIMIT_EXCEEDED, ERR_PROTOCOL, "the answer was cut by the controller's size limit",
         "read from a controller that allows paged searches of any length"},
        {LDAP_TIMELIMIT_EXCEEDED, ERR_TIMEOUT, "the controller gave up: its time limit was reached",
         "try again, or another controller with --source"},
        {LDAP_ADMINLIMIT_EXCEEDED, ERR_PROTOCOL,
         "the controller refused: an administrative limit was reached",
         "try another controller with --source"},
        {LDAP_INSUFFICIENT_ACCESS, ERR_DENIED, "no permission",
         "log in as somebody who may read the Exchange configuration (View-Only Organization Management)"},
        {LDAP_NO_SUCH_OBJECT, ERR_NOTFOUND, "there is no such object, or it may not be seen",
         "check that this forest has Exchange, and that this account may read the configuration partition"},
        {LDAP_BUSY, ERR_UNREACHABLE, "the controller is busy",
         "try again, or another controller with --source"},
        {LDAP_UNAVAILABLE, ERR_UNREACHABLE, "the controller is shutting down or starting",
         "try again, or another controller with --source"},
        {LDAP_OPERATIONS_ERROR, ERR_AUTH, "the controller wants a bind first", "log in: kinit, or ldap_user"},
        {LDAP_REFERRAL, ERR_PROTOCOL, "the controller refers to another one",
         "name a controller of that domain with --source"},
        {LDAP_SERVER_DOWN, ERR_UNREACHABLE, "the connection was lost", "is the controller still up?"},
        {LDAP_CONNECT_ERROR, ERR_UNREACHABLE, "the connection failed", "is the controller up?"},
        {LDAP_TIMEOUT, ERR_TIMEOUT, "no answer in time", "give it longer with --timeout"},
        {LDAP_NO_MEMORY, ERR_NOMEM, "out of memory", NULL},
    };
    if (rc == LDAP_SERVER_DOWN || rc == LDAP_CONNECT_ERROR || rc == LDAP_UNAVAILABLE || rc == LDAP_BUSY)
        s->lost = true;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].rc != rc)
            continue;
        err_set(ei, table[i].code, table[i].hint, "%s: %s: %s", name_of(s), what, table[i].text);
        if (ei)
            ei->sys = rc;
        return table[i].code;
    }
    err_set(ei, ERR_PROTOCOL, NULL, "%s: %s: %s (%d)%s%.160s", name_of(s), what, ldap_err2string(rc), rc,
            diagnostic && *diagnostic ? ": " : "", diagnostic ? diagnostic : "");
    if (ei)
        ei->sys = rc;
    return ERR_PROTOCOL;
}

/* Texts of MIT krb5, Heimdal and Cyrus SASL; the first that is found tells. */
static bool explain_gssapi(struct ldap_session *s, const char *diagnostic, enum err *code, struct errinfo *ei)
{
    static const struct {
        const char *sign;
        enum err code;
        const char *text, *hint;
    } table[] = {
        {"No Kerberos credentials", ERR_AUTH, "no Kerberos ticket",
         "kinit first, or set krb5_principal and krb5_keytab in the profile"},
        {"No credentials cache", ERR_AUTH, "no Kerberos ticket",
         "kinit first, or set krb5_principal and krb5_keytab in the profile"},
        {"Credentials cache", ERR_AUTH, "the Kerberos credential cache cannot be read",
         "kinit first; check KRB5CCNAME"},
        {"Ticket expired", ERR_AUTH, "the Kerberos ticket has expired", "kinit again"},
        {"Clock skew", ERR_AUTH, "the clocks differ too much for Kerberos",
         "set this machine's clock by the controller's (NTP); 5 minutes are allowed"},
        {"Cannot contact any KDC", ERR_UNREACHABLE, "no KDC answers",
         "check the realm's KDCs in krb5.conf, and port 88"},
        {"Cannot find KDC", ERR_UNREACHABLE, "the realm's KDC cannot be found",
         "name it in krb5.conf, or check DNS (_kerberos._tcp SRV)"},
        {"not found in Kerberos database", ERR_AUTH, "the KDC knows no such service",
         "name the controller as the directory does (its FQDN), never by address or alias"},
        {"Cannot determine realm", ERR_AUTH, "the controller's realm is not known",
         "name the controller by its FQDN; see [domain_realm] in krb5.conf"},
        {"KDC has no support for encryption type", ERR_AUTH, "no encryption type in common with the KDC",
         "check msDS-SupportedEncryptionTypes and permitted_enctypes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!str_icontains(diagnostic, table[i].sign))
            continue;
        *code = table[i].code;
        err_set(ei, table[i].code, table[i].hint, "%s: Kerberos (ldap/%s): %s", s->uri, name_of(s),
                table[i].text);
        return true;
    }
    return false;
}

enum err ldap_explain_bind(struct ldap_session *s, int rc, const char *diagnostic, struct errinfo *ei)
{
    enum err code = ERR_AUTH;
    const char *said = diagnostic && *diagnostic ? diagnostic : ldap_err2string(rc);
    if (rc == LDAP_SERVER_DOWN || rc == LDAP_CONNECT_ERROR || rc == LDAP_TIMEOUT || rc == LDAP_BUSY ||
        rc == LDAP_UNAVAILABLE)
        return ldap_explain(s, rc, diagnostic, "logging in", ei);
    if (explain_gssapi(s, said, &code, ei))
        goto out;
    switch (rc) {
    case LDAP_INVALID_CREDENTIALS:
        err_set(ei, code, "check the account with kinit, or ldap_user and ldap_password",
                "%s: the login was refused: %s", name_of(s), bad_password_cause(diagnostic));
        break;
    case LDAP_STRONG_AUTH_REQUIRED: /* 8: a controller that wants sealing even inside TLS, or any protection at all */
        err_set(ei, code,
                s->tls ? "use ldap:// instead, where Kerberos seals: this controller wants its own seal"
                       : "use Kerberos (it seals), or ldaps://",
                "%s: the controller wants a protected connection: %.120s", name_of(s), said);
        break;
    case LDAP_UNWILLING_TO_PERFORM: /* 53: a seal inside TLS */
        err_set(ei, code, s->tls ? "use ldap:// instead, where Kerberos seals" : "log in another way",
                "%s: the controller refused the login: %.140s", name_of(s), said);
        break;
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_AUTH_METHOD_NOT_SUPPORTED:
    case LDAP_AUTH_UNKNOWN:
        err_set(ei, code, "is the Kerberos module of Cyrus SASL installed (libsasl2-modules-gssapi-mit)?",
                "%s: this way of logging in is not available: %.140s", name_of(s), said);
        break;
    default:
        err_set(ei, code, "try kinit and ldapsearch -Y GSSAPI by hand", "%s: the login failed: %.180s",
                name_of(s), said);
    }
out:
    if (ei)
        ei->sys = rc;
    return code;
}
