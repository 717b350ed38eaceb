/*
 * The filter language of every table.
 *
 *     ntlm            any column holds it          !ntlm           no column holds it
 *     site:dublin     that column holds it         !auth:basic     that column does not
 *     status:>=400    a number compared (= < <= > >=)
 *     "two words"     quotes keep spaces and colons; also after field:
 *
 * Terms are separated by spaces; all must hold. Case does not count. Pure.
 */
#ifndef TUI_WIDGETS_FILTER_H
#define TUI_WIDGETS_FILTER_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FILTER_MAX_TERMS 16
#define FILTER_TEXT_SIZE 96

enum filter_op { FILTER_CONTAINS, FILTER_EQ, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

struct filter_term {
    bool negate;
    int field; /* index into the fields given to filter_parse, -1: any */
    enum filter_op op;
    int64_t number;
    char text[FILTER_TEXT_SIZE];
};

struct filter {
    struct filter_term terms[FILTER_MAX_TERMS];
    size_t n; /* 0: everything passes */
};

/* ERR_USAGE, naming the fields there are, for an unknown field; for an open quote, a number that is none, too many terms.
   Text before a colon that could not be a field name (a time, an address) is plain text. */
enum err filter_parse(struct filter *out, const char *text, const char *const *fields, size_t n_fields,
                      struct errinfo *ei) MUST_CHECK;

/* Text and number of one field of the row under test. Never returns NULL. */
typedef const char *filter_get(void *ctx, size_t field, int64_t *number);
bool filter_match(const struct filter *f, size_t n_fields, filter_get *get, void *ctx);

#endif
