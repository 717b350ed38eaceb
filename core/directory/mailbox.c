#include "core/directory/mailbox.h"

#include "core/base/str.h"
#include "core/directory/ldap_session.h"

#include <stdio.h>
#include <string.h>

#define ACCOUNT_DISABLED 2 /* userAccountControl, [MS-ADTS] 2.2.16 */

static bool set_key(struct mailbox_key *k, enum mailbox_key_kind kind, const char *s, size_t len)
{
    if (!len || len >= sizeof k->text || memchr(s, '\0', len))
        return false;
    k->kind = kind;
    for (size_t i = 0; i < len; i++)
        k->text[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    k->text[len] = '\0';
    return true;
}

static bool set_guid(struct mailbox_key *k, const unsigned char octets[16])
{
    k->kind = MAILBOX_BY_GUID;
    for (size_t i = 0; i < 16; i++)
        snprintf(k->text + 2 * i, 3, "%02x", octets[i]);
    return true;
}

/* The text form has the first three groups the other way round than the octets ([MS-DTYP] 2.3.4). */
static const unsigned char guid_order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* "8-4-4-4-12" at s; false when it is not all there. */
static bool guid_octets(const char *s, unsigned char octets[16])
{
    for (size_t i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
            return false;
        int high = hex(s[0]), low = high < 0 ? -1 : hex(s[1]);
        if (low < 0)
            return false;
        octets[guid_order[i]] = (unsigned char)(high << 4 | low);
        s += 2;
    }
    return true;
}

enum err mailbox_key_parse(struct mailbox_key *k, const char *who, struct errinfo *ei)
{
    unsigned char octets[16];
    k->domain[0] = '\0';
    const char *s = who + (*who == '{');
    size_t len = strlen(who);
    if (guid_octets(s, octets)) {
        s += 36;
        if (*who == '{' && *s++ != '}')
            goto bad;
        if (!*s || *s == '@') {
            set_guid(k, octets);
            return ERR_OK;
        }
    }
    static const struct {
        const char *prefix;
        enum mailbox_key_kind kind;
    } prefixes[] = {{"x500:", MAILBOX_BY_LEGACY_DN}, {"smtp:", MAILBOX_BY_ADDRESS}};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (!str_istarts(who, prefixes[i].prefix))
            continue;
        if (set_key(k, prefixes[i].kind, who + 5, len - 5))
            return ERR_OK;
        goto bad;
    }
    if (who[0] == '/' && set_key(k, MAILBOX_BY_LEGACY_DN, who, len))
        return ERR_OK;
    const char *slash = strchr(who, '\\');
    if (slash && !strchr(slash + 1, '\\')) {
        size_t n = (size_t)(slash - who);
        if (n < sizeof k->domain && set_key(k, MAILBOX_BY_SAM, slash + 1, strlen(slash + 1))) {
            for (size_t i = 0; i < n; i++)
                k->domain[i] = who[i] >= 'A' && who[i] <= 'Z' ? (char)(who[i] + 32) : who[i];
            k->domain[n] = '\0';
            return ERR_OK;
        }
    } else if (!slash && set_key(k, strchr(who, '@') ? MAILBOX_BY_ADDRESS : MAILBOX_BY_SAM, who, len)) {
        return ERR_OK;
    }
bad:
    return err_set(ei, ERR_INPUT,
                   "give user@domain, DOMAIN\\user, a legacyExchangeDN (/o=...) or the mailbox's GUID",
                   "\"%.100s\" names no mailbox", who);
}

enum err mailbox_key_filter(const struct mailbox_key *k, struct buf *out)
{
    struct buf value;
    buf_init(&value, sizeof k->text * 3 + 1);
    if (k->kind == MAILBOX_BY_GUID) {
        for (size_t i = 0; i < 16; i++) {
            buf_addc(&value, '\\');
            buf_add(&value, k->text + 2 * i, 2);
        }
    } else {
        ldap_filter_escape(&value, k->text, strlen(k->text));
    }
    const char *v = buf_str(&value);
    buf_adds(out, "(&(objectClass=user)");
    switch (k->kind) {
    case MAILBOX_BY_ADDRESS:
        buf_addf(out, "(|(userPrincipalName=%s)(mail=%s)(proxyAddresses=smtp:%s))", v, v, v);
        break;
    case MAILBOX_BY_SAM: buf_addf(out, "(sAMAccountName=%s)", v); break;
    case MAILBOX_BY_LEGACY_DN: buf_addf(out, "(|(legacyExchangeDN=%s)(proxyAddresses=x500:%s))", v, v); break;
    case MAILBOX_BY_GUID: buf_addf(out, "(msExchMailboxGuid=%s)", v); break;
    }
    enum err e = value.failed ? value.failed : buf_addc(out, ')');
    buf_fini(&value);
    return e;
}

