/* Paged searches: AD answers 1,000 entries and 1,500 values at a time, and says so in passing only. */
#include "core/directory/ldap_session.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

/* Rounds of one ranged attribute, of AD's 1,500 values each. */
#define MAX_RANGES 64

struct pending { /* an attribute whose values did not all come */
    enum attribute attribute;
    char name[128];
    uint64_t next;
};

struct ldap_search {
    struct ldap_session *s;
    struct ldap_query q;
    char *base, *filter; /* of q */
    const struct stop *stop;
    int msgid; /* of the page under way; -1: none */
    struct berval cookie;
    char *attrs[ATTRIBUTE_COUNT + 2];
    char dn[ENTRY_DN_MAX + 1];
    uint32_t classes;
    VEC(struct pending) pending;
    VEC(LDAPMessage *) held; /* answers whose values the entry under way borrows */
};

/* libldap's prototypes lack the const; it writes nothing. */
static char *unconst(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void list_attributes(struct ldap_search *x)
{
    size_t n = 0;
    for (int a = 0; a < ATTRIBUTE_COUNT; a++)
        if (attribute_wanted_by((enum attribute)a) & x->q.who)
            x->attrs[n++] = unconst(attribute_name((enum attribute)a));
    if (x->q.extra)
        x->attrs[n++] = unconst(x->q.extra);
    x->attrs[n] = NULL;
}

/* ";range=0-1499" behind an attribute's name: true when more values follow, from *next on. */
static bool more_follow(const char *options, uint64_t *next)
{
    const char *range = str_icontains(options, ";range="), *dash = range ? strchr(range, '-') : NULL;
    if (!dash || dash[1] == '*')
        return false;
    size_t digits = strspn(dash + 1, "0123456789");
    if (!str_to_u64(dash + 1, digits, next) || *next == UINT64_MAX)
        return false;
    ++*next;
    return true;
}

/* name: of len bytes without its options. */
static bool take_values(struct ldap_search *x, const struct berval *name, size_t len, enum attribute a,
                        const struct berval *values)
{
    for (const struct berval *v = values; v && v->bv_val; v++) {
        if (a == ATTRIBUTE_OBJECT_CLASS)
            x->classes |= class_find(v->bv_val, v->bv_len);
        struct entry_value value = {.attribute = a, .cut = v->bv_len > ENTRY_VALUE_MAX, .data = v->bv_val};
        value.len = value.cut ? ENTRY_VALUE_MAX : v->bv_len;
        if (!VEC_PUSH(&x->s->values, ENTRY_VALUES_MAX, value))
            return x->s->values.n >= ENTRY_VALUES_MAX; /* the rest is left out, as in LDIF */
    }
    struct pending p = {.attribute = a};
    char options[64];
    if (name->bv_len == len || len >= sizeof p.name)
        return true;
    str_fmt(options, sizeof options, "%.*s", (int)(name->bv_len - len < 63 ? name->bv_len - len : 63),
            name->bv_val + len);
    if (!more_follow(options, &p.next))
        return true;
    memcpy(p.name, name->bv_val, len);
    return VEC_PUSH(&x->pending, 64, p);
}

static enum attribute which(const struct ldap_search *x, const char *name, size_t len)
{
    if (x->q.extra && strlen(x->q.extra) == len && str_incmp(x->q.extra, name, len) == 0)
        return ATTRIBUTE_EXTRA;
    enum attribute a = attribute_find(name, len);
    return a != ATTRIBUTE_NONE && attribute_wanted_by(a) & x->q.who ? a : ATTRIBUTE_NONE;
}

/* The values stay in the message; only the array of pointers to them is ours to free. */
static enum err take_attributes(struct ldap_search *x, LDAPMessage *msg, bool with_dn, struct errinfo *ei)
{
    BerElement *ber = NULL;
    struct berval dn = {0}, name, *values = NULL;
    enum err e = ERR_OK;
    if (ldap_get_dn_ber(x->s->ld, msg, &ber, &dn) != LDAP_SUCCESS)
        return err_set(ei, ERR_PROTOCOL, NULL, "%s: %s: an entry cannot be decoded", x->s->uri, x->q.what);
    if (with_dn) {
        size_t len = dn.bv_len < ENTRY_DN_MAX ? dn.bv_len : ENTRY_DN_MAX;
        memcpy(x->dn, dn.bv_val, len);
        x->dn[len] = '\0';
    }
    while (!e && ldap_get_attribute_ber(x->s->ld, msg, ber, &name, &values) == LDAP_SUCCESS && name.bv_val) {
        const char *semicolon = memchr(name.bv_val, ';', name.bv_len);
        size_t len = semicolon ? (size_t)(semicolon - name.bv_val) : name.bv_len;
        enum attribute a = which(x, name.bv_val, len);
        if (a != ATTRIBUTE_NONE && !take_values(x, &name, len, a, values))
            e = err_set(ei, ERR_NOMEM, NULL, "%s: no memory for an entry", x->s->uri);
        ber_memfree(values);
        values = NULL;
    }
    ber_free(ber, 0);
    return e;
}

/* The rest of a ranged attribute, with searches of its own on the same connection. */
static enum err complete(struct ldap_search *x, struct errinfo *ei)
{
    enum err e = ERR_OK;
    for (size_t i = 0, rounds = 0; !e && i < x->pending.n; i++) {
        if (++rounds > MAX_RANGES)
            break;
        struct pending p = x->pending.v[i];
        char want[192];
        str_fmt(want, sizeof want, "%s;range=%llu-*", p.name, (unsigned long long)p.next);
        char *attrs[] = {want, NULL};
        int msgid, rc = ldap_search_ext(x->s->ld, x->dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 0, NULL,
                                        NULL, NULL, 0, &msgid);
        if (rc != LDAP_SUCCESS)
            return ldap_explain(x->s, rc, NULL, x->q.what, ei);
        for (bool done = false; !done && !e;) {
            LDAPMessage *msg = NULL;
            e = ldap_session_wait(x->s, msgid, x->stop, x->q.what, &msg, ei);
            if (e)
                break;
            done = ldap_msgtype(msg) == LDAP_RES_SEARCH_RESULT;
            if (ldap_msgtype(msg) != LDAP_RES_SEARCH_ENTRY) {
                ldap_msgfree(msg);
            } else if (!VEC_PUSH(&x->held, MAX_RANGES * 2, msg)) {
                ldap_msgfree(msg);
                e = err_set(ei, ERR_NOMEM, NULL, "%s: no memory for an entry", x->s->uri);
            } else {
                e = take_attributes(x, msg, false, ei);
            }
        }
    }
    return e;
}

static enum err take_entry(struct ldap_search *x, LDAPMessage *msg, ldap_entry_sink *sink, void *arg,
                           struct errinfo *ei)
{
    x->s->values.n = x->pending.n = 0;
    x->classes = 0;
    enum err e = take_attributes(x, msg, true, ei);
    if (!e && x->pending.n)
        e = complete(x, ei);
    if (!e) {
        struct entry entry = {
            .dn = x->dn, .classes = x->classes, .values = x->s->values.v, .n = x->s->values.n};
        e = sink(arg, &entry, ei);
    }
    for (size_t i = 0; i < x->held.n; i++)
        ldap_msgfree(x->held.v[i]);
    x->held.n = 0;
    return e;
}

/* The end of a page: its result, and the cookie for the next one. */
static enum err take_result(struct ldap_search *x, LDAPMessage *msg, struct berval *cookie,
                            struct errinfo *ei)
{
    int rc = LDAP_OTHER;
    char *said = NULL;
    LDAPControl **controls = NULL;
    int parsed = ldap_parse_result(x->s->ld, msg, &rc, NULL, &said, NULL, &controls, 0);
    if (parsed != LDAP_SUCCESS)
        rc = parsed;
    enum err e = rc == LDAP_SUCCESS ? ERR_OK : ldap_explain(x->s, rc, said, x->q.what, ei);
    ber_memfree(cookie->bv_val);
    *cookie = (struct berval){0};
    LDAPControl *page = !e && controls ? ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL) : NULL;
    ber_int_t estimate;
    if (page && ldap_parse_pageresponse_control(x->s->ld, page, &estimate, cookie) != LDAP_SUCCESS)
        e = err_set(ei, ERR_PROTOCOL, NULL, "%s: %s: the page control of the answer is broken", x->s->uri,
                    x->q.what);
    ldap_controls_free(controls);
    ldap_memfree(said);
    return e;
}

