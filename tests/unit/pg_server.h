/*
 * A PostgreSQL of the test's own: a new cluster in /tmp, run as somebody who is not root, on a Unix socket and a loopback port, gone
 * after. One for each test program; each test has its own database. Where there is none installed, pg_server_start says so.
 */
#ifndef TESTS_UNIT_PG_SERVER_H
#define TESTS_UNIT_PG_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct pg_server {
    char bin[128], folder[64], data[80];
    int port, databases;
    uid_t uid;
    gid_t gid;
    pid_t pid; /* 0: not running */
};

static inline int pg_remove(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static inline void pg_become(const struct pg_server *s)
{
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(s->gid) < 0 || setuid(s->uid) < 0))
        _exit(126);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    char log[96];
    snprintf(log, sizeof log, "%s/log", s->folder);
    dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), 2);
    /* when the test is killed the server ends too */
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
}

static inline bool pg_find(struct pg_server *s)
{
    glob_t g = {0};
    bool found = glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g) == 0 && g.gl_pathc > 0;
    if (found)
        snprintf(s->bin, sizeof s->bin, "%.*s", (int)(strlen(g.gl_pathv[g.gl_pathc - 1]) - strlen("/initdb")),
                 g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    return found;
}

/* Below the range that connections get theirs from: while the server is away nobody else may be given it. */
static inline int pg_free_port(void)
{
    for (int i = 0; i < 1000; i++) {
        uint16_t random = 0;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            return 0;
        int port = 15000 + random % 16000, one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        bool ok = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (ok)
            return port;
    }
    return 0;
}

static inline void pg_pause(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* db NULL: the maintenance database. */
static inline void pg_url(const struct pg_server *s, const char *db, char *out, size_t cap)
{
    snprintf(out, cap, "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable", s->port,
             db ? db : "postgres");
}

static inline bool pg_launch(struct pg_server *s, const char *fsync)
{
    char postgres[160], port[16], url[160], sync[32];
    snprintf(postgres, sizeof postgres, "%s/postgres", s->bin);
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(sync, sizeof sync, "fsync=%s", fsync);
    s->pid = fork();
    if (s->pid == 0) {
        pg_become(s);
        execl(postgres, "postgres", "-D", s->data, "-k", s->folder, "-h", "127.0.0.1", "-p", port, "-c", sync,
              "-c", "shared_buffers=16MB", "-c", "max_connections=40", "-c", "autovacuum=off", (char *)NULL);
        _exit(127);
    }
    pg_url(s, NULL, url, sizeof url);
    for (int i = 0; s->pid > 0 && i < 600; i++) {
        if (PQping(url) == PQPING_OK)
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            break;
        pg_pause(50);
    }
    return false;
}

/* signal: SIGINT lets it end well, SIGKILL is what it is. */
static inline void pg_end(struct pg_server *s, int signal)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, signal);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static inline bool pg_write(const struct pg_server *s, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", s->data, name);
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;
    return f && fclose(f) == 0 && ok && chown(path, s->uid, s->gid) == 0;
}

static inline bool pg_make(struct pg_server *s)
{
    char initdb[160];
    const struct passwd *pw = getpwnam("postgres");
    if (!pw)
        pw = getpwnam("nobody");
    s->uid = geteuid() == 0 && pw ? pw->pw_uid : geteuid();
    s->gid = geteuid() == 0 && pw ? pw->pw_gid : getegid();
    snprintf(s->folder, sizeof s->folder, "/tmp/casbridge-pg-XXXXXX");
    if (!mkdtemp(s->folder) || chown(s->folder, s->uid, s->gid) < 0)
        return false;
    snprintf(s->data, sizeof s->data, "%s/data", s->folder);
    snprintf(initdb, sizeof initdb, "%s/initdb", s->bin);
    pid_t child = fork();
    if (child == 0) {
        pg_become(s);
        execl(initdb, "initdb", "-D", s->data, "-U", "casbridge", "-A", "trust", "-E", "UTF8", "--locale=C",
              "--no-sync", "--no-instructions", (char *)NULL);
        _exit(127);
    }
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0 &&
           pg_write(s, "pg_hba.conf",
                    "local all all trust\nhost all stranger 127.0.0.1/32 reject\n"
                    "host all keeper 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
}

/* False: none is installed. Anything else that goes wrong ends the test. */
static inline bool pg_server_start(struct pg_server *s)
{
    *s = (struct pg_server){0};
    if (!pg_find(s)) {
        fprintf(stderr, "[  SKIPPED ] no PostgreSQL is installed here\n");
        return false;
    }
    s->port = pg_free_port();
    if (pg_make(s) && pg_launch(s, "off"))
        return true;
    fprintf(stderr, "PostgreSQL does not start; its log is %s/log\n", s->folder);
    exit(1);
}

static inline void pg_server_stop(struct pg_server *s)
{
    pg_end(s, SIGINT);
    if (s->folder[0])
        nftw(s->folder, pg_remove, 16, FTW_DEPTH | FTW_PHYS);
    s->folder[0] = '\0';
}

/* SQL by the owner of everything, outside of any store. False when the database refuses. */
static inline bool pg_sql(const struct pg_server *s, const char *db, const char *sql)
{
    char url[160];
    pg_url(s, db, url, sizeof url);
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
    if (PQstatus(c) != CONNECTION_OK)
        fprintf(stderr, "%s", PQerrorMessage(c));
    PQclear(r);
    PQfinish(c);
    return ok;
}

/* A new database, empty or (of: not NULL) a copy. */
static inline bool pg_database(struct pg_server *s, const char *of, char *name, size_t cap)
{
    char sql[160];
    snprintf(name, cap, "t%d", ++s->databases);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE %s", name, of ? of : "template0");
    return pg_sql(s, NULL, sql);
}

#endif
