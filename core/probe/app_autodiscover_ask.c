/* One conversation with Autodiscover: the question, the redirects, the answer. */
#include "core/probe/app_autodiscover.h"

#include "core/base/str.h"

#include <string.h>

bool autodiscover_address(const struct target *t, char *out, size_t cap, const char **why)
{
    const struct probe_user *u = &t->prober->req.user;
    const char *address = u->mailbox && *u->mailbox->mail ? u->mailbox->mail : u->name;
    if (!address)
        *why = "needs a mailbox: --user names one";
    else if (!strchr(address, '@') || !str_copy(out, cap, address))
        *why = "the test user is no address: --user alice@contoso.com";
    else
        return true;
    return false;
}

void autodiscover_init(struct autodiscover *q, struct target *t, const char *address, bool mobile, bool last)
{
    memset(q, 0, sizeof *q);
    q->t = t;
    q->mobile = mobile;
    q->last = last;
    q->place.here = true;
    q->place.method = target_method(t, PROTOCOL_AUTODISCOVER);
    str_copy(q->place.host, sizeof q->place.host, t->fqdn);
    str_copy(q->place.path, sizeof q->place.path, protocol_path(PROTOCOL_AUTODISCOVER));
    str_copy(q->address, sizeof q->address, address);
    buf_init(&q->trail, 8192);
}

void autodiscover_fini(struct autodiscover *q)
{
    buf_fini(&q->trail);
}

bool autodiscover_place_from(struct autodiscover_place *out, const char *url)
{
    struct autodiscover_place p = {.method = LOGON_NONE};
    enum tri https;
    const char *slash;
    if (!url_host(url, p.host, sizeof p.host, &https, &p.port) || https != TRI_YES)
        return false;
    slash = strchr(strstr(url, "://") + 3, '/');
    if (!str_copy(p.path, sizeof p.path, slash ? slash : "/"))
        return false;
    *out = p;
    return true;
}

/* ---- one conversation */

/* False when this very question was asked already, or too many were. */
static bool visit_once(struct autodiscover *q, struct buf *detail)
{
    char key[sizeof q->visited[0]];
    str_fmt(key, sizeof key, "%s %s:%u%s", q->address, q->place.host, q->place.port, q->place.path);
    for (size_t i = 0; i < q->n_visited; i++)
        if (str_ieq(q->visited[i], key)) {
            buf_addf(detail, "redirect loop: %s", buf_str(&q->trail));
            return false;
        }
    if (q->n_visited > AUTODISCOVER_HOPS_MAX) {
        buf_addf(detail, "more than %d redirects: %s", AUTODISCOVER_HOPS_MAX, buf_str(&q->trail));
        return false;
    }
    str_copy(q->visited[q->n_visited++], sizeof q->visited[0], key);
    return true;
}

static void add_trail(struct autodiscover *q, const char *words, const char *where)
{
    buf_addf(&q->trail, "%s%s %s", q->trail.len ? ", " : "", words, where);
}

/* Moves on to an URL that the server told us; false, with the words, when we do not go there. */
static bool go_to(struct autodiscover *q, const char *url, struct buf *detail)
{
    struct autodiscover_place next;
    struct buf seen;
    char shown[300];
    str_show_fixed(shown, sizeof shown, url, strlen(url));
    add_trail(q, "redirected to", shown);
    if (!autodiscover_place_from(&next, url)) {
        buf_addf(detail, "redirected to %s, which is no https URL: not followed", shown);
        return false;
    }
    if (!app_host_is_ours(q->t, next.host)) {
        buf_addf(detail,
                 "redirected to %s: %s is no name of this organisation, so no credentials are sent there "
                 "(Outlook would ask the user)",
                 shown, next.host);
        return false;
    }
    if (q->place.here && str_ieq(next.host, q->t->fqdn)) {
        str_copy(q->place.path, sizeof q->place.path, next.path);
        return true;
    }
    buf_init(&seen, 4096);
    enum outcome o = autodiscover_visit(q->t, &next, false, &seen);
    if (o != OUTCOME_OK || next.method == LOGON_NONE)
        buf_addf(detail, "redirected to %s: %s", shown, o == OUTCOME_OK ? next.why : buf_str(&seen));
    else
        q->place = next;
    buf_fini(&seen);
    return o == OUTCOME_OK && next.method != LOGON_NONE;
}

