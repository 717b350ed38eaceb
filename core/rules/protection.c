/*
 * extended-protection: what IIS has per virtual directory against what is recommended (admin-tools.md 8.2), what must not be combined
 * with it (migration.md G22), and whether the channel binding of clients can hold behind the load balancer.
 *
 * Off is right while an older version is in the path, or before the build that supports it; the migration turns it on last.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"
#include "core/iis/iis.h"

#include <string.h>

#define MAX_LISTED 8

/* admin-tools.md 8.1: from these builds on; on a cumulative update between two of them only its own security update counts. */
static const struct {
    uint16_t minor, build, revision;
} floors[] = {{0, 1497, 38}, {1, 2375, 30}, {1, 2507, 11}, {2, 986, 28}, {2, 1118, 11}};

static enum tri supports(struct rule_run *run, const struct server *s)
{
    const struct observation *asked = facts_build(run, s);
    bool exact = asked != NULL;
    struct version v = exact ? asked->u.build.version : s->version;
    if (!exact && !s->has_version)
        return TRI_UNKNOWN;
    if (v.major != 15)
        return v.major > 15 ? TRI_YES : TRI_NO;
    uint16_t newest = 0;
    for (size_t i = 0; i < ARRAY_LEN(floors); i++) {
        if (floors[i].minor != v.minor)
            continue;
        newest = floors[i].build > newest ? floors[i].build : newest;
        /* the directory knows cumulative updates and no security updates */
        if (floors[i].build == v.build)
            return v.revision >= floors[i].revision ? TRI_YES
                   : exact && v.has_revision        ? TRI_NO
                                                    : TRI_UNKNOWN;
    }
    return v.build > newest ? TRI_YES : TRI_NO;
}

/* What one server's file says. */
struct state {
    const struct observation *rows[IIS_ROWS];
    size_t n_rows, n_on, n_front_on;
    const struct observation *legacy_on; /* of a 2007 or 2010 server */
    int64_t at;
};

static void look(struct rule_run *run, const struct server *s, struct state *st)
{
    struct observations all = facts_of(run, s->name);
    *st = (struct state){0};
    for (size_t i = 0; i < all.n; i++) {
        const struct observation *o = all.v[i];
        if (o->kind != OBSERVATION_IIS || o->outcome != OUTCOME_OK || !o->u.iis.path)
            continue;
        st->at = o->at > st->at ? o->at : st->at;
        if (o->u.iis.token != IIS_TOKEN_NONE && server_is_legacy_cas(s))
            st->legacy_on = o;
        for (size_t k = 0; k < IIS_ROWS; k++)
            if (str_ieq(iis_rows[k].path, o->u.iis.path) && (!st->rows[k] || o->at > st->rows[k]->at))
                st->rows[k] = o;
    }
    for (size_t k = 0; k < IIS_ROWS; k++) {
        if (!st->rows[k])
            continue;
        bool on = st->rows[k]->u.iis.token != IIS_TOKEN_NONE;
        st->n_rows++;
        st->n_on += on;
        st->n_front_on += on && !iis_rows[k].back_end;
    }
}

static void prove_row(struct rule_run *run, struct draft *d, const struct observation *o, enum iis_token want)
{
    draft_prove(run, d, EVIDENCE_IIS, o->u.iis.path,
                rule_text(run, "tokenChecking %s", iis_token_name(o->u.iis.token)),
                rule_text(run, "tokenChecking %s", iis_token_name(want)), o->at);
}

/* The first row that is on, as proof of a combination that must not be. */
static const struct observation *first_on(const struct state *st)
{
    for (size_t k = 0; k < IIS_ROWS; k++)
        if (st->rows[k] && st->rows[k]->u.iis.token != IIS_TOKEN_NONE)
            return st->rows[k];
    return NULL;
}

static const struct server *first_legacy(const struct org *org)
{
    for (size_t i = 0; i < org->n_servers; i++)
        if (server_is_legacy_cas(&org->servers[i]))
            return &org->servers[i];
    return NULL;
}

static const struct vdir *first_offloading(const struct org *org)
{
    for (size_t i = 0; i < org->n_vdirs; i++)
        if (org->vdirs[i].protocol == PROTOCOL_OA && org->vdirs[i].ssl_offloading == TRI_YES)
            return &org->vdirs[i];
    return NULL;
}

/* ---- combinations */

