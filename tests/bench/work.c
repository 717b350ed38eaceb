/*
 * work rules|route|snapshot|probe ...: the parts of the program that are measured by themselves, without the reading of the organisation.
 *
 *     work rules LDIF ROUNDS             all rules with evidence for every server; prints "servers observations findings", then a
 *                                        time in milliseconds for each round
 *     work route LDIF USER ROUNDS        looks the user up; prints "look-up MS", then the time of each decision, judged by what the rules found
 *     work snapshot LDIF FILE            the organisation with that evidence in a snapshot, for the program to work on
 *     work probe LDIF CONFIG             Outlook Anywhere's challenge and TLS of every server, 32 at once; prints how many answered
 */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/directory/directory.h"
#include "core/probe/probe.h"
#include "core/report/snapshot.h"
#include "core/route/route.h"
#include "core/rules/rules.h"
#include "tests/bench/scene.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMESPACE "mail.contoso.lab"

static enum err read_org(struct org **org, const char *path, struct errinfo *ei)
{
    char source[4096];
    str_fmt(source, sizeof source, "ldif:%s", path);
    return directory_read(org, NULL, source, NULL, ei);
}

static double ms_since(int64_t ns)
{
    return (double)(clock_mono_ns() - ns) / 1e6;
}

/* Of this thread: what waits for nothing is not made slower by what else runs. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct rule_input rule_input(const struct org *org, const struct evidence *evidence)
{
    static const char *const namespaces[] = {NAMESPACE};
    return (struct rule_input){.org = org,
                               .evidence = evidence,
                               .target = GENERATION_2013,
                               .namespaces = namespaces,
                               .n_namespaces = 1,
                               .probed = true,
                               .now = clock_unix(),
                               .poll_interval_s = 900};
}

static enum err measure_rules(const struct org *org, unsigned rounds, struct errinfo *ei)
{
    struct evidence evidence;
    enum err e = scene_evidence(org, NAMESPACE, &evidence, ei);
    const struct rule_input in = rule_input(org, &evidence);
    for (unsigned i = 0; !e && i <= rounds; i++) {
        struct findings found;
        findings_init(&found);
        double from = cpu_ms();
        e = rules_evaluate(&in, &found, ei);
        double took = cpu_ms() - from;
        if (!e && i == 0) /* the first is not counted: the machine's caches are cold */
            printf("%zu %zu %zu\n", org->n_servers, evidence.items.n, found.found.n);
        else if (!e)
            printf("%.4f\n", took);
        findings_fini(&found);
    }
    evidence_fini(&evidence);
    return e;
}

static enum err decide(const struct org *org, const struct findings *findings, const struct mailbox *box,
                       const struct server *arriving, struct errinfo *ei)
{
    const struct route_request request = {.arriving = arriving,
                                          .protocol = PROTOCOL_OA,
                                          .mailbox_generation = box->generation,
                                          .mailbox_site = box->site,
                                          .database = box->database,
                                          .mailbox_server = box->server,
                                          .user = box->user,
                                          .anchor_hash = route_anchor(box->user)};
    struct route_decision decision;
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    enum err e = route_decide(org, &request, findings, &arena, &decision, ei);
    if (!e && decision.action != ROUTE_PROXY)
        e = err_set(ei, ERR_INTERNAL, NULL, "the route of %s is no proxy: this measures nothing", box->user);
    arena_fini(&arena);
    return e;
}

static enum err measure_route(const struct org *org, const char *path, const char *user, unsigned rounds,
                              struct errinfo *ei)
{
    struct directory *directory = NULL;
    struct evidence evidence;
    struct findings findings;
    struct mailbox box;
    char source[4096];
    const struct server *arriving = NULL;
    str_fmt(source, sizeof source, "ldif:%s", path);
    for (size_t i = 0; i < org->n_servers && !arriving; i++)
        if (org->servers[i].generation == GENERATION_2013)
            arriving = &org->servers[i];
    enum err e = scene_evidence(org, NAMESPACE, &evidence, ei);
    const struct rule_input in = rule_input(org, &evidence);
    findings_init(&findings);
    if (!e)
        e = rules_evaluate(&in, &findings, ei);
    if (!e)
        e = directory_open(&directory, NULL, source, NULL, ei);
    if (!e)
        e = directory_mailbox(directory, org, user, &box, NULL, ei); /* makes the index */
    int64_t from = clock_mono_ns();
    if (!e)
        e = directory_mailbox(directory, org, user, &box, NULL, ei);
    if (!e)
        printf("look-up %.4f\n", ms_since(from));
    for (unsigned i = 0; !e && i <= rounds; i++) {
        from = clock_mono_ns();
        e = decide(org, &findings, &box, arriving, ei);
        double took = ms_since(from);
        if (!e && i)
            printf("%.5f\n", took);
    }
    directory_close(&directory);
    findings_fini(&findings);
    evidence_fini(&evidence);
    return e;
}

