/*
 * What moved, for whoever looks on. The back end only wakes (a notification, a counter in shared memory); what it was is read from
 * the store itself, so that a wake-up lost with a connection is no change lost.
 */
#include "core/store/store_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

struct marks {
    int64_t head, progress, evidence;
    char run[40], lock[512], accepted[48];
};

struct store_watch {
    struct store *store;
    struct marks seen;
    bool look; /* an error kept us from looking: do it even when nothing wakes */
};

static enum err take_marks(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct marks *m = arg;
    (void)ei;
    m->head = store_row_number(row, 0);
    str_copy(m->run, sizeof m->run, row->v[1] ? row->v[1] : "");
    str_copy(m->lock, sizeof m->lock, row->v[2] ? row->v[2] : "");
    m->progress = store_row_number(row, 3);
    m->evidence = store_row_number(row, 4);
    str_copy(m->accepted, sizeof m->accepted, row->v[5] ? row->v[5] : "");
    return ERR_OK;
}

static enum err read_marks(struct store_watch *w, struct marks *m, struct errinfo *ei)
{
    *m = (struct marks){0};
    return store_run(w->store, STORE_MARKS, NULL, 0, take_marks, m, ei);
}

enum err store_watch_open(struct store_watch **out, struct store *own_store, struct errinfo *ei)
{
    struct store_watch *w = calloc(1, sizeof *w);
    if (!w) {
        store_close(&own_store);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a watch");
    }
    w->store = own_store;
    /* listen first: what happens in between is then heard twice rather than never */
    enum err e = own_store->backend->listen(own_store, ei);
    if (e == ERR_OK)
        e = read_marks(w, &w->seen, ei);
    if (e != ERR_OK) {
        store_watch_close(&w);
        return e;
    }
    *out = w;
    return ERR_OK;
}

struct store *store_watch_store(struct store_watch *w)
{
    return w->store;
}

static bool compare(const struct marks *a, const struct marks *b, struct store_moved *out)
{
    *out = (struct store_moved){.journal = a->head != b->head,
                                .lock = strcmp(a->lock, b->lock) != 0,
                                .progress = a->progress != b->progress,
                                .evidence = a->evidence != b->evidence,
                                .accepted = strcmp(a->accepted, b->accepted) != 0,
                                .head = b->head};
    str_copy(out->run, sizeof out->run, b->run);
    return out->journal || out->lock || out->progress || out->evidence || out->accepted;
}

enum err store_watch_poll(struct store_watch *w, int timeout_ms, struct store_moved *out, struct errinfo *ei)
{
    int64_t end = clock_mono_ms() + timeout_ms, left = timeout_ms;
    struct marks now;
    bool woken = false;
    *out = (struct store_moved){0};
    do { /* woken for what was seen already: wait on */
        enum err e = w->store->backend->wait(w->store, (int)left, &woken, ei);
        if (e == ERR_OK && (woken || w->look))
            e = read_marks(w, &now, ei);
        else if (e == ERR_OK)
            return ERR_OK;
        w->look = e != ERR_OK;
        if (e != ERR_OK)
            return e;
        bool moved = compare(&w->seen, &now, out);
        w->seen = now;
        if (moved)
            return ERR_OK;
        left = end - clock_mono_ms();
    } while (left > 0);
    return ERR_OK;
}

void store_watch_close(struct store_watch **wp)
{
    struct store_watch *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    store_close(&w->store);
    free(w);
}
