#include "remoting/outofproc.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/outcome.h"
#include "remoting/psrp_result.h"

#define CHUNK     32768
#define SAID_SIZE 200 /* bytes kept of a line that is none of the framing's */

struct outofproc {
    struct outofproc_io io;
    struct psrp *psrp;
    struct psrp_result *result;     /* of the pipeline that runs, else NULL */
    struct buf line;                /* a line that is not whole yet */
    struct buf bytes, text;         /* scratch: fragments; a line of ours */
    size_t looked;                  /* of line: no end in there */
    unsigned acks[OUTOFPROC_OTHER]; /* that came */
    bool opened, pool_closed, dead;
    char why[256];
};

/* ---- lines ---- */

static const struct {
    const char *name;
    enum outofproc_kind kind;
} elements[] = {{"Data", OUTOFPROC_DATA},
                {"DataAck", OUTOFPROC_DATA_ACK},
                {"CommandAck", OUTOFPROC_COMMAND_ACK},
                {"SignalAck", OUTOFPROC_SIGNAL_ACK},
                {"CloseAck", OUTOFPROC_CLOSE_ACK},
                {"Command", OUTOFPROC_OTHER},
                {"Signal", OUTOFPROC_OTHER},
                {"Close", OUTOFPROC_OTHER}};

/* name='value' within the tag. */
static bool find_attribute(const char *s, const char *end, const char *name, const char **value, size_t *len)
{
    size_t n = strlen(name);
    for (const char *at = s; (at = memmem(at, (size_t)(end - at), name, n)) != NULL; at++) {
        const char *q = at + n;
        if (at == s || at[-1] != ' ' || q + 1 >= end || *q != '=' || (q[1] != '\'' && q[1] != '"'))
            continue;
        const char *close = memchr(q + 2, q[1], (size_t)(end - q - 2));
        if (!close)
            return false;
        *value = q + 2;
        *len = (size_t)(close - *value);
        return true;
    }
    return false;
}

bool outofproc_parse(struct outofproc_line *out, const char *line, size_t len)
{
    const char *end = line + len, *value, *close;
    size_t n = 0, value_len;
    while (len > 0 && (end[-1] == '\r' || end[-1] == ' ')) {
        end--;
        len--;
    }
    if (len < 2 || *line != '<' || !(close = memchr(line, '>', len)))
        return false;
    const char *name = line + 1;
    while (name + n < close && name[n] != ' ' && name[n] != '/')
        n++;
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        if (strlen(elements[i].name) != n || memcmp(elements[i].name, name, n) != 0)
            continue;
        out->kind = elements[i].kind;
        if (!find_attribute(name + n, close, "PSGuid", &value, &value_len) ||
            !psrp_guid_parse(&out->guid, value, value_len))
            return false;
        out->data = close + 1;
        out->len = 0;
        if (close[-1] == '/')
            return close + 1 == end;
        static const char tail[] = "</Data>";
        if (out->kind != OUTOFPROC_DATA || (size_t)(end - out->data) < sizeof tail - 1 ||
            memcmp(end - (sizeof tail - 1), tail, sizeof tail - 1) != 0)
            return false;
        out->len = (size_t)(end - out->data) - (sizeof tail - 1);
        return true;
    }
    return false;
}

/* ---- what comes ---- */

static enum err take_line(struct outofproc *o, const char *s, size_t len, struct errinfo *ei)
{
    struct outofproc_line line;
    char said[SAID_SIZE];
    if (len == 0 || (len == 1 && *s == '\r'))
        return ERR_OK;
    if (!outofproc_parse(&line, s, len)) {
        str_show_fixed(said, sizeof said, s, len < SAID_SIZE ? len : SAID_SIZE);
        return err_set(ei, ERR_PROTOCOL, "is a PowerShell with -sshs behind the subsystem?",
                       "PSRP: the server said \"%s\"", said);
    }
    if (line.kind != OUTOFPROC_DATA) {
        if (line.kind != OUTOFPROC_OTHER)
            o->acks[line.kind]++;
        return ERR_OK;
    }
    buf_reset(&o->bytes);
    if (base64_decode(&o->bytes, line.data, line.len) != ERR_OK)
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: data that is no base64");
    return psrp_receive(o->psrp, buf_str(&o->bytes), o->bytes.len, ei);
}

