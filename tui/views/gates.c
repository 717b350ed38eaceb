#include "tui/views/gates.h"

#include "core/base/str.h"
#include "core/rules/rules.h"

#include <string.h>

static const struct gate gates[GATE_COUNT] = {
    {"G1", "May these versions stand beside the new one?",
     "Some pairs cannot coexist; setup or routing fails.", "go through the version in between first",
     "coexistence"},
    {"G2", "Is every legacy server at its service pack or update floor?",
     "Below the floor proxying to it is broken.", "update the servers, Client Access first", "version-floor"},
    {"G3", "Are forest level, domain controllers and Outlook builds new enough?",
     "Setup refuses, or old Outlook cannot log on.", "raise the level, update clients; then answer here",
     NULL},
    {"G4", "Is Outlook 2003 gone?",
     "It cannot encrypt RPC and has no Autodiscover: it will not connect any more.",
     "look into the RPC Client Access logs; then answer here", NULL},
    {"G5", "Will no older version be added later?",
     "After the schema and the first new server there is no way back to adding one.",
     "ask who plans servers; then answer here", NULL},
    {"G6", "Is an offline address book set on every mailbox database?",
     "Else every client downloads a new one when the first new server appears.",
     "Set-MailboxDatabase -OfflineAddressBook on each database", NULL},
    {"G7", "Has every site with a new mailbox server a new Client Access server?",
     "Mailboxes there would have no front end of their own.", "add one in that site", NULL},
    {"G8", "With 2007 present: is no 2013 server at CU6?", "CU6 with 2007 needs the fix of KB2997847.",
     "update to a later CU", NULL},
    {"G9", "With 2007 present: is there a new mailbox server?",
     "ActiveSync and Autodiscover of 2007 mailboxes are served by it.", "install one", NULL},
    {"G10", "Does every service connection point name the namespace?",
     "Else domain-joined Outlook gets certificate warnings at once.",
     "Set-ClientAccessServer -AutoDiscoverServiceInternalUri", "autodiscover-scp"},
    {"G11", "Is Outlook Anywhere ready on every legacy CAS?",
     "The new CAS proxies Outlook with Kerberos; without it Outlook asks for passwords for ever.",
     "the next step of this wizard: legacy fix", "oa-enabled oa-iis-auth oa-external-hostname oa-wire"},
    {"G12", "Have the 2008 R2 servers KB3140410?", "Without it proxied requests fail silently later.",
     "install it", "kb3140410"},
    {"G13", "Is no CAS array named like an HTTPS name?",
     "An ambiguous URL keeps inside clients on RPC they cannot use any more.",
     "rename one of the two before the cut-over", NULL},
    {"G14", "Do the certificates fit every name and server?", "Clients and the new CAS refuse the others.",
     "renew or replace them", "certificate"},
    {"G15", "Are legacy URLs and methods as the routes need them?",
     "Redirects loop, ask twice, or end with 401.", "see the findings",
     "legacy-namespace internal-url nlb-bypass-url proxy-auth fba-match"},
    {"G16", "Is each HTTP service name owned once and are tickets issued?",
     "A duplicate ends Kerberos for that name.", "setspn, by an AD admin", "spn-unique kerberos-ticket"},
    {"G17", "Do old and new servers share a TLS version?", "Else the proxy hop cannot be made.",
     "keep it until the old ones are gone", "tls-version"},
    {"G18", "Did test traffic through the engine work on every legacy CAS?", "A prediction is no proof.",
     "the rehearsal step of this wizard", NULL},
    {"G19", "Is the way back ready?",
     "Low TTL one old TTL ago, old pool alive, old DNS, NAT and SCP values written down.",
     "prepare them; then answer here", NULL},
};

const struct gate *gate_at(size_t i)
{
    return &gates[i];
}

bool gate_is_open(enum gate_state s)
{
    return s == GATE_PASS || s == GATE_NOT_APPLICABLE || s == GATE_SETTLED;
}

const char *gate_state_name(enum gate_state s)
{
    static const char *const names[] = {"pass", "n/a", "settled", "ask", "unknown", "fail"};
    return names[s];
}