static enum err ask_for_page(struct ldap_search *x, struct errinfo *ei)
{
    LDAPControl *page = NULL;
    int rc = ldap_create_page_control(x->s->ld, LDAP_PAGE, &x->cookie, 1, &page);
    if (rc == LDAP_SUCCESS) {
        LDAPControl *controls[] = {page, NULL};
        rc = ldap_search_ext(x->s->ld, x->q.base, x->q.scope, x->q.filter, x->attrs, 0,
                             x->q.scope == LDAP_SCOPE_BASE ? NULL : controls, NULL, NULL, 0, &x->msgid);
    }
    if (page)
        ldap_control_free(page);
    return rc == LDAP_SUCCESS ? ERR_OK : ldap_explain(x->s, rc, NULL, x->q.what, ei);
}

static enum err read_page(struct ldap_search *x, ldap_entry_sink *sink, void *arg, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (!e && x->msgid >= 0) {
        LDAPMessage *msg = NULL;
        e = ldap_session_wait(x->s, x->msgid, x->stop, x->q.what, &msg, ei);
        if (e)
            break;
        switch (ldap_msgtype(msg)) {
        case LDAP_RES_SEARCH_ENTRY:
            e = take_entry(x, msg, sink, arg, ei);
            if (e)
                ldap_abandon_ext(x->s->ld, x->msgid, NULL, NULL);
            break;
        case LDAP_RES_SEARCH_RESULT:
            x->msgid = -1;
            e = take_result(x, msg, &x->cookie, ei);
            break;
        default: break; /* a continuation reference: other domains are not ours to ask */
        }
        ldap_msgfree(msg);
    }
    return e;
}

