#include "core/report/kept.h"

#include "core/base/str.h"
#include "core/report/lines.h"

#include <jansson.h>
#include <string.h>

#define EVIDENCE_LIMIT ((size_t)64 << 20)

enum err kept_evidence_write(struct store *s, const char *organization, const struct evidence *e, bool probed,
                             int64_t over, const char *who, const char *from, struct errinfo *ei)
{
    struct buf lines;
    enum err err = ERR_OK;
    if (!e->items.n)
        return ERR_OK;
    buf_init(&lines, STORE_EVIDENCE_MAX);
    buf_addf(&lines, "{\"format\":%d}\n", KEPT_FORMAT);
    for (size_t i = 0; i < e->items.n && !err; i++)
        err = lines_write(&e->items.v[i], &lines, ei);
    /* the store only reads the texts */
    struct store_evidence kept = {.organization = (char *)organization,
                                  .who = (char *)who,
                                  .from = (char *)from,
                                  .lines = lines.data,
                                  .n = (int64_t)e->items.n,
                                  .probed = probed};
    if (!err)
        err = store_evidence_put(s, &kept, over, ei);
    buf_fini(&lines);
    return err;
}

static enum err check_format(const char *line, size_t len, struct errinfo *ei)
{
    json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    json_int_t format = json_integer_value(json_object_get(j, "format"));
    json_decref(j);
    if (format > KEPT_FORMAT)
        return err_set(ei, ERR_CONFIG, "use that casbridge",
                       "a newer casbridge kept the evidence (format %lld)", (long long)format);
    return format == KEPT_FORMAT ? ERR_OK
                                 : err_set(ei, ERR_INPUT, "gather it again: casbridge check --probe",
                                           "the kept evidence does not say its format");
}

static enum err read_lines(const char *text, struct evidence *e, struct errinfo *ei)
{
    size_t n = strcspn(text, "\n"), line = 1;
    enum err err = check_format(text, n, ei);
    for (text += n + (text[n] == '\n'); !err && *text; text += n + (text[n] == '\n'), line++) {
        n = strcspn(text, "\n");
        err = lines_read(text, n, e, ei);
        if (err)
            err_wrap(ei, "the kept evidence, line %zu", line + 1);
    }
    return err;
}

enum err kept_evidence_read(struct store *s, const char *organization, struct evidence *e,
                            struct kept_facts *facts, struct errinfo *ei)
{
    struct store_evidence kept = {0};
    struct evidence read;
    enum err err = store_evidence_get(s, organization, &kept, ei);
    if (err)
        return err;
    evidence_init(&read, EVIDENCE_LIMIT);
    err = read_lines(kept.lines, &read, ei);
    if (!err && (err = evidence_merge(e, &read)))
        err_set(ei, err, NULL, "there is more evidence than fits");
    if (!err) {
        *facts = (struct kept_facts){.at = kept.at, .version = kept.version, .probed = kept.probed};
        str_show_fixed(facts->who, sizeof facts->who, kept.who, strlen(kept.who));
        str_show_fixed(facts->from, sizeof facts->from, kept.from ? kept.from : "",
                       kept.from ? strlen(kept.from) : 0);
    }
    evidence_fini(&read);
    store_evidence_fini(&kept);
    return err;
}
