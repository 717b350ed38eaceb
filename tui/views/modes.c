/* What keys mean while something is being typed: the filter, the palette, a dialog. */
#include "tui/views/ui_int.h"

#include "core/base/str.h"
#include "core/rules/rules.h"
#include "tui/widgets/text.h"

#include <string.h>

#define NAMES_MAX    600
#define PALETTE_ROWS 10

void mode_filter_begin(struct ui *ui)
{
    struct view *v = ui_top(ui);
    ui->mode = MODE_FILTER;
    str_copy(ui->filter_before, sizeof ui->filter_before, v->filter_text);
    memset(&ui->filter_error, 0, sizeof ui->filter_error);
    prompt_init(&ui->prompt, &ui->filters, v->filter_text);
    v->in_pane = false;
}

static void filter_key(struct ui *ui, int key)
{
    struct view *v = ui_top(ui);
    if (key == K_ENTER || key == K_ESC) {
        if (key == K_ESC)
            view_filter(v, ui->filter_before);
        else
            prompt_remember(&ui->filters, ui->prompt.text);
        ui->mode = MODE_NORMAL;
        return;
    }
    if (key == K_BACKSPACE && ui->prompt.len == 0) {
        ui->mode = MODE_NORMAL;
        return;
    }
    if (prompt_key(&ui->prompt, key) == PROMPT_CHANGED)
        view_filter(v, ui->prompt.text);
}

void mode_palette_begin(struct ui *ui)
{
    ui->mode = MODE_PALETTE;
    ui->palette_at = 0;
    ui->palette_moved = false;
    prompt_init(&ui->prompt, &ui->commands, "");
}

size_t argument_names(struct ui *ui, enum action_arg kind, const char **names, size_t max)
{
    const struct world *w = ui->session->world;
    const struct view *v = ui_top(ui);
    size_t n = 0;
    if (kind == ARG_THEME) {
        for (unsigned i = 0; theme_builtin_name(i) && n < max; i++)
            names[n++] = theme_builtin_name(i);
    }
    if (kind == ARG_COLUMN && v->ops->source) {
        for (size_t i = 0; i < v->ops->source->n_columns && n < max; i++)
            names[n++] = v->ops->source->columns[i].field;
    }
    if (kind == ARG_SUBJECT) {
        for (size_t i = 0; i < rules_count() && n < max; i++)
            names[n++] = rules_info(i)->id;
    }
    if ((kind == ARG_SERVER || kind == ARG_SUBJECT) && w) {
        for (size_t i = 0; i < w->org->n_servers && n < max; i++)
            names[n++] = w->org->servers[i].name;
    }
    return n;
}

/* Splits "name rest"; the length of name, and where the argument begins (NULL: none yet). */
static size_t command_name(const char *text, const char **arg)
{
    size_t n = strcspn(text, " ");
    *arg = NULL;
    if (text[n]) {
        *arg = text + n;
        while (**arg == ' ')
            ++*arg;
    }
    return n;
}

/* Completes the last word of the argument, or the command itself. */
static void complete(struct ui *ui)
{
    const char *arg, *names[NAMES_MAX];
    char done[PROMPT_SIZE], whole[PROMPT_SIZE * 2];
    size_t len = command_name(ui->prompt.text, &arg), n = 0;
    if (!arg) {
        enum action matches[ACTION_COUNT];
        size_t found = palette_match(ui->prompt.text, ui_top(ui)->ops->id, matches);
        if (found == 0)
            return;
        for (int a = 0; a < ACTION_COUNT; a++)
            names[n++] = action_info((enum action)a)->name;
        palette_complete(ui->prompt.text, names, n, done, sizeof done);
        if (strlen(done) <= len || ui->palette_moved || found == 1)
            str_copy(done, sizeof done,
                     action_info(matches[ui->palette_at < found ? ui->palette_at : 0])->name);
        str_fmt(whole, sizeof whole, "%s%s", done,
                action_info(action_of_name(done, strlen(done)) == ACTION_NONE
                                ? ACTION_BACK
                                : action_of_name(done, strlen(done)))
                            ->arg == ARG_NONE
                    ? ""
                    : " ");
    } else {
        enum action a = action_of_name(ui->prompt.text, len);
        if (a == ACTION_NONE)
            return;
        const char *word = strrchr(arg, ' ');
        word = word ? word + 1 : arg;
        n = argument_names(ui, action_info(a)->arg, names, NAMES_MAX);
        palette_complete(word, names, n, done, sizeof done);
        if (!done[0])
            return;
        str_fmt(whole, sizeof whole, "%.*s%s", (int)(word - ui->prompt.text), ui->prompt.text, done);
    }
    prompt_set(&ui->prompt, whole);
    ui->palette_at = 0;
    ui->palette_moved = false;
}

