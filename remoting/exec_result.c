/* From two streams of bytes and an exit code to a result. */
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/clixml.h"
#include "remoting/codepage.h"
#include "remoting/exec_output.h"
#include "remoting/outcome.h"

/* How a PowerShell without a console begins the lines that it writes among the output; NULL: a warning. */
static const struct {
    const char *prefix, *stream;
} prefixes[] = {{"WARNING: ", NULL}, {"VERBOSE: ", "verbose"}, {"DEBUG: ", "debug"}};

void exec_output_init(struct exec_output *o)
{
    memset(o, 0, sizeof *o);
    buf_init(&o->out, EXEC_OUTPUT_MAX);
    buf_init(&o->err, EXEC_ERROR_MAX);
}

void exec_output_fini(struct exec_output *o)
{
    buf_fini(&o->out);
    buf_fini(&o->err);
}

void exec_output_add(struct buf *to, bool *cut, const void *data, size_t len)
{
    size_t room = to->limit - to->len;
    *cut = *cut || len > room;
    (void)buf_add(to, data, len < room ? len : room);
}

struct sorting {
    struct error_list errors;
    struct text_list warnings;
    struct note_list notes;
    struct buf out, err; /* UTF-8 */
    char *plain;
};

static enum err sort_stderr(struct sorting *s, const struct exec_output *o)
{
    struct clixml c = {0};
    enum err err = codepage_to_utf8(&s->err, buf_str(&o->err), o->err.len, NULL);
    if (err == ERR_OK)
        err = clixml_decode(&c, buf_str(&s->err), s->err.len);
    if (err == ERR_OK) {
        s->errors = c.errors;
        s->warnings = c.warnings;
        s->notes = c.notes;
        s->plain = c.plain;
        c = (struct clixml){0};
    }
    clixml_fini(&c);
    return err;
}

/* Native programs and sshd itself write plain text there: an error only when the command failed. */
static enum err sort_plain(struct sorting *s, bool failed)
{
    enum err err = ERR_OK;
    if (!s->plain)
        return ERR_OK;
    if (errorview_is_present(s->plain))
        return errorview_split(&s->errors, s->plain);
    if (failed)
        return error_list_add(&s->errors, s->plain, NULL, NULL, NULL);
    for (char *line = s->plain, *next = NULL; line && err == ERR_OK; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (*line)
            err = text_list_add(&s->warnings, line);
    }
    return err;
}

/* Is this line the start of an error's view: "Verb-Noun : message"? */
static bool begins_view(const char *line)
{
    size_t n = strcspn(line, " \n");
    char name[128];
    if (n >= sizeof name || strncmp(line + n, " : ", 3) != 0)
        return false;
    memcpy(name, line, n);
    name[n] = '\0';
    return cmdlet_name_is_valid(name);
}

/* A PowerShell without CLIXML may write its last error to standard output. It begins at the cmdlet's name,
   or, where none stands there, two lines above the echo of the source. */
static enum err sort_stdout_error(struct sorting *s)
{
    char *text = s->out.data;
    char *echo = text ? strstr(text, "\n+ ") : NULL;
    if (s->errors.n > 0 || !echo || !errorview_is_present(text))
        return ERR_OK;
    char *start = NULL, *line = echo, *above = NULL;
    for (int up = 0; line > text && up < 20 && !start; up++) {
        line--;
        while (line > text && line[-1] != '\n')
            line--;
        if (begins_view(line))
            start = line;
        if (up <= 1)
            above = line;
    }
    start = start ? start : above ? above : text;
    enum err err = errorview_split(&s->errors, start);
    s->out.len = (size_t)(start - text);
    *start = '\0';
    return err;
}

static enum err take_line(struct sorting *s, const char *line, bool *taken)
{
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t len = strlen(prefixes[i].prefix);
        *taken = strncmp(line, prefixes[i].prefix, len) == 0;
        if (*taken)
            return prefixes[i].stream ? note_list_add(&s->notes, prefixes[i].stream, line + len)
                                      : text_list_add(&s->warnings, line + len);
    }
    return ERR_OK;
}