static bool blocked(struct rule_run *run, const struct server *s, const struct state *st)
{
    const struct observation *on = first_on(st);
    const struct server *legacy = first_legacy(run->in->org);
    const struct vdir *offloading = first_offloading(run->in->org);
    bool any = false;
    struct draft d;
    if (legacy) {
        draft_init(&d, run, s);
        d.f.severity = SEVERITY_ERROR;
        prove_row(run, &d, on, IIS_TOKEN_NONE);
        draft_prove_attribute(run, &d, legacy->dn, "serialNumber",
                              legacy->product ? legacy->product : legacy->name,
                              "no Exchange 2007 or 2010 in a routing path");
        rule_found(run, &d,
                   "Extended Protection is on at %s (%zu virtual directories) while %s (Exchange %s) is in "
                   "the path: older "
                   "servers do not support it, and connections through them are refused; turn it on when "
                   "they are gone",
                   s->name, st->n_on, legacy->name, generation_name(legacy->generation));
        any = true;
    }
    if (offloading) {
        draft_init(&d, run, s);
        d.f.severity = SEVERITY_ERROR;
        prove_row(run, &d, on, IIS_TOKEN_NONE);
        draft_prove_attribute(run, &d, offloading->dn, "msExchRpcHttpFlags", "SSL offloading",
                              "no SSL offloading on any CAS");
        rule_found(run, &d,
                   "Extended Protection is on at %s while %s offloads SSL: the channel that clients bind to "
                   "ends before the "
                   "server, and NTLM clients are refused (0xC000035B)",
                   s->name, offloading->server->name);
        any = true;
    }
    if (supports(run, s) == TRI_NO) {
        draft_init(&d, run, s);
        prove_row(run, &d, on, IIS_TOKEN_NONE);
        rule_found(run, &d,
                   "Extended Protection is on at %s, whose build (%s) does not support it: update the "
                   "server, or turn it "
                   "off",
                   s->name, s->product ? s->product : "unknown");
        any = true;
    }
    return any;
}

/* ---- rows against the table */

static bool rows_differ(struct rule_run *run, const struct server *s, const struct state *st)
{
    const char *lower = "", *higher = "";
    size_t n_lower = 0, n_higher = 0;
    struct draft d;
    draft_init(&d, run, s);
    for (size_t k = 0; k < IIS_ROWS; k++) {
        const struct observation *o = st->rows[k];
        if (!o || o->u.iis.token == iis_rows[k].recommended)
            continue;
        /* a documented exception: the addresses are listed instead */
        if (o->u.iis.token == IIS_TOKEN_NONE && o->u.iis.ip_filtered &&
            str_ieq(iis_rows[k].path, "Exchange Back End/EWS"))
            continue;
        bool is_lower = o->u.iis.token < iis_rows[k].recommended;
        size_t *n = is_lower ? &n_lower : &n_higher;
        const char **text = is_lower ? &lower : &higher;
        if (*n < MAX_LISTED)
            *text = rule_text(run, "%s%s%s %s", *text, *n ? ", " : "", iis_rows[k].path,
                              iis_token_name(o->u.iis.token));
        ++*n;
        prove_row(run, &d, o, iis_rows[k].recommended);
    }
    if (!n_lower && !n_higher)
        return false;
    rule_found(run, &d, "Extended Protection of %s is not as recommended:%s%s%s%s", s->name,
               n_lower ? rule_text(run, " %zu lower (insecure: %s)", n_lower, lower) : "",
               n_lower && n_higher ? ";" : "",
               n_higher ? rule_text(run, " %zu higher (unsupported: %s)", n_higher, higher) : "",
               n_lower > MAX_LISTED || n_higher > MAX_LISTED ? "; all of them in the evidence" : "");
    return true;
}

/* ---- the certificate that clients see */

static const struct observation *certificate_of(struct rule_run *run, const char *server, const char *name)
{
    const struct observation *o = facts_newest(run, server, OBSERVATION_TLS, PROTOCOL_UNKNOWN, name);
    return o && o->outcome == OUTCOME_OK && o->u.tls.cert.sha256 ? o : NULL;
}

/* Whose certificate the namespace shows; NULL: nobody's that was seen. */
static const struct server *owner_of(struct rule_run *run, const char *sha256)
{
    for (size_t i = 0; i < run->facts.n_cas; i++) {
        const struct observation *o = certificate_of(run, run->facts.cas[i]->name, run->facts.cas[i]->fqdn);
        if (o && str_ieq(o->u.tls.cert.sha256, sha256))
            return run->facts.cas[i];
    }
    return NULL;
}

