/* Curses, and nothing of it outside this file: views draw with roles, keys leave as enum key. */
#include "tui/widgets/screen.h"

#include "core/base/str.h"
#include "tui/widgets/screen_int.h"
#include "tui/widgets/text.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

#define PASTE_ON      "\033[?2004h"
#define PASTE_OFF     "\033[?2004l"
#define LINE_CELLS    512
#define CLIPBOARD_MAX 74994u
#define K_PASTE_CODE  (KEY_MAX + 1)

static struct {
    SCREEN *term;
    WINDOW *input; /* a pad: reading keys from it never refreshes the screen behind our back */
    bool has_color;
    attr_t attrs[PAINT_COUNT];
    int cursor_y, cursor_x;
    bool cursor_on, cursor_was_on;
} sc;

/* bright colours of a terminal that has but eight are made of boldness */
static int usable_color(int color, attr_t *attrs)
{
    if (color >= 8 && color < 16 && COLORS == 8) {
        *attrs |= WA_BOLD;
        return color - 8;
    }
    return theme_reduce(color, COLORS);
}

void screen_set_theme(const struct theme *t)
{
    struct theme mono;
    if (!sc.has_color && theme_find_builtin(&mono, "mono", NULL) == ERR_OK)
        t = &mono;
    for (int i = 0; i < PAINT_COUNT; i++) {
        const struct style *s = &t->roles[i];
        attr_t a = 0;
        a |= s->attrs & STYLE_BOLD ? WA_BOLD : 0;
        a |= s->attrs & STYLE_DIM ? WA_DIM : 0;
        a |= s->attrs & STYLE_UNDERLINE ? WA_UNDERLINE : 0;
        a |= s->attrs & STYLE_REVERSE ? WA_REVERSE : 0;
        a |= s->attrs & STYLE_ITALIC ? WA_ITALIC : 0;
        if (sc.has_color) {
            attr_t unused = 0;
            int fg = usable_color(s->fg, &a), bg = usable_color(s->bg, &unused);
            init_extended_pair(i + 1, fg & ~COLOR_RGB_FLAG & (fg < 0 ? -1 : 0xffffff),
                               bg < 0 ? -1 : bg & 0xffffff);
        }
        sc.attrs[i] = a;
    }
    if (sc.input)
        bkgdset(' ' | (chtype)sc.attrs[PAINT_TEXT] | (chtype)COLOR_PAIR(sc.has_color ? PAINT_TEXT + 1 : 0));
}

static void use_paint(enum paint role)
{
    attr_set(sc.attrs[role], 0, NULL);
    if (sc.has_color) {
        int pair = (int)role + 1;
        attr_set(sc.attrs[role], 0, &pair);
    }
}

#ifdef __SANITIZE_ADDRESS__
/* curses keeps a few tables until the process ends; Debian's is built without the call that frees them */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libtinfo\nleak:libncursesw\n";
}
#endif

/* Called before curses changes anything: the modes to go back to are those found now. */
static void arm_crash_handlers(void)
{
    static const char *const names[] = {"sgr0", "rmkx", "cnorm", "rmcup"};
    char text[256];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *s = tigetstr(names[i]);
        if (s && s != (char *)-1 && n + strlen(s) < sizeof text) {
            memcpy(text + n, s, strlen(s));
            n += strlen(s);
        }
    }
    if (n + strlen(PASTE_OFF) < sizeof text) {
        memcpy(text + n, PASTE_OFF, strlen(PASTE_OFF));
        n += strlen(PASTE_OFF);
    }
    crash_arm(STDOUT_FILENO, text, n);
}

static void send_now(const char *sequence)
{
    fputs(sequence, stdout);
    fflush(stdout);
}

static bool can_place_cursor(void)
{
    int status;
    if (setupterm(NULL, STDOUT_FILENO, &status) != 0)
        return false;
    const char *cup = tigetstr("cup");
    bool can = cup && cup != (char *)-1 && *cup;
    arm_crash_handlers();
    del_curterm(cur_term); /* newterm() reads its own */
    return can;
}

