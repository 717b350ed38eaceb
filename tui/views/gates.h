/*
 * The gates before the cut-over: each a question with its reason, answered from what is known, settled only by a typed reason
 * otherwise. Missing evidence means stop. Source: the ordered checklist and gates G1-G19 of the migration guide. Pure.
 */
#ifndef TUI_VIEWS_GATES_H
#define TUI_VIEWS_GATES_H

#include "tui/session.h"

enum gate_state {
    GATE_PASS,
    GATE_NOT_APPLICABLE,
    GATE_SETTLED, /* answered or skipped by a person, with a reason */
    GATE_ASK,     /* only a person can know */
    GATE_UNKNOWN,
    GATE_FAIL,
};

#define GATE_COUNT       19
#define GATE_REASON_SIZE 200

struct gate {
    const char *id, *question, *reason, *remedy;
    const char *rules; /* space-separated; NULL: asked or computed */
};

struct gate_settled {
    char reason[GATE_REASON_SIZE]; /* "" not settled */
    char who[96];
    int64_t at;
};

struct gate_input {
    const struct world *world;          /* NULL: nothing is known */
    const struct gate_settled *settled; /* GATE_COUNT of them */
    unsigned rehearsed, to_rehearse;    /* legacy CAS that answered test traffic well; all of them */
};

struct gate_answer {
    enum gate_state state;
    char text[200];
};

const struct gate *gate_at(size_t i);
void gate_evaluate(size_t i, const struct gate_input *in, struct gate_answer *out);
bool gate_is_open(enum gate_state s); /* passed, not applicable or settled */
const char *gate_state_name(enum gate_state s);
enum state gate_shown_state(enum gate_state s);

/* What people settled in that organisation, from the store. */
void gates_load(const store_progresses *progress, const char *organization, struct gate_settled *settled);

#endif
