/* Answers of the engine itself: the front end's challenge, redirects, refusals with their reason, failures. */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *status_words(int status)
{
    static const struct {
        int status;
        const char *words;
    } table[] = {{200, "OK"},
                 {302, "Found"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {413, "Content Too Large"},
                 {451, "Redirect"},
                 {500, "Internal Server Error"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].words;
    return "Answer";
}

static void add_html(struct buf *b, const char *s)
{
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '<': (void)buf_adds(b, "&lt;"); break;
        case '>': (void)buf_adds(b, "&gt;"); break;
        case '&': (void)buf_adds(b, "&amp;"); break;
        case '"': (void)buf_adds(b, "&quot;"); break;
        case '\'': (void)buf_adds(b, "&#39;"); break;
        default: (void)buf_addc(b, *s);
        }
    }
}

/* An URL from the directory goes into a header: nothing but visible ASCII may. */
static bool url_is_clean(const char *url)
{
    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '"' || *p == '<' || *p == '>')
            return false;
    return str_istarts(url, "https://") || str_istarts(url, "http://");
}

void auth_challenge_fields(const struct conn *c, char *out, size_t cap)
{
    const struct proxy *p = c->e->p;
    const char *realm = p->cfg.arrive != NULL ? p->names[0] : p->upstream_host;
    (void)str_fmt(out, cap, "WWW-Authenticate: Basic realm=\"%s\"\r\n", realm);
}

/* fields: whole header lines. body: HTML, may be NULL. */
static void answer(struct conn *c, int status, const char *fields, const struct buf *body)
{
    struct engine *e = c->e;
    const struct proxy *p = e->p;
    struct buf head;
    char date[40] = "";
    time_t now = (time_t)(engine_unix_ms(e) / 1000);
    struct tm tm;
    size_t body_len = body != NULL && body->failed == ERR_OK ? body->len : 0;

    request_drop_replay(c);
    c->replaying = false;
    if (c->up != NULL && !c->pinned)
        up_close(c->up);
    iobuf_put(&e->pool, &c->out);
    if (c->head_len > 0 && iobuf_len(c->in) >= c->head_len)
        iobuf_drop(c->in, c->head_len);
    c->head_len = 0;
    /* a small rest of the body is read and dropped; a channel of 1 GiB is not */
    if (!body_is_short(c))
        c->keep = false;
    if (e->drain_until_ms != 0)
        c->keep = false;
    if (gmtime_r(&now, &tm) != NULL)
        (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_init(&head, 8192);
    (void)buf_addf(&head, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, status_words(status), date);
    if (p->cfg.arrive != NULL)
        (void)buf_addf(&head, "X-FEServer: %s\r\n", p->cfg.arrive);
    (void)buf_adds(&head, fields);
    if (body_len > 0)
        (void)buf_adds(&head, "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n");
    (void)buf_addf(&head, "Content-Length: %zu\r\n", body_len);
    if (!c->keep || c->minor == 0)
        (void)buf_addf(&head, "Connection: %s\r\n", c->keep ? "keep-alive" : "close");
    (void)buf_adds(&head, "\r\n");
    if (body_len > 0 && !c->is_head)
        (void)buf_add(&head, body->data, body_len);
    c->out = iobuf_get_sized(&e->pool, head.len);
    if (head.failed != ERR_OK || c->out == NULL || iobuf_add(c->out, head.data, head.len) != head.len) {
        buf_fini(&head);
        conn_close(c, "out of memory");
        return;
    }
    buf_fini(&head);
    c->state = CONN_ANSWER;
    row_status(c, status);
    row_event(c, PROXY_EVENT_FIRST_BYTE, "%d by the engine", status);
    conn_patience(c, (unsigned)p->cfg.header_timeout_s);
}

static void page(struct buf *b, int status, const char *rule, const char *reason)
{
    buf_init(b, 4096);
    (void)buf_addf(b, "<!doctype html><html><head><title>%d %s</title></head><body><h1>%d %s</h1><p>", status,
                   status_words(status), status, status_words(status));
    add_html(b, reason);
    (void)buf_adds(b, "</p>");
    if (rule[0] != '\0') {
        (void)buf_adds(b, "<p>Rule: ");
        add_html(b, rule);
        (void)buf_adds(b, "</p>");
    }
    (void)buf_adds(b, "</body></html>\n");
}

void answer_status(struct conn *c, int status, const char *rule, const char *reason)
{
    struct buf b;
    request_fail(c, rule, reason);
    page(&b, status, rule, reason);
    answer(c, status, "", &b);
    buf_fini(&b);
}

void answer_challenge(struct conn *c, const char *reason)
{
    struct buf b;
    char fields[320];
    if (reason != NULL)
        request_fail(c, "", reason);
    auth_challenge_fields(c, fields, sizeof fields);
    page(&b, 401, "", reason != NULL ? reason : "This server wants a user name and a password.");
    answer(c, 401, fields, &b);
    buf_fini(&b);
}

void answer_redirect(struct conn *c, const char *url)
{
    char fields[2100];
    if (!url_is_clean(url) || !str_fmt(fields, sizeof fields, "Location: %s\r\n", url)) {
        answer_status(c, 500, "legacy-namespace", "the external URL of the other server is no URL");
        return;
    }
    answer(c, 302, fields, NULL);
}

void answer_moved(struct conn *c, const char *url)
{
    char fields[2100];
    if (!url_is_clean(url) || !str_fmt(fields, sizeof fields, "X-MS-Location: %s\r\n", url))
        answer_status(c, 500, "", "the external URL of the other server is no URL");
    else
        answer(c, 451, fields, NULL);
}

void answer_served(struct conn *c)
{
    struct buf b;
    page(&b, 200, "",
         "The server the engine stands for answers this request itself; there is nothing to go on to.");
    answer(c, 200, "", &b);
    buf_fini(&b);
}

/*
 * Single sign-on redirect: a page that posts itself to the other server (routing.md 3, fact 10). The real one carries the user's
 * name and password as hidden fields; this one carries the destination only, for the engine never writes a password anywhere.
 */
void answer_sso(struct conn *c, const char *url)
{
    struct buf b;
    if (!url_is_clean(url)) {
        answer_status(c, 500, "legacy-namespace", "the external URL of the other server is no URL");
        return;
    }
    buf_init(&b, 8192);
    (void)buf_adds(
        &b,
        "<!doctype html><html><body onload=\"document.forms[0].submit()\"><form method=\"post\" action=\"");
    add_html(&b, url);
    (void)buf_adds(&b, "\"><input type=\"hidden\" name=\"destination\" value=\"");
    add_html(&b, url);
    (void)buf_adds(&b,
                   "\"><input type=\"hidden\" name=\"flags\" value=\"0\"><noscript><input type=\"submit\" "
                   "value=\"Continue\"></noscript></form></body></html>\n");
    answer(c, 200, "X-OWA-FEError: CasRedirect\r\nSet-Cookie: PBack=1; path=/; secure; HttpOnly\r\n", &b);
    buf_fini(&b);
}

void answer_health(struct conn *c)
{
    struct buf b;
    struct proxy_row *r = row_of(c);
    if (r != NULL)
        (void)str_copy(r->action, sizeof r->action, "serve");
    buf_init(&b, 1024);
    (void)buf_addf(&b, "200 OK<br/>%s", c->e->p->names[0]);
    answer(c, 200, "", &b);
    buf_fini(&b);
}
