#include "core/model/version.h"

#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[GENERATION_COUNT] = {"unknown", "2003", "2007", "2010",
                                                    "2013",    "2016", "2019", "se"};

/* SE is 15.2 from this build on (directory.md 5.1). */
#define SE_FIRST_BUILD 2562
/* serialNumber stores the build with this added. */
#define SERIAL_OFFSET 30000

const char *generation_name(enum generation g)
{
    return (unsigned)g < GENERATION_COUNT ? names[g] : names[0];
}

bool generation_from_name(const char *s, enum generation *g)
{
    for (int i = GENERATION_2003; i < GENERATION_COUNT; i++) {
        if (str_ieq(s, names[i])) {
            *g = (enum generation)i;
            return true;
        }
    }
    return false;
}

enum generation generation_of(struct version v)
{
    static const struct {
        uint16_t major, minor;
        enum generation g;
    } table[] = {{15, 0, GENERATION_2013}, {15, 1, GENERATION_2016}, {15, 2, GENERATION_2019}};
    if (v.major == 6 && v.minor == 5)
        return GENERATION_2003;
    if (v.major == 8)
        return GENERATION_2007;
    if (v.major == 14)
        return GENERATION_2010;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (v.major == table[i].major && v.minor == table[i].minor)
            return table[i].g == GENERATION_2019 && v.build >= SE_FIRST_BUILD ? GENERATION_SE : table[i].g;
    return GENERATION_UNKNOWN;
}

bool generation_is_legacy(enum generation g)
{
    return g == GENERATION_2007 || g == GENERATION_2010;
}

int version_cmp(struct version a, struct version b)
{
    const int d[] = {a.major - b.major, a.minor - b.minor, a.build - b.build,
                     a.has_revision && b.has_revision ? a.revision - b.revision : 0};
    for (size_t i = 0; i < ARRAY_LEN(d); i++)
        if (d[i])
            return d[i] < 0 ? -1 : 1;
    return 0;
}

const char *version_text(struct version v, char out[static VERSION_TEXT_SIZE])
{
    if (v.has_revision)
        snprintf(out, VERSION_TEXT_SIZE, "%u.%u.%u.%u", v.major, v.minor, v.build, v.revision);
    else
        snprintf(out, VERSION_TEXT_SIZE, "%u.%u.%u", v.major, v.minor, v.build);
    return out;
}

/* Decimal number up to max at *s; moves past it. */
static bool number(const char **s, unsigned max, uint16_t *out)
{
    const char *p = *s;
    unsigned v = 0;
    while (*p >= '0' && *p <= '9') {
        v = v * 10 + (unsigned)(*p++ - '0');
        if (v > max)
            return false;
    }
    if (p == *s)
        return false;
    *s = p;
    *out = (uint16_t)v;
    return true;
}

bool version_parse(const char *s, struct version *v)
{
    struct version r = {0};
    if (!number(&s, 65535, &r.major) || *s++ != '.' || !number(&s, 65535, &r.minor) || *s++ != '.' ||
        !number(&s, 65535, &r.build))
        return false;
    if (*s == '.') {
        s++;
        if (!number(&s, 65535, &r.revision))
            return false;
        r.has_revision = true;
    }
    if (*s)
        return false;
    *v = r;
    return true;
}

bool version_from_number(int64_t number64, struct version *v)
{
    if (number64 < INT32_MIN || number64 > UINT32_MAX || number64 == 0)
        return false;
    uint32_t n = (uint32_t)number64;
    if (n < 0x70000000u) { /* 2003 and before: the plain build */
        if (n > 32767)
            return false;
        *v = (struct version){.major = 6, .minor = 5, .build = (uint16_t)n};
        return true;
    }
    *v = (struct version){.major = (uint16_t)(n >> 22 & 0x3f),
                          .minor = (uint16_t)(n >> 16 & 0x3f),
                          .build = (uint16_t)(n & 0x7fff)};
    return n >> 28 == 7;
}

int64_t version_to_number(struct version v)
{
    return 0x70000000 | (int64_t)(v.major & 0x3f) << 22 | (int64_t)(v.minor & 0x3f) << 16 | 0x8000 |
           (v.build & 0x7fff);
}

bool version_from_serial(const char *s, struct version *v)
{
    struct version r = {0};
    while (*s == ' ')
        s++;
    if (!str_istarts(s, "Version "))
        return false;
    s += strlen("Version ");
    if (!number(&s, 255, &r.major) || *s++ != '.' || !number(&s, 255, &r.minor))
        return false;
    while (*s == ' ')
        s++;
    if (!str_istarts(s, "(Build "))
        return false;
    s += strlen("(Build ");
    if (!number(&s, 65535, &r.build))
        return false;
    if (*s == '.') {
        s++;
        if (!number(&s, 65535, &r.revision))
            return false;
        r.has_revision = true;
    }
    while (*s == ' ')
        s++;
    if (*s != ')' && *s != ':') /* 2003 adds ": Service Pack 2)" */
        return false;
    if (r.build > SERIAL_OFFSET)
        r.build = (uint16_t)(r.build - SERIAL_OFFSET);
    *v = r;
    return true;
}

const struct build *build_find(struct version v)
{
    for (size_t i = 0; v.has_revision && i < builds_count; i++)
        if (version_cmp(builds[i].version, v) == 0)
            return &builds[i];
    return NULL;
}

/* The release a build belongs to: the row with that build and the lowest revision. */
static const struct build *release_of(struct version v)
{
    const struct build *best = NULL;
    v.has_revision = false;
    for (size_t i = 0; i < builds_count; i++)
        if (version_cmp(builds[i].version, v) == 0 &&
            (!best || builds[i].version.revision < best->version.revision))
            best = &builds[i];
    return best;
}

