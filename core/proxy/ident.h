/*
 * Whom a request is for, once the password was right; or the engine itself. Shared by threads, reference counted.
 */
#ifndef CORE_PROXY_IDENT_H
#define CORE_PROXY_IDENT_H

#include "core/kerberos/kerberos.h"

#include <pthread.h>
#include <stdatomic.h>

#define IDENT_MAX_TICKETS 1024

struct ident {
    atomic_uint refs;
    char user[256];          /* as the client wrote it: the directory is asked with it */
    char name[256];          /* principal */
    struct krb_login *login; /* NULL: nothing to authenticate with */
    pthread_mutex_t lock;    /* below */
    struct ident_ticket {
        char *host;
        int64_t end; /* Unix seconds */
    } * tickets;
    size_t n_tickets;
};

/* login is taken over, also on failure. NULL without memory. */
struct ident *ident_new(const char *user, struct krb_login *own_login);
struct ident *ident_ref(struct ident *i);
void ident_unref(struct ident **i);
/* Is there a ticket for HTTP/host that lasts for some time yet? Then a token can be made without asking the KDC. */
bool ident_has_ticket(struct ident *i, const char *host, int64_t now);
/* After the login was renewed: what was fetched before lies in the cache that is given up. */
void ident_forget_tickets(struct ident *i);
void ident_add_ticket(struct ident *i, const char *host, int64_t end);

#endif