enum state gate_shown_state(enum gate_state s)
{
    static const enum state states[] = {STATE_OK,      STATE_NONE,    STATE_INFO,
                                        STATE_WARNING, STATE_UNKNOWN, STATE_ERROR};
    return states[s];
}

static void answer(struct gate_answer *out, enum gate_state s, const char *text)
{
    out->state = s;
    str_copy(out->text, sizeof out->text, text);
}

static bool list_has(const char *list, const char *id)
{
    size_t n = strlen(id);
    for (const char *p = list; (p = strstr(p, id)); p += n) {
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    }
    return false;
}

/* Fails on any finding that nobody accepted, is unknown on any rule that could not be judged. */
static void by_rules(const struct world *w, const char *rules, struct gate_answer *out)
{
    const struct findings *f = &w->findings;
    unsigned found = 0, unknown = 0, passed = 0;
    const char *first = NULL, *server = NULL, *why = NULL;
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        if (!list_has(rules, x->id) || x->accepted || x->severity < SEVERITY_WARNING)
            continue;
        if (found++ == 0)
            first = x->summary;
    }
    for (size_t i = 0; i < f->unknown.n; i++) {
        if (list_has(rules, f->unknown.v[i].id) && unknown++ == 0) {
            server = f->unknown.v[i].server;
            why = f->unknown.v[i].why;
        }
    }
    for (size_t i = 0; i < f->passed.n; i++)
        passed += list_has(rules, f->passed.v[i].id);
    if (found)
        str_fmt(out->text, sizeof out->text, "%u finding%s: %s", found, found == 1 ? "" : "s",
                first ? first : "");
    else if (unknown)
        str_fmt(out->text, sizeof out->text, "%u not known: %s%s%s", unknown, server ? server : "",
                server ? ": " : "", why ? why : "");
    else if (passed)
        str_fmt(out->text, sizeof out->text, "%u check%s passed", passed, passed == 1 ? "" : "s");
    else
        str_copy(out->text, sizeof out->text, "no rule has spoken about it");
    out->state = found ? GATE_FAIL : unknown || !passed ? GATE_UNKNOWN : GATE_PASS;
}

static unsigned count_generation(const struct org *org, enum generation g)
{
    unsigned n = 0;
    for (size_t i = 0; i < org->n_servers; i++)
        n += org->servers[i].generation == g;
    return n;
}

static void oab_pinned(const struct org *org, struct gate_answer *out)
{
    unsigned without = 0, seen = 0;
    const char *first = NULL;
    for (size_t i = 0; i < org->n_databases; i++) {
        if (org->databases[i].is_public)
            continue;
        seen++;
        if (!org->databases[i].oab_dn && without++ == 0)
            first = org->databases[i].name;
    }
    if (seen == 0)
        answer(out, GATE_UNKNOWN, "the directory names no mailbox database");
    else if (without == 0)
        answer(out, GATE_PASS, "set on every mailbox database");
    else {
        out->state = GATE_FAIL;
        str_fmt(out->text, sizeof out->text, "%u of %u without one, %s first", without, seen,
                first ? first : "?");
    }
}

static void site_coverage(const struct org *org, struct gate_answer *out)
{
    for (size_t i = 0; i < org->n_sites; i++) {
        bool mailbox = false, cas = false;
        for (size_t k = 0; k < org->sites[i].n_servers; k++) {
            const struct server *s = org->sites[i].servers[k];
            mailbox |= s->generation >= GENERATION_2013 && server_is_mailbox(s);
            cas |= s->generation >= GENERATION_2013 && server_is_cas(s);
        }
        if (mailbox && !cas) {
            out->state = GATE_FAIL;
            str_fmt(out->text, sizeof out->text, "%s has none", org->sites[i].name);
            return;
        }
    }
    answer(out, GATE_PASS, "every such site has one");
}

static void not_cu6(const struct org *org, struct gate_answer *out)
{
    if (!count_generation(org, GENERATION_2007) || !count_generation(org, GENERATION_2013)) {
        answer(out, GATE_NOT_APPLICABLE, "2007 and 2013 do not stand side by side");
        return;
    }
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (s->generation == GENERATION_2013 && s->has_version && s->version.minor == 0 &&
            s->version.build == 995) {
            out->state = GATE_FAIL; /* 15.0.995: CU6 */
            str_fmt(out->text, sizeof out->text, "%s is at CU6", s->name);
            return;
        }
    }
    answer(out, GATE_PASS, "none is at CU6");
}