static enum err sort_stdout_lines(struct sorting *s)
{
    char *from = s->out.data, *to = s->out.data;
    enum err err = ERR_OK;
    while (from && *from && err == ERR_OK) {
        size_t len = strcspn(from, "\n");
        bool ended = from[len] == '\n', taken = false;
        from[len] = '\0';
        err = take_line(s, from, &taken);
        if (!taken) {
            memmove(to, from, len);
            to += len;
            if (ended)
                *to++ = '\n';
        }
        from += len + ended;
    }
    if (to) {
        s->out.len = (size_t)(to - s->out.data);
        *to = '\0';
    }
    return err;
}

static enum err remarks(struct sorting *s, const struct exec_output *o, bool repaired)
{
    enum err err = ERR_OK;
    char text[128];
    if (repaired)
        err = text_list_add(&s->warnings, "the output was not in UTF-8 as asked; read as code page 850");
    if (err == ERR_OK && (o->out_cut || o->err_cut))
        err = text_list_add(&s->warnings, "the output was longer than is kept and has been cut");
    if (err == ERR_OK && o->signal[0]) {
        str_fmt(text, sizeof text, "PowerShell was ended by signal %s", o->signal);
        err = error_list_add(&s->errors, text, NULL, NULL, NULL);
    } else if (err == ERR_OK && o->complete && o->exit_code != 0 && s->errors.n == 0) {
        str_fmt(text, sizeof text, "PowerShell ended with exit code %d and gave no reason", o->exit_code);
        err = error_list_add(&s->errors, text, NULL, NULL, NULL);
    }
    return err;
}

static void hand_over(struct remote_result *r, struct sorting *s)
{
    r->errors.v = s->errors.v;
    r->errors.n = s->errors.n;
    r->errors.cap = s->errors.cap;
    r->warnings.v = s->warnings.v;
    r->warnings.n = s->warnings.n;
    r->warnings.cap = s->warnings.cap;
    r->notes.v = s->notes.v;
    r->notes.n = s->notes.n;
    r->notes.cap = s->notes.cap;
    s->notes = (struct note_list){0};
    s->errors = (struct error_list){0};
    s->warnings = (struct text_list){0};
    if (s->out.len > 0)
        r->output = buf_take(&s->out);
}

enum err exec_result(struct remote_result *r, const struct exec_output *o)
{
    struct sorting s = {0};
    bool repaired = false;
    bool failed = !o->complete || o->exit_code != 0 || o->signal[0] != '\0';
    /* A byte of a code page becomes up to three of UTF-8. */
    buf_init(&s.out, 3 * (size_t)EXEC_OUTPUT_MAX);
    buf_init(&s.err, 3 * (size_t)EXEC_ERROR_MAX);
    enum err err = sort_stderr(&s, o);
    if (err == ERR_OK)
        err = sort_plain(&s, failed);
    if (err == ERR_OK)
        err = codepage_to_utf8(&s.out, buf_str(&o->out), o->out.len, &repaired);
    if (err == ERR_OK && failed)
        err = sort_stdout_error(&s);
    if (err == ERR_OK)
        err = sort_stdout_lines(&s);
    if (err == ERR_OK)
        err = remarks(&s, o, repaired);
    if (err == ERR_OK)
        hand_over(r, &s);
    error_list_fini(&s.errors);
    text_list_fini(&s.warnings);
    note_list_fini(&s.notes);
    free(s.plain);
    buf_fini(&s.out);
    buf_fini(&s.err);
    return err;
}

/* What came back, even when not all of it did; and whether the caller knows what the command did. */
enum err exec_report(struct remote_result *out, const struct exec_output *o, enum err err, struct errinfo *ei)
{
    out->sent = o->sent;
    out->outcome_unknown = o->sent && (err != ERR_OK || o->signal[0] != '\0');
    out->has_exit_code = o->complete && o->signal[0] == '\0';
    out->exit_code = out->has_exit_code ? o->exit_code : 0;
    enum err sorted = o->sent ? exec_result(out, o) : ERR_OK;
    if (sorted != ERR_OK) {
        /* The exit code stands, but what was said is lost. */
        out->outcome_unknown = true;
        if (err == ERR_OK)
            return err_set(ei, sorted, NULL, "the answer could not be kept: %s", err_text(sorted));
    }
    if (err == ERR_OK && o->signal[0])
        return err_set(ei, ERR_REMOTE, OUTCOME_HINT,
                       "PowerShell was ended by signal %s: whether the change was made is not known",
                       o->signal);
    if (err != ERR_OK && out->outcome_unknown)
        outcome_note_unknown(ei);
    return err;
}