static bool go_to_address(struct autodiscover *q, const char *address, struct buf *detail)
{
    char shown[AUTODISCOVER_ADDRESS_MAX];
    const char *at = strrchr(address, '@');
    str_show_fixed(shown, sizeof shown, address, strlen(address));
    add_trail(q, "redirected to the address", shown);
    if (!at || !app_domain_is_ours(q->t, at + 1)) {
        buf_addf(detail, "redirected to the address %s, of no domain of this organisation: not followed",
                 shown);
        return false;
    }
    str_copy(q->address, sizeof q->address, address);
    return true;
}

static enum err post(struct autodiscover *q, struct http_answer *a, struct errinfo *ei)
{
    static const char *const headers[] = {"Content-Type: text/xml; charset=utf-8", NULL};
    const struct probe_place place = {.host = q->place.host,
                                      .port = q->place.port,
                                      .binding = q->place.binding,
                                      .binding_len = q->place.binding_len};
    struct stop share;
    struct buf body;
    *a = (struct http_answer){0};
    if (q->place.method == LOGON_NONE && !q->place.here)
        return err_set(ei, ERR_REFUSED, NULL, "%s", q->place.why);
    buf_init(&body, 8192);
    enum err e = pox_request(&body, q->address, q->mobile);
    const struct http_request req = {.method = "POST",
                                     .path = q->place.path,
                                     .headers = headers,
                                     .body = body.data,
                                     .body_len = body.len,
                                     .keep = HTTP_BODY_MAX};
    target_share(q->t, q->last, &share);
    if (!e && q->place.here)
        e = app_ask_as(q->t, PROTOCOL_AUTODISCOVER, &req, q->last, a, ei);
    else if (!e)
        e = target_ask_as(q->t, q->place.method, &place, &req, &share, a, ei);
    buf_fini(&body);
    return e;
}

/* Clients take the next method when one is refused: a name that several servers share may have no Kerberos, and yet work. */
static bool next_method(struct autodiscover *q)
{
    char words[96];
    for (int m = LOGON_COUNT - 1; m >= 0; m--) /* Basic last */
        if (q->place.others & (1u << m)) {
            str_fmt(words, sizeof words, "%s refused, so", logon_name(q->place.method));
            add_trail(q, words, logon_name((enum logon_method)m));
            q->place.others &= ~(1u << m);
            q->place.method = (enum logon_method)m;
            q->n_visited--;
            return true;
        }
    return false;
}

/* What came is no settings and no redirect. */
static enum outcome refused(const struct pox *x, struct buf *detail)
{
    char text[300];
    const char *words = pox_error_words(x->error_code);
    str_show_fixed(text, sizeof text, x->error_text ? x->error_text : "",
                   x->error_text ? strlen(x->error_text) : 0);
    buf_addf(detail, "Autodiscover error %s%s%s%s%s%s", x->error_code, words ? ": " : "", words ? words : "",
             *text ? " (" : "", text, *text ? ")" : "");
    return OUTCOME_FAILED;
}

/* One answer of 200. *more: a redirect is to be followed. */
static enum outcome read_answer(struct autodiscover *q, const struct http_answer *a, struct pox *x,
                                bool *more, struct buf *detail)
{
    struct errinfo ei = {0};
    char why[128], came[128];
    enum outcome o = OUTCOME_FAILED;
    if (!app_body_is_whole(a, why, sizeof why)) {
        buf_addf(detail, "%s", why);
        return o;
    }
    if (pox_parse(x, buf_str(&a->body), a->body.len, &ei)) {
        buf_addf(detail, "%s, but no answer of Autodiscover: %s", app_came(a, came, sizeof came), ei.what);
        return o;
    }
    switch (x->kind) {
    case POX_ERROR: o = refused(x, detail); break;
    case POX_REDIRECT_ADDRESS: *more = go_to_address(q, x->redirect, detail); break;
    case POX_REDIRECT_URL: *more = go_to(q, x->redirect, detail); break;
    case POX_SETTINGS:
    case POX_MOBILE:
        if ((x->kind == POX_MOBILE) == q->mobile)
            return OUTCOME_OK;
        buf_addf(detail, "the answer is %s",
                 q->mobile ? "for Outlook, not for devices" : "for devices, not for Outlook");
        break;
    }
    pox_fini(x);
    return o;
}

