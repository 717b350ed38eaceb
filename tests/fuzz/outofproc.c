/* A hostile server behind the SSH subsystem: whatever it says, in whatever pieces, opening and running end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remoting/outofproc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct said {
    const uint8_t *data;
    size_t left, cut;
};

static enum err swallow(void *arg, const void *data, size_t len, const struct stop *stop, struct errinfo *ei)
{
    (void)arg, (void)data, (void)len, (void)stop, (void)ei;
    return ERR_OK;
}

static enum err speak(void *arg, void *data, size_t cap, size_t *n, const struct stop *stop,
                      struct errinfo *ei)
{
    struct said *s = arg;
    (void)stop, (void)ei;
    *n = s->left < s->cut ? s->left : s->cut;
    *n = *n < cap ? *n : cap;
    memcpy(data, s->data, *n);
    s->data += *n;
    s->left -= *n;
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outofproc *session = NULL;
    struct remote_result out = {0};
    struct arena arena;
    struct cmdlet c;
    if (size < 1)
        return 0;
    struct said said = {data + 1, size - 1, 1 + (size_t)data[0] * 4};
    arena_init(&arena, 65536);
    cmdlet_init(&c, &arena, "Get-Any");
    if (outofproc_open(&session, &(struct outofproc_io){&said, swallow, speak}, NULL, NULL) == ERR_OK) {
        enum err err = outofproc_run(session, &c, NULL, &out, NULL);
        ASSERT(err == ERR_OK || !out.sent || out.outcome_unknown);
    }
    outofproc_close(&session);
    remote_result_fini(&out);
    arena_fini(&arena);
    return 0;
}