static void free_search(struct ldap_search **search)
{
    struct ldap_search *x = *search;
    *search = NULL;
    ber_memfree(x->cookie.bv_val);
    VEC_FREE(&x->pending);
    VEC_FREE(&x->held);
    free(x->base);
    free(x->filter);
    free(x);
}

enum err ldap_search_begin(struct ldap_search **out, struct ldap_session *s, const struct ldap_query *q,
                           struct errinfo *ei)
{
    struct ldap_search *x = calloc(1, sizeof *x);
    if (!x)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a search");
    x->s = s;
    x->msgid = -1;
    x->q = *q;
    x->q.base = x->base = strdup(q->base);
    x->q.filter = x->filter = strdup(q->filter);
    list_attributes(x);
    enum err e =
        x->base && x->filter ? ask_for_page(x, ei) : err_set(ei, ERR_NOMEM, NULL, "no memory for a search");
    if (e)
        free_search(&x);
    else
        *out = x;
    return e;
}

enum err ldap_search_finish(struct ldap_search **search, ldap_entry_sink *sink, void *arg,
                            const struct stop *stop, struct errinfo *ei)
{
    struct ldap_search *x = *search;
    x->stop = stop;
    enum err e = read_page(x, sink, arg, ei);
    while (!e && x->cookie.bv_len) {
        e = ask_for_page(x, ei);
        if (!e)
            e = read_page(x, sink, arg, ei);
    }
    free_search(search);
    return e;
}

void ldap_search_drop(struct ldap_search **search)
{
    if (!*search)
        return;
    if ((*search)->msgid >= 0)
        ldap_abandon_ext((*search)->s->ld, (*search)->msgid, NULL, NULL);
    free_search(search);
}

enum err ldap_session_search(struct ldap_session *s, const struct ldap_query *q, ldap_entry_sink *sink,
                             void *arg, const struct stop *stop, struct errinfo *ei)
{
    struct ldap_search *x = NULL;
    enum err e = ldap_search_begin(&x, s, q, ei);
    return e ? e : ldap_search_finish(&x, sink, arg, stop, ei);
}
