/*
 * schedule STORE HOSTS PARALLEL DELAY_MS: applies a plan to that many servers, each of which takes DELAY_MS to do what it is told, and
 * verifies each in the directory and on the wire. The engine, its journal (a real one, at STORE) and its threads are the program's; the
 * servers are a table in memory, so that what is measured is the schedule and not the machine's handshakes. Prints one JSON object.
 */
#include "core/base/clock.h"
#include "core/plan/run_int.h"
#include "tests/unit/org_builder.h"

#include <sys/resource.h>
#include <time.h>

#define MAX_HOSTS 1000
#define COSTED    50 /* records whose cost is averaged */

static struct {
    const struct org *org;
    atomic_int has_ntlm[MAX_HOSTS], pushes;
    int delay_ms;
} world;

static void sleep_ms(void *ctx, int ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    (void)ctx;
    while (nanosleep(&t, &t) != 0) {
    }
}

static int64_t now_ms(void *ctx)
{
    (void)ctx;
    return clock_mono_ms();
}

static size_t index_of_dn(const char *dn)
{
    for (size_t i = 0; i < world.org->n_vdirs; i++)
        if (str_eq(world.org->vdirs[i].dn, dn))
            return (size_t)(world.org->vdirs[i].server - world.org->servers);
    abort();
}

static enum err attribute(void *ctx, size_t at, const char *dn, const char *name,
                          struct directory_values *out, const struct stop *stop, struct errinfo *ei)
{
    (void)ctx, (void)at, (void)stop, (void)ei;
    bool iis = str_eq(name, "msExchInternalAuthenticationMethods");
    out->v = calloc(1, sizeof *out->v);
    out->v[0] = strdup(iis && atomic_load(&world.has_ntlm[index_of_dn(dn)]) ? "3" : "1");
    out->n = 1;
    return ERR_OK;
}

static void challenge(void *ctx, const struct server *server, enum protocol protocol, const struct stop *stop,
                      struct evidence *e)
{
    struct observation *o = evidence_add(e, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    (void)ctx, (void)stop;
    o->server = server->name;
    o->protocol = protocol;
    o->step = "challenge";
    o->outcome = OUTCOME_OK;
    o->u.challenge.status = 401;
    o->u.challenge.offered = AUTH_BASIC;
    if (atomic_load(&world.has_ntlm[server - world.org->servers]))
        o->u.challenge.offered |= AUTH_NTLM | AUTH_NEGOTIATE;
}

static enum err run(struct transport *self, const struct remote_target *target, const struct cmdlet *cmdlet,
                    const struct stop *stop, struct remote_result *out, struct errinfo *ei)
{
    (void)self, (void)cmdlet, (void)stop, (void)ei;
    sleep_ms(NULL, world.delay_ms);
    atomic_store(&world.has_ntlm[org_server(world.org, target->server) - world.org->servers], 1);
    atomic_fetch_add(&world.pushes, 1);
    out->sent = out->has_exit_code = true;
    out->output = strdup("ok\r\n");
    return ERR_OK;
}

static struct plan *make_plan(struct org_builder *b, size_t hosts)
{
    static const char *const words[] = {"Basic", "NTLM"};
    struct findings f;
    struct plan *p = NULL;
    struct errinfo ei = {0};
    org_begin(b, "Contoso", "contoso.lab");
    struct site *site = add_site(b, "Barcelona", "10.1.0.0/16");
    findings_init(&f);
    f.target = GENERATION_2013;
    for (size_t i = 0; i < hosts; i++) {
        char name[32], identity[100];
        snprintf(name, sizeof name, "CAS%04zu", i);
        struct server *s = add_server(b, name, site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        add_outlook_anywhere(b, s, "mail.contoso.lab", AUTH_BASIC, AUTH_BASIC);
        snprintf(identity, sizeof identity, "%s\\Rpc (Default Web Site)", name);
        struct fix *fix = arena_alloc(&f.arena, sizeof *fix);
        *fix = (struct fix){.server = arena_str(&f.arena, name), .automatic = true};
        cmdlet_init(&fix->cmdlet, &f.arena, "Set-OutlookAnywhere");
        (void)cmdlet_string(&fix->cmdlet, "Identity", identity);
        (void)cmdlet_words(&fix->cmdlet, "IISAuthenticationMethods", words, 2);
        struct finding one = {.id = "oa-iis-auth",
                              .severity = SEVERITY_ERROR,
                              .server = fix->server,
                              .summary = "",
                              .fix = fix};
        ASSERT(VEC_PUSH(&f.found, MAX_HOSTS, one));
    }
    world.org = org_end(b);
    enum err e = plan_build(&p, world.org, &f, NULL, "bench", &ei);
    if (e != ERR_OK || p->n_steps != hosts) {
        fprintf(stderr, "schedule: %s\n", e ? ei.what : "steps are missing");
        exit(1);
    }
    findings_fini(&f);
    return p;
}

/* What one durable record costs on this disk, now: the journal's share of the wall. */
static double record_ms(struct store *store)
{
    char run_id[] = "bench", phase[] = "verify", who[] = "bench", detail[] = "401, basic, ntlm, negotiate";
    struct journal_record r = {.run = run_id, .step = 1, .phase = phase, .who = who, .detail = detail};
    int64_t began = clock_mono_ms();
    for (int i = 0; i < COSTED; i++)
        if (journal_append(store, &r, NULL) != ERR_OK)
            return -1;
    return (double)(clock_mono_ms() - began) / COSTED;
}

int main(int argc, char **argv)
{
    struct org_builder b;
    struct store *store = NULL;
    struct errinfo ei = {0};
    struct plan_outcome done = {0};
    struct transport transport = {.name = "table", .run = run};
    const struct plan_io io = {
        .attribute = attribute, .challenge = challenge, .now_ms = now_ms, .sleep_ms = sleep_ms};
    int64_t hosts = 0, parallel = 0, delay_ms = 0;
    if (argc != 5 || !str_to_i64(argv[2], strlen(argv[2]), &hosts) || hosts < 1 || hosts > MAX_HOSTS ||
        !str_to_i64(argv[3], strlen(argv[3]), &parallel) ||
        !str_to_i64(argv[4], strlen(argv[4]), &delay_ms)) {
        fprintf(stderr, "usage: schedule STORE HOSTS PARALLEL DELAY_MS\n");
        return 2;
    }
    world.delay_ms = (int)delay_ms;
    struct plan *plan = make_plan(&b, (size_t)hosts);
    const struct plan_apply_options o = {.org = world.org,
                                         .transport = &transport,
                                         .who = "bench",
                                         .from = "localhost",
                                         .parallel = (unsigned)parallel,
                                         .poll_interval_s = 900};
    enum err e = store_open(&store, argv[1], &ei);
    struct plan_apply_options with_store = o;
    with_store.store = store;
    int64_t began = clock_mono_ms();
    if (e == ERR_OK)
        e = run_apply(plan, &with_store, &io, &done, &ei);
    int64_t wall = clock_mono_ms() - began;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    if (e != ERR_OK) {
        fprintf(stderr, "schedule: %s\n", ei.what);
        return 1;
    }
    printf("{\"done\": %u, \"pushes\": %d, \"wall_ms\": %lld, \"cpu_ms\": %lld, \"record_ms\": %.2f}\n",
           done.done, atomic_load(&world.pushes), (long long)wall,
           (long long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000,
           record_ms(store));
    store_close(&store);
    plan_free(&plan);
    struct org *org = b.org;
    builder_free(&org);
    return 0;
}