enum err screen_open(const struct screen_config *c, struct errinfo *ei)
{
    setlocale(LC_CTYPE, "");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(ei, ERR_CONFIG, "use a command instead, for example: casbridge check",
                       "the console needs a terminal on standard input and output");
    const char *term = getenv("TERM");
    if (!can_place_cursor()) {
        crash_disarm();
        return err_set(ei, ERR_CONFIG,
                       "set TERM to what it is (xterm, vt100, linux), or use a command: casbridge check",
                       "the terminal '%s' cannot place its cursor, or is not known here", term ? term : "");
    }
    sc.term = newterm(NULL, stdout, stdin);
    if (!sc.term) {
        crash_disarm();
        return err_set(ei, ERR_CONFIG, "check TERM", "the terminal could not be set up");
    }
    const char *codeset = nl_langinfo(CODESET);
    text_set_ascii(c->ascii || !(str_ieq(codeset, "UTF-8") || str_ieq(codeset, "UTF8")));
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    set_escdelay(25);
    const char *no_color = getenv("NO_COLOR");
    sc.has_color = !c->no_color && !(no_color && *no_color) && has_colors() && start_color() == OK &&
                   use_default_colors() == OK && COLOR_PAIRS > PAINT_COUNT;
    sc.input = newpad(1, 1);
    if (!sc.input) {
        screen_close();
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the screen");
    }
    keypad(sc.input, TRUE);
    nodelay(sc.input, TRUE);
    define_key("\033[200~", K_PASTE_CODE);
    define_key("\033[201~", K_PASTE_CODE + 1);
    screen_set_theme(c->theme);
    send_now(PASTE_ON);
    return ERR_OK;
}

void screen_close(void)
{
    if (!sc.term)
        return;
    send_now(PASTE_OFF);
    crash_disarm();
    if (sc.input)
        delwin(sc.input);
    endwin();
    delscreen(sc.term);
    memset(&sc, 0, sizeof sc);
}

void screen_suspend(void)
{
    send_now(PASTE_OFF);
    crash_disarm();
    endwin();
    kill(getpid(), SIGSTOP);
    crash_rearm();
    send_now(PASTE_ON);
    screen_resize();
    clearok(curscr, TRUE);
}

void screen_resize(void)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0)
        resizeterm(w.ws_row, w.ws_col);
}

void screen_size(int *rows, int *cols)
{
    getmaxyx(stdscr, *rows, *cols);
}

bool screen_has_color(void)
{
    return sc.has_color;
}

static int named_key(wint_t code)
{
    switch (code) {
    case KEY_UP: return K_UP;
    case KEY_DOWN: return K_DOWN;
    case KEY_LEFT: return K_LEFT;
    case KEY_RIGHT: return K_RIGHT;
    case KEY_HOME: return K_HOME;
    case KEY_END: return K_END;
    case KEY_PPAGE: return K_PAGE_UP;
    case KEY_NPAGE: return K_PAGE_DOWN;
    case KEY_BTAB: return K_BACKTAB;
    case KEY_BACKSPACE: return K_BACKSPACE;
    case KEY_DC: return K_DELETE;
    case KEY_ENTER: return K_ENTER;
    case K_PASTE_CODE: return K_PASTE_BEGIN;
    case K_PASTE_CODE + 1: return K_PASTE_END;
    default: return KEY_NONE;
    }
}

int screen_key(void)
{
    wint_t ch;
    for (;;) {
        int kind = wget_wch(sc.input, &ch);
        if (kind == ERR)
            return KEY_NONE;
        int key = kind == KEY_CODE_YES ? named_key(ch) : (int)ch;
        if (kind != KEY_CODE_YES) {
            key = ch == '\r' || ch == '\n' ? K_ENTER
                  : ch == '\t'             ? K_TAB
                  : ch == 27               ? K_ESC
                  : ch == 8 || ch == 127   ? K_BACKSPACE
                                           : key;
        }
        if (key > 0)
            return key; /* a key without meaning here is passed over */
    }
}

void screen_begin(void)
{
    use_paint(PAINT_TEXT);
    erase();
    sc.cursor_on = false;
}

void screen_show(bool repaint)
{
    if (repaint)
        clearok(curscr, TRUE);
    if (sc.cursor_on)
        move(sc.cursor_y, sc.cursor_x);
    if (sc.cursor_on != sc.cursor_was_on) {
        curs_set(sc.cursor_on ? 1 : 0);
        sc.cursor_was_on = sc.cursor_on;
    }
    wnoutrefresh(stdscr);
    doupdate();
}

static bool is_plain(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    }
    return true;
}

