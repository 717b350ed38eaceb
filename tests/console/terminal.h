/*
 * The terminal that vt.c holds a program in: a pseudo-terminal, libvterm as its screen, and ways to look at it. One program at a time;
 * static state, included once.
 */
#ifndef TESTS_CONSOLE_TERMINAL_H
#define TESTS_CONSOLE_TERMINAL_H

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vterm.h>

#define QUIET_MS 50 /* so long without output, and a frame is whole */
#define ROW_MAX  2048

static VTerm *vt;
static VTermScreen *screen;
static int fd = -1, rows = 24, cols = 80, line_no, wait_ms = 10000;
static pid_t child;
static bool over, alt_screen, cursor_visible = true, paste_mode;
static size_t written; /* bytes the program wrote */
static const char *script_name;
static char last_output[8192];
static size_t last_len;

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

static VTermScreenCell cell_at(int y, int x)
{
    VTermScreenCell c;
    memset(&c, 0, sizeof c);
    vterm_screen_get_cell(screen, (VTermPos){y, x}, &c);
    return c;
}

/* One row as UTF-8, trailing blanks cut; *col, when given, becomes the column of each byte. */
static void row_text(int y, char *out, int *col)
{
    size_t n = 0, end = 0;
    for (int x = 0; x < cols && n + 32 < ROW_MAX;) {
        VTermScreenCell c = cell_at(y, x);
        int from = (int)n;
        if (c.chars[0] == 0)
            out[n++] = ' ';
        for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && c.chars[i] && c.chars[i] != (uint32_t)-1; i++)
            n += (size_t)put_utf8(out + n, c.chars[i]);
        for (size_t i = (size_t)from; col && i < n; i++)
            col[i] = x;
        if (n > 0 && out[n - 1] != ' ')
            end = n;
        x += c.width > 0 ? c.width : 1;
    }
    out[end] = '\0';
}

static void print_screen(FILE *f)
{
    char text[ROW_MAX];
    for (int y = 0; y < rows; y++) {
        row_text(y, text, NULL);
        fprintf(f, "  %2d|%s\n", y, text);
    }
}

_Noreturn static void fail(const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%d: ", script_name, line_no);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    print_screen(stderr);
    if (over && last_len)
        fprintf(stderr, "  the program's last words:\n%.*s\n", (int)last_len, last_output);
    if (child > 0 && !over) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    exit(1);
}

/* What libvterm answers and how it encodes keys goes to the program. */
static void to_program(const char *bytes, size_t n, void *user)
{
    (void)user;
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k <= 0)
            return;
        bytes += k;
        n -= (size_t)k;
    }
}

static int on_property(VTermProp prop, VTermValue *v, void *user)
{
    (void)user;
    if (prop == VTERM_PROP_ALTSCREEN)
        alt_screen = v->boolean;
    if (prop == VTERM_PROP_CURSORVISIBLE)
        cursor_visible = v->boolean;
    return 1;
}

/* libvterm does not tell about bracketed paste: the sequences are looked for in the stream. */
static void watch_paste(const char *s, size_t n)
{
    for (size_t i = 0; i + 8 <= n; i++) {
        if (memcmp(s + i, "\033[?2004h", 8) == 0)
            paste_mode = true;
        if (memcmp(s + i, "\033[?2004l", 8) == 0)
            paste_mode = false;
    }
}

/* Reads what there is, waiting at most ms. False when nothing came. */
static bool pump(int ms)
{
    char buf[65536];
    struct pollfd p = {fd, POLLIN, 0};
    if (fd < 0 || poll(&p, 1, ms < 0 ? 0 : ms) <= 0)
        return false;
    ssize_t n = read(fd, buf, sizeof buf);
    if (n <= 0) {
        close(fd);
        fd = -1;
        return false;
    }
    written += (size_t)n;
    watch_paste(buf, (size_t)n);
    size_t keep = (size_t)n < sizeof last_output ? (size_t)n : sizeof last_output;
    memcpy(last_output, buf + n - keep, keep);
    last_len = keep;
    vterm_input_write(vt, buf, (size_t)n);
    return true;
}

static void settle(void)
{
    long long end = now_ms() + wait_ms;
    while (pump(QUIET_MS)) {
        if (now_ms() > end)
            return; /* a live view never is quiet for long */
    }
}

static bool find_text(const char *what, int from_row, int *y_out, int *x_out)
{
    char text[ROW_MAX];
    int col[ROW_MAX];
    for (int y = from_row; y < rows; y++) {
        row_text(y, text, col);
        char *at = strstr(text, what);
        if (at) {
            if (y_out)
                *y_out = y;
            if (x_out)
                *x_out = col[at - text];
            return true;
        }
    }
    return false;
}

static void start(char **argv)
{
    static const VTermScreenCallbacks callbacks = {.settermprop = on_property};
    vt = vterm_new(rows, cols);
    vterm_set_utf8(vt, 1);
    vterm_output_set_callback(vt, to_program, NULL);
    screen = vterm_obtain_screen(vt);
    vterm_screen_set_callbacks(screen, &callbacks, NULL);
    vterm_screen_enable_altscreen(screen, 1);
    vterm_screen_reset(screen, 1);
    struct winsize w = {(unsigned short)rows, (unsigned short)cols, 0, 0};
    child = forkpty(&fd, NULL, NULL, &w);
    if (child < 0) {
        perror("forkpty");
        exit(2);
    }
    if (child == 0) {
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
}

#endif
