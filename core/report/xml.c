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

/* The Analyzer's own words where it has such a test, our own in its manner where not. protocol: PROTOCOL_UNKNOWN any. */
static const struct words {
    const char *step;
    enum protocol protocol;
    const char *test, *good, *bad;
} words[] = {
    {"dns", PROTOCOL_UNKNOWN, "Attempting to resolve the host name %s in DNS.",
     "The host name resolved successfully.", "The host name couldn't be resolved."},
    {"tcp", PROTOCOL_UNKNOWN, "Testing TCP port %s to ensure it's listening and open.",
     "The port was opened successfully.",
     "The specified port is either blocked, not listening, or not producing the expected response."},
    {"tls", PROTOCOL_UNKNOWN, "Obtaining the TLS handshake of %s.", "The TLS handshake succeeded.",
     "The TLS handshake failed."},
    {"certificate", PROTOCOL_UNKNOWN, "Testing the SSL certificate of %s to make sure it's valid.",
     "The certificate passed all validation requirements.",
     "The SSL certificate failed one or more certificate validation checks."},
    {"tls-versions", PROTOCOL_UNKNOWN, "Testing which versions of TLS %s takes.",
     "A current version is offered, and no broken one.",
     "No current version is offered, or a broken one is."},
    {"client-certificate", PROTOCOL_UNKNOWN,
     "Checking the configuration of %s for client certificate authentication.",
     "A client certificate is not required.", "A client certificate is required."},
    {"login", PROTOCOL_UNKNOWN, "Testing the password of %s at the KDC.", "The password is good.",
     "The KDC does not take the password."},
    {"logon-basic", PROTOCOL_UNKNOWN, "Attempting to log on with Basic authentication at %s.",
     "The server took the logon.", "The server did not take the logon."},
    {"logon-ntlm", PROTOCOL_UNKNOWN, "Attempting to log on with NTLM authentication at %s.",
     "The server took the logon.", "The server did not take the logon."},
    {"logon-negotiate-ntlm", PROTOCOL_UNKNOWN, "Attempting to log on with NTLM within Negotiate at %s.",
     "The server took the logon.", "The server did not take the logon."},
    {"logon-negotiate", PROTOCOL_UNKNOWN, "Attempting to log on with a Kerberos ticket at %s.",
     "The server took the logon.", "The server did not take the logon."},
    {"healthcheck", PROTOCOL_UNKNOWN, "Reading the health page of the protocol, %s.",
     "Managed availability calls the protocol healthy.",
     "A load balancer that reads the page takes the server out."},
    {"echo-in", PROTOCOL_OA, "Attempting to ping RPC proxy %s on the IN channel.",
     "RPC Proxy was pinged successfully.", "RPC Proxy can't be pinged."},
    {"echo-out", PROTOCOL_OA, "Attempting to ping RPC proxy %s on the OUT channel.",
     "RPC Proxy was pinged successfully.", "RPC Proxy can't be pinged."},
    {"rpc-6001", PROTOCOL_OA, "Attempting to ping the MAPI Mail Store endpoint with identity: %s.",
     "The endpoint was pinged successfully.", "The attempt to ping the endpoint failed."},
    {"rpc-6002", PROTOCOL_OA, "Attempting to ping the MAPI Referral Service endpoint with identity: %s.",
     "The endpoint was pinged successfully.", "The attempt to ping the endpoint failed."},
    {"rpc-6004", PROTOCOL_OA, "Attempting to ping the MAPI Address Book endpoint with identity: %s.",
     "The endpoint was pinged successfully.", "The attempt to ping the endpoint failed."},
    {"banner", PROTOCOL_UNKNOWN, "Waiting for the greeting of %s.", "The server greeted.",
     "There was no greeting as expected."},
    {"challenge", PROTOCOL_UNKNOWN, "Testing the authentication methods offered at %s.",
     "The methods offered are sufficient.", "The methods offered are not what is needed."},
    {"ticket", PROTOCOL_UNKNOWN, "Requesting a Kerberos service ticket for %s.", "The ticket was issued.",
     "The ticket was not issued."},
    {"scp", PROTOCOL_AUTODISCOVER, "Looking up the Autodiscover service connection points for %s.",
     "Service connection points were found.", "No service connection point was found."},
    {"settings", PROTOCOL_AUTODISCOVER, "Sending an Autodiscover POST request to %s.",
     "Autodiscover settings were retrieved.",
     "Autodiscover settings were not obtained when the Autodiscover POST request was sent."},
    {"mobilesync", PROTOCOL_AUTODISCOVER,
     "Sending an Autodiscover POST request for Exchange ActiveSync to %s.",
     "The Exchange ActiveSync URL was validated successfully.",
     "No valid Exchange ActiveSync URL was obtained."},
    {"exch", PROTOCOL_AUTODISCOVER, "Validating the EXCH provider in the Autodiscover answer of %s.",
     "The EXCH provider is valid.", "The EXCH provider is missing or wrong."},
    {"expr", PROTOCOL_AUTODISCOVER, "Validating the EXPR provider in the Autodiscover answer of %s.",
     "The EXPR provider is valid.", "The EXPR provider is missing or wrong."},
    {"web", PROTOCOL_AUTODISCOVER, "Validating the WEB provider in the Autodiscover answer of %s.",
     "The WEB provider is valid.", "The WEB provider is wrong."},
    {"domain-url", PROTOCOL_AUTODISCOVER, "Attempting to test potential Autodiscover URL %s.",
     "Autodiscover settings were retrieved from the URL.",
     "Testing of this potential Autodiscover URL failed."},
    {"autodiscover-url", PROTOCOL_AUTODISCOVER, "Attempting to test potential Autodiscover URL %s.",
     "Autodiscover settings were retrieved from the URL.",
     "Testing of this potential Autodiscover URL failed."},
    {"http-redirect", PROTOCOL_AUTODISCOVER,
     "Attempting to contact the Autodiscover service using the HTTP redirect method: %s.",
     "The HTTP redirect led to the Autodiscover service.",
     "Attempts to contact Autodiscover using the HTTP redirect method failed."},
    {"srv", PROTOCOL_AUTODISCOVER,
     "Attempting to contact the Autodiscover service using the DNS SRV redirect method: %s.",
     "The SRV record led to the Autodiscover service.",
     "The Autodiscover service could not be contacted using the DNS SRV redirect method."},
    {"by-domain", PROTOCOL_AUTODISCOVER,
     "Attempting each method of contacting the Autodiscover service of %s.",
     "Autodiscover was tested successfully.",
     "The Autodiscover service could not be contacted successfully by any method."},
    {"get-folder", PROTOCOL_EWS, "Sending a GetFolder request for the inbox to %s.", "The inbox answers.",
     "Exchange Web Services did not return the inbox."},
    {"options", PROTOCOL_EAS, "Attempting to send the OPTIONS command to %s.",
     "The OPTIONS response was successfully received and is valid.",
     "Testing of the OPTIONS command failed."},
    {"folder-sync", PROTOCOL_EAS, "Attempting the FolderSync command on the Exchange ActiveSync session: %s.",
     "The FolderSync command completed successfully.", "The FolderSync command failed."},
    {"proxy-door", PROTOCOL_EAS, "Testing whether a newer front end can pass devices on to %s.",
     "Windows authentication is offered there.", "A newer front end cannot log on there."},
    {"redirects", PROTOCOL_UNKNOWN, "Following the way to the logon page from %s.",
     "The logon page was reached.", "The logon page was not reached."},
    {"form", PROTOCOL_UNKNOWN, "Looking for the logon form at %s.", "The logon form was found.",
     "There is no logon form as expected."},
    {"manifest", PROTOCOL_OAB, "Reading the manifest of the offline address book, %s.",
     "The manifest lists a complete address book.",
     "The manifest could not be read, or lists no complete address book."},
    {"ping-emsmdb", PROTOCOL_MAPI, "Testing the MAPI over HTTP mail store endpoint %s.",
     "The endpoint answers.", "The endpoint does not answer as it should."},
    {"ping-nspi", PROTOCOL_MAPI, "Testing the MAPI over HTTP address book endpoint %s.",
     "The endpoint answers.", "The endpoint does not answer as it should."},
    {"http", PROTOCOL_POWERSHELL, "Testing Remote PowerShell without TLS at %s.",
     "The endpoint asks for a Kerberos logon.", "The endpoint does not ask for a Kerberos logon."},
    {"build", PROTOCOL_UNKNOWN, "Determining the build of the server from %s.", "The build was determined.",
     "The build could not be determined."},
};

