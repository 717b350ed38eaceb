/*
 * Writing HTML: literals of ours go out as they are, everything else through html_text, which replaces names, makes control
 * characters visible and escapes. Nothing is checked on the way: the buffer remembers that it failed.
 */
#ifndef CORE_REPORT_HTML_INT_H
#define CORE_REPORT_HTML_INT_H

#include "core/report/report_int.h"

struct html {
    const struct report *r;
    struct buf *out;
    struct buf redacted, shown; /* scratch */
    unsigned ids;               /* of the pictures' titles */
};

/* Markup of ours: never with text from outside. */
void html_raw(struct html *h, const char *markup);
void html_rawf(struct html *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Text: any string, NULL is a dash. Fit for element content and for attribute values in double quotes. */
void html_text(struct html *h, const char *text);
void html_textf(struct html *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same cut to so many characters, for a picture. */
void html_short(struct html *h, const char *text, size_t max);
/* An object's name, of which a line may hold a part: a DN, an URL. */
void html_name(struct html *h, const char *text);
void html_code(struct html *h, const char *text); /* the same in <code> */
/* <pre> with a cmdlet */
void html_command(struct html *h, const char *text);
void html_time(struct html *h, int64_t at); /* <time> in days and minutes */
/* <tag>text</tag> */
void html_element(struct html *h, const char *tag, const char *text);

const char *html_tri_class(enum tri t); /* "ok", "bad", "unknown" */
const char *html_tri_mark(enum tri t);  /* a glyph beside the colour */

/* <svg> with a title and a description that readers of the screen say. */
void svg_open(struct html *h, int width, int height, const char *title, const char *description);
void svg_close(struct html *h);

void html_blocking(struct html *h);       /* what blocks, what is unknown */
void html_other_findings(struct html *h); /* warnings, accepted, passed */
void html_readiness(struct html *h);
void html_routes(struct html *h);
void html_servers(struct html *h);
void html_certificates(struct html *h);
void html_plan(struct html *h);
void html_evidence(struct html *h);

#endif
