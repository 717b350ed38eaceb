#include "core/audit/audit_int.h"

#include "core/base/name_map.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define AUDIT_LIMIT ((size_t)64 << 20)
#define DAY         86400
/* [MS-KILE] 2.2.7 */
#define ENC_DES 3u
#define ENC_RC4 4u
#define ENC_AES (8u | 16u)

const char *spn_state_name(enum spn_state s)
{
    static const char *const names[] = {[SPN_UNKNOWN] = "unknown",     [SPN_OK] = "ok",
                                        [SPN_ALIAS] = "host-alias",    [SPN_MISSING] = "missing",
                                        [SPN_DUPLICATE] = "duplicate", [SPN_FOREIGN] = "foreign"};
    return (size_t)s < ARRAY_LEN(names) ? names[s] : "unknown";
}

const char *spn_problem_words(int one)
{
    static const struct {
        int bit;
        const char *words;
    } table[] = {
        {SPN_DISABLED, "the account is disabled"},
        {SPN_RC4_ONLY, "RC4 only"},
        {SPN_DES, "DES allowed"},
        {SPN_NO_AES, "no AES"},
        {SPN_ETYPES_UNSET, "encryption types not set: the KDC's default, RC4 as a rule"},
        {SPN_OLD_PASSWORD, "password older than a year"},
        {SPN_NO_TICKET, "the KDC gives no ticket"},
        {SPN_WEAK_TICKET, "the ticket's encryption is weak"},
        {SPN_ONE_SERVER, "on one server's account, though several servers publish the name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].bit == one)
            return table[i].words;
    return "?";
}

enum err spn_enctypes_text(struct buf *out, bool known, uint32_t enctypes)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{16, "aes256"}, {8, "aes128"}, {4, "rc4"}, {2, "des-md5"}, {1, "des-crc"}};
    bool any = false;
    for (size_t i = 0; known && i < ARRAY_LEN(names); i++) {
        if (!(enctypes & names[i].bit))
            continue;
        buf_addf(out, "%s%s", any ? ", " : "", names[i].name);
        any = true;
    }
    return any ? out->failed : buf_adds(out, "not set");
}

bool spn_row_is_bad(const struct spn_row *r)
{
    return r->state == SPN_MISSING || r->state == SPN_DUPLICATE || r->state == SPN_FOREIGN ||
           (r->problems & SPN_BAD);
}

/* ---- accounts */

/* The server whose computer account that is. */
static const struct server *server_of(const struct org *org, const char *account, const char *dn)
{
    char name[256];
    size_t len = account ? strlen(account) : 0;
    if (len < 2 || account[len - 1] != '$' || !str_fmt(name, sizeof name, "%.*s", (int)(len - 1), account))
        return NULL;
    const struct server *s = org_server(org, name);
    return s && (!s->computer_dn || dn_equal(s->computer_dn, dn)) ? s : NULL;
}

static int account_problems(const struct observation *o, int64_t now)
{
    uint32_t types = o->u.spn.has_enctypes ? o->u.spn.enctypes : 0;
    int problems = 0;
    if (o->u.spn.is_disabled)
        problems |= SPN_DISABLED;
    if (types & ENC_DES)
        problems |= SPN_DES;
    if (types && !(types & ENC_AES))
        problems |= types & ENC_RC4 && !(types & ENC_DES) ? SPN_RC4_ONLY : SPN_NO_AES;
    if (!types && !o->u.spn.is_partial)
        problems |= SPN_ETYPES_UNSET;
    if (o->u.spn.pwd_last_set && now - o->u.spn.pwd_last_set > (int64_t)SPN_PASSWORD_DAYS * DAY)
        problems |= SPN_OLD_PASSWORD;
    return problems;
}

/* What the audit works with beside its result. */
struct auditing {
    const struct spn_input *in;
    struct spn_audit *a;
    struct name_map dns; /* of a->accounts */
    struct client_names *clients;
};

/* Names of clients, not of servers, that an account has. */
struct client_names {
    const char *first;
    size_t n;
};

