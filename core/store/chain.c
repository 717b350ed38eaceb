#include "core/store/store_int.h"

#include "core/base/str.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

const char journal_genesis[65] = "0000000000000000000000000000000000000000000000000000000000000000";

/*
 * The canonical content: one line a field, "name length:value\n", or "name -\n" for none. The length in front makes it impossible
 * for one record's text to be read as another's fields, and a person can recompute a hash with nothing but sha256sum.
 */
static int put(EVP_MD_CTX *ctx, const char *name, const char *value)
{
    char head[64];
    int n = value ? snprintf(head, sizeof head, "%s %zu:", name, strlen(value))
                  : snprintf(head, sizeof head, "%s -", name);
    return n > 0 && EVP_DigestUpdate(ctx, head, (size_t)n) == 1 &&
           (!value || EVP_DigestUpdate(ctx, value, strlen(value)) == 1) &&
           EVP_DigestUpdate(ctx, "\n", 1) == 1;
}

static int put_number(EVP_MD_CTX *ctx, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return put(ctx, name, text);
}

enum err journal_hash(const struct journal_record *r, char out[static 65])
{
    const struct {
        const char *name, *value;
    } texts[] = {
        {"run", r->run},     {"server", r->server}, {"phase", r->phase},   {"who", r->who},
        {"from", r->from},   {"why", r->why},       {"cmdlet", r->cmdlet}, {"before", r->before},
        {"after", r->after}, {"detail", r->detail}, {"prev", r->prev},
    };
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && put_number(ctx, "id", r->id) &&
             put_number(ctx, "at", r->at) && put_number(ctx, "step", r->step);
    for (size_t i = 0; ok && i < ARRAY_LEN(texts); i++)
        ok = put(ctx, texts[i].name, texts[i].value);
    ok = ok && EVP_DigestFinal_ex(ctx, digest, &len) == 1 && len == 32;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return ERR_INTERNAL;
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return ERR_OK;
}