static enum err write_snapshot(const char *path, const char *file, struct errinfo *ei)
{
    char source[4096];
    struct org *org = NULL;
    struct evidence evidence;
    struct buf kept;
    const acceptances none = {0};
    const struct snapshot_facts facts = {.made_at = clock_unix(),
                                         .made_by = "bench",
                                         .program = "bench",
                                         .probed = true,
                                         .target = GENERATION_2013,
                                         .namespaces = {NAMESPACE},
                                         .n_namespaces = 1,
                                         .poll_interval_s = 900};
    str_fmt(source, sizeof source, "ldif:%s", path);
    buf_init(&kept, (size_t)256 << 20);
    enum err e = directory_read_keeping(&org, &kept, NULL, source, NULL, ei);
    if (!e) {
        e = scene_evidence(org, NAMESPACE, &evidence, ei);
        if (!e)
            e = snapshot_write(file, &facts, org, &kept, &evidence, &none, ei);
        evidence_fini(&evidence);
    }
    buf_fini(&kept);
    org_free(&org);
    return e;
}

static enum err run_probe(const struct org *org, const char *config, struct errinfo *ei)
{
    struct profile profile = {0};
    struct evidence evidence;
    const struct probe_request request = {.protocols = 1u << PROTOCOL_OA, .parallel = 32};
    evidence_init(&evidence, (size_t)256 << 20);
    const struct server **all = calloc(org->n_servers, sizeof *all);
    enum err e = all ? profile_load(&profile, config, "lab", ei) : err_set(ei, ERR_NOMEM, NULL, "no memory");
    for (size_t i = 0; all && i < org->n_servers; i++)
        all[i] = &org->servers[i];
    if (!e)
        e = probe_run(&profile, org, all, org->n_servers, &request, NULL, NULL, NULL, &evidence, ei);
    size_t answered = 0, shaken = 0;
    for (size_t i = 0; !e && i < evidence.items.n; i++) {
        const struct observation *o = &evidence.items.v[i];
        answered += o->kind == OBSERVATION_CHALLENGE && o->u.challenge.status == 401;
        shaken += o->kind == OBSERVATION_TLS && o->outcome == OUTCOME_OK && o->u.tls.cert.chain_ok &&
                  o->u.tls.name_ok;
    }
    if (!e)
        printf("%zu challenges %zu handshakes of %zu servers\n", answered, shaken, org->n_servers);
    if (!e && (answered != org->n_servers || shaken < org->n_servers))
        e = err_set(ei, ERR_INTERNAL, NULL, "not every server was seen whole: this measures nothing");
    evidence_fini(&evidence);
    free(all);
    profile_fini(&profile);
    return e;
}

int main(int argc, char **argv)
{
    struct errinfo ei = {0};
    struct org *org = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (argc < 4) {
        fprintf(stderr, "usage: work rules LDIF ROUNDS | route LDIF USER ROUNDS | snapshot LDIF FILE | "
                        "probe LDIF CONFIG\n");
        return 2;
    }
    enum err e = read_org(&org, argv[2], &ei);
    if (!e && str_eq(argv[1], "snapshot"))
        e = write_snapshot(argv[2], argv[3], &ei);
    else if (!e && str_eq(argv[1], "rules"))
        e = measure_rules(org, (unsigned)strtoul(argv[3], NULL, 10), &ei);
    else if (!e && str_eq(argv[1], "route") && argc > 4)
        e = measure_route(org, argv[2], argv[3], (unsigned)strtoul(argv[4], NULL, 10), &ei);
    else if (!e && str_eq(argv[1], "probe"))
        e = run_probe(org, argv[3], &ei);
    else if (!e)
        e = err_set(&ei, ERR_USAGE, NULL, "%s is not known", argv[1]);
    org_free(&org);
    if (e)
        fprintf(stderr, "work: %s\n", ei.what);
    return e ? 1 : 0;
}
