#include "core/directory/forest.h"

#include "core/base/str.h"
#include "core/directory/mailbox.h"

#include <stdlib.h>
#include <string.h>

#define MAX_VALUES ((size_t)20000)

static const char ldif_prefix[] = "ldif:";

/* The source to use: the caller's, else the profile's; checked as far as its kind. */
static enum err choose(const struct profile *p, const char *source, const char **out, bool *offline,
                       struct errinfo *ei)
{
    if (!source && p)
        source = profile_get(p, PROFILE_source, NULL);
    *out = source;
    *offline = source && str_istarts(source, ldif_prefix);
    if (!source || *offline || str_istarts(source, "ldap://") || str_istarts(source, "ldaps://") ||
        str_istarts(source, "ldapi://"))
        return ERR_OK;
    if (str_istarts(source, "snapshot:"))
        return err_set(ei, ERR_USAGE, "name the directory itself: --source ldap://HOST",
                       "%.100s is a snapshot: it cannot be asked, only read", source);
    return err_set(ei, ERR_USAGE, "write ldap://HOST, ldaps://HOST, ldapi://SOCKET or ldif:FILE",
                   "the source %.100s is of no known kind", source);
}

enum err directory_read(struct org **out, const struct profile *p, const char *source,
                        const struct stop *stop, struct errinfo *ei)
{
    return directory_read_keeping(out, NULL, p, source, stop, ei);
}

enum err directory_read_keeping(struct org **out, struct buf *kept, const struct profile *p,
                                const char *source, const struct stop *stop, struct errinfo *ei)
{
    bool offline;
    enum err e = choose(p, source, &source, &offline, ei);
    if (e)
        return e;
    if (offline)
        return ldif_read_org(out, kept, source + strlen(ldif_prefix), stop, ei);
    return ldap_read_org(out, kept, p, source, stop, ei);
}

enum err directory_open(struct directory **out, const struct profile *p, const char *source,
                        const struct stop *stop, struct errinfo *ei)
{
    bool offline;
    enum err e = choose(p, source, &source, &offline, ei);
    if (e)
        return e;
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a directory");
    pthread_mutex_init(&d->lock, NULL);
    d->profile = p;
    d->offline = offline;
    d->file.fd = -1;
    if (source && !(d->source = strdup(source)))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a directory");
    if (!e)
        e = offline ? ldif_file_open(&d->file, source + strlen(ldif_prefix), ei)
                    : ldap_open_any(&d->session, p, source, stop, ei);
    if (e) {
        directory_close(&d);
        return e;
    }
    str_copy(d->controller, sizeof d->controller, offline ? source : d->session.controller);
    *out = d;
    return ERR_OK;
}

void directory_close(struct directory **d)
{
    if (!*d)
        return;
    ldap_session_close(&(*d)->session);
    ldap_session_close(&(*d)->catalogue);
    ldif_index_fini(&(*d)->index);
    ldif_file_close(&(*d)->file);
    pthread_mutex_destroy(&(*d)->lock);
    free((*d)->source);
    free(*d);
    *d = NULL;
}

const char *directory_controller(const struct directory *d)
{
    return d->controller;
}

enum err directory_search(struct directory *d, const struct ldap_query *q, ldap_entry_sink *sink, void *arg,
                          void (*reset)(void *arg), const struct stop *stop, struct errinfo *ei)
{
    enum err e = d->session.ld ? ldap_session_search(&d->session, q, sink, arg, stop, ei) : ERR_UNREACHABLE;
    if (!e || (d->session.ld && !d->session.lost))
        return e;
    reset(arg);
    ldap_session_close(&d->session);
    e = ldap_open_any(&d->session, d->profile, d->source, stop, ei);
    return e ? e : ldap_session_search(&d->session, q, sink, arg, stop, ei);
}

/* ---- mailboxes */

struct looking {
    const struct org *org;
    const char
        *only; /* the domain to be in: a search of the catalogue goes down into those below; NULL: any */
    struct mailbox *out;
    unsigned n;
    char first_dn[160], second_dn[160];
};

static void forget_mailbox(void *arg)
{
    struct looking *l = arg;
    l->n = 0;
}

static enum err take_mailbox(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct looking *l = arg;
    (void)ei;
    if (l->only && !dn_equal(dn_domain(e->dn), l->only))
        return ERR_OK;
    if (l->n++ == 0) {
        mailbox_fill(l->out, e, l->org);
        str_copy(l->first_dn, sizeof l->first_dn, e->dn);
    } else {
        str_copy(l->second_dn, sizeof l->second_dn, e->dn);
    }
    return ERR_OK;
}

static bool stops(enum err e)
{
    return e == ERR_INTERRUPTED || e == ERR_TIMEOUT || e == ERR_NOMEM;
}

/*
 * Where to look: a short name of a domain before the backslash chooses that one; otherwise the controller's own, and when nobody is found
 * there, the forest by the global catalogue, which holds what routing needs of a mailbox.
 */
