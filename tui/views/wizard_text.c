/* What the wizard says about its later steps. */
#include "tui/views/wizard_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "tui/views/format.h"

#include <string.h>

bool wizard_is_rehearsed(const struct session *s, const struct server *server)
{
    for (size_t i = 0; i < s->engine.n_rows; i++) { /* newest first */
        const struct proxy_row *r = &s->engine.rows[i];
        if (r->status != 0 && str_ieq(r->target, server->name))
            return r->status < 400;
    }
    return false;
}

void wizard_describe_fix(struct view *v)
{
    const struct wizard *z = v->data;
    const struct session *s = v->ui->session;
    const struct planned *pl = &s->planned;
    struct pane *p = &v->pane;
    if (z->fixable == 0) {
        pane_add(p, PAINT_OK, 0, "%s nothing is left that could be mended from here", state_glyph(STATE_OK));
    } else {
        pane_add(p, PAINT_WARNING, 0, "%s %u finding%s can be mended from here (4 lists them)",
                 state_glyph(STATE_WARNING), z->fixable, z->fixable == 1 ? "" : "s");
        pane_add(p, PAINT_TEXT, 0,
                 "1  m   make a plan, then read it: each step with its cmdlet and its inverse");
        pane_add(p, PAINT_TEXT, 0, "2  U   unlock, by typing the organisation's name");
        pane_add(p, PAINT_TEXT, 0,
                 "3  A   apply; every step is journalled, verified, and put back when it fails");
    }
    pane_gap(p);
    if (!pl->plan)
        pane_add(p, PAINT_DIM, 0, "no plan has been made");
    else
        pane_add(p, PAINT_TEXT, 0, "the plan has %zu step%s%s (6 shows it)", pl->plan->n_steps,
                 pl->plan->n_steps == 1 ? "" : "s", pl->applied ? ", and was applied" : "");
    if (s->tasks[TASK_APPLY].running)
        pane_add(p, PAINT_INFO, 0, "applying: %s", s->tasks[TASK_APPLY].text);
    for (size_t i = 0; s->world && i < s->world->findings.found.n; i++) {
        const struct finding *f = &s->world->findings.found.v[i];
        if (f->fix && f->fix->automatic && !f->accepted)
            pane_add(p, state_paint(finding_state(f)), 1, "%s %s  %s", state_glyph(finding_state(f)),
                     f->server ? f->server : "-", f->summary);
    }
}

static void describe_commands(struct pane *p, const struct session *s)
{
    char name[256] = "";
    const char *port = strrchr(s->engine.address, ':');
    if (!profile_namespace(s->config->profile, 0, name, sizeof name)) {
        const struct server *cas = org_server(s->world->org, s->engine.arrive);
        const struct vdir *oa = cas ? server_vdir(cas, PROTOCOL_OA) : NULL;
        str_copy(name, sizeof name, oa && oa->external_hostname ? oa->external_hostname : "mail.example.com");
    }
    port = port ? port + 1 : "443";
    int host = port > s->engine.address ? (int)(port - 1 - s->engine.address) : 0;
    pane_add(p, PAINT_TITLE, 0,
             "Send test traffic, for a mailbox on each legacy CAS, from another terminal:");
    pane_add(
        p, PAINT_AFTER, 1,
        "curl -k -u USER@%s --resolve %s:%s:%.*s 'https://%s:%s/rpc/rpcproxy.dll?SERVER:6001' -X RPC_IN_DATA "
        "-H 'Content-Length: 0' -A MSRPC",
        s->world->org->domain ? s->world->org->domain : "DOMAIN", name, port, host, s->engine.address, name,
        port);
    pane_add(p, PAINT_AFTER, 1, "curl -k -u USER@%s --resolve %s:%s:%.*s https://%s:%s/EWS/Exchange.asmx",
             s->world->org->domain ? s->world->org->domain : "DOMAIN", name, port, host, s->engine.address,
             name, port);
    pane_add(p, PAINT_DIM, 1, "or a test Outlook whose hosts file sends %s to this machine", name);
}

