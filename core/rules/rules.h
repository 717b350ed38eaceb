/*
 * The rules: pure functions (organisation, evidence, target) -> findings. No I/O, no clock but the given one. Time grows with the
 * servers (about 15 ms for 500 with 22 observations each).
 *
 * Evidence is taken by kind: challenges, handshakes, tickets, IIS switches, builds. Two steps that only a reader of hosts can deliver
 * (OBSERVATION_STEP, source EVIDENCE_HOST; OK: good, FAILED: bad) are known by name: "kb3140410" (the update is installed)
 * and "rpchttp-configurator" (the servicelet that copies methods to IIS runs). What could not be carried out, or was not asked,
 * makes unknown with its reason. A newer observation that says something wins over an older one.
 */
#ifndef CORE_RULES_RULES_H
#define CORE_RULES_RULES_H

#include "core/model/finding.h"

struct rule_input {
    const struct org *org;
    const struct evidence *evidence; /* never NULL; may be empty */
    enum generation target;
    const char *const
        *namespaces; /* names the new CAS takes; n 0: taken from the newest CAS's Outlook Anywhere names */
    size_t n_namespaces;
    const char *legacy_namespace; /* NULL */
    bool
        probed; /* wire evidence was asked for: what is missing is unknown because of failure, else "not probed" */
    int64_t now;             /* Unix seconds */
    int64_t poll_interval_s; /* RpcHttpConfigurator, 900 */
};

struct rule; /* one entry of the catalogue */

struct rule_info {
    const char *id;
    enum severity severity;
    const char *title;   /* "Outlook Anywhere offers Windows authentication" */
    const char *explain; /* why it matters, in two or three sentences */
    const char *source;
};
size_t rules_count(void);
const struct rule_info *rules_info(size_t i);
const struct rule_info *rules_find(const char *id);

/* The verdict over what was found (accepted findings do not count) and what is not known (of rules at error or worse). To be asked
   again when findings were accepted after the evaluation. */
enum verdict rules_verdict(const struct findings *f);

/* out must be initialised and empty. Every rule says found, passed or unknown for each subject it applies to. */
enum err rules_evaluate(const struct rule_input *in, struct findings *out, struct errinfo *ei) MUST_CHECK;
/* The name clients will use for Outlook Anywhere at the new CAS: profile namespace first, else the newest CAS's external host name. NULL unknown. */
const char *rules_oa_name(const struct rule_input *in);

#endif