static void palette_run(struct ui *ui)
{
    const char *arg;
    char text[PROMPT_SIZE];
    str_copy(text, sizeof text, ui->prompt.text);
    size_t len = command_name(text, &arg);
    enum action matches[ACTION_COUNT], a = action_of_name(text, len);
    ui->mode = MODE_NORMAL;
    if (len == 0 && !ui->palette_moved)
        return;
    if (!arg &&
        (a == ACTION_NONE || ui->palette_moved)) { /* the chosen line, or the best match of what was typed */
        size_t n = palette_match(text, ui_top(ui)->ops->id, matches);
        a = ui->palette_at < n ? matches[ui->palette_at] : ACTION_NONE;
    }
    if (a == ACTION_NONE) {
        ui_say(ui, PAINT_WARNING, "no command '%.*s' (: and Tab shows them)", (int)len, text);
        return;
    }
    prompt_remember(&ui->commands, text);
    action_run(ui, a, arg && *arg ? arg : NULL);
}

static void palette_key(struct ui *ui, int key)
{
    enum action matches[ACTION_COUNT];
    const char *arg;
    (void)command_name(ui->prompt.text, &arg);
    if (key == K_ESC || (key == K_BACKSPACE && ui->prompt.len == 0)) {
        ui->mode = MODE_NORMAL;
    } else if (key == K_ENTER) {
        palette_run(ui);
    } else if (key == K_TAB) {
        complete(ui);
    } else if ((key == K_UP || key == K_DOWN) && !arg && (ui->prompt.len > 0 || key == K_DOWN)) {
        size_t n = palette_match(ui->prompt.text, ui_top(ui)->ops->id, matches);
        if (key == K_DOWN)
            ui->palette_at += ui->palette_moved || ui->prompt.len > 0 ? ui->palette_at + 1 < n : 0;
        else
            ui->palette_at -= ui->palette_at > 0;
        ui->palette_moved = true;
    } else if (prompt_key(&ui->prompt, key) == PROMPT_CHANGED) {
        ui->palette_at = 0;
        ui->palette_moved = false;
    }
}

static void draw_palette(struct ui *ui, struct rect body)
{
    enum action matches[ACTION_COUNT];
    const char *arg;
    size_t len = command_name(ui->prompt.text, &arg), n, from = 0;
    char name[PROMPT_SIZE];
    str_copy(name, len + 1, ui->prompt.text);
    if (arg) {
        matches[0] = action_of_name(name, len);
        n = matches[0] != ACTION_NONE;
    } else {
        n = palette_match(name, ui_top(ui)->ops->id, matches);
    }
    int h = (int)(n < PALETTE_ROWS ? n : PALETTE_ROWS);
    if (h == 0)
        return;
    struct rect in = screen_frame((struct rect){body.y + body.h - h - 2, 0, h + 2, body.w}, "commands");
    if (ui->palette_at >= PALETTE_ROWS)
        from = ui->palette_at - PALETTE_ROWS + 1;
    for (int i = 0; i < h && from + (size_t)i < n; i++) {
        const struct action_info *info = action_info(matches[from + (size_t)i]);
        const char *why = action_why_not(ui, matches[from + (size_t)i]);
        bool chosen = from + (size_t)i == ui->palette_at;
        enum paint paint = chosen ? PAINT_SELECTED : why ? PAINT_DIM : PAINT_TEXT;
        char key[32], line[400];
        key_text(info->key, text_is_ascii(), key, sizeof key);
        str_fmt(line, sizeof line, "%-13s %-7s %s%s%s%s", info->name, key, why ? "[" : "", why ? why : "",
                why ? "] " : "", info->help);
        screen_field(in.y + i, in.x, in.w, paint, false, line);
    }
}

/* The names an argument can take, in the frame's last line. */
static void draw_argument_help(struct ui *ui, struct rect body)
{
    const char *arg, *names[NAMES_MAX];
    size_t len = command_name(ui->prompt.text, &arg);
    enum action a = action_of_name(ui->prompt.text, len);
    if (!arg || a == ACTION_NONE)
        return;
    const char *word = strrchr(arg, ' ');
    word = word ? word + 1 : arg;
    size_t n = argument_names(ui, action_info(a)->arg, names, NAMES_MAX);
    int y = body.y + body.h - 1, x = 2;
    for (size_t i = 0; i < n; i++) {
        if (str_istarts(names[i], word) && x + text_width(names[i]) + 2 < body.w - 2)
            x += screen_putf(y, x, body.w - x - 2, PAINT_INFO, " %s ", names[i]);
    }
}

void ui_ask(struct ui *ui, enum dialog_kind kind, const char *title, const char *label, const char *expected,
            dialog_accept *accept)
{
    struct dialog *d = &ui->dialog;
    dialog_fini(d);
    memset(d, 0, sizeof *d);
    d->kind = kind;
    str_copy(d->title, sizeof d->title, title);
    str_copy(d->label, sizeof d->label, label);
    str_copy(d->expected, sizeof d->expected, expected ? expected : "");
    d->accept = accept;
    prompt_init(&d->prompt, NULL, "");
    d->prompt.hidden = kind == DIALOG_SECRET;
    ui->mode = MODE_DIALOG;
    ui->dirty = true;
}

