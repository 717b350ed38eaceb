/*
 * What moved between two organisations and their evidence, in the words of an admin: servers, versions, roles, sites, each
 * property of a virtual directory, connection points, databases, certificates, what the wire offers, findings.
 *
 * Pure. Each side is taken apart into facts (a thing, a property, a value), sorted, and the two lists are merged.
 */
#ifndef CORE_REPORT_DIFF_H
#define CORE_REPORT_DIFF_H

#include "core/model/finding.h"

/* name in JSON and CSV, words for people */
#define DIFF_AREA_MAP(X)                                                                                     \
    X(ORGANIZATION, "organization", "organisation")                                                          \
    X(DOMAIN, "domain", "accepted domain")                                                                   \
    X(SITE, "site", "site")                                                                                  \
    X(LINK, "site_link", "site link")                                                                        \
    X(SERVER, "server", "server")                                                                            \
    X(VDIR, "virtual_directory", "virtual directory")                                                        \
    X(AUTODISCOVER, "autodiscover", "Autodiscover connection point")                                         \
    X(ARRAY, "array", "Client Access array")                                                                 \
    X(DATABASE, "database", "database")                                                                      \
    X(CERTIFICATE, "certificate", "certificate")                                                             \
    X(SPN, "spn", "service name of")                                                                         \
    X(WIRE, "wire", "on the wire")                                                                           \
    X(FINDING, "finding", "finding")

enum diff_area {
#define X(name, id, words) DIFF_##name,
    DIFF_AREA_MAP(X)
#undef X
        DIFF_AREA_COUNT
};
const char *diff_area_id(enum diff_area a);
const char *diff_area_words(enum diff_area a);

struct diff_change {
    enum diff_area area;
    const char *subject;        /* "EXCAS01", "EXCAS01\Rpc (Default Web Site)" */
    const char *property;       /* NULL: the thing itself came or went */
    const char *before, *after; /* NULL: it was not there, it is not there any more */
};

struct diff_side {
    const struct org *org;
    const struct evidence *evidence;
    const struct findings *findings;
};

struct diff {
    struct arena arena;
    VEC(struct diff_change) changes; /* by area, subject, property */
};
enum err diff_build(struct diff *out, const struct diff_side *a, const struct diff_side *b,
                    struct errinfo *ei) MUST_CHECK;
void diff_fini(struct diff *d);

#endif
