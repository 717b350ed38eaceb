/* One server: its virtual directories and its other properties by directory, wire and verdict; below, the evidence behind a row. */
#include "tui/views/format.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/rules/rules.h"

#include <stdlib.h>
#include <string.h>

#define FACTS_MAX 96

struct fact {
    char name[96]; /* first column */
    const struct vdir *vdir;
    enum protocol protocol; /* PROTOCOL_UNKNOWN for the others */
    const char
        *rules; /* space-separated rule ids that speak about it; a rule named nowhere gets a row of its own */
    enum state verdict;
    char directory[160], wire[160];
    enum state wire_state;
};

struct detail {
    struct fact facts[FACTS_MAX];
    size_t n;
    const struct server *server; /* NULL: not in the organisation (any more) */
};

static const struct column columns[] = {
    {"WHAT", "what", 14, 24, 2, 0, false},
    {"DIRECTORY", "directory", 10, 22, 3, 0, false},
    {"WIRE", "wire", 10, 20, 3, 0, false},
    {"VERDICT", "verdict", 9, 10, 0, 0, false},
};

/* rules about one protocol's virtual directory; others are matched by the evidence they name */
static const struct {
    enum protocol protocol;
    const char *rules;
} vdir_rules[] = {
    {PROTOCOL_OA, " oa-enabled oa-iis-auth oa-external-hostname oa-wire ssl-offloading "},
    {PROTOCOL_OWA, " fba-match "},
};

/* rules about the server as a whole, one row each group */
static const struct {
    const char *name, *rules;
} server_facts[] = {
    {"Version", " coexistence version-floor kb3140410 "},
    {"Certificate and TLS", " certificate tls-version "},
    {"Kerberos", " spn-unique kerberos-ticket "},
    {"RPC encryption", " rpc-encryption "},
    {"Autodiscover SCP", " autodiscover-scp "},
};

static bool names_rule(const char *rules, const char *id)
{
    char word[80];
    str_fmt(word, sizeof word, " %s ", id);
    return rules && strstr(rules, word) != NULL;
}

static bool speaks_of(const struct finding *f, const struct vdir *v)
{
    for (size_t i = 0; v && i < f->n_evidence; i++) {
        const char *subject = f->evidence[i].subject;
        if (!subject)
            continue;
        if ((v->dn && str_icontains(subject, v->dn)) || (v->name && str_icontains(subject, v->name)) ||
            (protocol_path(v->protocol)[0] == '/' && str_icontains(subject, protocol_path(v->protocol))))
            return true;
    }
    return false;
}

static bool finding_is_about(const struct finding *f, const struct fact *fact)
{
    return names_rule(fact->rules, f->id) || speaks_of(f, fact->vdir);
}

static struct fact *add_fact(struct detail *d, const char *name)
{
    if (d->n == FACTS_MAX)
        return NULL;
    struct fact *f = &d->facts[d->n++];
    memset(f, 0, sizeof *f);
    /* nearly all are on the default web site: saying so each time hides what differs */
    str_copy(f->name, sizeof f->name, name);
    if (str_iends(f->name, " (Default Web Site)"))
        f->name[strlen(f->name) - strlen(" (Default Web Site)")] = '\0';
    f->protocol = PROTOCOL_UNKNOWN;
    str_copy(f->directory, sizeof f->directory, "-");
    str_copy(f->wire, sizeof f->wire, "-");
    return f;
}

static const char *rules_of_protocol(enum protocol p)
{
    for (size_t i = 0; i < ARRAY_LEN(vdir_rules); i++) {
        if (vdir_rules[i].protocol == p)
            return vdir_rules[i].rules;
    }
    return NULL;
}

static void fill_wire(struct fact *f, const struct world *w, const struct server *s)
{
    const struct observation *o =
        evidence_find(&w->evidence, OBSERVATION_CHALLENGE, s->name, f->protocol, NULL);
    (void)offer_words(o, f->wire, sizeof f->wire);
    f->wire_state = offer_state(o);
}

