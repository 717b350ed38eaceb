#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define READ_AGAIN_MS 250
#define READ_MOST_MS  2000

static const char object_class[] = "objectClass";

/* ERR_OK with n 0 when the attribute or the object is not there; *exists tells the two apart. */
static enum err read_attribute(const struct plan_io *io, const char *dn, const char *attribute,
                               struct directory_values *v, bool *exists, struct errinfo *ei)
{
    struct stop stop;
    *v = (struct directory_values){0};
    stop_init(&stop, RUN_READ_MS, NULL);
    enum err e = io->attribute(io->ctx, io->at, dn, attribute, v, &stop, ei);
    *exists = e == ERR_OK;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

struct tally {
    bool all_old, all_new, all_either;
};

static void compare(struct tally *t, const struct watch *w, const struct plan_change *now)
{
    bool is_old = change_equal(w->property, now, &w->before),
         is_new = change_equal(w->property, now, &w->after);
    t->all_old = t->all_old && is_old;
    t->all_new = t->all_new && is_new;
    t->all_either = t->all_either && (is_old || is_new);
}

static enum err observe_one(const struct plan_io *io, const struct watches *w, const struct watch *x,
                            struct arena *a, struct tally *t, struct buf *text, struct errinfo *ei)
{
    struct directory_values v;
    struct plan_change now;
    bool exists = false;
    enum err e = read_attribute(io, w->dn, x->property->attribute, &v, &exists, ei);
    if (e != ERR_OK)
        return e;
    (void)buf_addf(text, "%s%s ", text->len ? "; " : "", x->property->name);
    if (x->property->kind == PROPERTY_EXISTS)
        e = change_bool(&now, a, x->property, exists);
    else
        e = change_from_raw(&now, a, x->property, (const char *const *)v.v, v.n);
    if (e == ERR_OK) {
        compare(t, x, &now);
        change_text(text, &now);
    } else if (e == ERR_INPUT) { /* a value that casbridge would never have written */
        *t = (struct tally){0};
        (void)str_show(text, v.v[0], strlen(v.v[0]));
        e = ERR_OK;
    }
    directory_values_free(&v);
    return e;
}

enum step_state observe_step(const struct plan_io *io, const struct watches *w, struct buf *text,
                             struct errinfo *ei)
{
    struct tally t = {true, true, true};
    struct arena a;
    enum err e = ERR_OK;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; e == ERR_OK && i < w->n; i++)
        e = observe_one(io, w, &w->v[i], &a, &t, text, ei);
    arena_fini(&a);
    if (e != ERR_OK)
        return STATE_UNREADABLE;
    return t.all_new ? STATE_NEW : t.all_old ? STATE_OLD : t.all_either ? STATE_MIXED : STATE_OTHER;
}

enum step_state observe_until(const struct plan_io *io, const struct watches *w, enum step_state wanted,
                              int wait_ms, struct buf *text, struct errinfo *ei)
{
    int64_t end = io->now_ms(io->ctx) + wait_ms;
    int pause = READ_AGAIN_MS;
    for (;;) {
        buf_reset(text);
        enum step_state s = observe_step(io, w, text, ei);
        int64_t left = end - io->now_ms(io->ctx);
        if (s == wanted || left <= 0)
            return s;
        io->sleep_ms(io->ctx, left < pause ? (int)left : pause);
        pause = pause * 2 < READ_MOST_MS ? pause * 2 : READ_MOST_MS;
    }
}

static const struct property *property_of(const struct watches *w, const char *attribute)
{
    const struct property *p;
    for (size_t i = 0; i < w->n; i++)
        if (str_ieq(w->v[i].property->attribute, attribute))
            return w->v[i].property;
    for (size_t i = 0; (p = plan_property_at(w->cmdlet, i)); i++)
        if (str_ieq(p->attribute, attribute))
            return p;
    return NULL;
}

/* As the directory writes it; for the two attributes of which the organisation keeps less, as far as it goes (plan.h). */
static bool holds(const struct property *p, const char *wanted, const struct directory_values *now)
{
    if (!wanted || now->n != 1)
        return !wanted && now->n == 0;
    if (str_eq(wanted, now->v[0]))
        return true;
    struct arena a;
    struct plan_change x, y;
    arena_init(&a, 1 << 16);
    bool same = (p->kind == PROPERTY_HOST || p->kind == PROPERTY_SCHEME ||
                 (p->kind == PROPERTY_FLAG && str_ieq(p->attribute, "msExchRpcHttpFlags")));
    struct property host = *p;
    if (p->kind == PROPERTY_SCHEME)
        host.kind = PROPERTY_HOST;
    same = same && change_from_raw(&x, &a, &host, &wanted, 1) == ERR_OK &&
           change_from_raw(&y, &a, &host, (const char *const *)now->v, 1) == ERR_OK &&
           change_equal(&host, &x, &y);
    if (same && host.kind == PROPERTY_HOST) { /* a scheme that both have must agree */
        host.kind = PROPERTY_SCHEME;
        same = change_from_raw(&x, &a, &host, &wanted, 1) == ERR_OK &&
               change_from_raw(&y, &a, &host, (const char *const *)now->v, 1) == ERR_OK &&
               (x.is_null || y.is_null || change_equal(&host, &x, &y));
    }
    arena_fini(&a);
    return same;
}

