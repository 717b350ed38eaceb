/*
 * The tree that Microsoft's Remote Connectivity Analyzer exports (admin-tools.md 5.7): nested testresult elements with seven
 * attributes in that order. The organisation, its servers, what was done by each name, the steps.
 */
#include "core/report/report_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

/* As in the exports: all zeros for success, one common value for a parent that failed. */
#define GUID_SUCCESS "00000000-0000-0000-0000-000000000000"
#define GUID_PARENT  "734044ef-11c2-4e30-9ee6-450d49e9d92c"

enum status { SUCCESS, WARNINGS, ERROR };

struct writer {
    const struct report *r;
    struct buf *out, scratch;
};

static void attribute(struct writer *w, const char *name, const char *value)
{
    struct buf *b = &w->scratch;
    const char *v = value ? value : "";
    buf_reset(b);
    if (redact(w->r->redactor, v, strlen(v), b))
        w->out->failed = b->failed;
    buf_addf(w->out, " %s=\"", name);
    for (size_t i = 0, n; i < b->len; i += n) {
        const char *s = b->data + i;
        n = utf8_next(s, b->len - i, NULL);
        if (!n || *s == '\0') {
            buf_adds(w->out, "\xef\xbf\xbd");
            n = 1;
        } else if (*s == '&' || *s == '<' || *s == '>' || *s == '"') {
            buf_adds(w->out, *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : "&quot;");
        } else if (*s == '\n') {
            buf_adds(w->out, "&#xD;&#xA;");
        } else if ((unsigned char)*s < ' ') { /* not allowed in XML 1.0 */
            buf_adds(w->out, *s == '\t' ? "&#x9;" : *s == '\r' ? "" : "\xef\xbf\xbd");
        } else if (n == 3 && memcmp(s, "\xef\xbf", 2) == 0 && (unsigned char)s[2] >= 0xbe) {
            buf_adds(w->out, "\xef\xbf\xbd"); /* U+FFFE, U+FFFF */
        } else {
            buf_add(w->out, s, n);
        }
    }
    buf_addc(w->out, '"');
}

/* A value of its own for each kind of failure, the same every time: FNV-1a of what failed, laid out as a version 8 UUID. */
static void guid_of(const char *what, char out[static 37])
{
    uint64_t h[2];
    for (unsigned i = 0; i < 2; i++) {
        h[i] = 1469598103934665603u + i;
        for (const char *p = what ? what : ""; *p; p++)
            h[i] = (h[i] ^ (unsigned char)*p) * 1099511628211u;
    }
    str_fmt(out, 37, "%08x-%04x-8%03x-a%03x-%012llx", (unsigned)(h[0] >> 32), (unsigned)(h[0] >> 16) & 0xffff,
            (unsigned)h[0] & 0xfff, (unsigned)(h[1] >> 52), (unsigned long long)(h[1] & 0xffffffffffffull));
}

static void open_result(struct writer *w, int depth, enum status status, const char *guid, const char *test,
                        const char *result, const char *details, long elapsed)
{
    static const char *const names[] = {"Success", "SuccessWithWarnings", "Error"};
    buf_addf(w->out, "%*s<testresult", depth * 2, "");
    attribute(w, "status", names[status]);
    attribute(w, "errorid", guid);
    attribute(w, "contentUrl", "");
    attribute(w, "testdescription", test);
    attribute(w, "resultdescription", result);
    attribute(w, "additionaldetails", details);
    buf_addf(w->out, " elapsedMilliseconds=\"%ld\">\n", elapsed);
}

static void close_result(struct writer *w, int depth)
{
    buf_addf(w->out, "%*s</testresult>\n", depth * 2, "");
}

static enum status status_of(enum outcome o)
{
    return o == OUTCOME_OK ? SUCCESS : o == OUTCOME_SKIPPED ? WARNINGS : ERROR;
}

static void leaf(struct writer *w, int depth, const struct observation *o)
{
    static const struct {
        const char *step, *test, *good, *bad;
    } words[] = {
        {"dns", "Attempting to resolve the host name %s in DNS.", "The host name resolved successfully.",
         "The host name couldn't be resolved."},
        {"tcp", "Testing TCP port 443 on host %s to ensure it's listening and open.",
         "The port was opened successfully.",
         "The specified port is either blocked, not listening, or not producing the expected response."},
        {"tls", "Obtaining the TLS handshake of %s.", "The TLS handshake succeeded.",
         "The TLS handshake failed."},
        {"certificate", "Testing the SSL certificate of %s to make sure it's valid.",
         "The certificate passed all validation requirements.",
         "The SSL certificate failed one or more certificate validation checks."},
        {"challenge", "Testing the authentication methods offered at %s.",
         "The methods offered are sufficient.", "The methods offered are not what is needed."},
        {"ticket", "Requesting a Kerberos service ticket for %s.", "The ticket was issued.",
         "The ticket was not issued."},
    };
    char test[400], guid[37] = GUID_SUCCESS;
    const char *good = "The step succeeded.", *bad = "The step failed.";
    const char *subject = o->subject ? o->subject : o->by_name ? o->by_name : "";
    if (o->by_name && (o->kind == OBSERVATION_STEP || o->kind == OBSERVATION_TLS))
        subject = o->by_name;
    str_fmt(test, sizeof test, "Testing %s: %s.", o->step ? o->step : "a step", subject);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t before = strcspn(words[i].test, "%");
        if (!str_eq(words[i].step, o->step))
            continue;
        str_fmt(test, sizeof test, "%.*s%s%s", (int)before, words[i].test, subject,
                words[i].test + before + 2);
        good = words[i].good;
        bad = words[i].bad;
    }
    enum status status = status_of(o->outcome);
    if (status == ERROR)
        guid_of(o->step, guid);
    open_result(w, depth, status, guid, test,
                status == SUCCESS    ? good
                : status == WARNINGS ? "The step was skipped."
                                     : bad,
                o->detail, o->elapsed_ms);
    buf_addf(w->out, "%*s<children />\n", depth * 2 + 2, "");
    close_result(w, depth);
}

