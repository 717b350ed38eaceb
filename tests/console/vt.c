/*
 * vt: runs a full-screen program in a terminal emulator, sends keys, looks at the screen as a person would.
 *
 *     vt [-s COLSxROWS] [-w WAIT_MS] SCRIPT PROGRAM [ARGS...]
 *
 * A script is read line by line; # begins a comment line. A quoted "text" may hold \" \\ \e \n.
 *
 *     key NAME...            Enter Esc Tab BackTab Backspace Del Up Down Left Right Home End PgUp PgDn Space Ctrl-X, or a character
 *     type "text"            as typed        paste "text"   as a bracketed paste
 *     wait "text"            until it stands on the screen and the program is quiet
 *     gone "text"            until it no longer does
 *     see "text"             it stands there               not "text"   it does not
 *     row N "text"           row N (from 0, negative from the bottom) holds it
 *     order "a" "b"          a stands above, or on the same row before, b
 *     size COLSxROWS         the window changes
 *     idle MS                the program writes nothing at all for so long
 *     ascii                  every cell is ASCII            colors / plain    some cell has a colour of its own / none has
 *     styled "text" ATTRS    its first cell: letters of b(old) u(nderline) r(everse), - none
 *     signal NAME            TERM HUP INT TSTP CONT SEGV          stopped    the program has stopped itself
 *     grab NAME "text"       the word that follows text on the screen goes into the environment
 *     sh COMMAND             /bin/sh runs it; it must end well
 *     exit STATUS            the program ends, with this status (128 + signal when killed); any: whatever it is
 *     restored               the terminal is as it was: main screen, cursor visible, no bracketed paste
 *     screen                 prints the screen
 *     within MS              limit of the waits that follow
 *
 * On a busy machine a key may take long to show: what is looked for and not there is waited for, too, before it is missed.
 *
 * Ends 0 when all held; else 1 after printing the line, the reason and the screen. The child's TERM and locale are the caller's.
 */
#include "terminal.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>

static int number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < -100000 || n > 100000)
        fail("'%s' is no number", text);
    return (int)n;
}

/* For a check that did not hold: whether it is worth another look. */
static bool may_come(long long end)
{
    if (fd < 0 || now_ms() >= end)
        return false;
    pump(QUIET_MS);
    return true;
}

static void wait_for(const char *what, bool present)
{
    long long end = now_ms() + wait_ms;
    for (;;) {
        while (pump(QUIET_MS) && now_ms() < end) {
        }
        if (find_text(what, 0, NULL, NULL) == present)
            return;
        if (fd < 0)
            fail("the program ended while waiting for \"%s\"", what);
        if (now_ms() >= end)
            fail("\"%s\" %s within %d ms", what, present ? "did not come" : "did not go", wait_ms);
    }
}

static void send_key(const char *name)
{
    static const struct {
        const char *name;
        VTermKey key;
    } keys[] = {{"Enter", VTERM_KEY_ENTER},         {"Esc", VTERM_KEY_ESCAPE}, {"Tab", VTERM_KEY_TAB},
                {"Backspace", VTERM_KEY_BACKSPACE}, {"Del", VTERM_KEY_DEL},    {"Up", VTERM_KEY_UP},
                {"Down", VTERM_KEY_DOWN},           {"Left", VTERM_KEY_LEFT},  {"Right", VTERM_KEY_RIGHT},
                {"Home", VTERM_KEY_HOME},           {"End", VTERM_KEY_END},    {"PgUp", VTERM_KEY_PAGEUP},
                {"PgDn", VTERM_KEY_PAGEDOWN}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            vterm_keyboard_key(vt, keys[i].key, VTERM_MOD_NONE);
            return;
        }
    }
    if (strcmp(name, "BackTab") == 0)
        vterm_keyboard_key(vt, VTERM_KEY_TAB, VTERM_MOD_SHIFT);
    else if (strcmp(name, "Space") == 0)
        vterm_keyboard_unichar(vt, ' ', VTERM_MOD_NONE);
    else if (strncmp(name, "Ctrl-", 5) == 0 && name[5] && !name[6]) {
        char c = (char)(name[5] & 0x1f);
        to_program(&c, 1, NULL);
    } else if (name[1] == '\0')
        vterm_keyboard_unichar(vt, (unsigned char)name[0], VTERM_MOD_NONE);
    else
        fail("unknown key %s", name);
}

