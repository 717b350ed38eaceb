/*
 * Inside core/rules: what a rule function is given, and how it says found, passed or unknown.
 *
 * A rule is a void function over struct rule_run. Saying something never fails visibly: the first failure (memory, limit) is
 * kept in run->failed and rules_evaluate returns it, so that rules read as what they judge and nothing else. All texts
 * are made safe to show here, once; names of servers and sites are kept as read because they identify.
 */
#ifndef CORE_RULES_RULES_INT_H
#define CORE_RULES_RULES_INT_H

#include "core/audit/spn.h"
#include "core/base/name_map.h"
#include "core/rules/judge.h"
#include "core/rules/rules.h"

#define RULE_MAX_PROOFS 24

struct rule_run;

struct rule {
    struct rule_info info;
    void (*judge)(struct rule_run *run);
};

/* What every rule needs, worked out once per evaluation. */
struct rule_facts {
    const struct server **legacy; /* CAS of 2007 and 2010, by name */
    size_t n_legacy;
    const struct server **arriving; /* CAS of the target's generation */
    size_t n_arriving;
    const struct server **cas; /* all CAS */
    size_t n_cas;
    enum generation
        naming; /* whose Outlook Anywhere names are the new ones; may be a legacy one while no new CAS is there */
    const char *oa_name;    /* rules_oa_name() */
    auth_set enable_method; /* client method for those who get Outlook Anywhere; 0: not worked out yet */
    const char **oa_names;  /* names that clients will use for Outlook Anywhere, without duplicates */
    size_t n_oa_names;
    /* Observations by server (without case), kind, protocol, newest first; those without a server come first. */
    const struct observation **by_server;
    size_t n_observations;
    size_t *groups;           /* where each server's begin; one more at the end */
    struct name_map group_of; /* places in groups */
};

struct rule_run {
    const struct rule_input *in;
    const struct rule *rule;
    struct findings *out;
    struct rule_facts facts;
    struct spn_audit names; /* of what was looked up; empty when nobody did */
    struct arena scratch;
    enum err failed;
};

enum err facts_init(struct rule_run *run, struct errinfo *ei) MUST_CHECK;
void facts_fini(struct rule_run *run);

/* All observations of a server: a slice of facts.by_server. */
struct observations {
    const struct observation **v;
    size_t n;
};
struct observations facts_of(const struct rule_run *run, const char *server);
/* Newest of that kind and protocol (PROTOCOL_UNKNOWN: any) whose by_name is name (NULL: any) that says something: what was
   skipped or could not be carried out comes only when there is nothing better. NULL when there is none at all. */
const struct observation *facts_newest(const struct rule_run *run, const char *server,
                                       enum observation_kind kind, enum protocol protocol, const char *name);
/* The exact build: what the server itself said, unless a page of its own was read more than a day later; NULL when nobody knows it. */
const struct observation *facts_build(const struct rule_run *run, const struct server *s);
/* The name for a server's Outlook Anywhere: of the new CAS in its site when that has one, else the first. NULL unknown. */
const char *facts_oa_name(const struct rule_run *run, const struct server *s);
bool facts_is_namespace(const struct rule_run *run, const char *name);

/* A finding in the making; on the stack of the rule. */
struct draft {
    struct finding f;
    struct proof proofs[RULE_MAX_PROOFS];
};

/* server NULL: of the whole organisation. */
void rule_pass(struct rule_run *run, const struct server *s);
void rule_unknown(struct rule_run *run, const struct server *s, const char *fmt, ...) PRINTF_LIKE(3, 4);
void draft_init(struct draft *d, const struct rule_run *run, const struct server *s);
/* observed and expected may be NULL ("-"). Copied into the scratch arena; proofs past the limit are left out. */
void draft_prove(struct rule_run *run, struct draft *d, enum evidence_source source, const char *subject,
                 const char *observed, const char *expected, int64_t at);
