/*
 * Inside of the plan's room: which cmdlets and parameters a plan may hold and where their values lie in the directory, and
 * the arithmetic of a step. Running one is in run_int.h. Pure; everything lives in the arena given.
 */
#ifndef CORE_PLAN_PLAN_INT_H
#define CORE_PLAN_PLAN_INT_H

#include "core/plan/plan.h"

#include <jansson.h>

#define PLAN_MAX_STEPS     10000
#define PLAN_MAX_NUDGES    8
#define PLAN_MAX_FILE      (16u << 20)
#define PLAN_ARENA_LIMIT   (256u << 20)
#define PLAN_MAX_TEXT      8192  /* bytes of one text of a plan file */
#define PLAN_STEP_JSON_MAX 60000 /* bytes of one step: it must fit into a journal record */

enum plan_object { PLAN_OBJECT_VDIR, PLAN_OBJECT_SCP, PLAN_OBJECT_RPC };
enum plan_action { PLAN_SET, PLAN_ENABLE, PLAN_DISABLE };

struct plan_cmdlet {
    const char *name;
    enum plan_action action;
    enum plan_object object;
    enum protocol protocol; /* of a virtual directory */
    const char
        *target; /* parameter that names the object: Identity 'SERVER\Name', Identity 'SERVER' or Server */
    unsigned generations; /* bit per enum generation */
    unsigned assumed;     /* those of them whose parameters no document lists (cmdlets.md 3) */
};

enum property_kind {
    PROPERTY_AUTH,    /* flags, a list of methods */
    PROPERTY_ORDINAL, /* one method in the ordinal numbering */
    PROPERTY_TEXT,    /* as it is */
    PROPERTY_HOST,    /* the host of a bare name or URI */
    PROPERTY_SCHEME,  /* that URI's scheme: https is true */
    PROPERTY_FLAG,    /* any bit of mask */
    PROPERTY_BOOL,    /* TRUE, FALSE */
    PROPERTY_EXISTS,  /* the object itself */
};

struct property {
    const char *name;      /* in before and after */
    const char *parameter; /* of the cmdlet; NULL: of none */
    const char *attribute;
    enum property_kind kind;
    int64_t mask;         /* PROPERTY_FLAG */
    unsigned protocols;   /* bit per enum protocol, for virtual directories */
    unsigned objects;     /* bit per enum plan_object */
    unsigned generations; /* bit per enum generation */
    const char *note; /* when no document says that the attribute is the parameter's: what does; else NULL */
};

#define PLAN_ANY_GENERATION (~0u)

/* NULL when a plan may not hold it. Names without regard to case, as PowerShell's. */
const struct plan_cmdlet *plan_cmdlet_find(const char *name);
const struct property *plan_parameter(const struct plan_cmdlet *c, const char *parameter);
/* The i-th property of the cmdlet's object; NULL at the end. */
const struct property *plan_property_at(const struct plan_cmdlet *c, size_t i);
extern const struct property plan_exists; /* "enabled" */

/* A value as the directory has it (n 0: absent). ERR_INPUT when it cannot be one of this kind. */
enum err change_from_raw(struct plan_change *out, struct arena *a, const struct property *p,
                         const char *const *raw, size_t n) MUST_CHECK;
enum err change_from_param(struct plan_change *out, struct arena *a, const struct property *p,
                           const struct cmdlet_value *v, struct errinfo *ei) MUST_CHECK;
/* Sets parameter of c to the value; ERR_INPUT when no cmdlet can give it. */
enum err change_to_param(struct cmdlet *c, const struct property *p, const struct plan_change *v) MUST_CHECK;
void change_null(struct plan_change *out, const struct property *p);
enum err change_bool(struct plan_change *out, struct arena *a, const struct property *p,
                     bool value) MUST_CHECK;
/* As sets, without regard to case where the field has none; an absent boolean is false. */
bool change_equal(const struct property *p, const struct plan_change *a, const struct plan_change *b);
json_t *change_to_json(const struct plan_change *v);
/* "basic, ntlm"; for people */
void change_text(struct buf *out, const struct plan_change *v);
/* Union of the methods. */
auth_set change_methods(const struct plan_change *v);

/* One property that a step sets: what it was, what it will be. */
struct watch {
    const struct property *property;
    struct plan_change before, after;
};
struct watches {
    const struct plan_cmdlet *cmdlet;
    const char *dn;
    struct watch *v;
    size_t n;
};

/* From the step's cmdlet and preconditions alone. The error says what is wrong with them. */
enum err step_watches(struct watches *out, struct arena *a, const struct plan_step *s,
                      struct errinfo *ei) MUST_CHECK;
/* before and after of the step: those watches that differ. */
enum err step_derive(struct plan_step *s, struct arena *a, const struct watches *w,
                     struct errinfo *ei) MUST_CHECK;
/* The cmdlet that restores exactly what was before. */
enum err step_inverse(struct cmdlet *out, struct arena *a, const struct plan_step *s, const struct watches *w,
                      struct errinfo *ei) MUST_CHECK;
/* Everything but the organisation: see plan_from_json. generations: those the server may be of. Fills w (in a). */
enum err step_check(const struct plan_step *s, unsigned generations, struct watches *w, struct arena *a,
                    struct errinfo *ei) MUST_CHECK;
/* The step changes anything that the wire shows. */
bool step_shows_on_wire(const struct watches *w);
const char *step_takes_effect(const struct watches *w, bool nudged);
const char *step_impact(const struct watches *w);
/* The step changes what the service of the server writes into IIS on its own, later. */
bool step_waits_for_service(const struct watches *w);
/* All texts of the step that follow from the watches; .nudges must be there. generation: of the server, as a bit; 0 not known.
   False when the arena is full. */
bool step_describe(struct plan_step *s, struct arena *a, const struct watches *w, unsigned generation);

/* nudge.c */
enum err nudge_add(struct plan_step *s, struct arena *a, const struct watches *w,
                   unsigned generation_bit) MUST_CHECK;
/* Each must be one of the table's, for that object and version. */
enum err nudge_check(const struct plan_step *s, const struct watches *w, unsigned generations,
                     struct errinfo *ei) MUST_CHECK;
/* What the nudges of a step interrupt, in words; "" without any. */
const char *nudge_interrupts(const struct plan_step *s, struct arena *a);
/* Name part of -Identity 'SERVER\Name'; NULL when it has none. */
const char *identity_name(const char *identity);

/* The server of a step, as the organisation has it now. ERR_STALE: not there any more; ERR_REFUSED: two of them; ERR_INPUT: no full name. */
enum err plan_server(const struct org *org, const char *name, const struct server **out,
                     struct errinfo *ei) MUST_CHECK;
enum err plan_new(struct plan **out, struct errinfo *ei) MUST_CHECK;
json_t *step_to_json(const struct plan_step *s);
/* n: the number it must have. */
enum err step_from_json(struct plan_step *out, struct arena *a, const json_t *j, int n,
                        struct errinfo *ei) MUST_CHECK;
json_t *changes_to_json(const struct plan_change *v, size_t n);

#endif
