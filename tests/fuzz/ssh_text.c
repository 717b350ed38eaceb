/* What a hostile SSH server says first, damaged known_hosts and key files. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "remoting/kexinit.h"
#include "remoting/keyfile.h"
#include "remoting/known_hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kexinit k;
    struct keyfile key;
    struct known_host h = {0};
    const struct known_key *expected = NULL;
    char fingerprint[FINGERPRINT_SIZE];
    kexinit_read(&k, data, size);
    keyfile_look(&key, (const char *)data, size);
    for (int i = 0; i + 1 < KEXINIT_LISTS; i++)
        (void)kexinit_agree(k.lists[i], k.lists[i + 1]);
    ASSERT(known_host_find(&h, (const char *)data, size, "[excas01.contoso.lab]:2222") == ERR_OK);
    for (size_t i = 0; i < h.keys.n; i++) {
        enum host_key_verdict v = known_host_judge(&h, h.keys.v[i].blob, h.keys.v[i].len, &expected);
        ASSERT(v == HOST_KEY_KNOWN || v == HOST_KEY_REVOKED);
        host_key_fingerprint(h.keys.v[i].blob, h.keys.v[i].len, fingerprint);
    }
    (void)known_host_judge(&h, data, size, &expected);
    known_host_fini(&h);
    return 0;
}
