/*
 * Exchange versions: the encodings of versionNumber, serialNumber and msExchVersion, generations, builds and
 * floors. Source: POX Autodiscover ServerVersion (MS-OXDSCLI), CSS-Exchange; builds.csv is compiled in.
 */
#ifndef CORE_MODEL_VERSION_H
#define CORE_MODEL_VERSION_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum generation {
    GENERATION_UNKNOWN,
    GENERATION_2003,
    GENERATION_2007,
    GENERATION_2010,
    GENERATION_2013,
    GENERATION_2016,
    GENERATION_2019,
    GENERATION_SE,
    GENERATION_COUNT
};

struct version {
    uint16_t major, minor, build, revision;
    bool has_revision; /* versionNumber has none */
};

#define VERSION_TEXT_SIZE 32

const char *generation_name(enum generation g); /* "2010", "se", "unknown" */
bool generation_from_name(const char *s, enum generation *g);
enum generation generation_of(struct version v);
/* 2007 and 2010: a CAS of its own in front of the mailbox, spoken to on 443. False for unknown and 2003. */
bool generation_is_legacy(enum generation g);

int version_cmp(struct version a, struct version b); /* revision counts only when both have one */
/* "14.3.123.4"; without revision "14.3.123". */
const char *version_text(struct version v, char out[static VERSION_TEXT_SIZE]);
bool version_parse(const char *s, struct version *v); /* "14.3.123.4" or "14.3.123" */
bool version_from_number(int64_t number, struct version *v);
int64_t version_to_number(struct version v);
/* "Version 14.3 (Build 30123.4)": 30000 is taken off a build above it. */
bool version_from_serial(const char *s, struct version *v);

struct build {
    enum generation generation;
    struct version version;
    const char *name;     /* "Exchange Server 2010 SP3" */
    const char *released; /* "2013-02-12" or "2013-02" */
};
extern const struct build builds[];
extern const size_t builds_count;

/* Exact build, else NULL. */
const struct build *build_find(struct version v);
/* "Exchange 2010 SP3", "Exchange 2013 CU23", "Exchange 2010 14.3.99"; into out, never fails. */
const char *version_product(struct version v, char *out, size_t cap);

/* The lowest build of `legacy` that may stand beside `target`. rollup: the directory cannot prove it, the server must be asked. */
struct version_floor {
    enum generation target, legacy;
    bool allowed;                   /* false: the pair cannot coexist */
    struct version directory_floor; /* what versionNumber can show */
    const char *directory_name;     /* "SP3" */
    bool rollup;
    struct version exact_floor; /* when rollup */
    const char *exact_name;     /* "SP3 RU10" */
    const char *source;
    const char *advice; /* what to do when the pair is not allowed: the hop in between */
};
/* NULL when nothing is known about the pair (show "unknown"). A pair of equal generations is always allowed, with the target's own floor. */
const struct version_floor *version_floor_find(enum generation target, enum generation legacy);

#endif