static enum err mailbox_live(struct directory *d, const struct org *org, const struct mailbox_key *k,
                             struct mailbox *out, const struct stop *stop, struct errinfo *ei)
{
    struct mailbox found;
    struct looking l = {.org = org, .out = &found};
    struct buf filter;
    struct errinfo why = {0};
    char chosen[ENTRY_DN_MAX] = "";
    const char *own = org->default_naming_context ? org->default_naming_context : d->session.default_nc;
    bool forest = false;
    enum err e = ERR_OK, beyond = ERR_OK;
    if (k->domain[0]) { /* a domain that cannot be looked up is not compared */
        e = forest_naming_context(d, k->domain, chosen, sizeof chosen, stop, ei);
        if (e && (e == ERR_NOTFOUND || stops(e)))
            return e;
    }
    buf_init(&filter, (size_t)16 * 1024);
    if (mailbox_key_filter(k, &filter) || !own) {
        e = err_set(ei, ERR_INPUT, NULL, "%s cannot be searched for", k->text);
        goto out;
    }
    struct ldap_query q = {.base = own,
                           .scope = LDAP_SCOPE_SUBTREE,
                           .filter = buf_str(&filter),
                           .who = FOR_MAILBOX,
                           .what = "looking a mailbox up"};
    e = ERR_OK;
    if (!chosen[0] || dn_equal(chosen, own))
        e = directory_search(d, &q, take_mailbox, &l, forget_mailbox, stop, ei);
    forest = !e && !l.n && (chosen[0] ? !dn_equal(chosen, own) : forest_domains(d, stop) != 1);
    if (forest) {
        q.base = chosen;
        l.only = chosen[0] ? chosen : NULL;
        beyond = forest_search(d, &q, take_mailbox, &l, forget_mailbox, stop, &why);
    }
    if (stops(beyond)) {
        e = beyond;
        if (ei)
            *ei = why;
    }
out:
    buf_fini(&filter);
    if (e)
        return e;
    if (l.n > 1)
        return err_set(ei, ERR_INPUT, "use another of its names, or correct the directory",
                       "%s: %u have it: %s, %s", k->text, l.n, l.first_dn, l.second_dn);
    if (!l.n && beyond)
        return err_set(
            ei, ERR_NOTFOUND,
            "name a controller that is a global catalogue with --source, or one of the user's domain",
            "no mailbox %s on %s, and the forest's other domains could not be asked: %s", k->text,
            d->controller, why.what);
    if (!l.n)
        return err_set(ei, ERR_NOTFOUND,
                       forest      ? "check the name"
                       : chosen[0] ? "check the name; only that domain was searched"
                                   : "check the name; the forest has this one domain",
                       "no mailbox %s %s %s", k->text, forest ? "in the forest of" : "on", d->controller);
    *out = found;
    return ERR_OK;
}

static enum err mailbox_offline(struct directory *d, const struct org *org, const struct mailbox_key *k,
                                struct mailbox *out, const struct stop *stop, struct errinfo *ei)
{
    if (!d->indexed) {
        enum err e = ldif_index_build(&d->index, &d->file, stop, ei);
        if (e)
            return e;
        d->indexed = true;
    }
    return ldif_index_find(&d->index, &d->file, k, org, out, ei);
}

enum err directory_mailbox(struct directory *d, const struct org *org, const char *who, struct mailbox *out,
                           const struct stop *stop, struct errinfo *ei)
{
    struct mailbox_key k;
    enum err e = mailbox_key_parse(&k, who, ei);
    if (e)
        return e;
    pthread_mutex_lock(&d->lock);
    e = d->offline ? mailbox_offline(d, org, &k, out, stop, ei) : mailbox_live(d, org, &k, out, stop, ei);
    pthread_mutex_unlock(&d->lock);
    return e;
}

/* ---- attributes */

struct attribute_reading {
    const char *dn; /* offline: the object sought; NULL: every entry is it */
    bool found;
    VEC(char *) values;
};

static void forget_values(void *arg)
{
    struct attribute_reading *r = arg;
    for (size_t i = 0; i < r->values.n; i++)
        free(r->values.v[i]);
    VEC_FREE(&r->values);
    r->found = false;
}

static enum err take_attribute(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct attribute_reading *r = arg;
    if (r->found || (r->dn && !dn_equal(r->dn, e->dn)))
        return ERR_OK;
    r->found = true;
    for (size_t i = 0; i < e->n; i++) {
        if (e->values[i].attribute != ATTRIBUTE_EXTRA)
            continue;
        char *copy = strndup(e->values[i].data, e->values[i].len);
        if (!copy || !VEC_PUSH(&r->values, MAX_VALUES, copy)) {
            free(copy);
            return err_set(ei, ERR_NOMEM, NULL, "no memory for the values of an attribute");
        }
    }
    return ERR_OK;
}

void directory_ignore_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    (void)arg, (void)line, (void)subject, (void)text;
}

enum err directory_attribute(struct directory *d, const char *dn, const char *attribute,
                             struct directory_values *out, const struct stop *stop, struct errinfo *ei)
{
    struct attribute_reading r = {.dn = d->offline ? dn : NULL};
    enum err e;
    pthread_mutex_lock(&d->lock);
    if (d->offline) {
        const struct ldif_wants wants = {.everything = true,
                                         .extra = attribute,
                                         .entry = take_attribute,
                                         .note = directory_ignore_note,
                                         .arg = &r};
        struct ldif_scan scan;
        e = ldif_file_scan(&d->file, &wants, stop, &scan, ei);
    } else {
        const struct ldap_query q = {.base = dn,
                                     .scope = LDAP_SCOPE_BASE,
                                     .filter = "(objectClass=*)",
                                     .extra = attribute,
                                     .what = "reading an attribute"};
        e = directory_search(d, &q, take_attribute, &r, forget_values, stop, ei);
    }
    pthread_mutex_unlock(&d->lock);
    if (!e && !r.found)
        e = err_set(ei, ERR_NOTFOUND, "it was deleted, or this account may not see it", "there is no %.240s",
                    dn);
    if (e) {
        forget_values(&r);
        return e;
    }
    *out = (struct directory_values){r.values.v, r.values.n};
    return ERR_OK;
}

void directory_values_free(struct directory_values *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->v[i]);
    free(v->v);
    *v = (struct directory_values){0};
}
