#include "core/route/route.h"

#include "core/base/err.h"

#include <pthread.h>
#include <string.h>

enum { PLACES = 3, PROTOCOLS = PROTOCOL_COUNT + 1, FRONTS = 3 };

/* Row number + 1 by key; 0: the table says nothing. About 40 KiB for an answer in one step. */
static uint16_t cells[GENERATION_COUNT][GENERATION_COUNT][PLACES][PROTOCOLS][FRONTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (size_t i = 0; i < route_rows_count; i++) {
        const struct route_row *r = &route_rows[i];
        uint16_t *cell = &cells[r->arriving][r->mailbox][r->place][r->protocol][r->front_auth];
        ASSERT(*cell == 0); /* the key is unique (routing.md 1.2) */
        *cell = (uint16_t)(i + 1);
    }
}

const struct route_row *route_row_find(enum generation arriving, enum generation mailbox,
                                       enum route_place place, enum protocol protocol,
                                       enum route_front_auth front_auth)
{
    if ((unsigned)arriving >= GENERATION_COUNT || (unsigned)mailbox >= GENERATION_COUNT ||
        (unsigned)place >= PLACES || (unsigned)protocol >= PROTOCOLS || (unsigned)front_auth >= FRONTS)
        return NULL;
    pthread_once(&once, fill);
    /* a pair that may not stand together has one row for every protocol */
    size_t n = cells[arriving][mailbox][place][PROTOCOL_UNKNOWN][ROUTE_FRONT_NA];
    if (n == 0)
        n = cells[arriving][mailbox][place][protocol][front_auth];
    return n ? &route_rows[n - 1] : NULL;
}

const char *route_action_name(enum route_action a)
{
    static const char *const names[] = {"serve", "proxy", "redirect", "refuse"};
    return (unsigned)a < sizeof names / sizeof *names ? names[a] : NULL;
}

const char *route_style_name(enum route_style s)
{
    static const char *const names[] = {NULL, "silent", "sso", "manual"};
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : NULL;
}

const char *route_confidence_name(enum route_confidence c)
{
    static const char *const names[] = {"documented", "observed", "unconfirmed"};
    return (unsigned)c < sizeof names / sizeof *names ? names[c] : names[ROUTE_UNCONFIRMED];
}

uint64_t route_anchor(const char *user)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *user; user++)
        h = (h ^ (uint64_t)(*user >= 'A' && *user <= 'Z' ? *user | 0x20 : *user)) * 1099511628211u;
    return h;
}