/* The lines that are whole in s; the rest is kept. */
static enum err take_bytes(struct outofproc *o, const char *s, size_t len, struct errinfo *ei)
{
    enum err err = ERR_OK;
    bool held = o->line.len > 0;
    if (held) {
        if (buf_add(&o->line, s, len) != ERR_OK)
            return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: a line longer than %u MB",
                           OUTOFPROC_MAX_LINE >> 20);
        s = o->line.data;
        len = o->line.len;
    }
    const char *at = s, *end = s + len, *stop;
    while (err == ERR_OK && (stop = memchr(at + o->looked, '\n', (size_t)(end - at) - o->looked)) != NULL) {
        o->looked = 0;
        err = take_line(o, at, (size_t)(stop - at), ei);
        at = stop + 1;
    }
    if (err != ERR_OK)
        return err;
    o->looked = (size_t)(end - at);
    if (held)
        buf_drop(&o->line, (size_t)(at - s));
    else if (at < end && buf_add(&o->line, at, (size_t)(end - at)) != ERR_OK)
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: a line longer than %u MB", OUTOFPROC_MAX_LINE >> 20);
    return ERR_OK;
}

static void on_event(void *arg, const struct psrp_event *event)
{
    struct outofproc *o = arg;
    if (event->kind == PSRP_EVENT_OPENED)
        o->opened = true;
    if (event->kind == PSRP_EVENT_CLOSED) {
        o->pool_closed = true;
        str_show_fixed(o->why, sizeof o->why, event->text ? event->text : "",
                       event->text ? strlen(event->text) : 0);
    }
    if (o->result)
        psrp_result_event(o->result, event);
}

static enum err pump(struct outofproc *o, const struct stop *stop, struct errinfo *ei)
{
    char chunk[CHUNK];
    size_t n = 0;
    enum err err = o->io.read(o->io.arg, chunk, sizeof chunk, &n, stop, ei);
    if (err == ERR_OK && n == 0)
        err = err_set(
            ei, ERR_UNREACHABLE, "did the PowerShell behind it end? Its log or standard error may say why",
            "PSRP: the server closed the stream%s", o->line.len > 0 ? " in the middle of a line" : "");
    /* What came is taken even where there is no time left: the stream goes on behind it. */
    enum err taken = n > 0 ? take_bytes(o, chunk, n, err == ERR_OK ? ei : NULL) : ERR_OK;
    o->dead = o->dead || taken != ERR_OK;
    return err != ERR_OK ? err : taken;
}

/* ---- what goes ---- */

static enum err broken_pool(const struct outofproc *o, struct errinfo *ei)
{
    return err_set(ei, ERR_REMOTE, NULL, "PSRP: the server closed the runspace pool%s%s",
                   o->why[0] ? ": " : "", o->why);
}

static enum err send_text(struct outofproc *o, const struct stop *stop, struct errinfo *ei)
{
    if (o->text.failed)
        return err_set(ei, o->text.failed, NULL, "PSRP: no room for a line");
    enum err err = o->io.write(o->io.arg, buf_str(&o->text), o->text.len, stop, ei);
    /* Half a line may be out: nothing can follow it. */
    o->dead = o->dead || err != ERR_OK;
    return err;
}

static enum err wait_ack(struct outofproc *o, enum outofproc_kind kind, unsigned before,
                         const struct stop *stop, struct errinfo *ei)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && o->acks[kind] == before)
        err = o->pool_closed && kind != OUTOFPROC_CLOSE_ACK ? broken_pool(o, ei) : pump(o, stop, ei);
    return err;
}

