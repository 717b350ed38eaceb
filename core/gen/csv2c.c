/*
 * csv2c SPEC CSV: a CSV file (RFC 4180) as a C array. Runs at build time.
 *
 * SPEC, line by line:  include "x.h"        an include of the result
 *                      array TYPE NAME      the array (const TYPE NAME[], and NAME_count)
 *                      COLUMN text          a string, "" when empty
 *                      COLUMN enum PREFIX   PREFIX and the value in capitals, other characters '_'
 *                      COLUMN bool WORD     true when the value is WORD
 *                      COLUMN version       a struct version from "a.b.c.d"
 *                      COLUMN skip
 * Columns in the order of the array's members; each must be in the CSV's header row. A value the compiler does not know as an
 * enumerator is a compile error, which is the point.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 40
#define MAX_FIELD   20000

struct column {
    char name[64], kind[16], arg[64];
    int at;
};

static char field[MAX_COLUMNS][MAX_FIELD];

static void fail(const char *what, const char *arg)
{
    fprintf(stderr, "csv2c: %s: %s\n", what, arg);
    exit(1);
}

/* One record into field[]; the number of fields, 0 at the end of the file. */
static int record(FILE *f)
{
    int n = 0, c = getc(f);
    if (c == EOF)
        return 0;
    for (;;) {
        if (n == MAX_COLUMNS)
            fail("too many columns", "");
        size_t len = 0;
        int quoted = c == '"';
        if (quoted)
            c = getc(f);
        for (;; c = getc(f)) {
            if (quoted && c == '"') {
                c = getc(f);
                if (c != '"')
                    break;
            } else if (!quoted && (c == ',' || c == '\n' || c == '\r')) {
                break;
            }
            if (c == EOF) {
                if (quoted)
                    fail("a quoted field does not end", field[0]);
                break;
            }
            if (len + 1 == MAX_FIELD)
                fail("a field is too long", field[0]);
            field[n][len++] = (char)c;
        }
        field[n++][len] = '\0';
        if (c == '\r')
            c = getc(f);
        if (c == '\n' || c == EOF)
            return n;
        if (c != ',')
            fail("something follows a closing quote", field[0]);
        c = getc(f);
    }
}

static void put_text(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c == '?')
            fputs("\\?", stdout);
        else if (isprint(c))
            putchar(c);
        else
            printf("\\%03o", c);
    }
    putchar('"');
}

static void put_value(const struct column *col, const char *s)
{
    if (strcmp(col->kind, "text") == 0) {
        put_text(s);
    } else if (strcmp(col->kind, "enum") == 0) {
        fputs(col->arg, stdout);
        for (; *s; s++)
            putchar(*s == '*' ? 'A' : isalnum((unsigned char)*s) ? toupper((unsigned char)*s) : '_');
    } else if (strcmp(col->kind, "bool") == 0) {
        fputs(strcmp(s, col->arg) == 0 ? "true" : "false", stdout);
    } else if (strcmp(col->kind, "version") == 0) {
        unsigned a, b, c, d;
        if (sscanf(s, "%u.%u.%u.%u", &a, &b, &c, &d) != 4)
            fail("no version", s);
        printf("{%u, %u, %u, %u, true}", a, b, c, d);
    } else {
        fail("unknown kind of column", col->kind);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage", "csv2c SPEC CSV");
    FILE *spec = fopen(argv[1], "r"), *csv = fopen(argv[2], "r");
    if (!spec || !csv)
        fail("cannot open", spec ? argv[2] : argv[1]);
    struct column columns[MAX_COLUMNS];
    int n_columns = 0, rows = 0;
    char line[256], type[64] = "", name[64] = "";
    printf("/* made by csv2c; do not edit */\n");
    while (fgets(line, sizeof line, spec)) {
        struct column c = {.at = -1};
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (strncmp(line, "include ", 8) == 0) {
            printf("#include %s", line + 8);
        } else if (sscanf(line, "array %63s %63s", type, name) == 2) {
            continue;
        } else if (sscanf(line, "%63s %15s %63s", c.name, c.kind, c.arg) >= 2) {
            if (n_columns == MAX_COLUMNS)
                fail("too many columns", argv[1]);
            columns[n_columns++] = c;
        } else {
            fail("bad line", line);
        }
    }
    int n = record(csv);
    for (int i = 0; i < n_columns; i++) {
        for (int k = 0; k < n; k++)
            if (strcmp(field[k], columns[i].name) == 0)
                columns[i].at = k;
        if (columns[i].at < 0)
            fail("no such column", columns[i].name);
    }
    printf("\nconst struct %s %s[] = {\n", type, name);
    int header = n;
    while ((n = record(csv)) > 0) {
        if (n == 1 && field[0][0] == '\0')
            continue;
        if (n != header)
            fail("a row has another number of fields than the header", field[0]);
        fputs("    {", stdout);
        for (int i = 0; i < n_columns; i++) {
            if (strcmp(columns[i].kind, "skip") == 0)
                continue;
            put_value(&columns[i], field[columns[i].at]);
            fputs(", ", stdout);
        }
        puts("},");
        rows++;
    }
    printf("};\nconst size_t %s_count = %d;\n", name, rows);
    fclose(spec);
    fclose(csv);
    return 0;
}
