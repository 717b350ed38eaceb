/*
 * Inside the app_*.c files only: Autodiscover asked, by whatever way it was found.
 */
#ifndef CORE_PROBE_APP_AUTODISCOVER_H
#define CORE_PROBE_APP_AUTODISCOVER_H

#include "core/probe/app_int.h"
#include "core/probe/app_pox.h"

#define AUTODISCOVER_ADDRESS_MAX 320
#define AUTODISCOVER_HOPS_MAX    10

/* Where one question goes: the target itself (here), or a host found on the way. */
struct autodiscover_place {
    bool here;
    char host[PROBE_NAME_MAX];
    uint16_t port;
    char path[APP_URL_MAX / 2];
    enum logon_method method; /* how to log on there; LOGON_NONE: not to be shown credentials, see why */
    uint32_t others;          /* bit per further method that could be tried when that is refused */
    char why[400];
    unsigned char
        binding[CERTIFICATE_BINDING_MAX]; /* of the certificate that was found good; 0 bytes: none was */
    size_t binding_len;
};

/* One conversation: the first question, then wherever redirects lead. */
struct autodiscover {
    struct target *t;
    struct autodiscover_place place; /* where it stands now */
    char address[AUTODISCOVER_ADDRESS_MAX];
    bool mobile, last;
    char visited[AUTODISCOVER_HOPS_MAX + 1][AUTODISCOVER_ADDRESS_MAX + PROBE_NAME_MAX + APP_URL_MAX / 2];
    size_t n_visited;
    struct buf trail; /* "redirected to ..." for people; "" */
};

/* The test user's address; false when there is none, with the reason. */
bool autodiscover_address(const struct target *t, char *out, size_t cap, const char **why);
void autodiscover_init(struct autodiscover *q, struct target *t, const char *address, bool mobile, bool last);
void autodiscover_fini(struct autodiscover *q);

/*
 * Asks, follows redirects within the organisation, and reads the answer. OUTCOME_OK: *x holds settings, for pox_fini(); detail says from
 * where. Otherwise detail says why not. A redirect to a host that is not ours, or to one whose certificate is not good, is shown and
 * not followed.
 */
enum outcome autodiscover_ask(struct autodiscover *q, struct pox *x, struct buf *detail);

/* Host, port and path of an https URL; false for anything else. */
bool autodiscover_place_from(struct autodiscover_place *out, const char *url);
/*
 * dns, tcp, tls and certificate of a place, recorded; then an anonymous question. Fills how to log on. OUTCOME_OK: something asks for
 * credentials there; OUTCOME_SKIPPED: there is no Autodiscover (no such name, nobody listens, 404); detail says it.
 */
enum outcome autodiscover_visit(struct target *t, struct autodiscover_place *place, bool last,
                                struct buf *detail);

/* The ways by the address's domain, in Outlook's order, once a run. */
void autodiscover_ways(struct target *t, const char *address, bool last);

/* The path of the offline address book of the test user's mailbox, for app_oab(). */
enum err autodiscover_oab_path(struct target *t, char *out, size_t cap, struct errinfo *ei) MUST_CHECK;

#endif
