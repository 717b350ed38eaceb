/*
 * A throw-away MIT KDC for unit tests: a realm in a temporary folder, on a free port of loopback, gone at the end.
 * Header only. kdc_start() returns false, and says why on standard output, when the machine has no KDC.
 */
#ifndef TESTS_UNIT_KDC_H
#define TESTS_UNIT_KDC_H

#include "core/base/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KDC_REALM    "CONTOSO.LAB"
#define KDC_PASSWORD "Passw0rd!lab"

struct kdc {
    char dir[64];
    uint16_t port;
    pid_t pid;
};

static inline void kdc_path(const struct kdc *k, const char *name, char *out, size_t cap)
{
    str_fmt(out, cap, "%s/%s", k->dir, name);
}

static inline bool kdc_write(const struct kdc *k, const char *name, const char *text)
{
    char path[128];
    kdc_path(k, name, path, sizeof path);
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    bool ok = fputs(text, f) >= 0;
    return fclose(f) == 0 && ok;
}

/* A port that was free a moment ago. */
static inline uint16_t kdc_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&a, len) < 0 || getsockname(s, (struct sockaddr *)&a, &len) < 0)
        a.sin_port = 0;
    if (s >= 0)
        close(s);
    return ntohs(a.sin_port);
}

/* Starts argv with its input from a file (NULL: nothing) and its output in DIR/log. The environment names our realm only. */
static inline pid_t kdc_spawn(const struct kdc *k, const char *const argv[], const char *input)
{
    char config[128], profile[128], in[128], log[128];
    kdc_path(k, "krb5.conf", config, sizeof config);
    kdc_path(k, "kdc.conf", profile, sizeof profile);
    kdc_path(k, "log", log, sizeof log);
    if (input)
        kdc_path(k, input, in, sizeof in);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int i = open(input ? in : "/dev/null", O_RDONLY), o = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (i < 0 || o < 0 || dup2(i, 0) < 0 || dup2(o, 1) < 0 || dup2(o, 2) < 0)
        _exit(126);
    setenv("KRB5_CONFIG", config, 1);
    setenv("KRB5_KDC_PROFILE", profile, 1);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static inline bool kdc_run(const struct kdc *k, const char *const argv[], const char *input)
{
    int status = 0;
    pid_t pid = kdc_spawn(k, argv, input);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static inline bool kdc_answers(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a) == 0;
    if (s >= 0)
        close(s);
    return ok;
}

static inline int kdc_unlink(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st, (void)flag, (void)f;
    return remove(path);
}

static inline void kdc_stop(struct kdc *k)
{
    if (k->pid > 0) {
        kill(k->pid, SIGKILL);
        waitpid(k->pid, NULL, 0);
    }
    if (*k->dir)
        nftw(k->dir, kdc_unlink, 16, FTW_DEPTH | FTW_PHYS);
    *k = (struct kdc){0};
}

/* Also points KRB5_CONFIG and KRB5CCNAME (an empty cache) of this process at the realm. script: kadmin.local commands;
   "%s" in it, up to four times, is the folder. */
static inline bool kdc_start(struct kdc *k, const char *script)
{
    char text[4096], path[128];
    *k = (struct kdc){0};
    if (access("/usr/sbin/krb5kdc", X_OK) != 0 || access("/usr/sbin/kadmin.local", X_OK) != 0) {
        printf("skipped: no KDC on this machine (package krb5-kdc)\n");
        return false;
    }
    str_copy(k->dir, sizeof k->dir, "/tmp/casbridge-kdc-XXXXXX");
    if (!mkdtemp(k->dir))
        goto fail;
    k->port = kdc_free_port();
    str_fmt(text, sizeof text,
            "[libdefaults]\n default_realm = " KDC_REALM
            "\n dns_lookup_realm = false\n dns_lookup_kdc = false\n"
            " udp_preference_limit = 1\n allow_weak_crypto = true\n forwardable = true\n"
            " permitted_enctypes = aes256-cts aes128-cts arcfour-hmac\n"
            "[realms]\n " KDC_REALM " = {\n  kdc = 127.0.0.1:%u\n }\n"
            " OTHER.LAB = {\n  kdc = 127.0.0.1:1\n }\n"
            "[domain_realm]\n .contoso.lab = " KDC_REALM "\n .other.lab = OTHER.LAB\n",
            k->port);
    if (!kdc_write(k, "krb5.conf", text))
        goto fail;
    str_fmt(text, sizeof text,
            "[kdcdefaults]\n kdc_listen = \"\"\n kdc_tcp_listen = 127.0.0.1:%u\n"
            "[realms]\n " KDC_REALM " = {\n  database_name = %s/principal\n  key_stash_file = %s/stash\n"
            "  supported_enctypes = aes256-cts:normal aes128-cts:normal\n  max_life = 10h\n }\n"
            "[logging]\n kdc = FILE:%s/kdc.log\n",
            k->port, k->dir, k->dir, k->dir);
    if (!kdc_write(k, "kdc.conf", text))
        goto fail;
    size_t n = 0; /* the script is the caller's own text, but no format string: %s is replaced by hand */
    for (const char *p = script; *p && n < sizeof text - 64; p++) {
        if (p[0] == '%' && p[1] == 's') {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", k->dir);
            p++;
        } else {
            text[n++] = *p;
        }
    }
    text[n] = '\0';
    if (!kdc_write(k, "script", text))
        goto fail;
    const char *create[] = {"kdb5_util", "create", "-r", KDC_REALM, "-s", "-P", "master", NULL};
    const char *admin[] = {"kadmin.local", NULL}, *serve[] = {"krb5kdc", "-n", "-r", KDC_REALM, NULL};
    if (!kdc_run(k, create, NULL) || !kdc_run(k, admin, "script"))
        goto fail;
    k->pid = kdc_spawn(k, serve, NULL);
    for (int i = 0; i < 500 && !kdc_answers(k->port); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    if (!kdc_answers(k->port))
        goto fail;
    kdc_path(k, "krb5.conf", path, sizeof path);
    setenv("KRB5_CONFIG", path, 1);
    str_fmt(text, sizeof text, "FILE:%s/ccache", k->dir);
    setenv("KRB5CCNAME", text, 1);
    return true;
fail:
    printf("skipped: the KDC did not start\n");
    kdc_stop(k);
    return false;
}

#endif