enum outcome autodiscover_ask(struct autodiscover *q, struct pox *x, struct buf *detail)
{
    for (bool more = true; more;) {
        struct http_answer a = {0};
        struct errinfo ei = {0};
        enum outcome o = OUTCOME_FAILED;
        more = false;
        if (!visit_once(q, detail))
            return OUTCOME_FAILED;
        enum err e = post(q, &a, &ei);
        if (e) {
            buf_addf(detail, "%s", *ei.what ? ei.what : err_text(e));
            o = e == ERR_REFUSED ? OUTCOME_SKIPPED : OUTCOME_ERROR;
        } else if (a.status == 200) {
            o = read_answer(q, &a, x, &more, detail);
        } else if (a.status == 301 || a.status == 302 || a.status == 307) {
            char location[APP_URL_MAX];
            more = go_to(q, app_header(&a, "Location", location, sizeof location), detail);
        } else if (a.status == 401 && next_method(q)) {
            more = true;
        } else {
            const char *words =
                a.status == 401 ? "the logon is refused" : status_words(a.status, PROTOCOL_AUTODISCOVER);
            buf_addf(detail, "%d%s%s", a.status, words ? ": " : "", words ? words : "");
        }
        http_answer_fini(&a);
        if (!more && o == OUTCOME_OK && q->trail.len)
            buf_addf(detail, "%s; ", buf_str(&q->trail));
        if (!more)
            return o;
    }
    return OUTCOME_FAILED;
}

enum err autodiscover_oab_path(struct target *t, char *out, size_t cap, struct errinfo *ei)
{
    struct autodiscover q;
    struct pox x;
    struct buf detail;
    char address[AUTODISCOVER_ADDRESS_MAX];
    const char *why, *url = NULL;
    enum err e = ERR_OK;
    struct http_answer a = {0};
    if (!autodiscover_address(t, address, sizeof address, &why))
        return err_set(ei, ERR_REFUSED, NULL, "the address book's folder is told by Autodiscover, which %s",
                       why);
    /* whoever the address book lets in is let in by Autodiscover too: it was perhaps not asked before */
    if (target_method(t, PROTOCOL_AUTODISCOVER) == LOGON_NONE) {
        const struct http_request req = {.method = "GET", .path = protocol_path(PROTOCOL_AUTODISCOVER)};
        if (app_ask(t, &req, false, &a, NULL) == ERR_OK)
            t->offered[PROTOCOL_AUTODISCOVER] = logon_offered(&a.challenge);
        t->worked[PROTOCOL_AUTODISCOVER] = t->worked[PROTOCOL_OAB] & t->offered[PROTOCOL_AUTODISCOVER];
        http_answer_fini(&a);
    }
    buf_init(&detail, 4096);
    autodiscover_init(&q, t, address, false, false);
    enum outcome o = autodiscover_ask(&q, &x, &detail);
    if (o != OUTCOME_OK) {
        e = err_set(ei, o == OUTCOME_SKIPPED ? ERR_REFUSED : ERR_PROTOCOL, NULL,
                    "Autodiscover tells no address book: %s", buf_str(&detail));
    } else {
        const struct pox_protocol *p = pox_protocol(&x, "EXCH");
        url = p ? p->settings[POX_OAB_URL] : NULL;
        const char *host = url ? strstr(url, "://") : NULL, *path = host ? strchr(host + 3, '/') : NULL;
        if (!path ||
            !str_fmt(out, cap, "%.*s/oab.xml", (int)(strlen(path) - (path[strlen(path) - 1] == '/')), path))
            e = err_set(ei, ERR_REFUSED, NULL,
                        "Autodiscover names no address book for this mailbox (no OABUrl)");
        pox_fini(&x);
    }
    autodiscover_fini(&q);
    buf_fini(&detail);
    return e;
}