static void describe_missing(struct pane *p, const struct session *s)
{
    struct buf b;
    buf_init(&b, 8192);
    for (size_t i = 0; s->world && i < s->world->org->n_servers; i++) {
        const struct server *server = &s->world->org->servers[i];
        if (server_is_legacy_cas(server) && !wizard_is_rehearsed(s, server))
            buf_addf(&b, "%s%s", b.len ? ", " : "", server->name);
    }
    if (b.len)
        pane_field(p, PAINT_WARNING, "missing", buf_str(&b));
    buf_fini(&b);
}

void wizard_describe_rehearsal(struct view *v)
{
    const struct wizard *z = v->data;
    const struct session *s = v->ui->session;
    const struct engine *e = &s->engine;
    struct pane *p = &v->pane;
    char at[32];
    pane_add(p, z->to_rehearse && z->rehearsed >= z->to_rehearse ? PAINT_OK : PAINT_TEXT, 0,
             "%u of %u legacy CAS answered test traffic well", z->rehearsed, z->to_rehearse);
    describe_missing(p, s);
    if (!e->proxy) {
        pane_add(p, PAINT_TEXT, 0,
                 "e   start the engine: it behaves as the new CAS on this machine only, and changes nothing");
        return;
    }
    pane_add(p, PAINT_OK, 0, "%s the engine listens on %s as %s (e stops it)", state_glyph(STATE_OK),
             e->address, e->arrive);
    pane_gap(p);
    describe_commands(p, s);
    pane_gap(p);
    pane_add(p, PAINT_TITLE, 0, "Live, newest first (5 shows all):");
    for (size_t i = 0; i < e->n_rows && i < 12; i++) {
        const struct proxy_row *r = &e->rows[i];
        pane_add(p,
                 r->rule[0] || r->status >= 400 ? PAINT_ERROR
                 : r->status                    ? PAINT_OK
                                                : PAINT_TEXT,
                 1, "%s  %3d  %s  %s  %s  %s", clock_words(r->began_ms / 1000, at, sizeof at), r->status,
                 r->protocol, r->user[0] ? r->user : "-", r->target[0] ? r->target : "-", r->reason);
    }
    if (e->n_rows == 0)
        pane_add(p, PAINT_DIM, 1, "no request has arrived yet");
}

void wizard_describe_verification(struct view *v)
{
    const struct wizard *z = v->data;
    const struct world *w = v->ui->session->world;
    struct pane *p = &v->pane;
    char at[CLOCK_TEXT_SIZE];
    if (!w)
        return;
    enum state st = verdict_state(w->findings.verdict);
    pane_add(p, state_paint(st), 0, "%s %s for Exchange %s", state_glyph(st),
             verdict_words(w->findings.verdict), generation_name(w->target));
    pane_field(p, PAINT_TEXT, "directory", clock_rfc3339(w->org->taken_at, at));
    pane_field(p, w->probed_at ? PAINT_TEXT : PAINT_UNKNOWN, "wire",
               w->probed_at ? clock_rfc3339(w->probed_at, at) : "never asked");
    pane_add(p, PAINT_TEXT, 0, "Enter   read the directory and ask every server again");
    pane_gap(p);
    bool go = z->closed == 0 && z->states[STEP_FIX] == STEP_DONE && z->states[STEP_REHEARSE] == STEP_DONE &&
              z->states[STEP_VERIFY] == STEP_DONE;
    if (go)
        pane_add(p, PAINT_OK, 0, "%s GO: the namespace may move to the new CAS", state_glyph(STATE_OK));
    else
        pane_add(p, PAINT_WARNING, 0,
                 "%s NO GO yet: %u gate%s closed, %u finding%s to mend, %u of %u rehearsed",
                 state_glyph(STATE_WARNING), z->closed, z->closed == 1 ? "" : "s", z->fixable,
                 z->fixable == 1 ? "" : "s", z->rehearsed, z->to_rehearse);
    for (size_t i = 0; i < w->findings.unknown.n; i++) {
        const struct finding_ref *r = &w->findings.unknown.v[i];
        if (i == 0)
            pane_add(p, PAINT_TITLE, 0, "Not known");
        pane_add(p, PAINT_UNKNOWN, 1, "%s %s %s: %s", state_glyph(STATE_UNKNOWN), r->server ? r->server : "-",
                 r->id, r->why ? r->why : "");
    }
}
