/*
 * text2c NAME FILE...: text files as C: an array of { file name without folder and extension, content } called NAME[],
 * and NAME_count. Runs at build time.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: text2c NAME FILE...\n");
        return 2;
    }
    printf("/* made by text2c; do not edit */\n#include \"core/gen/text.h\"\n"
           "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\nconst struct text_file %s[] = "
           "{\n",
           argv[1]);
    int n = 0;
    for (int i = 2; i < argc; i++) {
        FILE *f = fopen(argv[i], "r");
        if (!f) {
            perror(argv[i]);
            return 1;
        }
        const char *base = strrchr(argv[i], '/');
        base = base ? base + 1 : argv[i];
        const char *dot = strrchr(base, '.');
        printf("    {\"%.*s\",\n", (int)(dot ? dot - base : (long)strlen(base)), base);
        int c, open = 0;
        while ((c = getc(f)) != EOF) {
            if (!open) {
                fputs("     \"", stdout);
                open = 1;
            }
            if (c == '\n') {
                fputs("\\n\"\n", stdout);
                open = 0;
            } else if (c == '"' || c == '\\') {
                printf("\\%c", c);
            } else if (isprint(c)) {
                putchar(c);
            } else {
                printf("\\%03o", (unsigned)c);
            }
        }
        fputs(open ? "\"},\n" : "     \"\"},\n", stdout);
        fclose(f);
        n++;
    }
    if (n == 0)
        puts("    {0, 0},");
    printf("};\nconst unsigned %s_count = %d;\n", argv[1], n);
    return 0;
}
