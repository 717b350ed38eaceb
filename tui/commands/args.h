/*
 * Command-line arguments: tables of options in, a filled struct out. Options of the program and of the command may stand
 * anywhere before "--"; "--name=value" and "--name value" are the same. One table also feeds help, completion and the man page.
 */
#ifndef TUI_COMMANDS_ARGS_H
#define TUI_COMMANDS_ARGS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum arg_kind {
    ARG_FLAG,  /* bool */
    ARG_TEXT,  /* const char * */
    ARG_INT,   /* int, 0 or more */
    ARG_COUNT, /* int, 1 or more */
    ARG_LIST,  /* struct arg_list: repeatable */
};

#define ARG_MAX_VALUES 2048

struct arg_list {
    const char *v[ARG_MAX_VALUES];
    size_t n;
};

struct arg_spec {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* 0: none */
    enum arg_kind kind;
    size_t offset;     /* of the member in the struct that is filled */
    const char *value; /* "FILE"; NULL for a flag */
    const char *help;
};

struct arg_table {
    const struct arg_spec *specs;
    void *into;
};

/*
 * Fills the tables' structs from argv[0..argc). What is no option goes to words; what follows "--" is left in *rest (NULL when there
 * is none). An unknown option, a missing or a bad value is ERR_USAGE with what was probably meant.
 */
enum err args_parse(int argc, const char *const *argv, const struct arg_table *tables, size_t n_tables,
                    struct arg_list *words, const char *const **rest, struct errinfo *ei) MUST_CHECK;
/* The first word that is neither an option of specs nor the value of one; NULL when there is none before "--". */
const char *args_first_word(int argc, const char *const *argv, const struct arg_spec *specs);
/* Word most like s among n; NULL when none is near. */
const char *args_nearest(const char *s, const char *const *words, size_t n);

#endif
