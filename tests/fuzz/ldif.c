/* core/directory: any bytes as LDIF. Fed whole and in two pieces they make the same organisation, and its strings are valid UTF-8. */
#include "core/directory/ldif.h"
#include "core/base/str.h"
#include "core/directory/decode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct sums {
    struct decode *d;
    uint64_t hash;
};

static void mix(struct sums *s, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        s->hash = (s->hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
}

static enum err take(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct sums *s = arg;
    mix(s, e->dn, strlen(e->dn));
    mix(s, &e->line, sizeof e->line);
    for (size_t i = 0; i < e->n; i++) {
        ASSERT(e->values[i].len <= ENTRY_VALUE_MAX);
        mix(s, e->values[i].data, e->values[i].len);
    }
    return decode_entry(s->d, e, ei);
}

static void note(void *arg, uint64_t line, const char *subject, const char *text)
{
    struct sums *s = arg;
    mix(s, &line, sizeof line);
    decode_note(s->d, subject, "%s", text);
}

static uint64_t read_all(const uint8_t *data, size_t len, size_t cut)
{
    struct sums s = {.hash = 1};
    struct errinfo ei;
    struct ldif p;
    struct org *org = NULL;
    bool half;
    const struct ldif_wants w = {.who = FOR_ORG | FOR_COMPUTER,
                                 .wanted = CLASSES_OF_ORG | CLASS_COMPUTER,
                                 .entry = take,
                                 .note = note,
                                 .arg = &s};
    const struct decode_context context = {.taken_at = 1};
    ASSERT(decode_new(&s.d, &ei) == ERR_OK);
    ldif_init(&p, &w, LDIF_DETECT);
    ASSERT(ldif_feed(&p, (const char *)data, cut, &ei) == ERR_OK);
    ASSERT(ldif_feed(&p, (const char *)data + cut, len - cut, &ei) == ERR_OK);
    ASSERT(ldif_finish(&p, &half, &ei) == ERR_OK);
    ldif_fini(&p);
    ASSERT(decode_finish(&s.d, &context, &org, &ei) == ERR_OK);
    for (size_t i = 0; i < org->n_servers; i++)
        ASSERT(utf8_valid(org->servers[i].name, strlen(org->servers[i].name)) &&
               org_server(org, org->servers[i].name) != NULL);
    for (size_t i = 0; i < org->n_notes; i++)
        ASSERT(utf8_valid(org->notes[i].text, strlen(org->notes[i].text)));
    org_free(&org);
    return s.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t cut = len ? data[len - 1] * len / 256 : 0;
    ASSERT(read_all(data, len, len) == read_all(data, len, cut));
    return 0;
}
