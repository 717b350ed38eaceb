/*
 * What servers answer instead of doing it, in words: faults of WS-Management and bare HTTP statuses. Pure; a table each.
 *
 * The code decides first, then the subcode, then what the text says; the server's own words are always kept (remoting.md 2.3, 5;
 * MS-WSMV 2.2.4.43).
 */
#ifndef REMOTING_FAULT_H
#define REMOTING_FAULT_H

#include "remoting/wsman.h"

/* The server's text into reason, and what it names: a wait ("for at least 4273 milliseconds"), another place ("Redirect location
   reported: https://..."). */
void fault_take_text(struct wsman_fault *f, const char *text);

/* what: "excas01:5985: starting the command". Fills ei and returns its code, never ERR_OK. */
enum err fault_words(const struct wsman_fault *f, const char *what, struct errinfo *ei);
/* The same for an answer that holds no envelope. location: of a redirection, "" when none. */
enum err fault_http_words(int status, const char *location, const char *what, struct errinfo *ei);

#endif
