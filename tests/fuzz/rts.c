/* RTS PDUs from a hostile stream. */
#include "core/rpch/rts.h"
#include "core/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rts_pdu pdu;
    for (size_t at = 0; at < len;) {
        int n = rts_length(data + at, len - at);
        if (n <= 0 || (size_t)n > len - at)
            break;
        ASSERT(n >= RTS_HEADER);
        if (rts_decode(data + at, (size_t)n, &pdu)) {
            ASSERT(rts_name(&pdu)[0] != '\0' && pdu.length == n && pdu.n_cookies <= 4);
            ASSERT((pdu.n_cookies == 0) == (rts_session(&pdu) == 0));
        }
        at += (size_t)n;
    }
    (void)rts_decode(data, len, &pdu);
    return 0;
}
