/*
 * Deciding routes over the story's organisation or another hand-made one.
 */
#ifndef TESTS_UNIT_ROUTE_CHECK_H
#define TESTS_UNIT_ROUTE_CHECK_H

#include "core/route/route.h"
#include "tests/unit/rules_check.h"

struct case_of {
    struct org_builder b;
    struct org *org;
    struct arena arena;
    struct route_request r;
    struct route_decision d;
};

BUILDER_UNUSED static void begin(struct case_of *c)
{
    *c = (struct case_of){0};
    c->org = story(&c->b);
    arena_init(&c->arena, 1 << 20);
    c->r.arriving = builder_server(c->org, "EX13CAS01");
}

BUILDER_UNUSED static void end(struct case_of *c)
{
    arena_fini(&c->arena);
    builder_free(&c->org);
}

BUILDER_UNUSED static void decide(struct case_of *c, const struct findings *f)
{
    struct errinfo ei;
    c->org = org_end(&c->b);
    assert_int_equal(route_decide(c->org, &c->r, f, &c->arena, &c->d, &ei), ERR_OK);
    assert_true(c->d.why && strlen(c->d.why) > 20);
    assert_true(c->d.n_hops >= 1);
    assert_string_equal(c->d.hops[0].from, "client");
    if (c->d.action == ROUTE_UNKNOWN) {
        assert_null(c->d.row);
        assert_int_equal(c->d.works, TRI_UNKNOWN);
    }
}

/* The mailbox in a database of the story. */
BUILDER_UNUSED static void mailbox(struct case_of *c, const char *database)
{
    for (size_t i = 0; i < c->org->n_databases; i++) {
        if (!str_eq(c->org->databases[i].name, database))
            continue;
        c->r.database = &c->org->databases[i];
        c->r.mailbox_server = c->r.database->owner;
        c->r.mailbox_generation = c->r.mailbox_server->generation;
        c->r.mailbox_site = c->r.mailbox_server->site;
        return;
    }
    fail_msg("no database %s", database);
}

BUILDER_UNUSED static const struct route_precondition *precondition(const struct case_of *c, const char *rule)
{
    for (size_t i = 0; i < c->d.n_preconditions; i++)
        if (str_eq(c->d.preconditions[i].rule, rule))
            return &c->d.preconditions[i];
    return NULL;
}

#define ALICE "DB10-BCN01"
#define BOB   "DB10-DUB01"
#define CAROL "Mailbox Database 2007"
#define DAVE  "DB13-BCN01"
#define ERIN  "DB10-SEA01"

#endif
