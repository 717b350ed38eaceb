/* The OUT channel of a hostile RPC proxy: whole and byte by byte it means the same. */
#include "core/rpch/vc.h"
#include "core/base/err.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum vc_state play(const uint8_t *data, size_t len, size_t piece, struct vc *vc)
{
    static const uint8_t random[64] = {1};
    uint8_t bind[VC_BIND_SIZE];
    vc_init(vc, random);
    vc_bind(vc, RPC_EMSMDB, bind); /* so that answers are looked at whatever comes before */
    for (size_t at = 0; at < len; at += piece)
        ASSERT(vc_feed(vc, data + at, len - at < piece ? len - at : piece) == (vc->state != VC_BROKEN));
    ASSERT(memchr(vc->why, '\0', sizeof vc->why) && vc->have <= VC_PDU_MAX);
    ASSERT((vc->state == VC_BROKEN || vc->state == VC_REFUSED) == (vc->why[0] != '\0'));
    return vc->state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct vc one, other;
    uint32_t status;
    enum vc_state whole = play(data, len, len ? len : 1, &one);
    ASSERT(whole == play(data, len, 1, &other) && strcmp(one.why, other.why) == 0);
    (void)rpc_error_in_reason((const char *)data, len, &status);
    return 0;
}
