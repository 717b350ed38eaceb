/* The shape of what text2c makes. Whoever includes it names the array with extern declarations of its own. */
#ifndef CORE_GEN_TEXT_H
#define CORE_GEN_TEXT_H

struct text_file {
    const char *name, *text;
};
extern const struct text_file theme_builtin[];
extern const unsigned theme_builtin_count;
extern const struct text_file report_style[];
extern const unsigned report_style_count;

#endif
