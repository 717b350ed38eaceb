/* What both back ends share: which one it is, turns, and what becomes of a COMMIT whose answer was lost. */
#include "core/store/store_int.h"

#include "core/base/str.h"
#include "core/model/profile.h"

#include <stdlib.h>
#include <string.h>

int64_t store_row_number(const struct store_row *r, size_t i)
{
    int64_t n = 0;
    return r->v[i] && str_to_i64(r->v[i], strlen(r->v[i]), &n) ? n : 0;
}

bool store_row_take(const struct store_row *r, size_t i, char **out)
{
    *out = r->v[i] ? strdup(r->v[i]) : NULL;
    return *out || !r->v[i];
}

enum err store_check_text(const char *name, const char *text, size_t max, struct errinfo *ei)
{
    size_t len = text ? strlen(text) : 0;
    if (!len)
        return err_set(ei, ERR_USAGE, NULL, "%s must not be empty", name);
    if (len > max)
        return err_set(ei, ERR_LIMIT, NULL, "%s is %zu bytes long, %zu are allowed", name, len, max);
    if (!utf8_valid(text, len))
        return err_set(ei, ERR_INPUT, NULL, "%s is not UTF-8", name);
    return ERR_OK;
}

enum err store_run(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                   store_row_fn *row, void *arg, struct errinfo *ei)
{
    return s->backend->run(s, which, values, n, row, arg, ei);
}

static enum err take_number(void *arg, const struct store_row *row, struct errinfo *ei)
{
    (void)ei;
    *(int64_t *)arg = store_row_number(row, 0);
    return ERR_OK;
}

enum err store_number(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                      int64_t *out, struct errinfo *ei)
{
    int64_t found = 0;
    enum err e = store_run(s, which, values, n, take_number, &found, ei);
    if (e == ERR_OK)
        *out = found;
    return e;
}

enum err store_begin(struct store *s, enum store_turn t, struct errinfo *ei)
{
    s->turn.id = 0;
    s->turn.writes = t != STORE_TURN_READ;
    s->turn.many = false;
    s->in_doubt = false;
    return s->backend->begin(s, t, ei);
}

/*
 * COMMIT was sent and its answer lost: it may have gone through. The record itself tells, once it is this store's turn again: until
 * then the database may still be at work on the old connection's COMMIT. Never sent a second time.
 */
static enum err settle(struct store *s, enum err lost, struct errinfo *ei)
{
    int64_t id = s->turn.id, found = 0;
    char hash[65];
    struct errinfo why = {0};
    s->in_doubt = false;
    if (!id && s->turn.writes)
        return err_set(
            ei, lost, "see what is there before you do it again",
            "the store %s: the connection was lost at the end of a change: whether it was kept is not known",
            s->path);
    if (!id)
        return lost;
    str_copy(hash, sizeof hash, s->turn.hash);
    enum err e = s->backend->begin(s, STORE_TURN_WRITE, &why);
    if (e == ERR_OK) {
        e = store_number(s, STORE_FIND, (struct store_value[]){STORE_NUMBER(id), STORE_TEXT(hash)}, 2, &found,
                         &why);
        s->backend->rollback(s);
    }
    if (e != ERR_OK)
        return err_set(ei, ERR_UNREACHABLE, "when it answers again, casbridge journal shows what is there",
                       "the store %s: whether record %lld was kept is not known: %s", s->path, (long long)id,
                       why.what);
    if (found)
        return ERR_OK;
    return err_set(ei, lost, "nothing of it was kept", "the store %s: the connection was lost at record %lld",
                   s->path, (long long)id);
}

enum err store_end(struct store *s, enum err e, struct errinfo *ei)
{
    if (e != ERR_OK) {
        s->backend->rollback(s);
        return e;
    }
    e = s->backend->commit(s, ei);
    return e != ERR_OK && s->in_doubt ? settle(s, e, ei) : e;
}

const char *store_kind(const struct store *s)
{
    return s->backend->kind;
}

const char *store_name(const struct store *s)
{
    return s->path;
}

static enum err unknown_kind(const char *spec, struct errinfo *ei)
{
    /* whatever it is may hold a password: only its scheme is shown */
    size_t n = strcspn(spec, ":/ ");
    return err_set(ei, ERR_CONFIG, "write sqlite:FILE or postgresql://USER@HOST/DATABASE",
                   "no store is known for '%.*s'", (int)(n < 40 ? n : 40), spec);
}

enum err store_none_yet(const char *where, struct errinfo *ei)
{
    return err_set(ei, ERR_NOTFOUND, "check its name; the first apply or accept makes it",
                   "there is no store yet in %s", where);
}

enum err store_is_newer(const char *where, int64_t layout, struct errinfo *ei)
{
    return err_set(ei, ERR_CONFIG, "use that casbridge, or another store",
                   "the store %s was made by a newer casbridge (layout %lld, this one knows %d)", where,
                   (long long)layout, STORE_SCHEMA);
}

static enum err open_with(struct store **out, const char *spec, const struct secret *password,
                          bool must_exist, struct errinfo *ei)
{
    bool postgres = store_is_postgres(spec);
    if (spec && !postgres && strncmp(spec, "sqlite:", 7) != 0)
        return unknown_kind(spec, ei);
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the store");
    pthread_mutex_init(&s->mutex, NULL);
    s->backend = postgres ? &store_postgres : &store_sqlite;
    s->must_exist = must_exist;
    enum err e = store_process_self(&s->self, ei);
    if (e == ERR_OK)
        e = s->backend->open(s, spec, password, ei);
    if (e != ERR_OK) {
        store_close(&s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

enum err store_open(struct store **out, const char *spec, struct errinfo *ei)
{
    return open_with(out, spec, NULL, false, ei);
}

enum err store_open_profile(struct store **out, const struct profile *p, struct errinfo *ei)
{
    const char *spec = profile_get(p, PROFILE_store, NULL);
    const char *ref = profile_get(p, PROFILE_store_password, NULL);
    struct secret password = {0};
    enum err e = ref && store_is_postgres(spec)
                     ? secret_resolve(&password, ref, "Password of the store (PostgreSQL)", ei)
                     : ERR_OK;
    if (e == ERR_OK)
        e = open_with(out, spec, &password, profile_flag(p, PROFILE_read_only, false), ei);
    secret_fini(&password);
    return e;
}

void store_close(struct store **sp)
{
    struct store *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    if (s->handle)
        store_unlock(s);
    s->backend->close(s);
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s);
}
