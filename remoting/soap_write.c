#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/str.h"
#include "remoting/soap.h"

#define ROLE_ANONYMOUS SOAP_NS_ADDRESS "/role/anonymous"

static const struct {
    const char *action, *words;
    bool changes, tidies;
} ops[] = {
#define X(op, action, reply, words, harmful, tidying) {action, words, harmful, tidying},
    SOAP_OP_MAP(X)
#undef X
};

static const char *const signals[] = {
    [WSMAN_SIGNAL_TERMINATE] = SOAP_NS_SHELL "/signal/terminate",
    [WSMAN_SIGNAL_CTRL_C] = SOAP_NS_SHELL "/signal/ctrl_c",
    [WSMAN_SIGNAL_CTRL_BREAK] = SOAP_NS_SHELL "/signal/ctrl_break",
    [WSMAN_SIGNAL_PS_CTRL_C] = "powershell/signal/ctrl_c",
};

const char *soap_op_words(enum soap_op op)
{
    return ops[op].words;
}

bool soap_op_changes(enum soap_op op)
{
    return ops[op].changes;
}

bool soap_op_tidies(enum soap_op op)
{
    return ops[op].tidies;
}

void soap_uuid(char out[static SOAP_UUID_MAX])
{
    unsigned char r[16] = {0};
    size_t got = 0;
    while (got < sizeof r) {
        ssize_t n = getrandom(r + got, sizeof r - got, 0);
        ASSERT(n > 0 || errno == EINTR);
        got += n > 0 ? (size_t)n : 0;
    }
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* RFC 4122: version 4, variant 1 */
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    static const char digits[] = "0123456789ABCDEF";
    char *to = out;
    memcpy(to, "uuid:", 5);
    to += 5;
    for (size_t i = 0; i < sizeof r; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[r[i] >> 4];
        *to++ = digits[r[i] & 0x0f];
    }
    *to = '\0';
}

/* How a character is written in text; NULL: as it is. */
static const char *escape_of(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    /* a reader would make these into a space or a line feed */
    case '\t': return "&#9;";
    case '\n': return "&#10;";
    case '\r': return "&#13;";
    default: return NULL;
    }
}

/* Text for an element or a quoted attribute. What XML 1.0 has no way to write is remembered in *out's failure. */
static void add_text(struct buf *out, const char *s)
{
    const char *plain = s ? s : "",
               *end = plain + strlen(plain); /* what is written as it is begins at plain */
    for (const char *at = plain; at < end;) {
        const char *escape = escape_of(*at);
        uint32_t cp = (unsigned char)*at;
        size_t n = cp < 0x80 ? 1 : utf8_next(at, (size_t)(end - at), &cp);
        if (n == 0 || (cp < 0x20 && !escape) || cp == 0xfffe || cp == 0xffff) {
            out->failed = out->failed ? out->failed : ERR_INPUT;
            return;
        }
        if (escape) {
            (void)buf_add(out, plain, (size_t)(at - plain));
            (void)buf_adds(out, escape);
            plain = at + n;
        }
        at += n;
    }
    (void)buf_add(out, plain, (size_t)(end - plain));
}

static void add_base64(struct buf *out, const void *data, size_t len)
{
    enum err e = len ? base64_encode(out, data, len) : ERR_OK;
    if (e && !out->failed)
        out->failed = e;
}

/* <tag>text</tag> */
static void element(struct buf *out, const char *tag, const char *attributes, const char *text)
{
    (void)buf_adds(out, "<");
    (void)buf_adds(out, tag);
    (void)buf_adds(out, attributes);
    (void)buf_adds(out, ">");
    add_text(out, text);
    (void)buf_adds(out, "</");
    (void)buf_adds(out, tag);
    (void)buf_adds(out, ">");
}

#define MUST " s:mustUnderstand=\"true\""

static void options(struct buf *out, const struct wsman_option *o, size_t n)
{
    bool comply = false;
    for (size_t i = 0; i < n; i++)
        comply = comply || o[i].must_comply;
    if (n > 0)
        (void)buf_adds(out, comply ? "<w:OptionSet" MUST ">" : "<w:OptionSet>");
    for (size_t i = 0; i < n; i++) {
        (void)buf_adds(out, "<w:Option Name=\"");
        add_text(out, o[i].name);
        (void)buf_adds(out, o[i].must_comply ? "\" MustComply=\"true\">" : "\">");
        add_text(out, o[i].value);
        (void)buf_adds(out, "</w:Option>");
    }
    if (n > 0)
        (void)buf_adds(out, "</w:OptionSet>");
}

static void begin(struct buf *out, enum soap_op op, const struct soap_head *h)
{
    (void)buf_adds(out, "<s:Envelope xmlns:s=\"" SOAP_NS_ENVELOPE "\" xmlns:a=\"" SOAP_NS_ADDRESS
                        "\" xmlns:w=\"" SOAP_NS_WSMAN "\" xmlns:p=\"" SOAP_NS_MS_WSMAN
                        "\" xmlns:rsp=\"" SOAP_NS_SHELL "\"><s:Header>");
    element(out, "a:To", "", h->to);
    (void)buf_adds(out, "<a:ReplyTo><a:Address" MUST ">" ROLE_ANONYMOUS "</a:Address></a:ReplyTo>");
    element(out, "a:Action", MUST, ops[op].action);
    element(out, "a:MessageID", "", h->message_id);
    element(out, "w:ResourceURI", MUST, h->resource);
    (void)buf_addf(out,
                   "<w:MaxEnvelopeSize" MUST ">%zu</w:MaxEnvelopeSize>"
                   "<w:OperationTimeout>PT%dS</w:OperationTimeout>",
                   h->max_envelope, h->timeout_s);
    (void)buf_adds(out, "<w:Locale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>"
                        "<p:DataLocale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>");
    element(out, "p:SessionId", " s:mustUnderstand=\"false\"", h->session_id);
    options(out, h->options, h->n_options);
    if (h->shell_id && *h->shell_id) {
        (void)buf_adds(out, "<w:SelectorSet>");
        element(out, "w:Selector", " Name=\"ShellId\"", h->shell_id);
        (void)buf_adds(out, "</w:SelectorSet>");
    }
    (void)buf_adds(out, "</s:Header><s:Body>");
}