uint64_t mailbox_key_hash(const struct mailbox_key *k)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)k->kind; /* FNV-1a */
    for (const char *s = k->text; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h ^ h >> 31;
}

void mailbox_keys(const struct entry *e, void (*each)(void *arg, const struct mailbox_key *k), void *arg)
{
    static const struct {
        enum attribute attribute;
        const char *prefix; /* of the value; not part of the key */
        enum mailbox_key_kind kind;
    } table[] = {
        {ATTRIBUTE_UPN, "", MAILBOX_BY_ADDRESS},
        {ATTRIBUTE_MAIL, "", MAILBOX_BY_ADDRESS},
        {ATTRIBUTE_PROXY_ADDRESSES, "smtp:", MAILBOX_BY_ADDRESS},
        {ATTRIBUTE_PROXY_ADDRESSES, "x500:", MAILBOX_BY_LEGACY_DN},
        {ATTRIBUTE_SAM, "", MAILBOX_BY_SAM},
        {ATTRIBUTE_LEGACY_DN, "", MAILBOX_BY_LEGACY_DN},
    };
    struct mailbox_key k;
    for (size_t i = 0; i < e->n; i++) {
        const struct entry_value *v = &e->values[i];
        if (v->attribute == ATTRIBUTE_MAILBOX_GUID && v->len == 16 &&
            set_guid(&k, (const unsigned char *)v->data))
            each(arg, &k);
        for (size_t t = 0; t < ARRAY_LEN(table); t++) {
            size_t skip = strlen(table[t].prefix);
            if (v->attribute == table[t].attribute && v->len > skip &&
                str_incmp(v->data, table[t].prefix, skip) == 0 &&
                set_key(&k, table[t].kind, v->data + skip, v->len - skip))
                each(arg, &k);
        }
    }
}

struct match {
    const struct mailbox_key *wanted;
    bool found;
};

static void compare(void *arg, const struct mailbox_key *k)
{
    struct match *m = arg;
    if (k->kind == m->wanted->kind && strcmp(k->text, m->wanted->text) == 0)
        m->found = true;
}

bool mailbox_key_matches(const struct mailbox_key *k, const struct entry *e)
{
    struct match m = {.wanted = k};
    mailbox_keys(e, compare, &m);
    return m.found;
}

/* The primary address is the one with the prefix in capitals. */
static void primary_address(const struct entry *e, char *out, size_t cap)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct entry_value *v = &e->values[i];
        if (v->attribute == ATTRIBUTE_PROXY_ADDRESSES && v->len > 5 && v->len - 5 < cap &&
            memcmp(v->data, "SMTP:", 5) == 0 && utf8_valid(v->data, v->len) &&
            !memchr(v->data, '\0', v->len)) {
            memcpy(out, v->data + 5, v->len - 5);
            out[v->len - 5] = '\0';
            return;
        }
    }
    entry_text(e, ATTRIBUTE_MAIL, out, cap);
}

void mailbox_fill(struct mailbox *out, const struct entry *e, const struct org *org)
{
    char text[ENTRY_DN_MAX];
    int64_t bits;
    bool bad;
    *out = (struct mailbox){0};
    str_copy(out->dn, sizeof out->dn, e->dn);
    entry_text(e, ATTRIBUTE_SAM, out->sam, sizeof out->sam);
    entry_text(e, ATTRIBUTE_LEGACY_DN, out->legacy_dn, sizeof out->legacy_dn);
    primary_address(e, out->mail, sizeof out->mail);
    if (!entry_text(e, ATTRIBUTE_UPN, out->user, sizeof out->user))
        str_copy(out->user, sizeof out->user, out->mail[0] ? out->mail : out->sam);
    const struct entry_value *guid = entry_first(e, ATTRIBUTE_MAILBOX_GUID);
    for (size_t i = 0, at = 0; guid && guid->len == 16 && i < 16; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        at += (size_t)snprintf(out->guid + at, sizeof out->guid - at, "%s%02x", dash,
                               (unsigned char)guid->data[guid_order[i]]);
    }
    if (entry_text(e, ATTRIBUTE_HOME_MDB, text, sizeof text))
        out->database = org_database_by_dn(org, text);
    if (out->database)
        out->server = out->database->owner;
    if (!out->server && entry_text(e, ATTRIBUTE_HOME_SERVER, text, sizeof text))
        out->server = org_server_by_legacy_dn(org, text);
    if (out->server) {
        out->generation = out->server->generation;
        out->site = out->server->site;
    }
    out->is_disabled = entry_int(e, ATTRIBUTE_ACCOUNT_CONTROL, &bits, &bad) && bits & ACCOUNT_DISABLED;
}