static void add_vdirs(struct detail *d, const struct world *w, const struct server *s)
{
    for (size_t i = 0; i < s->n_vdirs; i++) {
        const struct vdir *v = s->vdirs[i];
        struct fact *f = add_fact(d, v->name ? v->name : protocol_words(v->protocol));
        if (!f)
            return;
        f->vdir = v;
        f->protocol = v->protocol;
        f->rules = v->back_end ? NULL : rules_of_protocol(v->protocol);
        (void)auth_words(v->has_iis_auth, v->iis_auth, f->directory, sizeof f->directory);
        if (v->back_end)
            str_copy(f->wire, sizeof f->wire, "back end");
        else
            fill_wire(f, w, s);
    }
    if (server_is_cas(s) && !server_vdir(s, PROTOCOL_OA)) {
        struct fact *f = add_fact(d, protocol_words(PROTOCOL_OA));
        if (!f)
            return;
        f->protocol = PROTOCOL_OA;
        f->rules = rules_of_protocol(PROTOCOL_OA);
        str_copy(f->directory, sizeof f->directory, "not enabled");
        fill_wire(f, w, s);
    }
}

/* The newest build that anybody could tell: that somebody could not, later, does not take it away. NULL: none */
static const struct observation *known_build(const struct world *w, const struct server *s)
{
    const struct observation *found = NULL;
    for (size_t i = 0; i < w->evidence.items.n; i++) {
        const struct observation *o = &w->evidence.items.v[i];
        if (o->kind == OBSERVATION_BUILD && o->outcome == OUTCOME_OK && str_ieq(o->server, s->name) &&
            (!found || o->at >= found->at))
            found = o;
    }
    return found;
}

static void fill_server_fact(struct fact *f, const struct world *w, const struct server *s)
{
    char text[VERSION_TEXT_SIZE], day[CLOCK_TEXT_SIZE];
    const struct observation *o;
    if (str_eq(f->name, "Version")) {
        str_copy(f->directory, sizeof f->directory,
                 s->has_version ? version_text(s->version, text) : "not set");
        o = known_build(w, s);
        if (o)
            str_copy(f->wire, sizeof f->wire, version_text(o->u.build.version, text));
    } else if (str_eq(f->name, "Certificate and TLS")) {
        o = evidence_find(&w->evidence, OBSERVATION_TLS, s->name, PROTOCOL_UNKNOWN, NULL);
        if (o) {
            f->wire_state = offer_state(o);
            if (o->u.tls.version)
                str_fmt(f->wire, sizeof f->wire, "%s, until %.10s", o->u.tls.version,
                        clock_rfc3339(o->u.tls.cert.not_after, day));
            else
                str_copy(f->wire, sizeof f->wire, o->detail ? o->detail : "no handshake");
        }
    } else if (str_eq(f->name, "Kerberos")) {
        str_fmt(f->directory, sizeof f->directory, "%zu service principal name%s", s->n_spns,
                s->n_spns == 1 ? "" : "s");
        o = evidence_find(&w->evidence, OBSERVATION_TICKET, s->name, PROTOCOL_UNKNOWN, NULL);
        if (o) {
            f->wire_state = offer_state(o);
            str_copy(f->wire, sizeof f->wire,
                     o->outcome == OUTCOME_OK ? "ticket issued"
                     : o->detail              ? o->detail
                                              : "no ticket");
        }
    } else if (str_eq(f->name, "RPC encryption")) {
        str_copy(f->directory, sizeof f->directory,
                 s->rpc_encryption == TRI_YES  ? "required"
                 : s->rpc_encryption == TRI_NO ? "not required"
                                               : "not set");
    }
}

static void judge(struct fact *f, const struct world *w, const struct server *s)
{
    const struct findings *all = &w->findings;
    bool passed = false, unknown = false;
    for (size_t i = 0; i < all->found.n; i++) {
        const struct finding *x = &all->found.v[i];
        if (str_ieq(x->server, s->name) && finding_is_about(x, f) && finding_state(x) > f->verdict)
            f->verdict = finding_state(x);
    }
    for (size_t i = 0; i < all->unknown.n; i++)
        unknown |= str_ieq(all->unknown.v[i].server, s->name) && names_rule(f->rules, all->unknown.v[i].id);
    for (size_t i = 0; i < all->passed.n; i++)
        passed |= str_ieq(all->passed.v[i].server, s->name) && names_rule(f->rules, all->passed.v[i].id);
    if (f->verdict == STATE_NONE)
        f->verdict = unknown ? STATE_UNKNOWN : passed ? STATE_OK : STATE_NONE;
}

static bool has_place(const struct detail *d, const struct finding *x, const char *id)
{
    for (size_t i = 0; i < d->n; i++) {
        if (x ? finding_is_about(x, &d->facts[i]) : names_rule(d->facts[i].rules, id))
            return true;
    }
    return false;
}

