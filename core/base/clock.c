#include "core/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int64_t clock_unix(void)
{
    return (int64_t)time(NULL);
}

/* Days from 1970-01-01, by counting from 1 March of year 0 so that the leap day is last. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

int64_t clock_from_civil(int year, int month, int day, int hour, int minute, int second)
{
    return days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

const char *clock_rfc3339(int64_t t, char out[static CLOCK_TEXT_SIZE])
{
    time_t when = (time_t)t;
    struct tm tm;
    if (t <= 0 || !gmtime_r(&when, &tm) || strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "-", 2);
    return out;
}

static bool digits(const char *s, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *out = *out * 10 + (s[i] - '0');
    }
    return true;
}

static bool is_civil(int y, int mo, int d, int h, int mi, int s)
{
    static const int in_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return y > 0 && mo >= 1 && mo <= 12 && d >= 1 && d <= in_month[mo - 1] + (mo == 2 && leap) && h <= 23 &&
           mi <= 59 && s <= 60;
}

bool clock_parse_rfc3339(const char *s, int64_t *t)
{
    int y, mo, d, h, mi, sec;
    if (strlen(s) != 20 || !digits(s, 4, &y) || s[4] != '-' || !digits(s + 5, 2, &mo) || s[7] != '-' ||
        !digits(s + 8, 2, &d) || s[10] != 'T' || !digits(s + 11, 2, &h) || s[13] != ':' ||
        !digits(s + 14, 2, &mi) || s[16] != ':' || !digits(s + 17, 2, &sec) || s[19] != 'Z' ||
        !is_civil(y, mo, d, h, mi, sec))
        return false;
    *t = clock_from_civil(y, mo, d, h, mi, sec);
    return true;
}

bool clock_parse_generalized(const char *s, int64_t *t)
{
    int y, mo, d, h, mi, sec;
    if (strnlen(s, 15) < 15 || !digits(s, 4, &y) || !digits(s + 4, 2, &mo) || !digits(s + 6, 2, &d) ||
        !digits(s + 8, 2, &h) || !digits(s + 10, 2, &mi) || !digits(s + 12, 2, &sec) ||
        !is_civil(y, mo, d, h, mi, sec))
        return false;
    const char *rest = s + 14;
    if (*rest == '.' || *rest == ',')
        for (rest++; *rest >= '0' && *rest <= '9';)
            rest++;
    if (strcmp(rest, "Z") != 0)
        return false;
    *t = clock_from_civil(y, mo, d, h, mi, sec);
    return true;
}