static void new_mailbox_server(const struct org *org, struct gate_answer *out)
{
    if (!count_generation(org, GENERATION_2007)) {
        answer(out, GATE_NOT_APPLICABLE, "there is no 2007");
        return;
    }
    for (size_t i = 0; i < org->n_servers; i++) {
        if (org->servers[i].generation >= GENERATION_2013 && server_is_mailbox(&org->servers[i])) {
            str_fmt(out->text, sizeof out->text, "%s", org->servers[i].name);
            out->state = GATE_PASS;
            return;
        }
    }
    answer(out, GATE_FAIL, "there is none yet");
}

static void no_ambiguous_url(const struct org *org, struct gate_answer *out)
{
    for (size_t a = 0; a < org->n_arrays; a++) {
        for (size_t i = 0; i < org->n_vdirs; i++) {
            const struct vdir *v = &org->vdirs[i];
            if (v->external_hostname && str_ieq(v->external_hostname, org->arrays[a].fqdn)) {
                out->state = GATE_FAIL;
                str_fmt(out->text, sizeof out->text, "array %s and Outlook Anywhere of %s share %s",
                        org->arrays[a].name, v->server ? v->server->name : "?", v->external_hostname);
                return;
            }
        }
    }
    answer(out, org->n_arrays ? GATE_PASS : GATE_NOT_APPLICABLE,
           org->n_arrays ? "no array shares a name" : "there is no CAS array");
}

static void rehearsed(const struct gate_input *in, struct gate_answer *out)
{
    out->state = in->to_rehearse == 0               ? GATE_NOT_APPLICABLE
                 : in->rehearsed >= in->to_rehearse ? GATE_PASS
                                                    : GATE_UNKNOWN;
    str_fmt(out->text, sizeof out->text, "%u of %u legacy CAS answered test traffic well", in->rehearsed,
            in->to_rehearse);
}

void gate_evaluate(size_t i, const struct gate_input *in, struct gate_answer *out)
{
    const struct gate *g = &gates[i];
    const struct world *w = in->world;
    memset(out, 0, sizeof *out);
    if (in->settled[i].reason[0]) {
        out->state = GATE_SETTLED;
        str_fmt(out->text, sizeof out->text, "%s (%s)", in->settled[i].reason, in->settled[i].who);
        return;
    }
    if (!w)
        answer(out, GATE_UNKNOWN, "nothing has been read yet");
    else if (g->rules && w->has_findings)
        by_rules(w, g->rules, out);
    else if (g->rules)
        answer(out, GATE_UNKNOWN, "the rules could not be evaluated");
    else if (str_eq(g->id, "G6"))
        oab_pinned(w->org, out);
    else if (str_eq(g->id, "G7"))
        site_coverage(w->org, out);
    else if (str_eq(g->id, "G8"))
        not_cu6(w->org, out);
    else if (str_eq(g->id, "G9"))
        new_mailbox_server(w->org, out);
    else if (str_eq(g->id, "G13"))
        no_ambiguous_url(w->org, out);
    else if (str_eq(g->id, "G18"))
        rehearsed(in, out);
    else
        answer(out, GATE_ASK, "only you can know (S answers)");
}

void gates_load(const store_progresses *progress, const char *organization, struct gate_settled *settled)
{
    memset(settled, 0, GATE_COUNT * sizeof *settled);
    for (size_t k = 0; k < progress->n; k++) {
        const struct store_progress *p = &progress->v[k];
        if (!str_ieq(p->organization, organization) || !str_eq(p->state, PROGRESS_SETTLED) || !p->note[0])
            continue;
        for (size_t i = 0; i < GATE_COUNT; i++) {
            if (!str_eq(gates[i].id, p->gate))
                continue;
            settled[i].at = p->at;
            str_show_fixed(settled[i].who, sizeof settled[i].who, p->who, strlen(p->who));
            str_show_fixed(settled[i].reason, sizeof settled[i].reason, p->note, strlen(p->note));
        }
    }
}
