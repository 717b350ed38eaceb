#include "remoting/psrp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/base/vec.h"
#include "remoting/psrp_int.h"
#include "remoting/psxml.h"

#define MAX_WAITING 64          /* messages of ours that wait to be sent */
#define SAY_MEMORY  (32u << 20) /* bytes: a cmdlet's parameters as a tree */
#define VOID_CALL   (-100)      /* a host call whose server does not wait */

struct waiting {
    struct buf message;
    uint64_t object, number;
    size_t sent;
    struct psrp_packet packet;
};

struct psrp {
    psrp_event_fn *event;
    void *arg;
    struct psrp_joiner joiner;
    struct psxml_reader *reader;
    struct arena say;
    struct psrp_guid pool, pipeline;
    enum psrp_pool_state pool_state;
    enum psrp_pipeline_state pipeline_state;
    bool has_pipeline;
    unsigned major, minor;
    char protocol[16];
    uint64_t objects; /* given out so far */
    struct buf key;   /* our public one, once it was asked for */
    VEC(struct waiting) out;
};

/* ---- ours ---- */

typedef enum err say_fn(struct buf *out, struct arena *a, struct errinfo *ei);

static enum err queue(struct psrp *p, uint32_t type, const struct psrp_packet *packet, const struct buf *body,
                      struct errinfo *ei)
{
    static const struct psrp_guid none;
    struct waiting w = {.packet = *packet};
    buf_init(&w.message, PSRP_MAX_OBJECT);
    enum err err = psrp_message_write(&w.message, type, &p->pool, packet->pipeline ? &p->pipeline : &none,
                                      buf_str(body), body->len);
    w.object = ++p->objects;
    if (err == ERR_OK && !VEC_PUSH(&p->out, MAX_WAITING, w))
        err = ERR_LIMIT;
    if (err != ERR_OK) {
        buf_fini(&w.message);
        return err_set(ei, err, NULL, "PSRP: a message could not be queued: %s", err_text(err));
    }
    return ERR_OK;
}

static enum err say(struct psrp *p, uint32_t type, say_fn *fn, struct errinfo *ei)
{
    struct buf body;
    buf_init(&body, PSRP_MAX_OBJECT);
    arena_reset(&p->say);
    enum err err = fn(&body, &p->say, ei);
    if (err == ERR_OK)
        err = queue(p, type, &(struct psrp_packet){0}, &body, ei);
    buf_fini(&body);
    return err;
}

