/* A hostile PSRP server: bytes where fragments should be, or well-framed messages with anything in them. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/psrp_result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
    struct psrp *psrp;
    struct psrp_result result;
    struct remote_result out;
    uint64_t objects;
    bool refused;
};

static void on_event(void *arg, const struct psrp_event *e)
{
    struct scene *s = arg;
    if (e->kind == PSRP_EVENT_ERROR)
        ASSERT(e->error.message);
    psrp_result_event(&s->result, e);
}

static void feed(struct scene *s, const void *data, size_t size, size_t cut)
{
    for (size_t at = 0; at < size && !s->refused; at += cut)
        s->refused =
            psrp_receive(s->psrp, (const char *)data + at, size - at < cut ? size - at : cut, NULL) != ERR_OK;
}

/* A message as a server frames it, in fragments of at most max bytes. */
static void send(struct scene *s, uint32_t type, const void *data, size_t size, size_t max)
{
    struct buf message, fragments;
    buf_init(&message, 1 << 20);
    buf_init(&fragments, 8 << 20);
    if (psrp_message_write(&message, type, psrp_pool_id(s->psrp), psrp_pipeline_id(s->psrp), data, size) ==
        ERR_OK) {
        message.data[0] = 1;
        uint64_t number = 0, object = ++s->objects;
        for (size_t at = 0; at < message.len;)
            at += psrp_fragment_write(&fragments, object, number++, message.data, at, message.len, max);
        feed(s, buf_str(&fragments), fragments.len, max);
    }
    buf_fini(&message);
    buf_fini(&fragments);
}

static enum err take_own(void *arg, const void *data, size_t len, struct errinfo *ei)
{
    struct psrp_message m;
    (void)arg, (void)ei;
    ASSERT(psrp_message_read(&m, data, len) && m.destination == 2);
    return ERR_OK;
}

/* What we say is always well-framed. */
static void drain(struct scene *s, size_t max)
{
    struct psrp_packet packet;
    struct psrp_joiner j;
    struct buf bytes;
    buf_init(&bytes, 8 << 20);
    psrp_joiner_init(&j);
    while (psrp_take(s->psrp, max, &bytes, &packet)) {
        ASSERT(bytes.len <= max);
        ASSERT(psrp_joiner_feed(&j, buf_str(&bytes), bytes.len, take_own, NULL, NULL) == ERR_OK);
        buf_reset(&bytes);
    }
    ASSERT(psrp_joiner_is_idle(&j));
    psrp_joiner_fini(&j);
    buf_fini(&bytes);
}

static void open_pool(struct scene *s)
{
    static const char capability[] = "<Obj><MS><Version N=\"protocolversion\">2.2</Version></MS></Obj>";
    static const char state[] = "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
    struct arena arena;
    struct cmdlet c;
    send(s, PSRP_SESSION_CAPABILITY, capability, sizeof capability - 1, 4096);
    send(s, PSRP_RUNSPACEPOOL_STATE, state, sizeof state - 1, 4096);
    ASSERT(psrp_pool_state(s->psrp) == PSRP_POOL_OPENED);
    arena_init(&arena, 65536);
    cmdlet_init(&c, &arena, "Get-Any");
    ASSERT(psrp_start(s->psrp, &c, NULL) == ERR_OK);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t types[] = {
#define X(name, type) type,
        PSRP_MESSAGE_MAP(X)
#undef X
    };
    struct scene s = {0};
    if (size < 2 || psrp_new(&s.psrp, 4 << 20, on_event, &s, NULL) != ERR_OK)
        return 0;
    psrp_result_init(&s.result, &s.out);
    size_t max = PSRP_FRAGMENT_HEADER + 1 + data[1];
    if (data[0] & 1) {
        feed(&s, data + 2, size - 2, 1 + data[1]);
    } else {
        open_pool(&s);
        for (size_t at = 2; at + 3 <= size && !s.refused;) {
            size_t len = (size_t)data[at + 1] << 8 | data[at + 2], left = size - at - 3;
            len = len < left ? len : left;
            send(&s, types[data[at] % ARRAY_LEN(types)], data + at + 3, len, max);
            at += 3 + len;
        }
    }
    drain(&s, max);
    if (psrp_result_finish(&s.result, NULL) == ERR_OK) {
        json_t *j = json_loads(s.out.output_json, JSON_ALLOW_NUL, NULL);
        ASSERT(j && json_is_array(j));
        json_decref(j);
    }
    psrp_result_fini(&s.result);
    remote_result_fini(&s.out);
    psrp_free(&s.psrp);
    return 0;
}