/* "Update Rollup 10 for Exchange Server 2007 SP3" -> "Exchange 2007 SP3 RU10"; "Exchange Server 2013 CU23" -> "Exchange 2013 CU23". */
static void short_name(const char *name, char *out, size_t cap)
{
    const char *product = strstr(name, "Exchange Server ");
    char rollup[32] = "";
    if (str_istarts(name, "Update Rollup ")) {
        const char *p = name + strlen("Update Rollup ");
        size_t n = strcspn(p, " ");
        str_fmt(rollup, sizeof rollup, " RU%.*s", (int)(n < 16 ? n : 16), p);
    }
    str_fmt(out, cap, "Exchange %s%s", product ? product + strlen("Exchange Server ") : name, rollup);
}

const char *version_product(struct version v, char *out, size_t cap)
{
    static const char *const packs[] = {"RTM", "SP1", "SP2", "SP3"};
    char text[VERSION_TEXT_SIZE];
    enum generation g = generation_of(v);
    const struct build *b = build_find(v);
    if (!b)
        b = release_of(v);
    if (b)
        short_name(b->name, out, cap);
    else if (generation_is_legacy(g) && v.minor < ARRAY_LEN(packs))
        str_fmt(out, cap, "Exchange %s %s (%s)", names[g], packs[v.minor], version_text(v, text));
    else if (g == GENERATION_UNKNOWN)
        str_fmt(out, cap, "Exchange, unknown version %s", version_text(v, text));
    else
        str_fmt(out, cap, "Exchange %s (%s)", g == GENERATION_SE ? "SE" : names[g], version_text(v, text));
    return out;
}

#define V3(a, b, c)                                                                                          \
    {                                                                                                        \
        a, b, c, 0, false                                                                                    \
    }
#define V4(a, b, c, d)                                                                                       \
    {                                                                                                        \
        a, b, c, d, true                                                                                     \
    }
#define NO_FLOOR  V3(0, 0, 0), ""
#define NO_ROLLUP false, V3(0, 0, 0), ""
#define G(x)      GENERATION_##x

/* migration.md section 2, routing.md section 8. */
static const struct version_floor floors[] = {
    {G(2013), G(2003), false, NO_FLOOR, NO_ROLLUP, "exchange-2013-system-requirements",
     "move everything off Exchange 2003 to 2007 or 2010 first"},
    {G(2013), G(2007), true, V3(8, 3, 83), "SP3", true, V4(8, 3, 298, 3), "SP3 RU10",
     "exchange-2013-system-requirements", ""},
    {G(2013), G(2010), true, V3(14, 3, 123), "SP3", NO_ROLLUP, "exchange-2013-system-requirements", ""},
    {G(2013), G(2013), true, V3(15, 0, 712), "CU2", NO_ROLLUP, "exchange-2013-system-requirements", ""},
    {G(2016), G(2003), false, NO_FLOOR, NO_ROLLUP, "ms-exch-setupreadiness-e16e12",
     "go by 2010 (or 2007 and 2013): no version stands beside both 2003 and 2016"},
    {G(2016), G(2007), false, NO_FLOOR, NO_ROLLUP,
     "ms-exch-setupreadiness-e16e12coexistenceminversionrequirement",
     "go by 2013: move everything off Exchange 2007 to 2013 first"},
    {G(2016), G(2010), true, V3(14, 3, 123), "SP3", true, V4(14, 3, 266, 2), "SP3 RU11",
     "system-requirements", ""},
    {G(2016), G(2013), true, V3(15, 0, 1130), "CU10", NO_ROLLUP, "system-requirements", ""},
    {G(2016), G(2016), true, NO_FLOOR, NO_ROLLUP, "system-requirements", ""},
    {G(2019), G(2003), false, NO_FLOOR, NO_ROLLUP, "system-requirements", "go by 2010 and 2013 or 2016"},
    {G(2019), G(2007), false, NO_FLOOR, NO_ROLLUP, "system-requirements",
     "go by 2013: move everything off 2007 first"},
    {G(2019), G(2010), false, NO_FLOOR, NO_ROLLUP, "system-requirements",
     "go by 2013 or 2016: move everything off Exchange 2010 first"},
    {G(2019), G(2013), true, V3(15, 0, 1395), "CU21", NO_ROLLUP, "system-requirements", ""},
    {G(2019), G(2016), true, V3(15, 1, 1591), "CU11", NO_ROLLUP, "system-requirements", ""},
    {G(2019), G(2019), true, NO_FLOOR, NO_ROLLUP, "system-requirements", ""},
    {G(SE), G(2003), false, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se",
     "go by 2010, 2016 and 2019"},
    {G(SE), G(2007), false, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se",
     "go by 2013, then 2016 or 2019"},
    {G(SE), G(2010), false, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se",
     "go by 2016: move everything off Exchange 2010 first"},
    {G(SE), G(2013), false, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se",
     "go by 2016 or 2019: setup refuses while a 2013 server is in the organisation"},
    {G(SE), G(2016), true, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se", ""},
    {G(SE), G(2019), true, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se", ""},
    {G(SE), G(SE), true, NO_FLOOR, NO_ROLLUP, "upgrade-to-exchange-server-se", ""},
};

const struct version_floor *version_floor_find(enum generation target, enum generation legacy)
{
    for (size_t i = 0; i < ARRAY_LEN(floors); i++)
        if (floors[i].target == target && floors[i].legacy == legacy)
            return &floors[i];
    return NULL;
}
