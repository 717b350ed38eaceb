/* Envelopes and faults of a hostile server. The first byte says which answer is awaited. */
#include <stdint.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/fault.h"
#include "remoting/soap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_shown(const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return utf8_valid(s, strlen(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct soap_reply r;
    struct errinfo ei = {0};
    struct wsman_output o;
    if (size == 0)
        return 0;
    enum soap_op op = (enum soap_op)(data[0] % SOAP_OP_COUNT);
    wsman_output_init(&o);
    enum err e = soap_read(&r, op, "uuid:1", op == SOAP_OP_GET ? "MaxEnvelopeSizekb" : NULL, data + 1,
                           size - 1, op == SOAP_OP_RECEIVE ? &o : NULL, &ei);
    ASSERT(e == ERR_OK || ei.what[0]);
    for (size_t i = 0; i < o.chunks.n; i++)
        ASSERT(o.chunks.v[i].at + o.chunks.v[i].len <= o.data.len);
    if (e == ERR_OK && r.is_fault) {
        ASSERT(is_shown(r.fault.reason) && is_shown(r.fault.subcode) && is_shown(r.fault.redirect));
        ASSERT(fault_words(&r.fault, "server", &ei) != ERR_OK && ei.what[0]);
    }
    if (e == ERR_OK && !r.is_fault && op == SOAP_OP_CREATE)
        ASSERT(r.shell_id[0]);
    wsman_output_fini(&o);
    return 0;
}