/* "<Command PSGuid='...' />", and its acknowledgement. */
static enum err say(struct outofproc *o, const char *element, const struct psrp_guid *guid,
                    enum outofproc_kind ack, const struct stop *stop, struct errinfo *ei)
{
    char id[PSRP_GUID_TEXT];
    unsigned before = o->acks[ack];
    psrp_guid_text(guid, id);
    buf_reset(&o->text);
    (void)buf_addf(&o->text, "<%s PSGuid='%s' />\n", element, id);
    enum err err = send_text(o, stop, ei);
    return err == ERR_OK ? wait_ack(o, ack, before, stop, ei) : err;
}

static enum err send_packet(struct outofproc *o, const struct stop *stop, struct errinfo *ei)
{
    static const struct psrp_guid pool;
    struct psrp_packet packet;
    char id[PSRP_GUID_TEXT];
    unsigned before = o->acks[OUTOFPROC_DATA_ACK];
    struct buf fragments;
    buf_init(&fragments, OUTOFPROC_FRAGMENT + 1);
    buf_reset(&o->text);
    if (!psrp_take(o->psrp, OUTOFPROC_FRAGMENT, &fragments, &packet)) {
        buf_fini(&fragments);
        return ERR_OK;
    }
    psrp_guid_text(packet.pipeline ? psrp_pipeline_id(o->psrp) : &pool, id);
    (void)buf_addf(&o->text, "<Data Stream='%s' PSGuid='%s'>", packet.answer ? "PromptResponse" : "Default",
                   id);
    enum err err =
        fragments.failed ? fragments.failed : base64_encode(&o->text, fragments.data, fragments.len);
    (void)buf_adds(&o->text, "</Data>\n");
    buf_fini(&fragments);
    if (err == ERR_OK)
        err = send_text(o, stop, ei);
    return err == ERR_OK ? wait_ack(o, OUTOFPROC_DATA_ACK, before, stop, ei) : err;
}

static enum err send_all(struct outofproc *o, const struct stop *stop, struct errinfo *ei)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && psrp_has_output(o->psrp))
        err = send_packet(o, stop, ei);
    return err;
}

/* ---- a session ---- */

/* A server that left before it heard us may have said why. */
static enum err last_words(struct outofproc *o, enum err lost, struct errinfo *ei)
{
    struct errinfo said = {0};
    struct stop grace;
    enum err err;
    stop_init(&grace, OUTOFPROC_GRACE_MS, NULL);
    do
        err = pump(o, &grace, &said);
    while (err == ERR_OK);
    if (err != ERR_PROTOCOL)
        return lost;
    if (ei)
        *ei = said;
    return err;
}

enum err outofproc_open(struct outofproc **out, const struct outofproc_io *io, const struct stop *stop,
                        struct errinfo *ei)
{
    struct outofproc *o = calloc(1, sizeof *o);
    struct stop limit;
    if (!o)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a session");
    o->io = *io;
    buf_init(&o->line, OUTOFPROC_MAX_LINE);
    buf_init(&o->bytes, OUTOFPROC_MAX_LINE);
    buf_init(&o->text, 2 * OUTOFPROC_FRAGMENT);
    stop_init(&limit, OUTOFPROC_OPEN_MS, (struct stop *)stop);
    enum err err = psrp_new(&o->psrp, 0, on_event, o, ei);
    if (err == ERR_OK)
        err = send_all(o, &limit, ei);
    if (err == ERR_UNREACHABLE)
        err = last_words(o, err, ei);
    while (err == ERR_OK && !o->opened)
        err = o->pool_closed             ? broken_pool(o, ei)
              : psrp_has_output(o->psrp) ? send_packet(o, &limit, ei)
                                         : pump(o, &limit, ei);
    if (err != ERR_OK) {
        o->dead = true;
        outofproc_close(&o);
        return err;
    }
    *out = o;
    return ERR_OK;
}

static enum err until_ended(struct outofproc *o, const struct stop *stop, struct errinfo *ei)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && !psrp_pipeline_has_ended(o->psrp)) {
        if (o->pool_closed)
            return broken_pool(o, ei);
        err = psrp_has_output(o->psrp) ? send_packet(o, stop, ei) : pump(o, stop, ei);
    }
    return err;
}

