/*
 * Small texts that several views share.
 */
#ifndef TUI_VIEWS_FORMAT_H
#define TUI_VIEWS_FORMAT_H

#include "tui/views/ui.h"

/* Into cell->scratch, and cell->text points at it. */
void cell_printf(struct cell *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cell_state(struct cell *c, enum state s);
/* "basic, ntlm", "none", or "not set". Returns out. */
const char *auth_words(bool known, auth_set set, char *out, size_t cap);
/* The same for a narrow column: "basic+nego+ntlm". */
const char *auth_brief(auth_set set, char *out, size_t cap);
/* What an anonymous request got: "401 negotiate, ntlm", "200", why there was no answer. o NULL: "not asked". */
const char *offer_words(const struct observation *o, char *out, size_t cap);
enum state offer_state(const struct observation *o);
/* "12:04:31Z" of today's or any day; "-" for 0. */
const char *clock_words(int64_t t, char *out, size_t cap);
/* "3.4k", "12M" */
const char *bytes_words(uint64_t n, char *out, size_t cap);

/* Why it matters, how we know, what mends it. */
void describe_finding(struct pane *p, const struct finding *f);
void describe_cmdlet(struct pane *p, enum paint paint, const char *label, const struct cmdlet *c);
/* What the last reading had to say when there is no organisation: for empty tables. */
const char *no_world_words(const struct session *s);
/* What another console or command is at with the store; returns the lines used (0: nobody is). */
int draw_sight(const struct session *s, struct rect r);
/* The fact as one line each: step, outcome, detail. */
void describe_observation(struct pane *p, const struct observation *o);

#endif
