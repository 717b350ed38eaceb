/* Many records of the journal in one statement, as one JSON text: a round trip each would make a copy as slow as the way is long. */
#include "core/store/postgres.h"

#include "core/base/str.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char append[] =
    "INSERT INTO journal (" STORE_COLUMNS ") SELECT " STORE_COLUMNS
    " FROM json_populate_recordset(CAST(NULL AS casbridge.journal), CAST($1 AS json))";

/* Names are the columns'. json_string() refuses what is not UTF-8, as the database would. */
static json_t *record_json(const struct journal_record *r)
{
    const struct {
        const char *name, *value;
    } texts[] = {
        {"run", r->run},     {"server", r->server}, {"phase", r->phase},   {"who", r->who},
        {"origin", r->from}, {"why", r->why},       {"cmdlet", r->cmdlet}, {"before", r->before},
        {"after", r->after}, {"detail", r->detail}, {"hash", r->hash},     {"prev", r->prev},
    };
    json_t *o = json_object();
    int bad = json_object_set_new(o, "id", json_integer(r->id)) |
              json_object_set_new(o, "at", json_integer(r->at)) |
              json_object_set_new(o, "step", json_integer(r->step));
    for (size_t i = 0; !bad && i < ARRAY_LEN(texts); i++)
        if (texts[i].value)
            bad = json_object_set_new(o, texts[i].name, json_string(texts[i].value));
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

enum err pg_append_many(struct store *s, const struct journal_record *r, size_t n, struct errinfo *ei)
{
    json_t *list = json_array();
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        if (json_array_append_new(list, record_json(&r[i])) < 0)
            e = err_set(ei, ERR_INPUT, "casbridge journal verify on the store that it comes from",
                        "record %lld of the journal cannot be written: it is not UTF-8, or memory ran out",
                        (long long)r[i].id);
    char *text = e == ERR_OK ? json_dumps(list, JSON_COMPACT) : NULL;
    if (e == ERR_OK && !text)
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for the journal's records");
    if (e == ERR_OK)
        e = pg_query(s, append, (struct store_value[]){STORE_TEXT(text)}, 1, NULL, NULL, ei);
    free(text);
    json_decref(list);
    return e;
}
