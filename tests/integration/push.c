/*
 * push CONFIG [VIA [PROFILE]]: runs cmdlets through a transport (ssh), for tests that judge what arrives at the other end.
 *
 * CONFIG is a configuration file with one profile, or with PROFILE. Each line of standard input is a case,
 *   { "server": "EXCAS01", "fqdn": "...", "generation": "2010", "timeout_ms": 20000, "cmdlet": "Set-X",
 *     "params": [ ["Name", "string", "value"], ["Flag", "switch", null] ] }
 * (kinds: string, word, words, list, bool, null, switch, int) and each line of standard output its result:
 *   { "err": "OK", "what": "", "hint": "", "ok": true, "sent": true, "outcome_unknown": false,
 *     "exit_code": 0 | null, "text": "the cmdlet", "output": "..." | null, "objects": [...] | null, "warnings": ["..."],
 *     "errors": [ { "message": "...", "id": ..., "category": ..., "target": ... } ] }
 * SIGINT interrupts the case in hand and those after it.
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/kerberos/kerberos.h"
#include "remoting/remoting.h"
#include "tests/integration/cases.h"

static struct stop told;

static void on_signal(int number)
{
    (void)number;
    stop_raise(&told);
}

static json_t *run_case(struct transport *t, json_t *one)
{
    struct arena arena;
    struct cmdlet c;
    struct stop stop;
    struct buf text;
    struct remote_result r = {0};
    struct errinfo ei = {0};
    struct remote_target target = {.server = json_string_value(json_object_get(one, "server")),
                                   .fqdn = json_string_value(json_object_get(one, "fqdn"))};
    json_int_t timeout_ms = json_integer_value(json_object_get(one, "timeout_ms"));
    arena_init(&arena, 16 << 20);
    buf_init(&text, 1 << 20);
    stop_init(&stop, timeout_ms ? timeout_ms : 60000, &told);
    const char *generation = json_string_value(json_object_get(one, "generation"));
    if (!generation || !generation_from_name(generation, &target.generation))
        target.generation = GENERATION_UNKNOWN;
    enum err err = case_build(&c, &arena, one);
    if (err == ERR_OK)
        err = cmdlet_text(&text, &c, &ei);
    if (err == ERR_OK)
        err = t->run(t, &target, &c, &stop, &r, &ei);
    json_t *out = case_result(&r, err, &ei, buf_str(&text));
    remote_result_fini(&r);
    buf_fini(&text);
    arena_fini(&arena);
    return out;
}

int main(int argc, char **argv)
{
    struct profile profile = {0};
    struct transport *t = NULL;
    struct errinfo ei = {0};
    char *line = NULL;
    size_t cap = 0;
    int rc = 1;
    (void)signal(SIGPIPE, SIG_IGN);
    stop_init(&told, 0, NULL);
    (void)signal(SIGINT, on_signal);
    enum err err =
        argc >= 2 && argc <= 4 ? profile_load(&profile, argv[1], argc == 4 ? argv[3] : NULL, &ei) : ERR_USAGE;
    if (err == ERR_OK)
        err = krb_setup(&profile, &ei);
    if (err == ERR_OK)
        err = remoting_transport_new(&t, argc > 2 ? argv[2] : "ssh", &profile, NULL, NULL, &ei);
    if (err != ERR_OK) {
        fprintf(stderr, "push: %s: %s\n", err_text(err), ei.what);
        goto out;
    }
    while (getline(&line, &cap, stdin) > 0) {
        json_t *one = json_loads(line, 0, NULL);
        json_t *result = one ? run_case(t, one) : json_null();
        (void)json_dumpf(result, stdout, JSON_COMPACT);
        (void)putchar('\n');
        (void)fflush(stdout);
        json_decref(result);
        json_decref(one);
    }
    rc = 0;
out:
    if (t)
        t->free(t);
    profile_fini(&profile);
    free(line);
    return rc;
}