void dialog_fini(struct dialog *d)
{
    explicit_bzero(&d->prompt, sizeof d->prompt); /* it may have held a password */
    pane_fini(&d->body);
}

static void dialog_key(struct ui *ui, int key)
{
    struct dialog *d = &ui->dialog;
    if (d->kind == DIALOG_YES_NO) {
        if (key == 'y' || key == 'Y' || key == 'n' || key == 'N' || key == K_ENTER || key == K_ESC)
            ui->mode = MODE_NORMAL;
        if (key == 'y' || key == 'Y')
            d->accept(ui, "yes");
        else if (ui->mode == MODE_NORMAL && d->answers)
            d->accept(ui, NULL);
        else if (ui->mode == MODE_DIALOG)
            (void)pane_key(&d->body, key);
        return;
    }
    if (key == K_ESC) {
        ui->mode = MODE_NORMAL;
        if (d->kind == DIALOG_SECRET)
            d->accept(ui, NULL);
        else
            ui_say(ui, PAINT_DIM, "nothing was done");
        return;
    }
    if (key == K_ENTER) {
        bool right = d->kind == DIALOG_TYPE ? str_ieq(d->prompt.text, d->expected)
                                            : d->prompt.text[strspn(d->prompt.text, " ")] != '\0';
        if (!right) {
            str_copy(d->complaint, sizeof d->complaint,
                     d->kind == DIALOG_TYPE ? "that is not the name; nothing was done"
                                            : "say something, or Esc");
            return;
        }
        ui->mode = MODE_NORMAL;
        d->accept(ui, d->prompt.text);
        if (ui->mode != MODE_DIALOG)
            dialog_fini(d);
        return;
    }
    d->complaint[0] = '\0';
    if (prompt_key(&d->prompt, key) == PROMPT_IGNORED)
        (void)pane_key(&d->body, key);
}

static void draw_dialog(struct ui *ui, struct rect body)
{
    struct dialog *d = &ui->dialog;
    int w = body.w - 8 > 76 ? 76 : body.w - 8, text_rows = 0;
    for (size_t i = 0; i < d->body.lines.n; i++) {
        const char *s = d->body.lines.v[i].text;
        size_t skip;
        do {
            (void)text_wrap(s, w - 4 - d->body.lines.v[i].indent, &skip);
            s += skip;
            text_rows++;
        } while (*s);
    }
    int h = text_rows + 5;
    if (h > body.h)
        h = body.h;
    struct rect in = screen_frame((struct rect){body.y + (body.h - h) / 2, (body.w - w) / 2, h, w}, d->title);
    pane_draw(&d->body, (struct rect){in.y, in.x, in.h - 3, in.w});
    int y = in.y + in.h - 2;
    if (d->kind == DIALOG_YES_NO) {
        screen_putf(y, in.x, in.w, PAINT_STRONG, "%s (y/N)", d->label);
        return;
    }
    int x = in.x + screen_putf(y, in.x, in.w / 2, PAINT_STRONG, "%s ", d->label);
    prompt_draw(&d->prompt, y, x, in.x + in.w - x, PAINT_INPUT);
    screen_put(y + 1, in.x, in.w, PAINT_WARNING, d->complaint);
}

void mode_key(struct ui *ui, int key)
{
    switch (ui->mode) {
    case MODE_FILTER: filter_key(ui, key); break;
    case MODE_PALETTE: palette_key(ui, key); break;
    case MODE_DIALOG: dialog_key(ui, key); break;
    case MODE_NORMAL: break;
    }
}

bool mode_draw_line(struct ui *ui, int y, int w)
{
    if (ui->mode != MODE_FILTER && ui->mode != MODE_PALETTE)
        return false;
    bool bad = ui->mode == MODE_FILTER && ui->filter_error.code != ERR_OK;
    int half = bad ? w / 2 : w;
    screen_put(y, 1, 1, PAINT_STRONG, ui->mode == MODE_FILTER ? "/" : ":");
    if (bad)
        screen_putf(y, half, w - half, PAINT_WARNING, "%s %s: %s", state_glyph(STATE_WARNING),
                    ui->filter_error.what, ui->filter_error.hint);
    prompt_draw(&ui->prompt, y, 2, half - 3, PAINT_INPUT);
    return true;
}

void mode_draw(struct ui *ui, struct rect body)
{
    if (ui->mode == MODE_PALETTE) {
        draw_palette(ui, body);
        draw_argument_help(ui, body);
    } else if (ui->mode == MODE_DIALOG) {
        draw_dialog(ui, body);
    }
    /* the cursor belongs to whoever asked last; a frame over the prompt must not take it */
    if (ui->mode == MODE_PALETTE || ui->mode == MODE_FILTER) {
        int rows, cols;
        screen_size(&rows, &cols);
        (void)mode_draw_line(ui, rows - 2, cols);
    }
}