/* The rule's name doubles as row name and, between spaces, as its rule list: rows of rules that no other row speaks for. */
static void add_other(struct detail *d, const char *id, const struct finding *x)
{
    if (has_place(d, x, id))
        return;
    for (size_t i = 0; i < rules_count(); i++) {
        if (!str_eq(rules_info(i)->id, id))
            continue;
        struct fact *f = add_fact(d, rules_info(i)->id);
        if (f) {
            str_fmt(f->wire, sizeof f->wire, " %s ", id);
            f->rules = f->wire;
        }
    }
}

static void refresh(struct view *v, unsigned events)
{
    struct detail *d = v->data;
    const struct world *w = v->ui->session->world;
    (void)events;
    d->n = 0;
    d->server = w ? org_server(w->org, v->arg) : NULL;
    if (!d->server)
        return;
    const struct server *s = d->server;
    add_vdirs(d, w, s);
    for (size_t i = 0; i < ARRAY_LEN(server_facts); i++) {
        struct fact *f = add_fact(d, server_facts[i].name);
        if (!f)
            break;
        f->rules = server_facts[i].rules;
        fill_server_fact(f, w, s);
    }
    for (size_t i = 0; i < w->findings.found.n; i++) {
        if (str_ieq(w->findings.found.v[i].server, s->name))
            add_other(d, w->findings.found.v[i].id, &w->findings.found.v[i]);
    }
    for (size_t i = 0; i < w->findings.unknown.n; i++) {
        if (str_ieq(w->findings.unknown.v[i].server, s->name))
            add_other(d, w->findings.unknown.v[i].id, NULL);
    }
    for (size_t i = 0; i < d->n; i++)
        judge(&d->facts[i], w, s);
}

