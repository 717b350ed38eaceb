/* Autodiscover answers: whatever the bytes, no crash, bounded; what was read can be judged, and reads as text. */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/probe/app_pox.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pox x;
    struct errinfo ei = {0};
    struct buf detail;
    const char *names[] = {"*.contoso.lab"};
    const struct certificate cert = {.subject_cn = "mail.contoso.lab", .names = names, .n_names = 1};
    if (pox_parse(&x, (const char *)data, size, &ei)) {
        ASSERT(ei.what[0] && utf8_valid(ei.what, strlen(ei.what)));
        return 0;
    }
    ASSERT(x.n_protocols <= POX_MAX_PROTOCOLS);
    ASSERT((x.kind == POX_ERROR) == (x.error_code != NULL));
    ASSERT((x.kind == POX_REDIRECT_ADDRESS || x.kind == POX_REDIRECT_URL) == (x.redirect != NULL));
    for (size_t i = 0; i < x.n_protocols; i++)
        for (size_t k = 0; k < POX_SETTING_COUNT; k++) {
            const char *s = x.protocols[i].settings[k];
            ASSERT(!s || (*s && utf8_valid(s, strlen(s))));
        }
    buf_init(&detail, 1 << 20);
    (void)pox_judge_exch(&x, NULL, &detail);
    (void)pox_judge_expr(&x, NULL, &cert, &detail);
    (void)pox_judge_web(&x, NULL, &detail);
    (void)pox_judge_mobile(&x, NULL, &detail);
    ASSERT(!detail.failed && utf8_valid(buf_str(&detail), detail.len));
    buf_fini(&detail);
    pox_fini(&x);
    return 0;
}
