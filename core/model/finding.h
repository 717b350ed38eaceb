/*
 * Findings: what rules conclude. Pure data; made by core/rules, read by views, commands, plan and report.
 */
#ifndef CORE_MODEL_FINDING_H
#define CORE_MODEL_FINDING_H

#include "core/base/name_map.h"
#include "core/model/cmdlet.h"
#include "core/model/evidence.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_BLOCKER };
const char *severity_name(enum severity s);

enum verdict { VERDICT_UNKNOWN, VERDICT_READY, VERDICT_NOT_READY, VERDICT_BLOCKED };
const char *verdict_name(enum verdict v); /* as in JSON: "not_ready" */
const char *verdict_text(enum verdict v); /* for people: "not ready" */

struct proof { /* one entry of "evidence" in cli.md */
    enum evidence_source source;
    const char *subject, *observed, *expected;
    int64_t at;
};

struct fix {
    const char *server;
    struct cmdlet cmdlet;
    bool automatic;
    const char *
        choice; /* not automatic because a person must choose, and between what; NULL: no plan may hold it. Static. */
};

struct accepted {
    const char *by, *reason;
    int64_t until; /* 0: for ever */
};

struct finding {
    const char *id; /* rule id of cli.md */
    enum severity severity;
    const char *server, *site; /* NULL: of the whole organisation */
    const char *drift_class;   /* auth-drift: "pending", ...; else NULL */
    const char *summary;
    struct proof *evidence;
    size_t n_evidence;
    const struct fix *fix;           /* NULL: nothing automatic or manual known */
    const struct accepted *accepted; /* NULL */
};

struct finding_ref {         /* passed and unknown */
    const char *id, *server; /* server NULL: of the whole organisation */
    const char *why;         /* unknown only */
};

struct findings {
    struct arena arena;
    enum generation target;
    enum verdict verdict;
    int64_t at;
    VEC(struct finding) found; /* severest first, then rule order, then server */
    VEC(struct finding_ref) passed;
    VEC(struct finding_ref) unknown;
    struct name_map by_rule; /* private: of findings_index() */
};

void findings_init(struct findings *f);
void findings_fini(struct findings *f);
/* Makes findings_say() quick; to be called when everything was said. Without memory it stays slow. */
void findings_index(struct findings *f);

/* What a rule says about a server (NULL: about the whole organisation). */
enum finding_word { FINDING_NOTHING, FINDING_FOUND, FINDING_PASSED, FINDING_UNKNOWN };
/* Found comes before passed, and passed before unknown. *why is the summary or the reason; NULL when passed. */
enum finding_word findings_say(const struct findings *f, const char *rule, const char *server,
                               const char **why);

#endif