static json_t *values_json(const struct directory_values *v, bool exists)
{
    json_t *list = json_array();
    if (!exists || !v->n) {
        json_decref(list);
        return json_null();
    }
    for (size_t i = 0; list && i < v->n; i++)
        /* what is not UTF-8 is kept as bytes that are shown, not lost */
        if (json_array_append_new(list, utf8_valid(v->v[i], strlen(v->v[i]))
                                            ? json_string(v->v[i])
                                            : json_string("(not text)")) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static void join(struct buf *b, const struct directory_values *v)
{
    for (size_t i = 0; i < v->n; i++) {
        (void)buf_adds(b, i ? ", " : "'");
        (void)buf_adds(b, v->v[i]);
    }
    (void)buf_adds(b, v->n ? "'" : "absent");
}

/* " (basic -> basic, ntlm)" where the attribute is a number that says nothing to a reader. */
static void in_words(struct buf *b, const struct property *property, const struct plan_precondition *p,
                     const struct directory_values *now)
{
    struct arena a;
    struct plan_change x, y;
    if (!property || (property->kind != PROPERTY_AUTH && property->kind != PROPERTY_ORDINAL))
        return;
    arena_init(&a, 1 << 16);
    if (change_from_raw(&x, &a, property, &p->value, p->value != NULL) == ERR_OK &&
        change_from_raw(&y, &a, property, (const char *const *)now->v, now->n) == ERR_OK) {
        (void)buf_adds(b, " (");
        change_text(b, &x);
        (void)buf_adds(b, " -> ");
        change_text(b, &y);
        (void)buf_adds(b, ")");
    }
    arena_fini(&a);
}

static enum err stale(struct errinfo *ei, const struct property *property, const struct plan_precondition *p,
                      const struct directory_values *now, bool exists)
{
    struct buf b;
    buf_init(&b, 512);
    if (str_ieq(p->attribute, object_class))
        err_set(ei, ERR_STALE, "plan again", "%s: then not there, now there", p->dn);
    else if (!exists)
        err_set(ei, ERR_STALE, "plan again", "%s: %s: then '%s', now the object is gone", p->dn, p->attribute,
                p->value ? p->value : "absent");
    else {
        join(&b, now);
        in_words(&b, property, p, now);
        /* the attribute first: a DN alone can fill the text */
        err_set(ei, ERR_STALE, "plan again", "%s: then %s%s%s, now %s, of %s", p->attribute,
                p->value ? "'" : "", p->value ? p->value : "absent", p->value ? "'" : "", buf_str(&b), p->dn);
    }
    buf_fini(&b);
    return ERR_STALE;
}

enum err observe_preconditions(const struct plan_io *io, const struct plan_step *s, const struct watches *w,
                               char **raw, struct errinfo *ei)
{
    json_t *o = json_object(), *attributes = json_object();
    enum err e =
        o && attributes ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory for the values of %s", s->server);
    for (size_t i = 0; e == ERR_OK && i < s->n_preconditions; i++) {
        const struct plan_precondition *p = &s->preconditions[i];
        const struct property *property = property_of(w, p->attribute);
        struct directory_values v;
        bool exists = false, want_absent = str_ieq(p->attribute, object_class) && !p->value;
        e = read_attribute(io, p->dn, p->attribute, &v, &exists, ei);
        if (e != ERR_OK)
            break;
        if (want_absent ? exists : (!property || !exists || !holds(property, p->value, &v)))
            e = stale(ei, property, p, &v, exists);
        if (json_object_set_new(attributes, p->attribute, values_json(&v, exists)) < 0 && e == ERR_OK)
            e = err_set(ei, ERR_NOMEM, NULL, "no memory for the values of %s", s->server);
        directory_values_free(&v);
    }
    if (e == ERR_OK &&
        (json_object_set(o, s->preconditions[0].dn, attributes) < 0 || !(*raw = json_dumps(o, JSON_COMPACT))))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for the values of %s", s->server);
    json_decref(attributes);
    json_decref(o);
    return e;
}

enum err observe_as_preconditions(const struct plan_io *io, struct arena *a, const struct watches *w,
                                  struct plan_precondition **out, size_t *n, struct errinfo *ei)
{
    struct plan_precondition *list = arena_array(a, w->n + 1, sizeof *list);
    bool gone = false;
    *n = 0;
    for (size_t i = 0; list && i < w->n; i++) {
        const char *attribute = w->v[i].property->attribute;
        struct directory_values v;
        bool exists = false, seen = w->v[i].property->kind == PROPERTY_EXISTS;
        for (size_t k = 0; k < *n; k++)
            seen = seen || str_ieq(list[k].attribute, attribute);
        enum err e = read_attribute(io, w->dn, attribute, &v, &exists, ei);
        if (e != ERR_OK)
            return e;
        gone = gone || !exists;
        if (!seen)
            list[(*n)++] = (struct plan_precondition){.dn = arena_str(a, w->dn),
                                                      .attribute = attribute,
                                                      .value = v.n ? arena_str(a, v.v[0]) : NULL};
        directory_values_free(&v);
    }
    if (list && gone) {
        list[0] = (struct plan_precondition){.dn = arena_str(a, w->dn), .attribute = object_class};
        *n = 1;
    }
    if (!list || a->failed)
        return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    *out = list;
    return ERR_OK;
}

/* The bits of the attribute that the step's switches are; 0 when it is not made of switches, or the organisation keeps only one bit. */
static int64_t told(const struct watches *w, const char *attribute)
{
    int64_t mask = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct property *p = w->v[i].property;
        if (!str_ieq(p->attribute, attribute))
            continue;
        if (p->kind != PROPERTY_FLAG || str_ieq(attribute, "msExchRpcHttpFlags"))
            return 0;
        mask |= p->mask;
    }
    return mask;
}

void observe_beside(const struct plan_io *io, const struct plan_step *s, const struct watches *w,
                    struct buf *text)
{
    for (size_t i = 0; i < s->n_preconditions; i++) {
        const struct plan_precondition *p = &s->preconditions[i];
        struct directory_values v;
        struct errinfo ei = {0};
        bool exists = false;
        int64_t mask = told(w, p->attribute), then = 0, now = 0;
        if (!mask || read_attribute(io, p->dn, p->attribute, &v, &exists, &ei) != ERR_OK)
            continue;
        bool numbers = v.n == 1 && str_to_i64(v.v[0], strlen(v.v[0]), &now) &&
                       (!p->value || str_to_i64(p->value, strlen(p->value), &then));
        if (numbers && ((then ^ now) & ~mask))
            (void)buf_addf(text,
                           "%s%s moved further than it was told to: then %lld, now %lld; the inverse does "
                           "not put that back",
                           text->len ? "; " : "", p->attribute, (long long)then, (long long)now);
        directory_values_free(&v);
    }
}

/* Windows authentication offers Negotiate, NTLM or both, by the providers of the site: which of them is not the directory's. */
static auth_set classes(auth_set offered)
{
    auth_set s = offered & (AUTH_BASIC | AUTH_DIGEST);
    return offered & (AUTH_NTLM | AUTH_NEGOTIATE) ? s | AUTH_WINDOWS : s;
}

enum wire_state observe_wire(const struct plan_io *io, const struct server *server, const struct watches *w,
                             char *text, size_t cap)
{
    struct evidence e;
    struct stop stop;
    struct buf b;
    auth_set wanted = 0;
    enum wire_state state = WIRE_SILENT;
    for (size_t i = 0; i < w->n; i++)
        if (str_eq(w->v[i].property->name, "iis_auth"))
            wanted = auth_expected_challenge(change_methods(&w->v[i].after));
    evidence_init(&e, 1 << 20);
    buf_init(&b, 256);
    stop_init(&stop, RUN_PROBE_MS, NULL);
    io->challenge(io->ctx, server, w->cmdlet->protocol, &stop, &e);
    const struct observation *o =
        evidence_find(&e, OBSERVATION_CHALLENGE, server->name, w->cmdlet->protocol, NULL);
    if (!o || o->outcome == OUTCOME_ERROR || o->outcome == OUTCOME_SKIPPED) {
        const char *why = o && o->detail ? o->detail : "no answer";
        str_show_fixed(text, cap, why, strlen(why));
    } else {
        int status = o->u.challenge.status;
        if (status == 401 && auth_set_text(&b, o->u.challenge.offered) == ERR_OK)
            str_fmt(text, cap, "401, %s", buf_str(&b));
        else
            str_fmt(text, cap, "status %d", status);
        state =
            status == 401 && classes(o->u.challenge.offered) == classes(wanted) ? WIRE_AGREES : WIRE_DIFFERS;
    }
    buf_fini(&b);
    evidence_fini(&e);
    return state;
}