/* The command was told to end: how did it? What the caller hears stays the interruption, unless it ended all by itself. */
static enum err interrupt(struct outofproc *o, enum err why, const struct errinfo *said, struct errinfo *ei)
{
    struct stop grace;
    struct errinfo ignored = {0};
    stop_init(&grace, OUTOFPROC_GRACE_MS, NULL);
    psrp_withdraw(o->psrp);
    enum err err =
        o->dead ? why : say(o, "Signal", psrp_pipeline_id(o->psrp), OUTOFPROC_SIGNAL_ACK, &grace, &ignored);
    if (err == ERR_OK)
        err = until_ended(o, &grace, &ignored);
    o->dead = o->dead || err != ERR_OK;
    bool ended = err == ERR_OK && psrp_pipeline_state(o->psrp) != PSRP_STOPPED;
    if (ended)
        return ERR_OK;
    if (ei)
        *ei = *said;
    return why;
}

static enum err converse(struct outofproc *o, const struct stop *stop, struct remote_result *out,
                         struct errinfo *ei)
{
    struct errinfo said = {0};
    enum err err = say(o, "Command", psrp_pipeline_id(o->psrp), OUTOFPROC_COMMAND_ACK, stop, ei);
    if (err != ERR_OK) {
        o->dead = true;
        return err;
    }
    out->sent = true;
    err = send_all(o, stop, &said);
    if (err == ERR_OK)
        err = until_ended(o, stop, &said);
    if (err == ERR_INTERRUPTED || err == ERR_TIMEOUT)
        return interrupt(o, err, &said, ei);
    if (err != ERR_OK) {
        o->dead = true;
        if (ei)
            *ei = said;
    }
    return err;
}

enum err outofproc_run(struct outofproc *o, const struct cmdlet *cmdlet, const struct stop *stop,
                       struct remote_result *out, struct errinfo *ei)
{
    struct psrp_result result;
    if (o->dead || o->pool_closed)
        return err_set(ei, ERR_UNREACHABLE, NULL, "PSRP: the session has ended");
    enum err err = psrp_start(o->psrp, cmdlet, ei);
    if (err != ERR_OK)
        return err;
    psrp_result_init(&result, out);
    o->result = &result;
    err = converse(o, stop, out, ei);
    out->outcome_unknown = out->sent && (err != ERR_OK || result.state == PSRP_STOPPED);
    if (!o->dead) {
        struct stop grace;
        stop_init(&grace, OUTOFPROC_GRACE_MS, NULL);
        o->dead = say(o, "Close", psrp_pipeline_id(o->psrp), OUTOFPROC_CLOSE_ACK, &grace, NULL) != ERR_OK;
    }
    psrp_forget_pipeline(o->psrp);
    o->result = NULL;
    if (err != ERR_OK && out->outcome_unknown)
        outcome_note_unknown(ei);
    if (err == ERR_OK && result.state == PSRP_STOPPED)
        err = err_set(ei, ERR_REMOTE, OUTCOME_HINT,
                      "the server stopped the command: whether the change was made is not known");
    enum err kept = psrp_result_finish(&result, err == ERR_OK ? ei : NULL);
    psrp_result_fini(&result);
    return err != ERR_OK ? err : kept;
}

void outofproc_close(struct outofproc **out)
{
    static const struct psrp_guid pool;
    struct outofproc *o = *out;
    struct stop grace;
    if (!o)
        return;
    stop_init(&grace, OUTOFPROC_GRACE_MS, NULL);
    if (!o->dead && !o->pool_closed && say(o, "Close", &pool, OUTOFPROC_CLOSE_ACK, &grace, NULL) != ERR_OK)
        o->dead = true;
    psrp_free(&o->psrp);
    buf_fini(&o->line);
    buf_fini(&o->bytes);
    buf_fini(&o->text);
    free(o);
    *out = NULL;
}