static struct spn_account *account_of(struct auditing *w, const struct observation *o)
{
    struct spn_audit *a = w->a;
    size_t i = name_map_add(&w->dns, o->u.spn.dn, a->n_accounts);
    if (i < a->n_accounts)
        return &a->accounts[i];
    struct spn_account *n = &a->accounts[a->n_accounts++];
    *n = (struct spn_account){.dn = o->u.spn.dn,
                              .account = o->u.spn.account,
                              .server = server_of(w->in->org, o->u.spn.account, o->u.spn.dn),
                              .is_computer = o->u.spn.is_computer,
                              .is_partial = o->u.spn.is_partial,
                              .has_enctypes = o->u.spn.has_enctypes,
                              .enctypes = o->u.spn.enctypes,
                              .pwd_last_set = o->u.spn.pwd_last_set,
                              .problems = account_problems(o, w->in->now),
                              .others = o->u.spn.others,
                              .n_others = o->u.spn.n_others};
    return n;
}

static void add_reason(struct spn_account *account, const char *why)
{
    if (why && account->n_why < ARRAY_LEN(account->why))
        account->why[account->n_why++] = why;
}

static const char *exchange_name_on(const struct spn_account *account)
{
    for (size_t i = 0; i < account->n_others; i++)
        if (str_istarts(account->others[i], "exchange"))
            return account->others[i];
    return NULL;
}

/* Nobody but the servers' registries knows the alternate service account. What speaks for one: it is no server's own account and has a
   name of clients, and either Exchange's names too, several names of clients, or a name of its own that says so. */
static void guess_account(struct auditing *w, struct spn_account *account)
{
    struct spn_audit *a = w->a;
    const struct client_names *clients = &w->clients[account - a->accounts];
    const char *exchange = exchange_name_on(account);
    bool named = account->account && str_icontains(account->account, "asa");
    if (account->server || !clients->n || (!exchange && clients->n < 2 && !named))
        return;
    account->is_guess = true;
    add_reason(account, arena_fmt(&a->arena, "owns %s%s", clients->first,
                                  clients->n > 1 ? " and other names of clients" : ""));
    add_reason(account, account->is_computer ? "is the computer account of no Exchange server"
                                             : "is a user account, not a server's");
    if (exchange)
        add_reason(account, arena_fmt(&a->arena, "owns %s as well", exchange));
    if (named)
        add_reason(account, "is called so");
}

/* ---- rows */

/* Observations about names, sorted by name; those of one name are a slice. */
struct sorted {
    const struct observation **v;
    size_t n;
};

static int compare_names(const void *a, const void *b)
{
    const struct observation *x = *(const struct observation *const *)a,
                             *y = *(const struct observation *const *)b;
    int d = str_icmp(x->by_name, y->by_name);
    return d ? d : (x > y) - (x < y); /* as they came */
}

static bool sort_names(struct spn_audit *a, const struct evidence *e, struct sorted *out)
{
    *out = (struct sorted){.v = arena_array(&a->arena, e->items.n + 1, sizeof *out->v)};
    for (size_t i = 0; out->v && i < e->items.n; i++) {
        const struct observation *o = &e->items.v[i];
        if ((o->kind == OBSERVATION_SPN || o->kind == OBSERVATION_TICKET) && o->by_name)
            out->v[out->n++] = o;
    }
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, compare_names);
    return out->v != NULL;
}

