/*
 * meter FILE PROGRAM [ARG ...]: runs a program and writes what it took to FILE, as "wall user sys peak status": seconds, seconds,
 * seconds, KiB, exit status. Times include the program's own children; the peak is that of the largest process.
 *
 * Small on purpose: the kernel counts what the process held before exec() into its peak, so a starter written in an interpreter
 * would be measured instead of a small program.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: meter FILE PROGRAM [ARG ...]\n");
        return 2;
    }
    double from = now();
    pid_t pid = fork();
    if (pid < 0) {
        perror("meter: fork");
        return 1;
    }
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        fprintf(stderr, "meter: %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    while (wait4(pid, &status, 0, &used) < 0) {
        if (errno != EINTR) {
            perror("meter: wait4");
            return 1;
        }
    }
    double wall = now() - from;
    FILE *out = fopen(argv[1], "w");
    if (!out) {
        fprintf(stderr, "meter: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(out, "%.6f %.6f %.6f %ld %d\n", wall, seconds(used.ru_utime), seconds(used.ru_stime),
            used.ru_maxrss, code);
    return fclose(out) == 0 ? 0 : 1;
}