/* Takes a quoted text off *p. */
static char *quoted(char **p)
{
    static char bufs[2][ROW_MAX];
    static int which;
    char *out = bufs[which ^= 1];
    size_t n = 0;
    while (isspace((unsigned char)**p))
        ++*p;
    if (**p != '"')
        fail("a quoted text is expected");
    for (++*p; **p && **p != '"' && n + 1 < ROW_MAX; ++*p) {
        char c = **p;
        if (c == '\\' && (*p)[1]) {
            c = *++*p;
            c = c == 'e' ? 27 : c == 'n' ? '\r' : c;
        }
        out[n++] = c;
    }
    if (**p == '"')
        ++*p;
    out[n] = '\0';
    return out;
}

static char *word(char **p)
{
    while (isspace((unsigned char)**p))
        ++*p;
    char *from = *p;
    while (**p && !isspace((unsigned char)**p))
        ++*p;
    if (**p)
        *(*p)++ = '\0';
    return from;
}

static void resize(const char *size)
{
    int c, r;
    if (sscanf(size, "%dx%d", &c, &r) != 2)
        fail("a size is COLSxROWS");
    settle();
    rows = r;
    cols = c;
    vterm_set_size(vt, rows, cols);
    struct winsize w = {(unsigned short)rows, (unsigned short)cols, 0, 0};
    ioctl(fd, TIOCSWINSZ, &w);
    settle();
}

static int signal_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TERM", SIGTERM}, {"HUP", SIGHUP},   {"INT", SIGINT},
                   {"TSTP", SIGTSTP}, {"CONT", SIGCONT}, {"SEGV", SIGSEGV}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    }
    fail("unknown signal %s", name);
}

/* wanted -1: whatever it is */
static void expect_exit(int wanted)
{
    long long end = now_ms() + wait_ms;
    int status = 0;
    pid_t got = 0;
    while (now_ms() < end && (got = waitpid(child, &status, WNOHANG)) == 0)
        pump(20);
    while (pump(20)) {
    }
    if (got == 0)
        fail("the program did not end within %d ms", wait_ms);
    over = true;
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (wanted >= 0 && code != wanted)
        fail("the program ended with %d, not %d", code, wanted);
}

static void check_ascii(void)
{
    for (int y = 0; y < rows; y++) {
        for (int x = 0; x < cols; x++) {
            VTermScreenCell c = cell_at(y, x);
            if (c.chars[0] > 0x7e)
                fail("row %d column %d holds U+%04X", y, x, c.chars[0]);
        }
    }
}

static bool has_colors(void)
{
    for (int y = 0; y < rows; y++) {
        for (int x = 0; x < cols; x++) {
            VTermScreenCell c = cell_at(y, x);
            if (!VTERM_COLOR_IS_DEFAULT_FG(&c.fg) || !VTERM_COLOR_IS_DEFAULT_BG(&c.bg))
                return true;
        }
    }
    return false;
}

static void check_style(const char *what, const char *attrs)
{
    int y, x;
    if (!find_text(what, 0, &y, &x))
        fail("\"%s\" is not on the screen", what);
    VTermScreenCell c = cell_at(y, x);
    char have[4];
    snprintf(have, sizeof have, "%s%s%s", c.attrs.bold ? "b" : "", c.attrs.underline ? "u" : "",
             c.attrs.reverse ? "r" : "");
    if (strcmp(have[0] ? have : "-", attrs) != 0)
        fail("\"%s\" is styled %s, not %s", what, have[0] ? have : "-", attrs);
}

static void check_order(char **p)
{
    char *a = quoted(p), *b = quoted(p);
    int ay, ax, by, bx;
    bool both, before;
    long long end = now_ms() + wait_ms;
    do {
        both = find_text(a, 0, &ay, &ax) && find_text(b, 0, &by, &bx);
        before = both && (ay < by || (ay == by && ax <= bx));
    } while (!before && may_come(end));
    if (!both)
        fail("\"%s\" and \"%s\" are not both on the screen", a, b);
    if (!before)
        fail("\"%s\" does not stand before \"%s\"", a, b);
}

static void check_row(char **p)
{
    int y = number(word(p));
    char *what = quoted(p), text[ROW_MAX];
    long long end = now_ms() + wait_ms;
    do
        row_text(y < 0 ? rows + y : y, text, NULL);
    while (!strstr(text, what) && may_come(end));
    if (!strstr(text, what))
        fail("row %d does not hold \"%s\"", y, what);
}

static void check_idle(int ms)
{
    settle();
    size_t before = written;
    for (long long end = now_ms() + ms; now_ms() < end;)
        pump((int)(end - now_ms()));
    if (written != before)
        fail("%zu bytes were written while nothing happened", written - before);
}

static void grab(char **p)
{
    char name[64], text[ROW_MAX];
    snprintf(name, sizeof name, "%s", word(p));
    char *what = quoted(p);
    for (int y = 0; y < rows; y++) {
        row_text(y, text, NULL);
        char *at = strstr(text, what);
        if (!at)
            continue;
        at += strlen(what);
        at[strcspn(at, " ,")] = '\0';
        setenv(name, at, 1);
        return;
    }
    fail("\"%s\" is not on the screen", what);
}

