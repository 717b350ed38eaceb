#include "tui/record_text.h"

#include "core/base/str.h"

#include <jansson.h>
#include <string.h>

static void say_text(struct buf *out, const char *s)
{
    str_show(out, s, strlen(s));
}

static void say_value(struct buf *out, const json_t *value)
{
    json_t *one;
    size_t i;
    json_array_foreach(value, i, one)
    {
        buf_adds(out, i ? ", " : "");
        say_text(out, json_is_string(one) ? json_string_value(one) : "?");
    }
    if (!json_is_array(value))
        say_text(out, json_is_string(value)    ? json_string_value(value)
                      : json_is_boolean(value) ? json_is_true(value) ? "true" : "false"
                                               : "none");
}

bool record_captured(struct buf *out, const struct journal_record *r)
{
    json_t *step = str_eq(r->phase, "capture") && r->detail ? json_loads(r->detail, 0, NULL) : NULL;
    json_t *before = json_object_get(step, "before"), *value;
    const char *name;
    size_t n = 0;
    json_object_foreach(before, name, value)
    {
        buf_adds(out, n++ ? "; " : "");
        say_text(out, name);
        buf_adds(out, " ");
        say_value(out, value);
    }
    json_decref(step);
    return n > 0;
}
