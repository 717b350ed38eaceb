/* WWW-Authenticate values: lines of the input are header lines of one answer. */
#include "core/probe/challenge.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct challenge_set set = {0}, whole = {0};
    struct buf words;
    const char *p = (const char *)data, *end = p + size;
    while (p < end) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((line ? line : end) - p);
        challenge_add(&set, p, len);
        p += len + (line != NULL);
    }
    ASSERT(set.schemes <= CHALLENGE_MAX_SCHEMES && set.unknown <= set.schemes);
    ASSERT((set.offered == 0) == (set.schemes == set.unknown));
    ASSERT(utf8_valid(set.other, strlen(set.other)));
    buf_init(&words, 4096);
    ASSERT(challenge_words(&words, &set) == ERR_OK && words.len > 0);
    buf_fini(&words);
    challenge_add(&whole, (const char *)data, size);
    return 0;
}
