/* The manifest of a snapshot: whatever the bytes, no crash. */
#include "core/report/snapshot_int.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot s = {0};
    struct manifest m = {0};
    struct errinfo ei;
    arena_init(&s.arena, (size_t)16 << 20);
    enum err e = manifest_read((const char *)data, size, &s, &m, &ei);
    if (e == ERR_OK && (m.parts[0].bytes > PART_MAX || s.facts.n_namespaces > SNAPSHOT_NAMESPACES))
        __builtin_trap();
    acceptances_free(&s.accepted);
    arena_fini(&s.arena);
    return 0;
}
