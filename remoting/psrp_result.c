#include "remoting/psrp_result.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/psjson.h"

void psrp_result_init(struct psrp_result *r, struct remote_result *out)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->json, PSRP_MAX_JSON);
    r->out = out;
}

void psrp_result_fini(struct psrp_result *r)
{
    buf_fini(&r->json);
}

/* NULL for NULL and where there is no memory. */
static char *copy_text(const char *text)
{
    static const char cut[] = " [...]";
    size_t len = text ? strnlen(text, PSRP_MAX_TEXT + 1) : 0;
    if (len <= PSRP_MAX_TEXT)
        return text ? strdup(text) : NULL;
    for (len = PSRP_MAX_TEXT - sizeof cut; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--; /* not within a character */
    char *copy = malloc(len + sizeof cut);
    if (copy) {
        memcpy(copy, text, len);
        memcpy(copy + len, cut, sizeof cut);
    }
    return copy;
}

/* Remarks of our own have room even where theirs filled the list. */
static void add_remark(struct psrp_result *r, const char *text)
{
    char *copy = copy_text(text);
    if (!copy || !VEC_PUSH(&r->out->warnings, 2 * PSRP_MAX_RECORDS, copy)) {
        free(copy);
        r->failed = ERR_NOMEM;
    }
}

static void add_note(struct psrp_result *r, const char *stream, const char *text)
{
    if (r->out->notes.n >= PSRP_MAX_RECORDS)
        return;
    char *copy = copy_text(text);
    if (!copy || !VEC_PUSH(&r->out->notes, PSRP_MAX_RECORDS, (struct remote_note){stream, copy})) {
        free(copy);
        r->failed = ERR_NOMEM;
    }
}

static void add_warning(struct psrp_result *r, const char *text)
{
    if (r->out->warnings.n < PSRP_MAX_RECORDS)
        add_remark(r, text);
    else
        r->more_warnings++;
}

static void keep_error(struct psrp_result *r, const struct psrp_error *e)
{
    struct remote_error copy = {copy_text(e->message), copy_text(e->id), copy_text(e->category),
                                copy_text(e->target)};
    bool ok =
        copy.message && (copy.id || !e->id) && (copy.category || !e->category) && (copy.target || !e->target);
    if (ok && VEC_PUSH(&r->out->errors, PSRP_MAX_RECORDS, copy))
        return;
    free(copy.message);
    free(copy.id);
    free(copy.category);
    free(copy.target);
    r->failed = ERR_NOMEM;
}

static void add_error(struct psrp_result *r, const struct psrp_error *e)
{
    if (r->out->errors.n < PSRP_MAX_RECORDS)
        keep_error(r, e);
    else
        r->more_errors++;
}

/* All or nothing of one object. */
static void add_output(struct psrp_result *r, const struct ps_value *v)
{
    size_t before = r->json.len;
    if (r->dropped) {
        r->dropped++;
        return;
    }
    (void)buf_addc(&r->json, before ? ',' : '[');
    if (psjson_write(&r->json, v) == ERR_OK)
        return;
    if (r->json.failed == ERR_NOMEM)
        r->failed = ERR_NOMEM;
    r->dropped = 1;
    r->json.failed = ERR_OK;
    r->json.len = before;
}

static void add_unreadable(struct psrp_result *r, const char *why)
{
    char text[400];
    (void)str_fmt(text, sizeof text, "something the server sent could not be read and is missing: %s", why);
    add_warning(r, text);
}

/* The ending of Exchange's endpoint when it is given more than a command. */
static void explain(struct psrp_result *r)
{
    for (size_t i = 0; i < r->out->errors.n; i++)
        if (str_eq(r->out->errors.v[i].id, "ScriptsNotAllowed")) {
            add_remark(
                r,
                "the endpoint is in no-language mode: one cmdlet with parameters a pipeline, nothing else");
            return;
        }
}

void psrp_result_event(struct psrp_result *r, const struct psrp_event *e)
{
    char text[160];
    switch (e->kind) {
    case PSRP_EVENT_OUTPUT: add_output(r, e->value); break;
    case PSRP_EVENT_ERROR: add_error(r, &e->error); break;
    case PSRP_EVENT_WARNING: add_warning(r, e->text); break;
    case PSRP_EVENT_VERBOSE: add_note(r, "verbose", e->text); break;
    case PSRP_EVENT_DEBUG: add_note(r, "debug", e->text); break;
    case PSRP_EVENT_INFORMATION: add_note(r, "information", e->text); break;
    case PSRP_EVENT_ENDED:
        r->state = e->state;
        if (e->state == PSRP_FAILED || (e->state == PSRP_STOPPED && e->error.message))
            add_error(r, e->error.message ? &e->error
                                          : &(struct psrp_error){
                                                .message = "the command failed; the server gave no reason"});
        explain(r);
        break;
    case PSRP_EVENT_CLOSED:
        r->pool_closed = true;
        str_show_fixed(r->why, sizeof r->why, e->text ? e->text : "", e->text ? strlen(e->text) : 0);
        break;
    case PSRP_EVENT_HOST_CALL:
        (void)str_fmt(text, sizeof text, "the command asked its host for %s: there is none, it was refused",
                      e->text);
        add_warning(r, text);
        break;
    case PSRP_EVENT_SECRET:
        add_warning(r, "the server sends a SecureString: it is locked by a key that nobody has");
        break;
    case PSRP_EVENT_UNREADABLE: add_unreadable(r, e->text); break;
    default: break;
    }
}

enum err psrp_result_finish(struct psrp_result *r, struct errinfo *ei)
{
    char text[160];
    if (r->dropped) {
        (void)str_fmt(text, sizeof text,
                      "the output was longer than is kept (%d MB): %zu objects are missing",
                      PSRP_MAX_JSON >> 20, r->dropped);
        add_remark(r, text);
    }
    if (r->more_errors || r->more_warnings) {
        (void)str_fmt(text, sizeof text,
                      "only %d records of a kind are kept: %zu errors and %zu warnings are missing",
                      PSRP_MAX_RECORDS, r->more_errors, r->more_warnings);
        add_remark(r, text);
    }
    r->json.limit += 2;
    (void)buf_adds(&r->json, r->json.len ? "]" : "[]");
    r->out->output_json = buf_take(&r->json);
    if (!r->out->output_json)
        r->failed = ERR_NOMEM;
    return r->failed == ERR_OK ? ERR_OK : err_set(ei, r->failed, NULL, "no memory for what the command said");
}
