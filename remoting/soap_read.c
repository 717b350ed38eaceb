#include <string.h>

#include "core/base/str.h"
#include "remoting/fault.h"
#include "remoting/soap.h"
#include "remoting/soap_tree.h"

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
    const char *wanted; /* see soap_read() */
    struct wsman_output *output;
    struct errinfo *ei;
};

/* The text in n and below, white space around it dropped, into out, cut where it does not fit. */
static void text_of(const struct soap_node *n, char *out, size_t cap)
{
    size_t len;
    const char *s = soap_node_text(n, &len);
    for (; len > 0 && strchr(" \t\r\n", *s); len--)
        s++;
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        len--;
    (void)str_fmt(out, cap, "%.*s", (int)(len < cap ? len : cap), s);
}

/* An identifier goes back to the server in an attribute and into messages: plain characters only. */
static bool id_of(const struct soap_node *n, const char *attribute, char out[static WSMAN_ID_MAX])
{
    char text[TEXT_MAX];
    if (attribute)
        str_copy(text, sizeof text, soap_node_attribute(n, attribute));
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

/* The base64 of a stream. */
static enum err add_chunk(struct reading *r, const struct soap_node *n)
{
    struct wsman_output *o = r->output;
    struct wsman_chunk c = {.at = o->data.len};
    size_t len;
    const char *text = soap_node_text(n, &len), *end = soap_node_attribute(n, "End");
    str_copy(c.stream, sizeof c.stream, soap_node_attribute(n, "Name"));
    c.end = str_ieq(end, "true") || strcmp(end, "1") == 0;
    enum err e = len ? base64_decode(&o->data, text, len) : ERR_OK;
    if (e == ERR_LIMIT || e == ERR_NOMEM)
        return err_set(r->ei, e, NULL, "the answer holds more output than is taken at once");
    if (e || !id_of(n, "CommandId", c.command))
        return wrong(r->ei, "a stream that is not base64, or of no command");
    if (r->wanted && *r->wanted && c.command[0] && !str_ieq(c.command, r->wanted))
        return wrong(r->ei, "it holds the output of another command");
    c.len = o->data.len - c.at;
    return VEC_PUSH(&o->chunks, SOAP_CHUNKS_MAX, c) ? ERR_OK : wrong(r->ei, "too many streams");
}

static enum err read_state(struct reading *r, const struct soap_node *n)
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
    if (r->wanted && *r->wanted && *id && !str_ieq(id, r->wanted))
        return ERR_OK;
    str_copy(text, sizeof text, soap_node_attribute(n, "State"));
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (str_iends(text, states[i].end))
            r->output->state = states[i].state;
    const struct soap_node *exit = soap_node_child(n, SOAP_NS_SHELL, "ExitCode");
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

static enum err read_output(struct reading *r, const struct soap_node *body)
{
    const struct soap_node *response = soap_node_child(body, SOAP_NS_SHELL, "ReceiveResponse");
    enum err e = ERR_OK;
    if (!response || !r->output)
        return wrong(r->ei, "it says nothing about output");
    for (const struct soap_node *n = response->children; n && !e; n = n->next) {
        if (soap_node_is(n, SOAP_NS_SHELL, "Stream"))
            e = add_chunk(r, n);
        else if (soap_node_is(n, SOAP_NS_SHELL, "CommandState"))
            e = read_state(r, n);
    }
    return e;
}

/* ---- CreateResponse, CommandResponse ---- */

/* In the reference parameters (every version), or in the shell itself (2012 and later). */
static enum err read_created(struct reading *r, const struct soap_node *body)
{
    const struct soap_node *created = soap_node_child(body, SOAP_NS_TRANSFER, "ResourceCreated");
    const struct soap_node *parameters = soap_node_child(created, SOAP_NS_ADDRESS, "ReferenceParameters");
    const struct soap_node *set = soap_node_child(parameters, SOAP_NS_WSMAN, "SelectorSet");
    const struct soap_node *uri = soap_node_child(parameters, SOAP_NS_WSMAN, "ResourceURI"), *id = NULL;
    for (const struct soap_node *n = set ? set->children : NULL; n && !id; n = n->next) {
        char name[32];
        if (!soap_node_is(n, SOAP_NS_WSMAN, "Selector"))
            continue;
        str_copy(name, sizeof name, soap_node_attribute(n, "Name"));
        if (str_ieq(name, "ShellId"))
            id = n;
    }
    if (!id)
        id = soap_node_child(soap_node_child(body, SOAP_NS_SHELL, "Shell"), SOAP_NS_SHELL, "ShellId");
    if (!id || !id_of(id, NULL, r->out->shell_id) || !*r->out->shell_id)
        return wrong(r->ei, "it names no shell");
    if (uri)
        text_of(uri, r->out->resource, sizeof r->out->resource);
    return ERR_OK;
}

static enum err read_started(struct reading *r, const struct soap_node *body)
{
    const struct soap_node *response = soap_node_child(body, SOAP_NS_SHELL, "CommandResponse");
    const struct soap_node *id = soap_node_child(response, SOAP_NS_SHELL, "CommandId");
    if (!id || !id_of(id, NULL, r->out->command_id) || !*r->out->command_id)
        return wrong(r->ei, "it names no command");
    return ERR_OK;
}

/* ---- faults ---- */

/* The innermost WSManFault: depth first, for a provider's own fault stands inside the service's. */
static const struct soap_node *innermost(const struct soap_node *n, const char *name, int depth)
{
    const struct soap_node *found = NULL;
    for (const struct soap_node *c = n ? n->children : NULL; c && depth > 0; c = c->next) {
        if (soap_node_is(c, SOAP_NS_FAULT, name))
            found = c;
        const struct soap_node *deeper = innermost(c, name, depth - 1);
        found = deeper ? deeper : found;
    }
    return found;
}

/* MSFT_WmiError (2012 and later say quotas so) is in a namespace of CIM. */
static const struct soap_node *any_named(const struct soap_node *n, const char *name, int depth)
{
    for (const struct soap_node *c = n ? n->children : NULL; c && depth > 0; c = c->next) {
        if (strcmp(c->name, name) == 0)
            return c;
        const struct soap_node *deeper = any_named(c, name, depth - 1);
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

static void read_fault(struct soap_reply *out, const struct soap_node *fault)
{
    char text[4096] = "", part[TEXT_MAX];
    const struct soap_node *code = soap_node_child(fault, SOAP_NS_ENVELOPE, "Code"), *sub;
    const struct soap_node *detail = soap_node_child(fault, SOAP_NS_ENVELOPE, "Detail");
    const struct soap_node *outer = soap_node_child(detail, SOAP_NS_FAULT, "WSManFault");
    const struct soap_node *message = NULL;
    out->is_fault = true;
    for (int i = 0; i < SOAP_DEPTH_MAX && (sub = soap_node_child(code, SOAP_NS_ENVELOPE, "Subcode")); i++)
        code = sub;
    text_of(soap_node_child(code, SOAP_NS_ENVELOPE, "Value"), part, sizeof part);
    const char *local = strrchr(part, ':');
    str_show_fixed(out->fault.subcode, sizeof out->fault.subcode, local ? local + 1 : part,
                   strlen(local ? local + 1 : part));
    if (outer) { /* the outer code says what the service made of it: 2150858793 may hold a provider's 995 */
        str_copy(part, sizeof part, soap_node_attribute(outer, "Code"));
        out->fault.code = code_of(part);
        message = innermost(detail, "Message", SOAP_DEPTH_MAX);
        const struct soap_node *provider = innermost(detail, "ProviderFault", SOAP_DEPTH_MAX);
        if (provider && !innermost(provider, "Message", SOAP_DEPTH_MAX))
            message = provider; /* "<ProviderFault>The filename is too long.</ProviderFault>" */
    } else if (detail) {
        text_of(any_named(detail, "error_Code", SOAP_DEPTH_MAX), part, sizeof part);
        out->fault.code = code_of(part);
        message = any_named(detail, "Message", SOAP_DEPTH_MAX);
    }
    text_of(message, text, sizeof text);
    if (!*text)
        text_of(soap_node_child(soap_node_child(fault, SOAP_NS_ENVELOPE, "Reason"), SOAP_NS_ENVELOPE, "Text"),
                text, sizeof text);
    fault_take_text(&out->fault, text);
}

/* ---- GetResponse ---- */

/* Of the representation, whatever its namespace: the first element of the name asked for. */
static enum err read_value(struct reading *r, const struct soap_node *body)
{
    if (!body->children)
        return wrong(r->ei, "it tells nothing of what was asked for");
    text_of(any_named(body, r->wanted ? r->wanted : "", SOAP_DEPTH_MAX), r->out->value, sizeof r->out->value);
    return ERR_OK;
}

/* ---- the envelope ---- */

static enum err check_head(struct reading *r, const struct soap_node *head, const char *message_id)
{
    char text[TEXT_MAX];
    const struct soap_node *relates = soap_node_child(head, SOAP_NS_ADDRESS, "RelatesTo");
    const struct soap_node *action = soap_node_child(head, SOAP_NS_ADDRESS, "Action");
    text_of(relates, text, sizeof text);
    if (relates ? !str_ieq(text, message_id) : !r->out->is_fault)
        return wrong(r->ei, "it answers another request than ours");
    text_of(action, text, sizeof text);
    if (!r->out->is_fault && strcmp(text, ops[r->op].reply) != 0)
        return wrong(r->ei, "it answers another operation than ours");
    return ERR_OK;
}

static enum err read_envelope(struct reading *r, const struct soap_node *root, const char *message_id)
{
    if (!soap_node_is(root, SOAP_NS_ENVELOPE, "Envelope"))
        return wrong(r->ei, "it is no SOAP envelope");
    const struct soap_node *head = soap_node_child(root, SOAP_NS_ENVELOPE, "Header");
    const struct soap_node *body = soap_node_child(root, SOAP_NS_ENVELOPE, "Body");
    const struct soap_node *fault = soap_node_child(body, SOAP_NS_ENVELOPE, "Fault");
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
    case SOAP_OP_GET: return read_value(r, body);
    default: return ERR_OK;
    }
}

static enum err parse(struct reading *r, const char *text, size_t len, const char *message_id)
{
    while (len > 0 &&
           strchr(" \t\r\n", *text)) { /* XML's declaration must come first, some put a line before it */
        text++;
        len--;
    }
    if (memmem(text, len, "<!DOCTYPE", 9))
        return wrong(r->ei, "it has a DTD");
    struct soap_tree tree;
    enum err e = soap_tree_read(&tree, text, len, SOAP_DEPTH_MAX);
    if (!e)
        e = read_envelope(r, tree.root, message_id);
    else if (e == ERR_LIMIT)
        e = wrong(r->ei, "it is nested too deep, or has too many elements");
    else if (e == ERR_NOMEM)
        e = err_set(r->ei, e, NULL, "no memory for an answer of %zu bytes", len);
    else
        e = wrong(r->ei, len ? "it is no XML, or cut short" : "it is empty");
    soap_tree_fini(&tree);
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

enum err soap_read(struct soap_reply *out, enum soap_op op, const char *message_id, const char *wanted,
                   const void *xml, size_t len, struct wsman_output *output, struct errinfo *ei)
{
    struct reading r = {.out = out, .op = op, .wanted = wanted, .output = output, .ei = ei};
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
