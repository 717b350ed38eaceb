/* The archive of a snapshot, without its compression, in pieces chosen by the input: no crash, bounded memory. */
#include "core/report/snapshot_int.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack *u = NULL;
    struct snapshot *s = NULL;
    struct errinfo ei;
    if (size < 1 || unpack_new(&u, &ei) != ERR_OK)
        return 0;
    size_t piece = (size_t)data[0] * 17 + 1;
    enum err e = ERR_OK;
    for (size_t i = 1; !e && i < size; i += piece)
        e = unpack_feed(u, (const char *)data + i, size - i < piece ? size - i : piece, &ei);
    if (!e && unpack_end(u, "snapshot:fuzz", &s, &ei) == ERR_OK)
        snapshot_free(&s);
    unpack_free(&u);
    return 0;
}
