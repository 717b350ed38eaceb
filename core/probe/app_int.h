/*
 * Inside the app_*.c files only: one step of an application, asked and recorded.
 */
#ifndef CORE_PROBE_APP_INT_H
#define CORE_PROBE_APP_INT_H

#include "core/model/version.h"
#include "core/probe/probe_int.h"

#define APP_URL_MAX 1024

/* A step under way. Nothing is recorded before its end, so that a step may ask several times. */
struct app_step {
    struct target *t;
    enum protocol protocol;
    const char *name;
    char subject[APP_URL_MAX];
    char by_name[PROBE_NAME_MAX];
    bool no_server; /* it is about a namespace */
    int64_t from;   /* clock_mono_ms() */
};

/* The subject is formatted. by_name is the target's own name unless changed after. */
void app_step_begin(struct app_step *s, struct target *t, enum protocol p, const char *name, const char *fmt,
                    ...) PRINTF_LIKE(5, 6);
void app_step_end(const struct app_step *s, enum outcome outcome, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* When the request came to nothing: what a person reads is ei's. Refused by ourselves is skipped, the rest is unknown. */
void app_step_error(const struct app_step *s, enum err e, const struct errinfo *ei);

/* A request to the target as whoever it let in for the protocol (target_method()). ERR_REFUSED with the reason when it let nobody in. */
enum err app_ask_as(struct target *t, enum protocol p, const struct http_request *req, bool last,
                    struct http_answer *out, struct errinfo *ei) MUST_CHECK;
enum err app_ask(struct target *t, const struct http_request *req, bool last, struct http_answer *out,
                 struct errinfo *ei) MUST_CHECK;
/* A header's value, "" when it is not there. */
const char *app_header(const struct http_answer *a, const char *name, char *out, size_t cap);
/* False, with the words, when the body is not whole: too large, or cut off. */
bool app_body_is_whole(const struct http_answer *a, char *why, size_t cap);
/* "200 text/html": what came, for a sentence. */
const char *app_came(const struct http_answer *a, char *out, size_t cap);
/* Ends the step for an answer that is no application's: 401, 503, ... */
void app_step_status(const struct app_step *s, const struct http_answer *a);

/* Evidence of the server's own build, unless it is of another version than the directory's, which a proxied answer would be. */
void app_note_build(struct target *t, enum protocol p, const char *subject, struct version v,
                    const char *words);

/* Whether a name is one of this organisation: of a server, a namespace, an address that the directory publishes. Credentials go nowhere else. */
bool app_host_is_ours(const struct target *t, const char *host);
bool app_domain_is_ours(const struct target *t, const char *domain);
/* False where the host map has one port for a name: http would be asked where https is. */
bool app_has_plain_port(const struct target *t, const char *host);

void app_mapi(struct target *t, bool last);
void app_owa(struct target *t, bool last);
void app_ecp(struct target *t, bool last);
void app_ews(struct target *t, bool last);
void app_eas(struct target *t, bool last);
void app_oab(struct target *t, bool last);
void app_autodiscover(struct target *t, bool last);
void app_powershell(struct target *t, bool last);

#endif