static void shell(const char *command)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, WNOHANG) == 0)
        pump(20); /* the program must not block on its terminal meanwhile */
    if (status != 0)
        fail("the command failed (%d)", WEXITSTATUS(status));
}

static void run_line(char *line)
{
    char *p = line, *command = word(&p), *w;
    if (!*command || *command == '#')
        return;
    if (strcmp(command, "key") == 0) {
        while (*(w = word(&p))) {
            send_key(w);
            settle();
        }
    } else if (strcmp(command, "type") == 0 || strcmp(command, "paste") == 0) {
        char *text = quoted(&p);
        if (*command == 'p')
            to_program("\033[200~", 6, NULL);
        to_program(text, strlen(text), NULL);
        if (*command == 'p')
            to_program("\033[201~", 6, NULL);
        settle();
    } else if (strcmp(command, "wait") == 0) {
        wait_for(quoted(&p), true);
    } else if (strcmp(command, "gone") == 0) {
        wait_for(quoted(&p), false);
    } else if (strcmp(command, "see") == 0 || strcmp(command, "not") == 0) {
        char *text = quoted(&p);
        settle();
        long long end = now_ms() + wait_ms;
        while (find_text(text, 0, NULL, NULL) != (*command == 's') && may_come(end)) {
        }
        if (find_text(text, 0, NULL, NULL) != (*command == 's'))
            fail(*command == 's' ? "\"%s\" is not on the screen" : "\"%s\" is on the screen", text);
    } else if (strcmp(command, "row") == 0) {
        check_row(&p);
    } else if (strcmp(command, "order") == 0) {
        check_order(&p);
    } else if (strcmp(command, "size") == 0) {
        resize(word(&p));
    } else if (strcmp(command, "idle") == 0) {
        check_idle(number(word(&p)));
    } else if (strcmp(command, "ascii") == 0) {
        check_ascii();
    } else if (strcmp(command, "colors") == 0 || strcmp(command, "plain") == 0) {
        if (has_colors() != (*command == 'c'))
            fail("the screen has %s colours", *command == 'c' ? "no" : "its own");
    } else if (strcmp(command, "styled") == 0) {
        char *text = quoted(&p);
        check_style(text, word(&p));
    } else if (strcmp(command, "signal") == 0) {
        kill(child, signal_number(word(&p)));
        settle();
    } else if (strcmp(command, "stopped") == 0) {
        int status;
        long long end = now_ms() + wait_ms;
        while (waitpid(child, &status, WUNTRACED | WNOHANG) != child || !WIFSTOPPED(status)) {
            pump(20);
            if (now_ms() > end)
                fail("the program did not stop");
        }
    } else if (strcmp(command, "grab") == 0) {
        grab(&p);
    } else if (strcmp(command, "sh") == 0) {
        shell(p);
    } else if (strcmp(command, "exit") == 0) {
        w = word(&p);
        expect_exit(strcmp(w, "any") == 0 ? -1 : number(w));
    } else if (strcmp(command, "restored") == 0) {
        settle();
        if (alt_screen || !cursor_visible || paste_mode)
            fail("the terminal was left%s%s%s", alt_screen ? " on the second screen" : "",
                 cursor_visible ? "" : " without cursor", paste_mode ? " in bracketed paste" : "");
    } else if (strcmp(command, "screen") == 0) {
        print_screen(stdout);
    } else if (strcmp(command, "within") == 0) {
        wait_ms = number(word(&p));
    } else {
        fail("unknown command %s", command);
    }
}

int main(int argc, char **argv)
{
    int opt;
    char line[ROW_MAX];
    while ((opt = getopt(argc, argv, "+s:w:")) != -1) {
        if (opt == 'w')
            wait_ms = number(optarg);
        else if (opt != 's' || sscanf(optarg, "%dx%d", &cols, &rows) != 2)
            return 2;
    }
    if (argc - optind < 2) {
        fprintf(stderr, "usage: vt [-s COLSxROWS] [-w WAIT_MS] SCRIPT PROGRAM [ARGS...]\n");
        return 2;
    }
    script_name = argv[optind];
    FILE *f = fopen(script_name, "r");
    if (!f) {
        perror(script_name);
        return 2;
    }
    start(argv + optind + 1);
    while (fgets(line, sizeof line, f)) {
        line_no++;
        line[strcspn(line, "\n")] = '\0';
        run_line(line);
    }
    fclose(f);
    if (!over) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        fprintf(stderr, "%s: ends without exit\n", script_name);
        return 1;
    }
    vterm_free(vt);
    return 0;
}
