#include "tui/views/action_map.h"

#include "core/base/str.h"

#include <string.h>

static const struct action_info actions[ACTION_COUNT] = {
#define X(id, name, key, alt, views, flags, arg, help)                                                       \
    [ACTION_##id] = {name, help, key, alt, views, flags, arg},
    ACTION_MAP(X)
#undef X
};

static const struct {
    const char *crumb, *about;
} views[VIEW_COUNT] = {
#define X(id, crumb, help) {crumb, help},
    VIEW_MAP(X)
#undef X
};

const struct motion motions[] = {
    {{K_UP, 'k'}, "up"},
    {{K_DOWN, 'j'}, "down"},
    {{K_PAGE_UP, 0}, "a page up"},
    {{K_PAGE_DOWN, 0}, "a page down"},
    {{K_HOME, 0}, "first"},
    {{K_END, 0}, "last"},
    {{0, 0}, NULL},
};

const struct action_info *action_info(enum action a)
{
    return &actions[a];
}

const char *view_crumb(enum view_id v)
{
    return views[v].crumb;
}

const char *view_about(enum view_id v)
{
    return views[v].about;
}

bool action_is_on(enum action a, enum view_id view)
{
    return (actions[a].views & 1u << view) != 0;
}

enum action action_of_key(int key, enum view_id view)
{
    for (int a = 0; key != 0 && a < ACTION_COUNT; a++) {
        if ((actions[a].key == key || actions[a].alt == key) && action_is_on((enum action)a, view))
            return (enum action)a;
    }
    return ACTION_NONE;
}

enum action action_of_name(const char *name, size_t len)
{
    for (int a = 0; a < ACTION_COUNT; a++) {
        if (strlen(actions[a].name) == len && str_incmp(actions[a].name, name, len) == 0)
            return (enum action)a;
    }
    return ACTION_NONE;
}

/* 0: no match; higher is better */
static int match_rank(const struct action_info *a, const char *typed)
{
    if (str_istarts(a->name, typed))
        return 3;
    if (str_icontains(a->name, typed))
        return 2;
    return str_icontains(a->help, typed) ? 1 : 0;
}

size_t palette_match(const char *typed, enum view_id view, enum action out[static ACTION_COUNT])
{
    size_t n = 0;
    for (int here = 1; here >= 0; here--) {
        for (int rank = 3; rank > 0; rank--) {
            for (int a = 0; a < ACTION_COUNT; a++) {
                if (action_is_on((enum action)a, view) == (here == 1) &&
                    match_rank(&actions[a], typed) == rank)
                    out[n++] = (enum action)a;
            }
        }
    }
    return n;
}

void palette_complete(const char *typed, const char *const *names, size_t n, char *out, size_t cap)
{
    size_t shared = 0;
    const char *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!str_istarts(names[i], typed))
            continue;
        if (!first) {
            first = names[i];
            shared = strlen(first);
            continue;
        }
        while (shared > 0 && str_incmp(first, names[i], shared) != 0)
            shared--;
    }
    if (!first || shared < strlen(typed)) {
        str_copy(out, cap, "");
        return;
    }
    str_copy(out, shared + 1 < cap ? shared + 1 : cap, first);
}
