/*
 * A real OpenSSH server for a test: in a folder of its own below /tmp, on a free loopback port, with a shell
 * script in PowerShell's place. Everything is gone after sshd_stop. Header only, for tests.
 */
#ifndef TESTS_UNIT_SSHD_H
#define TESTS_UNIT_SSHD_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/str.h"

extern char **environ;

struct sshd {
    char dir[64];
    char user[64];
    pid_t pid, agent;
    int port;
    bool made_run; /* /run/sshd was absent: sshd as root insists on it */
};

static inline void sshd_file(const struct sshd *s, const char *name, const char *text, mode_t mode)
{
    char path[256];
    str_fmt(path, sizeof path, "%s/%s", s->dir, name);
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    (void)close(fd);
}

/* The file's text (allocated), or "" when absent. */
static inline char *sshd_read(const struct sshd *s, const char *name)
{
    char path[256];
    str_fmt(path, sizeof path, "%s/%s", s->dir, name);
    struct buf b;
    buf_init(&b, 64 << 20);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char chunk[4096];
    ssize_t n;
    while (fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0)
        (void)buf_add(&b, chunk, (size_t)n);
    if (fd >= 0)
        (void)close(fd);
    char *text = strdup(buf_str(&b));
    buf_fini(&b);
    return text;
}

/* Runs a program to its end, quietly; its exit code. */
static inline int sshd_run(const char *const argv[])
{
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t quiet;
    (void)posix_spawn_file_actions_init(&quiet);
    (void)posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawnp(&pid, argv[0], &quiet, NULL, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&quiet);
    if (rc != 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void sshd_keygen(const struct sshd *s, const char *name, const char *type,
                               const char *passphrase)
{
    char path[256];
    str_fmt(path, sizeof path, "%s/%s", s->dir, name);
    const char *argv[] = {"ssh-keygen", "-q", "-t", type, "-N", passphrase, "-C", name, "-f", path, NULL};
    if (sshd_run(argv) != 0)
        abort();
}

static inline int sshd_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        abort();
    (void)close(fd);
    return ntohs(a.sin_port);
}

static inline bool sshd_answers(int port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    (void)close(fd);
    return ok;
}

/* A daemon that dies with the test, whatever becomes of it. Its diagnostics go to DIR/log. */
static inline pid_t sshd_daemon(const struct sshd *s, const char *const argv[])
{
    char log[256];
    str_fmt(log, sizeof log, "%s/log", s->dir);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 1);
    (void)dup2(fd, 2);
    (void)execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* One look at a daemon that is not ready yet: however long it takes, but not for ever when it has ended. */
static inline void sshd_await(const struct sshd *s, pid_t pid)
{
    if (waitpid(pid, NULL, WNOHANG) != 0) {
        (void)fprintf(stderr, "a server of the test ended at once: see %s/log\n", s->dir);
        abort();
    }
    (void)usleep(20000);
}

static inline void sshd_kill(pid_t *pid)
{
    if (*pid > 0) {
        /* The daemon was made a group's leader, so its sessions end with it. */
        (void)kill(-*pid, SIGKILL);
        (void)kill(*pid, SIGKILL);
        (void)waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

/* The folder, its keys and its stand-in. False when this machine has no OpenSSH server. */
static inline bool sshd_prepare(struct sshd *s, const char *standin)
{
    const struct passwd *pw = getpwuid(getuid());
    memset(s, 0, sizeof *s);
    if (access("/usr/sbin/sshd", X_OK) != 0 || !pw)
        return false;
    str_copy(s->user, sizeof s->user, pw->pw_name);
    str_copy(s->dir, sizeof s->dir, "/tmp/casbridge-sshd-XXXXXX");
    if (!mkdtemp(s->dir))
        abort();
    s->made_run = getuid() == 0 && mkdir("/run/sshd", 0755) == 0;
    sshd_file(s, "standin", standin, 0700);
    sshd_keygen(s, "host_ed25519", "ed25519", "");
    sshd_keygen(s, "host_ecdsa", "ecdsa", "");
    return true;
}

/* Starts (again) with more lines of configuration, which come first and so count: HostKey lines at least. Waits until it answers. HOME is the folder, so that what the
   account's own shell does at its start (slow things, noisy ones) is no part of a test. */
static inline void sshd_start(struct sshd *s, const char *config)
{
    char text[4096], path[256];
    s->port = sshd_free_port();
    str_fmt(
        text, sizeof text,
        "%sListenAddress 127.0.0.1\nPort %d\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile %s/authorized\n"
        "ForceCommand exec %s/standin %s\nSetEnv HOME=%s\nMaxStartups 100\n",
        config, s->port, s->dir, s->dir, s->dir, s->dir);
    sshd_file(s, "config", text, 0600);
    str_fmt(path, sizeof path, "%s/config", s->dir);
    const char *argv[] = {"/usr/sbin/sshd", "-D", "-e", "-f", path, NULL};
    s->pid = sshd_daemon(s, argv);
    while (!sshd_answers(s->port))
        sshd_await(s, s->pid);
}

static inline int sshd_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void sshd_stop(struct sshd *s)
{
    sshd_kill(&s->pid);
    sshd_kill(&s->agent);
    if (s->made_run)
        (void)rmdir("/run/sshd");
    if (s->dir[0])
        (void)nftw(s->dir, sshd_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