/* Steps about a name rather than an URL. */
static bool is_of_name(const struct observation *o)
{
    static const char *const steps[] = {"dns", "certificate", "echo-in", "echo-out"};
    if (str_eq(o->step, "login"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (str_eq(steps[i], o->step))
            return true;
    return o->kind == OBSERVATION_TLS || (o->kind == OBSERVATION_STEP && o->protocol == PROTOCOL_UNKNOWN);
}

/* What a step is about, in the Analyzer's manner: "443 on host mail.contoso.com", "mailbox@contoso.com:6001". out is scratch. */
static const char *subject_of(const struct observation *o, char *out, size_t cap)
{
    const char *subject = o->subject ? o->subject : o->by_name ? o->by_name : "";
    const char *colon = strrchr(subject, ':'), *query = strchr(subject, '?');
    if (str_eq(o->step, "tcp") && colon)
        return str_fmt(out, cap, "%s on host %.*s", colon + 1, (int)(colon - subject), subject) ? out
                                                                                                : subject;
    if (o->step && str_istarts(o->step, "rpc-") && query)
        return query + 1;
    return o->by_name && is_of_name(o) ? o->by_name : subject;
}

static void leaf(struct writer *w, int depth, const struct observation *o)
{
    char test[400], guid[37] = GUID_SUCCESS;
    const char *good = "The step succeeded.", *bad = "The step failed.";
    char named[300];
    const char *subject = subject_of(o, named, sizeof named);
    str_fmt(test, sizeof test, "Testing %s: %s.", o->step ? o->step : "a step", subject);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t before = strcspn(words[i].test, "%");
        if (!str_eq(words[i].step, o->step) ||
            (words[i].protocol != PROTOCOL_UNKNOWN && words[i].protocol != o->protocol))
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

/* ---- the tree: sorted by server, then by the name used, then by protocol, the steps in their order */

/* What is of no protocol comes first: names, ports, certificates. */
static unsigned rank_of(enum protocol p)
{
    return p < PROTOCOL_COUNT ? (unsigned)p + 1 : 0;
}

static int by_server(const void *x, const void *y)
{
    const struct observation *a = *(const struct observation *const *)x,
                             *b = *(const struct observation *const *)y;
    int c = str_icmp(a->server ? a->server : "", b->server ? b->server : "");
    c = c ? c : str_icmp(a->by_name ? a->by_name : "", b->by_name ? b->by_name : "");
    c = c ? c : (int)rank_of(a->protocol) - (int)rank_of(b->protocol);
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

/* One protocol's steps below a result of their own, as the Analyzer has it; those of none stand by themselves. */
static void protocol_result(struct writer *w, const struct observation *const *o, size_t n)
{
    char text[200];
    long elapsed;
    enum status s = sum(o, n, &elapsed);
    bool own = o[0]->protocol < PROTOCOL_COUNT;
    if (own) {
        str_fmt(text, sizeof text, "Testing %s.", protocol_words(o[0]->protocol));
        open_result(w, 6, s, guid_for(s), text, result_for(s), "", elapsed);
        buf_adds(w->out, "              <children>\n");
    }
    for (size_t i = 0; i < n; i++)
        leaf(w, own ? 8 : 6, o[i]);
    if (own) {
        buf_adds(w->out, "              </children>\n");
        close_result(w, 6);
    }
}

static void server_result(struct writer *w, const struct observation *const *o, size_t n)
{
    char text[400];
    long elapsed;
    enum status s = sum(o, n, &elapsed);
    str_fmt(text, sizeof text, "Testing %s%s.",
            o[0]->server ? "the Client Access Server " : "what depends on no server",
            o[0]->server ? o[0]->server : "");
    open_result(w, 2, s, guid_for(s), text, result_for(s), "", elapsed);
    buf_adds(w->out, "      <children>\n");
    for (size_t i = 0, k; i < n; i += k) {
        k = run_of(o + i, n - i, true);
        s = sum(o + i, k, &elapsed);
        str_fmt(text, sizeof text, "Testing %s%s.",
                o[i]->by_name                 ? "it by the name "
                : str_eq(o[i]->step, "login") ? "the test user"
                                              : "the names of services",
                o[i]->by_name ? o[i]->by_name : "");
        open_result(w, 4, s, guid_for(s), text, result_for(s), "", elapsed);
        buf_adds(w->out, "          <children>\n");
        for (size_t j = 0, m; j < k; j += m) {
            for (m = 1; j + m < k && o[i + j + m]->protocol == o[i + j]->protocol;)
                m++;
            protocol_result(w, o + i + j, m);
        }
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
