/*
 * What the console knows at one moment: an organisation, the evidence about it, what the rules conclude. Made by a job, then
 * immutable; swapped on the UI thread. Counted references, touched on the UI thread only (a job is given its own before it starts).
 */
#ifndef TUI_WORLD_H
#define TUI_WORLD_H

#include "core/model/finding.h"
#include "core/model/profile.h"
#include "tui/widgets/state.h"

struct org_box { /* one organisation, shared by the worlds made of it */
    unsigned refs;
    struct org *org;
};

struct server_summary {
    enum state state; /* the worst finding; OK when something passed and nothing was found */
    unsigned found, passed, unknown;
    const struct observation *oa_wire; /* newest anonymous challenge of Outlook Anywhere; NULL: never asked */
};

struct rule_summary {
    enum state state;
    unsigned found, passed, unknown;
};

struct world {
    unsigned refs;
    struct org_box *box;
    const struct org *org; /* box->org */
    struct evidence evidence;
    struct findings findings;
    bool has_findings; /* false: the rules could not be evaluated, rules_error says why */
    struct errinfo rules_error;
    int64_t probed_at; /* 0: the servers were never asked */
    enum generation target;
    struct server_summary *servers; /* as org->servers */
    unsigned by_severity[4];        /* enum severity; accepted ones not counted */
    unsigned accepted;
};

/* Consumes own_org. NULL when memory ran out (own_org is freed then). */
struct org_box *org_box_new(struct org *own_org);
struct org_box *org_box_ref(struct org_box *b);
void org_box_unref(struct org_box *b);

/* Evaluates the rules; runs on a job thread. Takes a reference of box over when it succeeds. older, newer: evidence to keep, to put over it; NULL: none.
   target GENERATION_UNKNOWN: the newest present, else 2013. NULL when memory ran out. */
struct world *world_new(struct org_box *box, const struct evidence *older, const struct evidence *newer,
                        int64_t probed_at, const struct profile *profile, enum generation target);
struct world *world_ref(struct world *w);
void world_unref(struct world *w);

enum state severity_state(enum severity s);
/* Accepted findings are worth knowing, no more. */
enum state finding_state(const struct finding *f);
enum state verdict_state(enum verdict v);
const char *verdict_words(enum verdict v);
/* Never NULL. */
const struct server_summary *world_server(const struct world *w, const struct server *s);
/* Worst state and counts of one rule, for one server or (NULL) everywhere. */
struct rule_summary world_rule(const struct world *w, const char *rule, const char *server);
/* The newest server that is a CAS of 2013 or later; NULL when there is none. */
const struct server *world_new_cas(const struct org *org);

#endif
