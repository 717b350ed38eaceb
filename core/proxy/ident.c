/* Identities. */
#include "core/proxy/ident.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define MARGIN_S 300 /* a new ticket is fetched 5 minutes before the old one ends */

struct ident *ident_new(const char *user, struct krb_login *own_login)
{
    struct ident *i = calloc(1, sizeof *i);
    if (i == NULL) {
        krb_login_free(&own_login);
        return NULL;
    }
    atomic_init(&i->refs, 1);
    (void)pthread_mutex_init(&i->lock, NULL);
    (void)str_copy(i->user, sizeof i->user, user);
    (void)str_copy(i->name, sizeof i->name, own_login != NULL ? krb_login_name(own_login) : user);
    i->login = own_login;
    return i;
}

struct ident *ident_ref(struct ident *i)
{
    (void)atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
    return i;
}

void ident_unref(struct ident **ip)
{
    struct ident *i = *ip;
    *ip = NULL;
    if (i == NULL || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1)
        return;
    krb_login_free(&i->login);
    for (size_t k = 0; k < i->n_tickets; k++)
        free(i->tickets[k].host);
    free(i->tickets);
    (void)pthread_mutex_destroy(&i->lock);
    free(i);
}

static struct ident_ticket *find(struct ident *i, const char *host)
{
    for (size_t k = 0; k < i->n_tickets; k++)
        if (str_ieq(i->tickets[k].host, host))
            return &i->tickets[k];
    return NULL;
}

bool ident_has_ticket(struct ident *i, const char *host, int64_t now)
{
    (void)pthread_mutex_lock(&i->lock);
    const struct ident_ticket *t = find(i, host);
    bool has = t != NULL && t->end - MARGIN_S > now;
    (void)pthread_mutex_unlock(&i->lock);
    return has;
}

void ident_forget_tickets(struct ident *i)
{
    (void)pthread_mutex_lock(&i->lock);
    for (size_t k = 0; k < i->n_tickets; k++)
        i->tickets[k].end = 0;
    (void)pthread_mutex_unlock(&i->lock);
}

void ident_add_ticket(struct ident *i, const char *host, int64_t end)
{
    (void)pthread_mutex_lock(&i->lock);
    struct ident_ticket *t = find(i, host);
    if (t != NULL) {
        t->end = end;
    } else if (i->n_tickets < IDENT_MAX_TICKETS) {
        struct ident_ticket *bigger = i->tickets;
        if ((i->n_tickets & (i->n_tickets - 1)) == 0)
            bigger = realloc(i->tickets, (i->n_tickets == 0 ? 1 : i->n_tickets * 2) * sizeof *bigger);
        char *copy = strdup(host);
        if (bigger != NULL) {
            i->tickets = bigger;
            if (copy != NULL) {
                i->tickets[i->n_tickets++] = (struct ident_ticket){copy, end};
                copy = NULL;
            }
        }
        free(copy);
    }
    (void)pthread_mutex_unlock(&i->lock);
}