/* Namespaces that show a certificate which no CAS has: something ends TLS before the servers. One that shows another server's
   certificate leads to that server now and says nothing about the others. */
struct bridges {
    const struct observation **v;
    size_t n;
};

static struct bridges find_bridges(struct rule_run *run)
{
    struct observations all = facts_of(run, NULL);
    struct bridges b = {.v = arena_array(&run->scratch, all.n + 1, sizeof *b.v)};
    if (!b.v)
        run->failed = run->failed ? run->failed : ERR_LIMIT;
    for (size_t i = 0; b.v && i < all.n; i++) {
        const struct observation *o = all.v[i];
        if (o->kind == OBSERVATION_TLS && o->by_name && o == certificate_of(run, NULL, o->by_name) &&
            !owner_of(run, o->u.tls.cert.sha256))
            b.v[b.n++] = o;
    }
    return b;
}

/* Channel binding is a hash of the certificate the client saw (RFC 5929). Where TLS ends with another certificate than the server's the
   two hashes differ: NTLM, and Kerberos clients that bind, are refused. */
static bool binding_breaks(struct rule_run *run, const struct server *s, const struct state *st,
                           const struct bridges *bridges)
{
    const struct observation *own = certificate_of(run, s->name, s->fqdn);
    for (size_t i = 0; own && i < bridges->n; i++) {
        const struct observation *o = bridges->v[i];
        struct draft d;
        draft_init(&d, run, s);
        draft_prove_observation(
            run, &d, o, rule_text(run, "certificate %.16s...", o->u.tls.cert.sha256),
            rule_text(run, "%.16s..., the certificate of %s", own->u.tls.cert.sha256, s->name));
        draft_prove_observation(run, &d, own, rule_text(run, "certificate %.16s...", own->u.tls.cert.sha256),
                                "the same that clients see");
        d.f.severity = st->n_front_on ? SEVERITY_ERROR : SEVERITY_INFO;
        rule_found(run, &d, "%s is answered with another certificate than %s has: %s", o->by_name, s->name,
                   st->n_front_on
                       ? "with Extended Protection on, clients that come that way bind to the wrong one and "
                         "are refused (0xC000035B)"
                       : "before Extended Protection is turned on, both must show the same");
    }
    return own && bridges->n;
}

/* ---- */

static void judge_server(struct rule_run *run, const struct server *s, const struct bridges *bridges)
{
    struct state st;
    struct draft d;
    look(run, s, &st);
    if (!st.at) {
        rule_unknown(run, s, "its applicationHost.config was not read (check --remote, or --iis %s=FILE)",
                     s->name);
        return;
    }
    if (st.legacy_on) {
        draft_init(&d, run, s);
        d.f.severity = SEVERITY_ERROR;
        prove_row(run, &d, st.legacy_on, IIS_TOKEN_NONE);
        rule_found(
            run, &d,
            "Extended Protection is on at %s (%s), which Exchange %s does not support: the new CAS's proxied "
            "connections are refused",
            s->name, st.legacy_on->u.iis.path, generation_name(s->generation));
        return;
    }
    if (s->generation < GENERATION_2013) {
        rule_pass(run, s);
        return;
    }
    bool said = st.n_on && blocked(run, s, &st);
    /* off while it must be off, or cannot be on, is as it should be */
    if (st.n_on || (!first_legacy(run->in->org) && supports(run, s) == TRI_YES))
        said |= !said && rows_differ(run, s, &st);
    /* clients come to the front end */
    if (server_is_cas(s))
        said |= binding_breaks(run, s, &st, bridges);
    if (!said)
        rule_pass(run, s);
}

/* A web server of Exchange: what the table has rows for. */
static bool has_iis(const struct server *s)
{
    return server_is_cas(s) || (s->generation >= GENERATION_2013 && server_is_mailbox(s));
}

void judge_extended_protection(struct rule_run *run)
{
    const struct evidence *e = run->in->evidence;
    bool any = false;
    for (size_t i = 0; i < e->items.n && !any; i++)
        any = e->items.v[i].kind == OBSERVATION_IIS;
    if (!any) {
        rule_unknown(run, NULL,
                     "no server's applicationHost.config was read (check --remote, or --iis SERVER=FILE)");
        return;
    }
    const struct bridges bridges = find_bridges(run);
    for (size_t i = 0; i < run->in->org->n_servers; i++)
        if (has_iis(&run->in->org->servers[i]))
            judge_server(run, &run->in->org->servers[i], &bridges);
}