enum err psrp_new(struct psrp **out, size_t memory, psrp_event_fn *event, void *arg, struct errinfo *ei)
{
    struct psrp *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for PSRP");
    p->event = event;
    p->arg = arg;
    psrp_joiner_init(&p->joiner);
    arena_init(&p->say, SAY_MEMORY);
    buf_init(&p->key, 1024);
    enum err err = psxml_reader_new(&p->reader, memory ? memory : PSRP_MAX_OBJECT);
    if (err == ERR_OK)
        err = psrp_guid_new(&p->pool, ei);
    if (err == ERR_OK)
        err = say(p, PSRP_SESSION_CAPABILITY, psrp_say_capability, ei);
    if (err == ERR_OK)
        err = say(p, PSRP_INIT_RUNSPACEPOOL, psrp_say_pool, ei);
    if (err != ERR_OK) {
        psrp_free(&p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

void psrp_free(struct psrp **out)
{
    struct psrp *p = *out;
    if (!p)
        return;
    for (size_t i = 0; i < p->out.n; i++)
        buf_fini(&p->out.v[i].message);
    VEC_FREE(&p->out);
    psrp_joiner_fini(&p->joiner);
    psxml_reader_free(&p->reader);
    arena_fini(&p->say);
    buf_fini(&p->key);
    free(p);
    *out = NULL;
}

const struct psrp_guid *psrp_pool_id(const struct psrp *p)
{
    return &p->pool;
}

enum psrp_pool_state psrp_pool_state(const struct psrp *p)
{
    return p->pool_state;
}

const char *psrp_server_protocol(const struct psrp *p)
{
    return p->protocol;
}

bool psrp_server_is(const struct psrp *p, unsigned major, unsigned minor)
{
    return p->major > major || (p->major == major && p->minor >= minor);
}

const struct psrp_guid *psrp_pipeline_id(const struct psrp *p)
{
    return &p->pipeline;
}

enum psrp_pipeline_state psrp_pipeline_state(const struct psrp *p)
{
    return p->pipeline_state;
}

bool psrp_pipeline_has_ended(const struct psrp *p)
{
    return p->pipeline_state >= PSRP_STOPPED;
}

void psrp_withdraw(struct psrp *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->out.n; i++) {
        if (p->out.v[i].packet.pipeline)
            buf_fini(&p->out.v[i].message);
        else
            p->out.v[kept++] = p->out.v[i];
    }
    p->out.n = kept;
}

void psrp_forget_pipeline(struct psrp *p)
{
    psrp_withdraw(p);
    p->has_pipeline = false;
    p->pipeline_state = PSRP_NOT_STARTED;
}

size_t psrp_memory(const struct psrp *p)
{
    return psrp_joiner_memory(&p->joiner) + psxml_reader_memory(p->reader);
}

enum err psrp_start(struct psrp *p, const struct cmdlet *cmdlet, struct errinfo *ei)
{
    struct buf body;
    if (p->pool_state != PSRP_POOL_OPENED || p->has_pipeline)
        return err_set(ei, ERR_INTERNAL, NULL, "PSRP: the pool takes no pipeline now");
    buf_init(&body, PSRP_MAX_OBJECT);
    arena_reset(&p->say);
    enum err err = psrp_guid_new(&p->pipeline, ei);
    if (err == ERR_OK)
        err = psrp_say_pipeline(&body, &p->say, cmdlet, p->minor, ei);
    if (err == ERR_OK)
        err = queue(p, PSRP_CREATE_PIPELINE, &(struct psrp_packet){.pipeline = true}, &body, ei);
    buf_fini(&body);
    if (err != ERR_OK)
        return err;
    p->has_pipeline = true;
    p->pipeline_state = PSRP_NOT_STARTED;
    return ERR_OK;
}

bool psrp_has_output(const struct psrp *p)
{
    return p->out.n > 0;
}

size_t psrp_waiting(const struct psrp *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->out.n; i++)
        n += p->out.v[i].message.len - p->out.v[i].sent + PSRP_FRAGMENT_HEADER;
    return n;
}

bool psrp_take(struct psrp *p, size_t max, struct buf *out, struct psrp_packet *packet)
{
    size_t begun = out->len, done = 0;
    if (p->out.n == 0)
        return false;
    *packet = p->out.v[0].packet;
    for (; done < p->out.n; done++) {
        struct waiting *w = &p->out.v[done];
        if (w->packet.pipeline != packet->pipeline || w->packet.answer != packet->answer)
            break;
        while (w->sent < w->message.len && out->len - begun + PSRP_FRAGMENT_HEADER < max)
            w->sent += psrp_fragment_write(out, w->object, w->number++, w->message.data, w->sent,
                                           w->message.len, max - (out->len - begun));
        if (w->sent < w->message.len)
            break;
        buf_fini(&w->message);
    }
    memmove(p->out.v, p->out.v + done, (p->out.n - done) * sizeof *p->out.v);
    p->out.n -= done;
    return true;
}

/* ---- the server's ---- */

static void tell(struct psrp *p, const struct psrp_event *event)
{
    p->event(p->arg, event);
}

static const char *type_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {
#define X(name, type) {type, #name},
        PSRP_MESSAGE_MAP(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return NULL;
}

static enum err on_capability(struct psrp *p, const struct ps_value *v, struct errinfo *ei)
{
    const char *protocol = ps_get_text(v, "protocolversion");
    unsigned major = 0, minor = 0;
    if (!protocol || sscanf(protocol, "%5u.%5u", &major, &minor) != 2)
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: the server does not say which protocol it speaks");
    str_show_fixed(p->protocol, sizeof p->protocol, protocol, strlen(protocol));
    if (major != 2)
        return err_set(ei, ERR_PROTOCOL, "this speaks 2.1 to 2.3", "PSRP: the server speaks protocol %s",
                       p->protocol);
    p->major = major;
    p->minor = minor;
    return ERR_OK;
}

static enum err on_pool_state(struct psrp *p, const struct ps_value *v, struct errinfo *ei)
{
    struct psrp_event event = {.kind = PSRP_EVENT_OPENED};
    struct psrp_error why = {0};
    int64_t state;
    if (!ps_get_int(v, "RunspaceState", &state))
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: a state of the pool without its number");
    if (state == PSRP_POOL_OPENED) {
        if (!p->major)
            return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: the pool opened before the protocol was agreed on");
        p->pool_state = PSRP_POOL_OPENED;
        tell(p, &event);
    } else if (state == PSRP_POOL_CLOSED || state == PSRP_POOL_BROKEN) {
        p->pool_state = (enum psrp_pool_state)state;
        event.kind = PSRP_EVENT_CLOSED;
        if (ps_get(v, "ExceptionAsErrorRecord")) {
            psrp_read_error(&why, ps_get(v, "ExceptionAsErrorRecord"));
            event.text = why.message;
        }
        tell(p, &event);
    }
    return ERR_OK;
}

static enum err on_pipeline_state(struct psrp *p, const struct ps_value *v, struct errinfo *ei)
{
    struct psrp_event event = {.kind = PSRP_EVENT_ENDED};
    int64_t state;
    if (!ps_get_int(v, "PipelineState", &state) || state < PSRP_NOT_STARTED)
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: a state of the pipeline without its number");
    if (state > PSRP_FAILED || psrp_pipeline_has_ended(p))
        return ERR_OK;
    p->pipeline_state = (enum psrp_pipeline_state)state;
    if (!psrp_pipeline_has_ended(p))
        return ERR_OK;
    event.state = p->pipeline_state;
    event.value = ps_get(v, "ExceptionAsErrorRecord");
    if (event.value && event.value->kind != PS_NULL)
        psrp_read_error(&event.error, event.value);
    tell(p, &event);
    return ERR_OK;
}

static enum err on_host_call(struct psrp *p, bool pipeline, const struct ps_value *v, struct errinfo *ei)
{
    struct buf body;
    int64_t call, number;
    bool waits = false;
    if (!ps_get_int(v, "ci", &call) || !ps_get_int(v, "mi", &number))
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: a host call without its number");
    const char *method = psrp_host_method(number, &waits);
    tell(p, &(struct psrp_event){.kind = PSRP_EVENT_HOST_CALL, .text = method});
    if (!waits || call == VOID_CALL)
        return ERR_OK;
    buf_init(&body, PSRP_MAX_OBJECT);
    arena_reset(&p->say);
    enum err err = psrp_say_no_host(&body, &p->say, call, method, (int32_t)number, ei);
    if (err == ERR_OK)
        err = queue(p, pipeline ? PSRP_PIPELINE_HOST_RESPONSE : PSRP_RUNSPACEPOOL_HOST_RESPONSE,
                    &(struct psrp_packet){.pipeline = pipeline, .answer = true}, &body, ei);
    buf_fini(&body);
    return err;
}

static enum err on_key_request(struct psrp *p, struct errinfo *ei)
{
    struct buf body;
    enum err err = ERR_OK;
    if (p->key.len == 0) {
        tell(p, &(struct psrp_event){.kind = PSRP_EVENT_SECRET});
        err = psrp_key(&p->key, ei);
    }
    buf_init(&body, PSRP_MAX_OBJECT);
    arena_reset(&p->say);
    if (err == ERR_OK)
        err = psrp_say_key(&body, &p->say, buf_str(&p->key), ei);
    if (err == ERR_OK)
        err = queue(p, PSRP_PUBLIC_KEY, &(struct psrp_packet){0}, &body, ei);
    buf_fini(&body);
    return err;
}

static void on_progress(struct psrp *p, const struct ps_value *v)
{
    int64_t percent = -1;
    const char *activity = ps_get_text(v, "Activity");
    (void)ps_get_int(v, "PercentComplete", &percent);
    tell(p, &(struct psrp_event){.kind = PSRP_EVENT_PROGRESS,
                                 .value = v,
                                 .text = activity ? activity : "",
                                 .percent = percent >= 0 && percent <= 100 ? (int)percent : -1});
}

/* Streams of the pipeline: type, event. */
static const struct {
    uint32_t type;
    enum psrp_event_kind kind;
} streams[] = {{PSRP_PIPELINE_OUTPUT, PSRP_EVENT_OUTPUT},  {PSRP_ERROR_RECORD, PSRP_EVENT_ERROR},
               {PSRP_WARNING_RECORD, PSRP_EVENT_WARNING},  {PSRP_VERBOSE_RECORD, PSRP_EVENT_VERBOSE},
               {PSRP_DEBUG_RECORD, PSRP_EVENT_DEBUG},      {PSRP_INFORMATION_RECORD, PSRP_EVENT_INFORMATION},
               {PSRP_PROGRESS_RECORD, PSRP_EVENT_PROGRESS}};

static void on_stream(struct psrp *p, enum psrp_event_kind kind, const struct ps_value *v)
{
    struct psrp_event event = {.kind = kind, .value = v};
    if (kind == PSRP_EVENT_PROGRESS) {
        on_progress(p, v);
        return;
    }
    if (kind == PSRP_EVENT_ERROR)
        psrp_read_error(&event.error, v);
    else if (kind != PSRP_EVENT_OUTPUT)
        event.text = psrp_read_text(v);
    tell(p, &event);
}

static enum err dispatch(struct psrp *p, const struct psrp_message *m, const struct ps_value *v,
                         struct errinfo *ei)
{
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        if (streams[i].type == m->type) {
            on_stream(p, streams[i].kind, v);
            return ERR_OK;
        }
    }
    switch (m->type) {
    case PSRP_SESSION_CAPABILITY: return on_capability(p, v, ei);
    case PSRP_RUNSPACEPOOL_STATE: return on_pool_state(p, v, ei);
    case PSRP_PIPELINE_STATE: return on_pipeline_state(p, v, ei);
    case PSRP_RUNSPACEPOOL_HOST_CALL: return on_host_call(p, false, v, ei);
    case PSRP_PIPELINE_HOST_CALL: return on_host_call(p, true, v, ei);
    default: return ERR_OK;
    }
}

static bool is_stream(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        if (streams[i].type == type)
            return true;
    return false;
}

/* That something went wrong must not be lost with the words. */
static void unreadable_error(struct psrp *p, const char *why)
{
    char text[400];
    (void)str_fmt(text, sizeof text, "an error whose record could not be read: %s", why);
    tell(p, &(struct psrp_event){.kind = PSRP_EVENT_ERROR, .error.message = text});
}

static enum err on_object(void *arg, const void *data, size_t len, struct errinfo *ei)
{
    static const struct ps_value nothing = {.kind = PS_NULL, .text = ""};
    struct psrp *p = arg;
    struct psrp_message m;
    const struct ps_value *v = NULL;
    struct errinfo why = {0};
    if (!psrp_message_read(&m, data, len))
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: a message shorter than its header");
    const char *name = type_name(m.type);
    bool of_pipeline = m.type >> 16 == 4;
    if (m.destination != 1 || !name || m.type == PSRP_APPLICATION_PRIVATE_DATA)
        return ERR_OK;
    if (of_pipeline && (!p->has_pipeline || !psrp_guid_eq(&m.pipeline, &p->pipeline)))
        return ERR_OK;
    if (m.type == PSRP_PUBLIC_KEY_REQUEST)
        return on_key_request(p, ei);
    if (m.len == 0) {
        v = &nothing; /* how $null travels */
    } else if (psxml_read_one(p->reader, m.data, m.len, &v, &why) != ERR_OK) {
        if (!is_stream(m.type))
            return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: %s: %s", name, why.what);
        if (m.type == PSRP_ERROR_RECORD) {
            unreadable_error(p, why.what);
            return ERR_OK;
        }
        tell(p, &(struct psrp_event){.kind = PSRP_EVENT_UNREADABLE, .text = why.what});
        return ERR_OK;
    }
    return dispatch(p, &m, v, ei);
}

enum err psrp_receive(struct psrp *p, const void *data, size_t len, struct errinfo *ei)
{
    return psrp_joiner_feed(&p->joiner, data, len, on_object, p, ei);
}