/* Draws safe text into at most w cells; what does not fit is cut with an ellipsis. */
static int put_safe(int y, int x, int w, enum paint role, const char *text)
{
    wchar_t line[LINE_CELLS];
    int rows, cols, used = 0, cells;
    size_t n = 0, bytes, stop = strlen(text);
    screen_size(&rows, &cols);
    if (y < 0 || y >= rows || x < 0 || x >= cols || w <= 0)
        return 0;
    if (w > cols - x)
        w = cols - x;
    if (w > LINE_CELLS / 2)
        w = LINE_CELLS / 2;
    int fits;
    bool cut = text_fit(text, w, &fits) < stop;
    if (cut)
        stop = text_fit(text, w - 1, &fits);
    wchar_t wc;
    for (const char *p = text; p < text + stop && n + 2 < LINE_CELLS && text_next(p, &bytes, &cells, &wc);
         p += bytes) {
        line[n++] = wc;
        used += cells;
    }
    if (cut && text_next(glyph(GLYPH_ELLIPSIS), &bytes, &cells, &wc)) {
        line[n++] = wc;
        used += cells;
    }
    use_paint(role);
    mvaddnwstr(y, x, line, (int)n);
    return used;
}

int screen_put(int y, int x, int w, enum paint role, const char *text)
{
    if (is_plain(text))
        return put_safe(y, x, w, role, text);
    struct buf b;
    buf_init(&b, 64 * 1024);
    size_t len = strlen(text);
    enum err e = str_show(&b, text, len > 4096 ? 4096 : len); /* no line of a screen is longer */
    int used = put_safe(y, x, w, role, e == ERR_OK ? buf_str(&b) : "?");
    buf_fini(&b);
    return used;
}

int screen_putf(int y, int x, int w, enum paint role, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return screen_put(y, x, w, role, text);
}

void screen_field(int y, int x, int w, enum paint role, bool right, const char *text)
{
    screen_fill((struct rect){y, x, 1, w}, role);
    int width = right && is_plain(text) ? (int)strlen(text) : w;
    screen_put(y, width < w ? x + w - width : x, w, role, text);
}

void screen_fill(struct rect r, enum paint role)
{
    int rows, cols;
    screen_size(&rows, &cols);
    use_paint(role);
    for (int y = r.y; y < r.y + r.h && y < rows; y++) {
        for (int x = r.x; x < r.x + r.w && x < cols; x++)
            mvaddnwstr(y, x, L" ", 1);
    }
}

void screen_hline(int y, int x, int w, enum paint role)
{
    for (int i = 0; i < w; i++)
        screen_put(y, x + i, 1, role, glyph(GLYPH_RULE));
}

void screen_vline(int y, int x, int h, enum paint role)
{
    for (int i = 0; i < h; i++)
        screen_put(y + i, x, 1, role, glyph(GLYPH_WALL));
}

struct rect screen_frame(struct rect r, const char *title)
{
    screen_fill(r, PAINT_TEXT);
    screen_hline(r.y, r.x + 1, r.w - 2, PAINT_BORDER);
    screen_hline(r.y + r.h - 1, r.x + 1, r.w - 2, PAINT_BORDER);
    screen_vline(r.y + 1, r.x, r.h - 2, PAINT_BORDER);
    screen_vline(r.y + 1, r.x + r.w - 1, r.h - 2, PAINT_BORDER);
    screen_put(r.y, r.x, 1, PAINT_BORDER, glyph(GLYPH_CORNER_TL));
    screen_put(r.y, r.x + r.w - 1, 1, PAINT_BORDER, glyph(GLYPH_CORNER_TR));
    screen_put(r.y + r.h - 1, r.x, 1, PAINT_BORDER, glyph(GLYPH_CORNER_BL));
    screen_put(r.y + r.h - 1, r.x + r.w - 1, 1, PAINT_BORDER, glyph(GLYPH_CORNER_BR));
    if (title && *title)
        screen_putf(r.y, r.x + 2, r.w - 4, PAINT_TITLE, " %s ", title);
    return (struct rect){r.y + 1, r.x + 2, r.h - 2, r.w - 4};
}

void screen_cursor(int y, int x)
{
    sc.cursor_y = y;
    sc.cursor_x = x;
    sc.cursor_on = true;
}

bool screen_copy(const char *text)
{
    struct buf b;
    buf_init(&b, CLIPBOARD_MAX + 16);
    buf_adds(&b, "\033]52;c;");
    bool ok = base64_encode(&b, text, strlen(text)) == ERR_OK && buf_adds(&b, "\a") == ERR_OK &&
              b.len <= CLIPBOARD_MAX + 8;
    if (ok)
        send_now(buf_str(&b));
    buf_fini(&b);
    return ok;
}
