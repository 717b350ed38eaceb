/* Lines of a hostile mail server. */
#include "core/probe/mail.h"
#include "core/base/err.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *p = (const char *)data, *end = p + len, *text;
    size_t text_len;
    struct buf words;
    for (int k = 0; k < 2; k++) {
        enum mail_kind kind = k ? MAIL_IMAP : MAIL_POP;
        struct mail_caps caps = {0};
        bool first = true;
        for (const char *at = p; at < end; first = false) {
            const char *nl = memchr(at, '\n', (size_t)(end - at));
            size_t n = (size_t)((nl ? nl : end) - at);
            if (mail_greeting(kind, at, n, &text, &text_len))
                ASSERT(text >= at && text + text_len == at + n);
            (void)mail_tls_line(kind, at, n);
            if (mail_caps_line(kind, &caps, at, n, first) != MAIL_MORE)
                break;
            at += n + 1;
        }
        buf_init(&words, 1024);
        mail_caps_words(kind, &caps, &words);
        ASSERT(!words.failed && words.len > 0);
        buf_fini(&words);
    }
    return 0;
}