static enum err end(struct buf *out)
{
    (void)buf_adds(out, "</s:Body></s:Envelope>");
    return out->failed;
}

static void attribute(struct buf *out, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    (void)buf_adds(out, " ");
    (void)buf_adds(out, name);
    (void)buf_adds(out, "=\"");
    add_text(out, value);
    (void)buf_adds(out, "\"");
}

static void environment(struct buf *out, const struct wsman_shell *s)
{
    if (s->n_environment == 0)
        return;
    (void)buf_adds(out, "<rsp:Environment>");
    for (size_t i = 0; i < s->n_environment; i++) {
        (void)buf_adds(out, "<rsp:Variable");
        attribute(out, "Name", s->environment[i].name);
        (void)buf_adds(out, ">");
        add_text(out, s->environment[i].value);
        (void)buf_adds(out, "</rsp:Variable>");
    }
    (void)buf_adds(out, "</rsp:Environment>");
}

enum err soap_write_create(struct buf *out, const struct soap_head *h, const struct wsman_shell *s)
{
    begin(out, SOAP_OP_CREATE, h);
    (void)buf_adds(out, "<rsp:Shell");
    attribute(out, "ShellId", s->shell_id);
    attribute(out, "Name", s->name);
    (void)buf_adds(out, ">");
    element(out, "rsp:InputStreams", "", s->input);
    element(out, "rsp:OutputStreams", "", s->output);
    if (s->idle_timeout_s > 0)
        (void)buf_addf(out, "<rsp:IdleTimeOut>PT%d.000S</rsp:IdleTimeOut>", s->idle_timeout_s);
    if (s->directory)
        element(out, "rsp:WorkingDirectory", "", s->directory);
    environment(out, s);
    if (s->creation) {
        (void)buf_adds(out, "<creationXml xmlns=\"" SOAP_NS_POWERSHELL "\">");
        add_base64(out, s->creation, s->creation_len);
        (void)buf_adds(out, "</creationXml>");
    }
    (void)buf_adds(out, "</rsp:Shell>");
    return end(out);
}

enum err soap_write_command(struct buf *out, const struct soap_head *h, const struct wsman_command *c)
{
    begin(out, SOAP_OP_COMMAND, h);
    (void)buf_adds(out, "<rsp:CommandLine");
    attribute(out, "CommandId", c->id);
    (void)buf_adds(out, ">");
    element(out, "rsp:Command", "", c->line);
    for (size_t i = 0; i < c->n_arguments; i++)
        element(out, "rsp:Arguments", "", c->arguments[i]);
    if (c->raw) {
        (void)buf_adds(out, "<rsp:Arguments>");
        add_base64(out, c->raw, c->raw_len);
        (void)buf_adds(out, "</rsp:Arguments>");
    }
    (void)buf_adds(out, "</rsp:CommandLine>");
    return end(out);
}

enum err soap_write_receive(struct buf *out, const struct soap_head *h, const char *command,
                            const char *streams)
{
    begin(out, SOAP_OP_RECEIVE, h);
    (void)buf_adds(out, "<rsp:Receive><rsp:DesiredStream");
    attribute(out, "CommandId", command);
    (void)buf_adds(out, ">");
    add_text(out, streams);
    (void)buf_adds(out, "</rsp:DesiredStream></rsp:Receive>");
    return end(out);
}

enum err soap_write_send(struct buf *out, const struct soap_head *h, const char *stream, const char *command,
                         const void *data, size_t len, bool last)
{
    begin(out, SOAP_OP_SEND, h);
    (void)buf_adds(out, "<rsp:Send><rsp:Stream");
    attribute(out, "Name", stream);
    attribute(out, "CommandId", command);
    attribute(out, "End", last ? "true" : NULL);
    (void)buf_adds(out, ">");
    add_base64(out, data, len);
    (void)buf_adds(out, "</rsp:Stream></rsp:Send>");
    return end(out);
}

enum err soap_write_signal(struct buf *out, const struct soap_head *h, const char *command,
                           enum wsman_signal signal)
{
    begin(out, SOAP_OP_SIGNAL, h);
    (void)buf_adds(out, "<rsp:Signal");
    attribute(out, "CommandId", command);
    (void)buf_adds(out, ">");
    element(out, "rsp:Code", "", signals[signal]);
    (void)buf_adds(out, "</rsp:Signal>");
    return end(out);
}

enum err soap_write_delete(struct buf *out, const struct soap_head *h)
{
    begin(out, SOAP_OP_DELETE, h);
    return end(out);
}

enum err soap_write_get(struct buf *out, const struct soap_head *h)
{
    begin(out, SOAP_OP_GET, h);
    return end(out);
}