static struct sorted of_name(const struct sorted *all, const char *name)
{
    size_t low = 0, high = all->n, n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (str_icmp(all->v[mid]->by_name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (n = 0; low + n < all->n && str_ieq(all->v[low + n]->by_name, name);)
        n++;
    return (struct sorted){all->v + low, n};
}

static const struct observation *ticket_of(const struct sorted *of)
{
    const struct observation *best = NULL;
    for (size_t i = 0; i < of->n; i++)
        if (of->v[i]->kind == OBSERVATION_TICKET && (!best || of->v[i]->at >= best->at))
            best = of->v[i];
    return best;
}

/* Servers other than that one which hand the name to clients. */
static bool published_elsewhere(const struct org *org, const struct server *owner, const char *name)
{
    char host[SPN_NAME_MAX];
    for (size_t i = 0; i < org->n_vdirs; i++) {
        const struct vdir *v = &org->vdirs[i];
        if (v->server == owner)
            continue;
        if (v->external_hostname && str_ieq(v->external_hostname, name))
            return true;
        if (v->external_url && url_host(v->external_url, host, sizeof host, NULL, NULL) &&
            str_ieq(host, name))
            return true;
    }
    return false;
}

static void judge_owners(const struct spn_input *in, struct spn_row *r)
{
    size_t explicit = 0, own = 0, counted;
    for (size_t i = 0; i < r->n_owners; i++)
        explicit += !r->owners[i].is_alias;
    counted = explicit ? explicit : r->n_owners;
    for (size_t i = 0; i < counted; i++) {
        r->problems |= r->owners[i].account->problems;
        own += r->server && r->owners[i].account->server == r->server;
    }
    if (!counted)
        r->state = SPN_MISSING;
    else if (counted > 1)
        r->state = SPN_DUPLICATE;
    else if (r->server && !own)
        r->state = SPN_FOREIGN;
    else
        r->state = explicit ? SPN_OK : SPN_ALIAS;
    const struct server *one = counted == 1 && !r->server ? r->owners[0].account->server : NULL;
    if (one && published_elsewhere(in->org, one, r->name))
        r->problems |= SPN_ONE_SERVER;
}

static void judge_ticket(struct spn_row *r)
{
    const struct observation *o = r->ticket;
    if (!o || (o->outcome != OUTCOME_OK && o->outcome != OUTCOME_FAILED))
        return;
    if (o->u.ticket.etype && krb_etype_is_weak(o->u.ticket.etype))
        r->problems |= SPN_WEAK_TICKET;
    else if (o->u.ticket.etype)
        r->problems &= ~SPN_ETYPES_UNSET; /* the KDC's default turned out to be a good one */
    else if (o->outcome == OUTCOME_FAILED)
        r->problems |= SPN_NO_TICKET;
}

static void advise(struct spn_audit *a, struct spn_row *r)
{
    const char *who =
        r->n_owners && r->owners[0].account->account ? r->owners[0].account->account : "the account";
    switch (r->state) {
    case SPN_DUPLICATE:
        r->advice = "several accounts own it: the KDC refuses, or makes tickets that the server cannot read; "
                    "leave it on "
                    "one";
        return;
    case SPN_FOREIGN:
        r->advice = arena_fmt(
            &a->arena,
            "%s owns it instead of the server's own account: tickets cannot be read there, the proxied "
            "connection fails with 401 or 500",
            who);
        return;
    case SPN_MISSING:
        r->advice =
            r->server ? "neither http nor HOST is on any account: the new CAS gets no ticket for this server"
                      : "no account owns it: clients cannot use Kerberos by this name and stay on NTLM";
        return;
    default: break;
    }
    if (r->problems & SPN_DISABLED)
        r->advice = arena_fmt(&a->arena, "%s is disabled: the KDC makes no tickets for it", who);
    else if (r->problems & SPN_NO_TICKET)
        r->advice = "it has an owner, yet the KDC refuses a ticket: see the KDC's words";
    else if (r->problems & (SPN_RC4_ONLY | SPN_NO_AES | SPN_DES | SPN_WEAK_TICKET))
        r->advice = arena_fmt(
            &a->arena,
            "set msDS-SupportedEncryptionTypes of %s to 24 (AES; 28 while RC4 clients remain), then a new "
            "password, so that AES keys exist",
            who);
    else if (r->problems & SPN_ONE_SERVER)
        r->advice =
            arena_fmt(&a->arena,
                      "only %s can read its tickets, and other servers publish the name: an alternate "
                      "service account is meant for that",
                      who);
    else if (r->problems & SPN_ETYPES_UNSET)
        r->advice = arena_fmt(
            &a->arena, "%s has no msDS-SupportedEncryptionTypes: ask for a ticket to see what comes", who);
}

static bool look_up(struct auditing *w, const struct sorted *all, struct spn_row *r)
{
    struct spn_audit *a = w->a;
    const struct sorted of = of_name(all, r->name);
    int64_t newest = 0;
    size_t n = 0;
    for (size_t i = 0; i < of.n; i++) {
        if (of.v[i]->kind != OBSERVATION_SPN)
            continue;
        n = of.v[i]->at > newest ? 1 : n + 1;
        newest = of.v[i]->at > newest ? of.v[i]->at : newest;
    }
    r->ticket = ticket_of(&of);
    if (!n) {
        judge_ticket(r);
        return true;
    }
    r->owners = arena_array(&a->arena, n, sizeof *r->owners);
    if (!r->owners)
        return false;
    for (int alias = 0; alias < 2; alias++) {
        for (size_t i = 0; i < of.n; i++) {
            const struct observation *o = of.v[i];
            if (o->kind != OBSERVATION_SPN || o->at != newest) /* an older look-up says what was */
                continue;
            a->whole_forest &= o->u.spn.whole_forest;
            if (o->u.spn.spn && o->u.spn.dn && o->u.spn.is_alias == (alias != 0))
                r->owners[r->n_owners++] =
                    (struct spn_owner){account_of(w, o), o->u.spn.spn, o->u.spn.is_alias};
        }
    }
    a->at = a->at && a->at < newest ? a->at : newest;
    a->looked = true;
    judge_owners(w->in, r);
    judge_ticket(r);
    return true;
}

static void count_client_names(struct auditing *w)
{
    const struct spn_audit *a = w->a;
    for (size_t i = 0; i < a->n_rows; i++) {
        for (size_t k = 0; !a->rows[i].server && k < a->rows[i].n_owners; k++) {
            const struct spn_owner *o = &a->rows[i].owners[k];
            struct client_names *c = &w->clients[o->account - a->accounts];
            if (o->is_alias)
                continue;
            c->first = c->first ? c->first : o->spn;
            c->n++;
        }
    }
}

/* Namespaces, then servers; a name once. */
static bool list_rows(const struct spn_input *in, struct spn_audit *out)
{
    const struct org *org = in->org;
    struct name_map known = {0};
    size_t max = in->n_namespaces + org->n_servers;
    out->rows = arena_array(&out->arena, max + 1, sizeof *out->rows);
    bool ok = out->rows && !name_map_init(&known, max);
    for (size_t i = 0; ok && i < in->n_namespaces; i++)
        if (name_map_add(&known, in->namespaces[i], out->n_rows) == out->n_rows)
            out->rows[out->n_rows++] = (struct spn_row){.name = in->namespaces[i]};
    for (size_t i = 0; ok && i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (server_is_cas(s) && s->fqdn && name_map_add(&known, s->fqdn, out->n_rows) == out->n_rows)
            out->rows[out->n_rows++] = (struct spn_row){.name = s->fqdn, .server = s};
    }
    name_map_fini(&known);
    return ok;
}

enum err spn_audit(const struct spn_input *in, struct spn_audit *out, struct errinfo *ei)
{
    struct auditing w = {.in = in, .a = out};
    size_t n_spn = 0;
    *out = (struct spn_audit){.whole_forest = true};
    arena_init(&out->arena, AUDIT_LIMIT);
    for (size_t i = 0; i < in->evidence->items.n; i++)
        n_spn += in->evidence->items.v[i].kind == OBSERVATION_SPN;
    out->accounts = arena_array(&out->arena, n_spn + 1, sizeof *out->accounts);
    w.clients = arena_array(&out->arena, n_spn + 1, sizeof *w.clients);
    struct sorted all;
    bool ok = out->accounts && w.clients && !name_map_init(&w.dns, n_spn) &&
              sort_names(out, in->evidence, &all) && list_rows(in, out);
    for (size_t i = 0; ok && i < out->n_rows; i++)
        ok = look_up(&w, &all, &out->rows[i]);
    if (ok)
        count_client_names(&w);
    for (size_t i = 0; ok && i < out->n_accounts; i++)
        guess_account(&w, &out->accounts[i]);
    for (size_t i = 0; ok && i < out->n_rows; i++)
        advise(out, &out->rows[i]);
    name_map_fini(&w.dns);
    out->whole_forest &= out->looked;
    ok = ok && spn_write_commands(out) && !out->arena.failed;
    if (ok)
        return ERR_OK;
    spn_audit_fini(out);
    return err_set(ei, ERR_LIMIT, NULL, "no room for the audit of service names");
}

void spn_audit_fini(struct spn_audit *a)
{
    arena_fini(&a->arena);
    *a = (struct spn_audit){0};
}
