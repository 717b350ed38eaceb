/*
 * winrm CONFIG VIA SERVER FQDN: one cmdlet on one Exchange 2010 server, over and over, through a transport of the program.
 *
 * The first line written is the command line that goes to the server, so that another client can be given the same. Each line read is
 * "kept N" or "fresh N": N commands, one after the other, with one transport for all (its connection and login are kept) or with one
 * for each. Each answer is a line of JSON: every command's milliseconds, and the CPU that all took, in milliseconds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/str.h"
#include "core/kerberos/kerberos.h"
#include "remoting/remoting.h"
#include "remoting/script.h"

#define TIMEOUT_MS 60000

struct bench {
    const struct profile *profile;
    const char *via;
    struct remote_target target;
    const struct cmdlet *cmdlet;
    struct transport *kept;
};

static double now_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fail(const char *what, const struct errinfo *ei)
{
    fprintf(stderr, "winrm: %s: %s\n", what, ei->what);
    exit(1);
}

static void once(const struct bench *b, struct transport *t)
{
    struct remote_result r = {0};
    struct errinfo ei = {0};
    struct stop stop;
    stop_init(&stop, TIMEOUT_MS, NULL);
    if (t->run(t, &b->target, b->cmdlet, &stop, &r, &ei))
        fail("no answer", &ei);
    if (!remote_result_ok(&r) || !r.output || !strstr(r.output, b->target.server)) {
        err_set(&ei, ERR_REMOTE, NULL, "%s",
                r.errors.n ? r.errors.v[0].message : "an answer without the server's name");
        fail("the command failed", &ei);
    }
    remote_result_fini(&r);
}

static void turn(struct bench *b, bool fresh, int n)
{
    struct errinfo ei = {0};
    double cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < n; i++) {
        double begun = now_ms(CLOCK_MONOTONIC);
        if (fresh && b->kept) {
            b->kept->free(b->kept);
            b->kept = NULL;
        }
        if (!b->kept && remoting_transport_new(&b->kept, b->via, b->profile, NULL, NULL, &ei))
            fail("no transport", &ei);
        once(b, b->kept);
        printf("%s%.3f", i ? ", " : "{\"ms\": [", now_ms(CLOCK_MONOTONIC) - begun);
    }
    printf("], \"cpu_ms\": %.3f}\n", now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct profile profile = {0};
    struct arena arena;
    struct cmdlet cmdlet;
    struct script script;
    struct errinfo ei = {0};
    char line[64], how[16];
    int n;
    if (argc != 5) {
        fprintf(stderr, "usage: winrm CONFIG VIA SERVER FQDN\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    arena_init(&arena, 1 << 20);
    cmdlet_init(&cmdlet, &arena, "Get-ExchangeServer");
    script_init(&script);
    struct bench b = {.profile = &profile,
                      .via = argv[2],
                      .target = {.server = argv[3], .fqdn = argv[4], .generation = GENERATION_2010},
                      .cmdlet = &cmdlet};
    if (profile_load(&profile, argv[1], NULL, &ei) || krb_setup(&profile, &ei))
        fail(argv[1], &ei);
    if (cmdlet_string(&cmdlet, "Identity", argv[3]) ||
        script_build(&script, NULL, b.target.generation, &cmdlet, &ei))
        fail("the command", &ei);
    printf("%s\n", buf_str(&script.line));
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%15s %d", how, &n) == 2 && n > 0)
        turn(&b, str_eq(how, "fresh"), n);
    if (b.kept)
        b.kept->free(b.kept);
    script_fini(&script);
    arena_fini(&arena);
    profile_fini(&profile);
    return 0;
}