/* ---- the tree: sorted by server, then by the name used, the steps in their order */

static int by_server(const void *x, const void *y)
{
    const struct observation *a = *(const struct observation *const *)x,
                             *b = *(const struct observation *const *)y;
    int c = str_icmp(a->server ? a->server : "", b->server ? b->server : "");
    c = c ? c : str_icmp(a->by_name ? a->by_name : "", b->by_name ? b->by_name : "");
    return c ? c : (a > b) - (a < b);
}

/* Worst status and time of n observations. */
static enum status sum(const struct observation *const *o, size_t n, long *elapsed)
{
    enum status worst = SUCCESS;
    *elapsed = 0;
    for (size_t i = 0; i < n; i++) {
        enum status s = status_of(o[i]->outcome);
        worst = s > worst ? s : worst;
        *elapsed += o[i]->elapsed_ms > 0 ? o[i]->elapsed_ms : 0;
    }
    return worst;
}

static const char *guid_for(enum status s)
{
    return s == SUCCESS ? GUID_SUCCESS : GUID_PARENT;
}

static const char *result_for(enum status s)
{
    return s == SUCCESS    ? "The test completed successfully."
           : s == WARNINGS ? "The test completed; some steps were not made."
                           : "The test failed: see the steps below.";
}

static size_t run_of(const struct observation *const *o, size_t n, bool same_name)
{
    size_t k = 1;
    while (k < n && str_ieq(o[k]->server, o[0]->server) &&
           (!same_name || str_ieq(o[k]->by_name, o[0]->by_name)))
        k++;
    return k;
}

static void server_result(struct writer *w, const struct observation *const *o, size_t n)
{
    char text[400];
    long elapsed;
    enum status s = sum(o, n, &elapsed);
    str_fmt(text, sizeof text, "Testing the Client Access Server %s.",
            o[0]->server ? o[0]->server : "of a namespace");
    open_result(w, 2, s, guid_for(s), text, result_for(s), "", elapsed);
    buf_adds(w->out, "      <children>\n");
    for (size_t i = 0, k; i < n; i += k) {
        k = run_of(o + i, n - i, true);
        s = sum(o + i, k, &elapsed);
        str_fmt(text, sizeof text, "Testing it by the name %s.",
                o[i]->by_name ? o[i]->by_name : "of a service");
        open_result(w, 4, s, guid_for(s), text, result_for(s), "", elapsed);
        buf_adds(w->out, "          <children>\n");
        for (size_t j = 0; j < k; j++)
            leaf(w, 6, o[i + j]);
        buf_adds(w->out, "          </children>\n");
        close_result(w, 4);
    }
    buf_adds(w->out, "      </children>\n");
    close_result(w, 2);
}

enum err report_xml(const struct report *r, struct buf *out, struct errinfo *ei)
{
    const struct evidence *e = r->in.evidence;
    struct writer w = {.r = r, .out = out};
    char text[400];
    long elapsed;
    size_t n = e->items.n;
    const struct observation **list = calloc(n + 1, sizeof *list);
    if (!list)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the report");
    buf_init(&w.scratch, (size_t)16 << 20);
    for (size_t i = 0; i < n; i++)
        list[i] = &e->items.v[i];
    qsort(list, n, sizeof *list, by_server);
    enum status s = sum(list, n, &elapsed);
    s = n ? s : WARNINGS;
    buf_adds(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    str_fmt(text, sizeof text, "Testing the Client Access Servers of the organisation %s.",
            r->in.org->name ? r->in.org->name : "");
    open_result(&w, 0, s, guid_for(s), text, n ? result_for(s) : "No server was asked.", "", elapsed);
    if (n) {
        buf_adds(out, "  <children>\n");
        for (size_t i = 0, k; i < n; i += k) {
            k = run_of(list + i, n - i, false);
            server_result(&w, list + i, k);
        }
        buf_adds(out, "  </children>\n");
    } else {
        buf_adds(out, "  <children />\n");
    }
    close_result(&w, 0);
    buf_fini(&w.scratch);
    free(list);
    return out->failed ? err_set(ei, out->failed, NULL, "the report is too large") : ERR_OK;
}
