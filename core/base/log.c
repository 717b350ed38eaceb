#include "core/base/log.h"

#include "core/base/str.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink *sink;
static void *sink_arg;
static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_sink(log_sink *fn, void *arg)
{
    pthread_mutex_lock(&lock);
    sink = fn;
    sink_arg = arg;
    pthread_mutex_unlock(&lock);
}

void log_set_level(enum log_level max)
{
    pthread_mutex_lock(&lock);
    max_level = max;
    pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char raw[1200], line[1400];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    str_show_fixed(line, sizeof line, raw, (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1);
    pthread_mutex_lock(&lock);
    if (level <= max_level) {
        if (sink)
            sink(sink_arg, level, line);
        else
            fprintf(stderr, "casbridge: %s\n", line);
    }
    pthread_mutex_unlock(&lock);
}

void log_err(const struct errinfo *ei)
{
    const char *what = ei->what[0] ? ei->what : err_text(ei->code);
    if (ei->hint[0])
        log_line(LOG_LEVEL_ERROR, "%s: %s", what, ei->hint);
    else
        log_line(LOG_LEVEL_ERROR, "%s", what);
}