static size_t count(void *ctx)
{
    return ((struct detail *)((struct view *)ctx)->data)->n;
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct detail *d = ((struct view *)ctx)->data;
    const struct fact *f = &d->facts[row];
    bool own_row = f->rules == f->wire; /* of a rule alone: its wire text is the list of rules */
    switch (column) {
    case 0: out->text = f->name; break;
    case 1:
        out->text = f->directory;
        out->paint = str_eq(f->directory, "not enabled") ? PAINT_ERROR : PAINT_TEXT;
        break;
    case 2:
        out->text = own_row ? "-" : f->wire;
        out->paint = f->wire_state > STATE_OK    ? state_paint(f->wire_state)
                     : f->wire_state == STATE_OK ? PAINT_TEXT
                                                 : PAINT_DIM;
        break;
    default: cell_state(out, f->verdict);
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    const struct detail *d = ((struct view *)ctx)->data;
    str_fmt(out, cap, "%s/%d", d->facts[row].name, (int)d->facts[row].protocol);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static void describe_vdir(struct pane *p, const struct vdir *v)
{
    char text[160], at[CLOCK_TEXT_SIZE];
    pane_add(p, PAINT_TITLE, 0, "Directory");
    pane_field(p, PAINT_TEXT, "IIS auth", auth_words(v->has_iis_auth, v->iis_auth, text, sizeof text));
    pane_field(p, PAINT_TEXT, "client", auth_words(v->has_client_auth, v->client_auth, text, sizeof text));
    if (v->has_internal_client_auth)
        pane_field(p, PAINT_TEXT, "internal", auth_words(true, v->internal_client_auth, text, sizeof text));
    pane_field(p, PAINT_TEXT, "inside", v->internal_hostname ? v->internal_hostname : v->internal_url);
    pane_field(p, PAINT_TEXT, "outside", v->external_hostname ? v->external_hostname : v->external_url);
    if (v->ssl_offloading != TRI_UNKNOWN)
        pane_field(p, PAINT_TEXT, "offloading", v->ssl_offloading == TRI_YES ? "yes" : "no");
    if (v->changed_at)
        pane_field(p, PAINT_DIM, "changed", clock_rfc3339(v->changed_at, at));
    pane_field(p, PAINT_DIM, "object", v->dn);
}

static void describe_server(struct pane *p, const struct server *s)
{
    pane_add(p, PAINT_TITLE, 0, "Directory");
    pane_field(p, PAINT_TEXT, "server", s->fqdn ? s->fqdn : s->name);
    pane_field(p, PAINT_TEXT, "product", s->product);
    pane_field(p, PAINT_TEXT, "site", s->site ? s->site->name : "none");
    for (size_t i = 0; i < s->n_spns && i < 40; i++)
        pane_field(p, PAINT_DIM, i ? "" : "SPNs", s->spns[i]);
    pane_field(p, PAINT_DIM, "object", s->dn);
}

static bool is_step_of(const struct observation *o, const struct fact *f)
{
    if (f->protocol != PROTOCOL_UNKNOWN)
        return o->protocol == f->protocol;
    switch (o->kind) {
    case OBSERVATION_TLS: return str_eq(f->name, "Certificate and TLS");
    case OBSERVATION_TICKET: return str_eq(f->name, "Kerberos");
    case OBSERVATION_BUILD: return str_eq(f->name, "Version");
    default: return false;
    }
}

static void describe(struct view *v, bool has_row, size_t row)
{
    const struct detail *d = v->data;
    const struct world *w = v->ui->session->world;
    struct pane *p = &v->pane;
    if (!has_row || !d->server)
        return;
    const struct fact *f = &d->facts[row];
    pane_add(p, PAINT_STRONG, 0, "%s", f->name);
    for (size_t i = 0; i < w->findings.found.n; i++) {
        const struct finding *x = &w->findings.found.v[i];
        if (str_ieq(x->server, d->server->name) && finding_is_about(x, f)) {
            describe_finding(p, x);
            pane_gap(p);
        }
    }
    for (size_t i = 0; i < w->findings.unknown.n; i++) {
        const struct finding_ref *r = &w->findings.unknown.v[i];
        if (str_ieq(r->server, d->server->name) && names_rule(f->rules, r->id))
            pane_add(p, PAINT_UNKNOWN, 0, "%s %s: %s", state_glyph(STATE_UNKNOWN), r->id,
                     r->why ? r->why : "");
    }
    for (size_t i = 0; i < w->findings.passed.n; i++) {
        const struct finding_ref *r = &w->findings.passed.v[i];
        const struct rule_info *info = rules_find(r->id);
        if (str_ieq(r->server, d->server->name) && names_rule(f->rules, r->id))
            pane_add(p, PAINT_OK, 0, "%s %s: %s", state_glyph(STATE_OK), r->id, info ? info->title : "");
    }
    bool first = true;
    for (size_t i = 0; i < w->evidence.items.n; i++) {
        const struct observation *o = &w->evidence.items.v[i];
        /* what was found by the domain alone is of no server, and shown with each one's Autodiscover */
        bool of_all = !o->server && o->protocol == PROTOCOL_AUTODISCOVER;
        if ((!of_all && !str_ieq(o->server, d->server->name)) || !is_step_of(o, f))
            continue;
        if (first)
            pane_add(p, PAINT_TITLE, 0, "Asked on the wire");
        first = false;
        describe_observation(p, o);
    }
    if (f->vdir)
        describe_vdir(p, f->vdir);
    else if (f->protocol == PROTOCOL_UNKNOWN)
        describe_server(p, d->server);
}

static int head(struct view *v, struct rect r)
{
    const struct detail *d = v->data;
    if (!d->server) {
        screen_putf(r.y, r.x + 1, r.w - 2, PAINT_WARNING, "%s is not in the organisation", v->arg);
        return 1;
    }
    const struct server *s = d->server;
    const struct server_summary *sum = world_server(v->ui->session->world, s);
    int x = r.x + 1 + screen_put(r.y, r.x + 1, 12, state_paint(sum->state), state_text(sum->state)) + 2;
    screen_putf(r.y, x, r.w - x - 1, PAINT_TEXT, "%s, %s, %s", s->fqdn ? s->fqdn : s->name,
                s->product ? s->product : "unknown version", s->site ? s->site->name : "no site");
    return 1;
}

static enum err open_view(struct view *v)
{
    v->data = calloc(1, sizeof(struct detail));
    return v->data ? ERR_OK : ERR_NOMEM;
}

static void close_view(struct view *v)
{
    free(v->data);
}

static const char *empty(struct view *v)
{
    return no_world_words(v->ui->session);
}

const struct view_ops view_server = {
    .id = VIEW_SERVER,
    .source = &source,
    .share = 50,
    .problems = "!verdict:ok !verdict:- !verdict:info",
    .open = open_view,
    .close = close_view,
    .refresh = refresh,
    .describe = describe,
    .head = head,
    .empty = empty,
};