/* subject "DN attribute" of the directory, at the time it was read. */
void draft_prove_attribute(struct rule_run *run, struct draft *d, const char *dn, const char *attribute,
                           const char *observed, const char *expected);
void draft_prove_observation(struct rule_run *run, struct draft *d, const struct observation *o,
                             const char *observed, const char *expected);
void rule_found(struct rule_run *run, struct draft *d, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Why an observation says nothing: "not probed", or what went wrong. In the scratch arena or static. */
const char *rule_why_unseen(struct rule_run *run, const struct observation *o, const char *what);
/* In the scratch arena; never NULL ("?" when memory ran out: the failure is kept). */
const char *rule_text(struct rule_run *run, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *rule_auth_text(struct rule_run *run, auth_set set);
const char *rule_time_text(struct rule_run *run, int64_t t);
/* "mailboxes in Dublin": whom a legacy CAS serves, for summaries. */
const char *rule_place_text(struct rule_run *run, const struct server *s);
/* "EX13CAS01", or "the new CAS" when there is none yet or there are several. */
const char *rule_arriving_text(const struct rule_run *run);

/* Fixes: NULL when the change cannot be written as one cmdlet for that version; the caller's summary then says why. */
const struct fix *fix_oa_auth(struct rule_run *run, const struct vdir *v);
const struct fix *fix_oa_enable(struct rule_run *run, const struct server *s);
const struct fix *fix_oa_hostname(struct rule_run *run, const struct vdir *v, const char *name);
const struct fix *fix_oa_offloading(struct rule_run *run, const struct vdir *v, bool on);
/* For a person to choose: who speaks without encryption is cut off, or let in. */
const struct fix *fix_rpc_encryption(struct rule_run *run, const struct server *s, bool required);
/* Forms logon on; NULL when the version has no way to write it exactly. */
const struct fix *fix_owa_forms(struct rule_run *run, const struct vdir *v);
/* Windows authentication on, of web services or Autodiscover; for a person to choose. */
const struct fix *fix_windows_auth(struct rule_run *run, const struct vdir *v);
/* One string parameter of a Set- cmdlet of that virtual directory's family. */
const struct fix *fix_vdir_url(struct rule_run *run, const struct vdir *v, const char *param, const char *url,
                               bool automatic);
const struct fix *fix_scp(struct rule_run *run, const struct server *s, const char *url);

/* Owners of service names, where somebody looked them up: into run->names. False when there is no room. */
bool service_names_audit(struct rule_run *run);
/* Found, passed or unknown for one name; false when nobody looked it up. A sound namespace says nothing here. */
bool service_names_judge(struct rule_run *run, const struct spn_row *r);
/* The row of a host that was looked up; NULL. */
const struct spn_row *service_names_row(const struct rule_run *run, const char *host, size_t len);

void judge_coexistence(struct rule_run *run);
void judge_version_floor(struct rule_run *run);
void judge_oa_enabled(struct rule_run *run);
void judge_oa_iis_auth(struct rule_run *run);
void judge_oa_external_hostname(struct rule_run *run);
void judge_oa_wire(struct rule_run *run);
void judge_auth_drift(struct rule_run *run);
void judge_spn_unique(struct rule_run *run);
void judge_kerberos_ticket(struct rule_run *run);
void judge_certificate(struct rule_run *run);
void judge_legacy_namespace(struct rule_run *run);
void judge_internal_url(struct rule_run *run);
void judge_nlb_bypass(struct rule_run *run);
void judge_proxy_auth(struct rule_run *run);
void judge_fba_match(struct rule_run *run);
void judge_url_server_name(struct rule_run *run);
void judge_autodiscover_scp(struct rule_run *run);
void judge_rpc_encryption(struct rule_run *run);
void judge_tls_version(struct rule_run *run);
void judge_ssl_offloading(struct rule_run *run);
void judge_site_consistency(struct rule_run *run);
void judge_kb3140410(struct rule_run *run);
void judge_extended_protection(struct rule_run *run);

#endif
