#include <libxml/parser.h>
#include <libxml/tree.h>
#include <pthread.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/fault.h"
#include "remoting/soap.h"

#define TEXT_MAX 1024 /* bytes of a header's or fault's text that are looked at */

static const struct {
    const char *reply;
} ops[] = {
#define X(op, action, reply, words, harmful, tidying) {reply},
    SOAP_OP_MAP(X)
#undef X
};

struct reading {
    struct soap_reply *out;
    enum soap_op op;
    const char *command;
    struct wsman_output *output;
    struct errinfo *ei;
};

static bool is(const xmlNode *n, const char *ns, const char *name)
{
    return n && n->type == XML_ELEMENT_NODE && n->ns && n->ns->href &&
           strcmp((const char *)n->name, name) == 0 && strcmp((const char *)n->ns->href, ns) == 0;
}

static const xmlNode *child(const xmlNode *parent, const char *ns, const char *name)
{
    for (const xmlNode *c = parent ? parent->children : NULL; c; c = c->next)
        if (is(c, ns, name))
            return c;
    return NULL;
}

/* The text directly in n and below, white space around it dropped, into out, cut where it does not fit. */
static void text_of(const xmlNode *n, char *out, size_t cap)
{
    xmlChar *raw = n ? xmlNodeGetContent(n) : NULL;
    const char *s = raw ? (const char *)raw : "";
    while (*s && strchr(" \t\r\n", *s))
        s++;
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        len--;
    (void)str_fmt(out, cap, "%.*s", (int)(len < cap ? len : cap), s);
    xmlFree(raw);
}

static void attribute_of(const xmlNode *n, const char *name, char *out, size_t cap)
{
    xmlChar *raw = xmlGetNoNsProp((xmlNode *)n, (const xmlChar *)name);
    (void)str_copy(out, cap, raw ? (const char *)raw : "");
    xmlFree(raw);
}

/* An identifier goes back to the server in an attribute and into messages: plain characters only. */
static bool id_of(const xmlNode *n, const char *attribute, char out[static WSMAN_ID_MAX])
{
    char text[TEXT_MAX];
    if (attribute)
        attribute_of(n, attribute, text, sizeof text);
    else
        text_of(n, text, sizeof text);
    size_t len = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:{}");
    return text[len] == '\0' && str_copy(out, WSMAN_ID_MAX, text);
}

static enum err wrong(struct errinfo *ei, const char *what)
{
    return err_set(ei, ERR_PROTOCOL, "is that a WinRM listener (port, path, a proxy between)?",
                   "the answer is no good: %s", what);
}

/* ---- ReceiveResponse ---- */

/* The base64 of a stream; mostly one text node, which is then not copied. */
static enum err add_chunk(struct reading *r, const xmlNode *n)
{
    struct wsman_output *o = r->output;
    struct wsman_chunk c = {.at = o->data.len};
    char end[8];
    xmlChar *copy = NULL;
    const xmlNode *only = n->children && !n->children->next ? n->children : NULL;
    const char *text = "";
    if (only && only->type == XML_TEXT_NODE && only->content)
        text = (const char *)only->content;
    else if (n->children)
        text = (const char *)(copy = xmlNodeGetContent(n));
    attribute_of(n, "Name", c.stream, sizeof c.stream);
    attribute_of(n, "End", end, sizeof end);
    c.end = str_ieq(end, "true") || strcmp(end, "1") == 0;
    enum err e = text && *text ? base64_decode(&o->data, text, strlen(text)) : ERR_OK;
    xmlFree(copy);
    if (e == ERR_LIMIT || e == ERR_NOMEM)
        return err_set(r->ei, e, NULL, "the answer holds more output than is taken at once");
    if (e || !id_of(n, "CommandId", c.command))
        return wrong(r->ei, "a stream that is not base64, or of no command");
    if (r->command && *r->command && c.command[0] && !str_ieq(c.command, r->command))
        return wrong(r->ei, "it holds the output of another command");
    c.len = o->data.len - c.at;
    return VEC_PUSH(&o->chunks, SOAP_CHUNKS_MAX, c) ? ERR_OK : wrong(r->ei, "too many streams");
}

