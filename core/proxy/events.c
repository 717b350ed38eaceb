/* Event lines and HAR entries, built with jansson so that hostile paths and names stay data. */
#include "core/proxy/log_int.h"

#include "core/base/log.h"
#include "core/base/str.h"

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct event_log {
    FILE *events, *har;
    bool events_failed, har_failed, har_any;
};

static const char *time_text(int64_t ms, char out[40])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&s, &tm) == NULL || ms <= 0)
        return "-";
    size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + n, 40 - n, ".%03dZ", (int)(ms % 1000));
    return out;
}

static json_t *text_or_null(const char *s)
{
    return s[0] != '\0' ? json_string(s) : json_null();
}

static json_t *number_or_null(int n)
{
    return n >= 0 ? json_integer(n) : json_null();
}

/* The protocols of cli.md; a channel's direction shows in its method. */
static json_t *protocol(const char *name)
{
    if (strncmp(name, "oa", 2) == 0 && (name[2] == '-' || name[2] == '\0'))
        return json_string("oa");
    if (str_eq(name, "eas-ping"))
        return json_string("eas");
    return str_eq(name, "other") || str_eq(name, "health") ? json_null() : text_or_null(name);
}

enum err event_json(struct buf *out, const struct proxy_row *r)
{
    char at[40], error[256] = "";
    if (r->reason[0] != '\0')
        (void)str_fmt(error, sizeof error, "%s%s%s", r->rule, r->rule[0] != '\0' ? ": " : "", r->reason);
    json_t *j = json_pack(
        "{ss so so so ss ss so so so so sI sI so so so}", "at", time_text(r->began_ms, at), "client",
        text_or_null(r->client), "user", text_or_null(r->user), "protocol", protocol(r->protocol), "method",
        r->method, "path", r->path, "action", text_or_null(r->action), "target", text_or_null(r->target),
        "auth", text_or_null(r->auth), "status", r->status != 0 ? json_integer(r->status) : json_null(),
        "up_bytes", (json_int_t)r->up_bytes, "down_bytes", (json_int_t)r->down_bytes, "ttfb_ms",
        number_or_null(r->ttfb_ms), "total_ms", number_or_null(r->total_ms), "error", text_or_null(error));
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (text == NULL)
        return ERR_NOMEM;
    (void)buf_adds(out, text);
    free(text);
    return buf_addc(out, '\n');
}

static json_t *har_entry(const struct proxy_row *r)
{
    char at[40];
    char url[256]; /* HAR wants it whole; the host is the one that was asked in the end */
    (void)str_fmt(url, sizeof url, "https://%s%s", r->target[0] != '\0' ? r->target : "localhost", r->path);
    int wait = r->ttfb_ms >= 0 ? r->ttfb_ms : r->total_ms;
    return json_pack("{ss si s{ss ss ss s[] s[] s[] si sI} s{si ss ss s[] s[] s{si ss} ss si sI} s{} s{si si "
                     "si} ss ss ss}",
                     "startedDateTime", time_text(r->began_ms, at), "time", r->total_ms, "request", "method",
                     r->method, "url", url, "httpVersion", "HTTP/1.1", "cookies", "headers", "queryString",
                     "headersSize", -1, "bodySize", (json_int_t)r->up_bytes, "response", "status", r->status,
                     "statusText", "", "httpVersion", "HTTP/1.1", "cookies", "headers", "content", "size", -1,
                     "mimeType", "", "redirectURL", "", "headersSize", -1, "bodySize",
                     (json_int_t)r->down_bytes, "cache", "timings", "send", 0, "wait", wait, "receive",
                     r->total_ms - wait, "_target", r->target, "_rule", r->rule, "comment", r->reason);
}

static FILE *open_log(const char *path, struct errinfo *ei)
{
    /* names of users are in it: nobody else's business */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        (void)err_errno(ei, ERR_CONFIG, "is the folder there, and writable?", "cannot write %s", path);
        if (fd >= 0)
            (void)close(fd);
    }
    return f;
}

enum err event_log_new(struct event_log **out, const char *events, const char *har, struct errinfo *ei)
{
    struct event_log *l = calloc(1, sizeof *l);
    struct errinfo local = {0};
    if (l == NULL)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the event log");
    if (ei == NULL)
        ei = &local;
    if (events != NULL && (l->events = str_eq(events, "-") ? stdout : open_log(events, ei)) == NULL)
        goto fail;
    if (har != NULL) {
        if ((l->har = open_log(har, ei)) == NULL)
            goto fail;
        (void)fputs("{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"casbridge\",\"version\":\"1\"},"
                    "\"entries\":[\n",
                    l->har);
    }
    *out = l;
    return ERR_OK;
fail:
    if (l->events != NULL && l->events != stdout)
        (void)fclose(l->events);
    free(l);
    return ei->code;
}

static void failed(bool *flag, const char *what)
{
    if (!*flag)
        log_line(LOG_LEVEL_ERROR, "%s: %s: nothing more is written there", what, strerror(errno));
    *flag = true;
}

void event_log_row(struct event_log *l, const struct proxy_row *r)
{
    if (l->events != NULL && !l->events_failed) {
        struct buf b;
        buf_init(&b, 16384);
        if (event_json(&b, r) == ERR_OK && fwrite(b.data, 1, b.len, l->events) != b.len)
            failed(&l->events_failed, "the event file");
        buf_fini(&b);
    }
    if (l->har != NULL && !l->har_failed) {
        json_t *j = har_entry(r);
        char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
        if (text != NULL && fprintf(l->har, "%s%s", l->har_any ? ",\n" : "", text) < 0)
            failed(&l->har_failed, "the HAR file");
        l->har_any = true;
        free(text);
        json_decref(j);
    }
}

void event_log_flush(struct event_log *l)
{
    if (l->events != NULL && !l->events_failed && fflush(l->events) != 0)
        failed(&l->events_failed, "the event file");
    if (l->har != NULL && !l->har_failed && fflush(l->har) != 0)
        failed(&l->har_failed, "the HAR file");
}

void event_log_free(struct event_log **lp)
{
    struct event_log *l = *lp;
    if (l == NULL)
        return;
    event_log_flush(l);
    if (l->har != NULL) {
        (void)fputs("\n]}}\n", l->har);
        (void)fclose(l->har);
    }
    if (l->events != NULL && l->events != stdout)
        (void)fclose(l->events);
    free(l);
    *lp = NULL;
}
