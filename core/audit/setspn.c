/*
 * What to do, as text for an Active Directory admin. Nothing here is ever run by casbridge. A command is written only where one
 * answer is right; where a person has to choose, a rem line says what between.
 */
#include "core/audit/audit_int.h"

#include "core/base/str.h"

#include <string.h>

/* Names that can stand in a line of cmd.exe as they are. Anything else comes from a directory that somebody tampered with. */
static bool is_plain(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-$/:";
    return s && *s && s[strspn(s, letters)] == '\0' && *s != '-' && *s != '/';
}

static bool add(struct spn_audit *a, const char *text, const char *because)
{
    if (!text || !because)
        return false;
    a->commands[a->n_commands++] = (struct spn_command){text, because};
    return true;
}

/* Shown as a remark when a name is not fit for a command line; control characters made visible. */
static const char *shown(struct spn_audit *a, const char *s)
{
    char text[300];
    str_show_fixed(text, sizeof text, s ? s : "?", s ? strlen(s) : 1);
    return arena_str(&a->arena, text);
}

static bool command(struct spn_audit *a, const char *verb, const char *spn, const struct spn_account *account,
                    const char *because)
{
    if (!is_plain(spn) || !is_plain(account->account))
        return add(
            a,
            arena_fmt(
                &a->arena,
                "rem by hand: setspn %s of the name %s on %s (its characters are not safe on a command line)",
                verb, shown(a, spn), shown(a, account->dn)),
            because);
    return add(a, arena_fmt(&a->arena, "setspn %s %s %s", verb, spn, account->account), because);
}

/* The one account that ought to have the name; NULL when that is not certain. */
static const struct spn_account *keeper(const struct spn_row *r)
{
    const struct spn_account *one = NULL;
    size_t n = 0;
    for (size_t i = 0; i < r->n_owners; i++) {
        const struct spn_account *account = r->owners[i].account;
        bool fits = r->server ? account->server == r->server : account->is_guess;
        if (r->owners[i].is_alias && !r->server)
            continue;
        if (fits && account != one) {
            one = account;
            n++;
        }
    }
    return n == 1 ? one : NULL;
}

/* setspn -R NAME: registers a computer's HOST names anew. */
static bool register_host(struct spn_audit *a, const struct spn_row *r)
{
    const char *because = arena_fmt(&a->arena, "%s has no HOST name of its own", r->server->name);
    if (!is_plain(r->server->name))
        return add(a, arena_fmt(&a->arena, "rem by hand: setspn -R for %s", shown(a, r->server->name)),
                   because);
    return add(a, arena_fmt(&a->arena, "setspn -R %s", r->server->name), because);
}

static bool take_from_others(struct spn_audit *a, const struct spn_row *r)
{
    const struct spn_account *keep = keeper(r);
    const char *because = arena_fmt(&a->arena, "http/%s must be on one account", r->name);
    bool explicit = !r->owners[0].is_alias; /* they come first */
    if (!keep && !r->server)
        return add(
            a,
            arena_fmt(&a->arena,
                      "rem choose the account that keeps http/%s, and take it from the others with setspn -D",
                      is_plain(r->name) ? r->name : shown(a, r->name)),
            because);
    for (size_t i = 0; i < r->n_owners; i++) {
        const struct spn_owner *o = &r->owners[i];
        if (o->account != keep && o->is_alias != explicit && !command(a, "-D", o->spn, o->account, because))
            return false;
    }
    return keep || register_host(a, r);
}

static bool give(struct spn_audit *a, const struct spn_row *r)
{
    const struct spn_account *one = NULL;
    const char *because = arena_fmt(&a->arena, "nobody owns http/%s", r->name);
    const char *spn = arena_fmt(&a->arena, "http/%s", r->name);
    size_t n = 0;
    if (r->server)
        return register_host(a, r);
    for (size_t i = 0; i < a->n_accounts; i++)
        if (a->accounts[i].is_guess) {
            one = &a->accounts[i];
            n++;
        }
    if (n == 1)
        return command(
            a, "-S", spn, one,
            arena_fmt(&a->arena,
                      "%s; that this is the alternate service account is a guess: deploy its credential "
                      "to every CAS before",
                      because));
    return add(a,
               arena_fmt(&a->arena,
                         "rem setspn -S %s ACCOUNT$   (the alternate service account, if Kerberos is wanted; "
                         "else leave it)",
                         is_plain(spn) ? spn : shown(a, spn)),
               because);
}

bool spn_write_commands(struct spn_audit *a)
{
    size_t max = 0;
    for (size_t i = 0; i < a->n_rows; i++)
        max += a->rows[i].n_owners + 2;
    a->commands = arena_array(&a->arena, max ? max : 1, sizeof *a->commands);
    if (!a->commands)
        return false;
    for (size_t i = 0; i < a->n_rows; i++) {
        const struct spn_row *r = &a->rows[i];
        bool ok = true;
        if (r->state == SPN_DUPLICATE || r->state == SPN_FOREIGN)
            ok = take_from_others(a, r);
        else if (r->state == SPN_MISSING)
            ok = give(a, r);
        if (!ok)
            return false;
    }
    return true;
}