static enum err read_state(struct reading *r, const xmlNode *n)
{
    static const struct {
        const char *end;
        enum wsman_state state;
    } states[] = {
        {"/Running", WSMAN_STATE_RUNNING}, {"/Pending", WSMAN_STATE_PENDING}, {"/Done", WSMAN_STATE_DONE}};
    char id[WSMAN_ID_MAX], text[TEXT_MAX];
    uint64_t code;
    if (!id_of(n, "CommandId", id))
        return wrong(r->ei, "the state of no command");
    if (r->command && *r->command && *id && !str_ieq(id, r->command))
        return ERR_OK;
    attribute_of(n, "State", text, sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (str_iends(text, states[i].end))
            r->output->state = states[i].state;
    const xmlNode *exit = child(n, SOAP_NS_SHELL, "ExitCode");
    if (!exit)
        return ERR_OK;
    text_of(exit, text, sizeof text);
    int64_t negative;
    if (str_to_u64(text, strlen(text), &code) && code <= UINT32_MAX)
        r->output->exit_code = (uint32_t)code;
    else if (str_to_i64(text, strlen(text), &negative) && negative >= INT32_MIN && negative < 0)
        r->output->exit_code = (uint32_t)negative;
    else
        return wrong(r->ei, "an exit code that is no number");
    r->output->has_exit_code = true;
    return ERR_OK;
}

static enum err read_output(struct reading *r, const xmlNode *body)
{
    const xmlNode *response = child(body, SOAP_NS_SHELL, "ReceiveResponse");
    enum err e = ERR_OK;
    if (!response || !r->output)
        return wrong(r->ei, "it says nothing about output");
    for (const xmlNode *n = response->children; n && !e; n = n->next) {
        if (is(n, SOAP_NS_SHELL, "Stream"))
            e = add_chunk(r, n);
        else if (is(n, SOAP_NS_SHELL, "CommandState"))
            e = read_state(r, n);
    }
    return e;
}

/* ---- CreateResponse, CommandResponse ---- */

/* In the reference parameters (every version), or in the shell itself (2012 and later). */
static enum err read_created(struct reading *r, const xmlNode *body)
{
    const xmlNode *created = child(body, SOAP_NS_TRANSFER, "ResourceCreated");
    const xmlNode *parameters = child(created, SOAP_NS_ADDRESS, "ReferenceParameters");
    const xmlNode *set = child(parameters, SOAP_NS_WSMAN, "SelectorSet");
    const xmlNode *uri = child(parameters, SOAP_NS_WSMAN, "ResourceURI"), *id = NULL;
    for (const xmlNode *n = set ? set->children : NULL; n && !id; n = n->next) {
        char name[32];
        if (!is(n, SOAP_NS_WSMAN, "Selector"))
            continue;
        attribute_of(n, "Name", name, sizeof name);
        if (str_ieq(name, "ShellId"))
            id = n;
    }
    if (!id)
        id = child(child(body, SOAP_NS_SHELL, "Shell"), SOAP_NS_SHELL, "ShellId");
    if (!id || !id_of(id, NULL, r->out->shell_id) || !*r->out->shell_id)
        return wrong(r->ei, "it names no shell");
    if (uri)
        text_of(uri, r->out->resource, sizeof r->out->resource);
    return ERR_OK;
}

static enum err read_started(struct reading *r, const xmlNode *body)
{
    const xmlNode *response = child(body, SOAP_NS_SHELL, "CommandResponse");
    const xmlNode *id = child(response, SOAP_NS_SHELL, "CommandId");
    if (!id || !id_of(id, NULL, r->out->command_id) || !*r->out->command_id)
        return wrong(r->ei, "it names no command");
    return ERR_OK;
}

/* ---- faults ---- */

/* The innermost WSManFault: depth first, for a provider's own fault stands inside the service's. */
static const xmlNode *innermost(const xmlNode *n, const char *name, int depth)
{
    const xmlNode *found = NULL;
    for (const xmlNode *c = n ? n->children : NULL; c && depth > 0; c = c->next) {
        if (is(c, SOAP_NS_FAULT, name))
            found = c;
        const xmlNode *deeper = innermost(c, name, depth - 1);
        found = deeper ? deeper : found;
    }
    return found;
}

/* MSFT_WmiError (2012 and later say quotas so) is in a namespace of CIM. */
static const xmlNode *any_named(const xmlNode *n, const char *name, int depth)
{
    for (const xmlNode *c = n ? n->children : NULL; c && depth > 0; c = c->next) {
        if (c->type == XML_ELEMENT_NODE && strcmp((const char *)c->name, name) == 0)
            return c;
        const xmlNode *deeper = any_named(c, name, depth - 1);
        if (deeper)
            return deeper;
    }
    return NULL;
}

static uint32_t code_of(const char *text)
{
    uint64_t code;
    int64_t negative;
    if (str_to_u64(text, strlen(text), &code) && code <= UINT32_MAX)
        return (uint32_t)code;
    return str_to_i64(text, strlen(text), &negative) && negative >= INT32_MIN ? (uint32_t)negative : 0;
}

static void read_fault(struct soap_reply *out, const xmlNode *fault)
{
    char text[4096] = "", part[TEXT_MAX];
    const xmlNode *code = child(fault, SOAP_NS_ENVELOPE, "Code"), *sub;
    const xmlNode *detail = child(fault, SOAP_NS_ENVELOPE, "Detail");
    const xmlNode *outer = child(detail, SOAP_NS_FAULT, "WSManFault");
    const xmlNode *message = NULL;
    out->is_fault = true;
    for (int i = 0; i < SOAP_DEPTH_MAX && (sub = child(code, SOAP_NS_ENVELOPE, "Subcode")); i++)
        code = sub;
    text_of(child(code, SOAP_NS_ENVELOPE, "Value"), part, sizeof part);
    const char *local = strrchr(part, ':');
    str_show_fixed(out->fault.subcode, sizeof out->fault.subcode, local ? local + 1 : part,
                   strlen(local ? local + 1 : part));
    if (outer) { /* the outer code says what the service made of it: 2150858793 may hold a provider's 995 */
        attribute_of(outer, "Code", part, sizeof part);
        out->fault.code = code_of(part);
        message = innermost(detail, "Message", SOAP_DEPTH_MAX);
        const xmlNode *provider = innermost(detail, "ProviderFault", SOAP_DEPTH_MAX);
        if (provider && !innermost(provider, "Message", SOAP_DEPTH_MAX))
            message = provider; /* "<ProviderFault>The filename is too long.</ProviderFault>" */
    } else if (detail) {
        text_of(any_named(detail, "error_Code", SOAP_DEPTH_MAX), part, sizeof part);
        out->fault.code = code_of(part);
        message = any_named(detail, "Message", SOAP_DEPTH_MAX);
    }
    text_of(message, text, sizeof text);
    if (!*text)
        text_of(child(child(fault, SOAP_NS_ENVELOPE, "Reason"), SOAP_NS_ENVELOPE, "Text"), text, sizeof text);
    fault_take_text(&out->fault, text);
}

/* ---- the envelope ---- */

static enum err check_head(struct reading *r, const xmlNode *head, const char *message_id)
{
    char text[TEXT_MAX];
    const xmlNode *relates = child(head, SOAP_NS_ADDRESS, "RelatesTo");
    const xmlNode *action = child(head, SOAP_NS_ADDRESS, "Action");
    text_of(relates, text, sizeof text);
    if (relates ? !str_ieq(text, message_id) : !r->out->is_fault)
        return wrong(r->ei, "it answers another request than ours");
    text_of(action, text, sizeof text);
    if (!r->out->is_fault && strcmp(text, ops[r->op].reply) != 0)
        return wrong(r->ei, "it answers another operation than ours");
    return ERR_OK;
}

static bool too_deep(const xmlNode *n, int depth)
{
    for (const xmlNode *c = n ? n->children : NULL; c; c = c->next)
        if (depth == 0 || too_deep(c, depth - 1))
            return true;
    return false;
}

static enum err read_envelope(struct reading *r, const xmlNode *root, const char *message_id)
{
    if (!is(root, SOAP_NS_ENVELOPE, "Envelope"))
        return wrong(r->ei, "it is no SOAP envelope");
    if (too_deep(root, SOAP_DEPTH_MAX))
        return wrong(r->ei, "it is nested too deep");
    const xmlNode *head = child(root, SOAP_NS_ENVELOPE, "Header");
    const xmlNode *body = child(root, SOAP_NS_ENVELOPE, "Body");
    const xmlNode *fault = child(body, SOAP_NS_ENVELOPE, "Fault");
    if (!head || !body)
        return wrong(r->ei, "it has no header or no body");
    if (fault)
        read_fault(r->out, fault);
    enum err e = check_head(r, head, message_id);
    if (e || fault)
        return e;
    switch (r->op) {
    case SOAP_OP_CREATE: return read_created(r, body);
    case SOAP_OP_COMMAND: return read_started(r, body);
    case SOAP_OP_RECEIVE: return read_output(r, body);
    default: return ERR_OK;
    }
}

static pthread_once_t xml_once = PTHREAD_ONCE_INIT;

static enum err parse(struct reading *r, const char *text, size_t len, const char *message_id)
{
    while (len > 0 &&
           strchr(" \t\r\n", *text)) { /* XML's declaration must come first, some put a line before it */
        text++;
        len--;
    }
    if (memmem(text, len, "<!DOCTYPE", 9))
        return wrong(r->ei, "it has a DTD");
    (void)pthread_once(&xml_once, xmlInitParser); /* the first use must not happen in two threads at once */
    xmlDoc *doc = xmlReadMemory(text, (int)len, NULL, "UTF-8",
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    enum err e = doc ? read_envelope(r, xmlDocGetRootElement(doc), message_id)
                     : wrong(r->ei, len ? "it is no XML, or cut short" : "it is empty");
    xmlFreeDoc(doc);
    return e;
}

/* Told by the mark at its beginning, or by where the NUL of "<" is. */
static bool is_utf16(const unsigned char *p, size_t len, bool *big)
{
    if (len < 2)
        return false;
    *big = p[0] == 0xfe || p[0] == 0;
    return (p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff) || (p[0] == '<' && p[1] == 0) ||
           (p[0] == 0 && p[1] == '<');
}

enum err soap_read(struct soap_reply *out, enum soap_op op, const char *message_id, const char *command,
                   const void *xml, size_t len, struct wsman_output *output, struct errinfo *ei)
{
    struct reading r = {.out = out, .op = op, .command = command, .output = output, .ei = ei};
    const char *text = xml;
    struct buf utf8;
    bool big;
    enum err e = ERR_OK;
    *out = (struct soap_reply){.fault.wait_ms = -1};
    if (output) {
        buf_reset(&output->data);
        output->chunks.n = 0;
        output->state = WSMAN_STATE_NONE;
        output->has_exit_code = output->timed_out = output->gap = false;
    }
    if (len > WSMAN_REPLY_MAX)
        return err_set(ei, ERR_LIMIT, NULL, "the answer is longer than %d MiB", WSMAN_REPLY_MAX >> 20);
    buf_init(&utf8, 2 * (size_t)WSMAN_REPLY_MAX);
    if (is_utf16(xml, len, &big)) {
        e = utf16_decode(&utf8, xml, len, big);
        text = buf_str(&utf8);
        len = utf8.len;
    }
    if (!e && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    e = e ? err_set(ei, e, NULL, "the answer cannot be decoded") : parse(&r, text, len, message_id);
    buf_fini(&utf8);
    return e;
}
