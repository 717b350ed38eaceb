/* The console's loop: one poll() over the terminal, the job pool and the signals; whatever woke it, one repaint at the end. */
#include "tui/console.h"

#include "core/base/log.h"
#include "core/kerberos/kerberos.h"
#include "tui/session.h"
#include "tui/views/ui.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int watched[] = {SIGWINCH, SIGTERM, SIGHUP, SIGQUIT, SIGINT, SIGTSTP, SIGCONT};

/* Blocked for good in this thread and in those it starts; read from a descriptor instead. So no resize is lost between a check and
   a read, and no handler runs in the middle of curses. */
static enum err watch_signals(int *fd, sigset_t *before, struct errinfo *ei)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        sigaddset(&set, watched[i]);
    if (pthread_sigmask(SIG_BLOCK, &set, before) != 0)
        return err_set(ei, ERR_SYSTEM, NULL, "signals could not be blocked");
    *fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (*fd >= 0)
        return ERR_OK;
    enum err e = err_errno(ei, ERR_SYSTEM, NULL, "signals could not be watched");
    pthread_sigmask(SIG_SETMASK, before, NULL);
    return e;
}

/* True when the console must end at once. */
static bool take_signals(int fd, struct ui *ui)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGQUIT:
        case SIGHUP: return true;
        case SIGINT: ui_key(ui, KEY_CTRL('c')); break;
        case SIGTSTP: screen_suspend(); break;
        default: screen_resize(); break;
        }
        ui->dirty = true;
        if (info.ssi_signo == SIGTSTP || info.ssi_signo == SIGCONT)
            ui->repaint = true;
    }
    return false;
}

static enum err loop(struct ui *ui, struct session *s, int signals)
{
    while (!ui->quit) {
        ui_show(ui);
        struct pollfd fds[] = {
            {STDIN_FILENO, POLLIN, 0}, {job_pool_fd(s->pool), POLLIN, 0}, {signals, POLLIN, 0}};
        int n = poll(fds, sizeof fds / sizeof *fds, ui_wait_ms(ui));
        if (n < 0 && errno != EINTR)
            return ERR_SYSTEM;
        if (fds[2].revents && take_signals(signals, ui))
            return ERR_INTERRUPTED;
        if (fds[1].revents)
            session_collect(s);
        if (n == 0 || ui_wait_ms(ui) == 0) /* also when keys and results leave no time-out ever to come */
            ui_tick(ui);
        for (int key; (fds[0].revents & (POLLIN | POLLHUP)) && (key = screen_key()) != KEY_NONE;)
            ui_key(ui, key);
        if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) /* the terminal is gone */
            return ERR_INTERRUPTED;
    }
    return ERR_OK;
}

static void load_theme(const struct console_config *c, struct theme *t, struct errinfo *problem)
{
    const char *name = c->theme ? c->theme : profile_get(c->profile, PROFILE_theme, NULL);
    (void)!theme_load(t, name, problem); /* on an error it holds the default, and the error is shown */
}

/* Waits for the host in hand: not in silence, and what came of it is said. */
static void say_farewell(struct session *s)
{
    char counts[160];
    bool applying = s->tasks[TASK_APPLY].running;
    if (applying)
        fprintf(stderr, "casbridge: ending what is in hand; nothing else is begun\n");
    session_end(s);
    if (!applying || !s->planned.outcome.run[0])
        return;
    plan_outcome_text(&s->planned.outcome, counts, sizeof counts);
    fprintf(stderr, "casbridge: run %s: %s\n", s->planned.outcome.run, counts);
}

static enum err run(const struct console_config *c, struct errinfo *ei)
{
    struct theme theme;
    struct errinfo theme_problem = {.code = ERR_OK};
    struct session *s = NULL;
    struct ui ui;
    sigset_t before;
    int signals = -1;
    memset(&ui, 0, sizeof ui);
    load_theme(c, &theme, &theme_problem);
    enum err k = krb_setup_names(c->profile, ei); /* before any thread: it sets the environment */
    if (k != ERR_OK)
        return k;
    enum err e = watch_signals(&signals, &before, ei);
    if (e != ERR_OK)
        return e;
    struct screen_config sc = {.ascii = c->ascii, .no_color = c->no_color, .theme = &theme};
    e = screen_open(&sc, ei);
    if (e != ERR_OK)
        goto out;
    e = session_new(&s, c, ui_session_changed, &ui, ei);
    if (e == ERR_OK)
        e = ui_open(&ui, s, c, &theme, ei);
    if (e != ERR_OK)
        goto out;
    ui_show(&ui); /* the first paint waits for nothing */
    if (theme_problem.code != ERR_OK)
        ui_say_error(&ui, &theme_problem);
    session_read(s);
    session_watch(s);
    e = loop(&ui, s, signals);
    if (e == ERR_SYSTEM)
        e = err_set(ei, e, NULL, "waiting for the terminal failed");
    else if (e == ERR_INTERRUPTED)
        e = err_set(ei, e, NULL, "the console was ended by a signal, or its terminal went away");
out:
    ui_close(&ui);
    screen_close(); /* before the session: what runs may take a moment to end, and the terminal is free by then */
    if (s)
        say_farewell(s);
    session_free(&s);
    close(signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

int console_run(const struct console_config *c)
{
    struct errinfo ei = {.code = ERR_OK};
    enum err e = run(c, &ei);
    if (e != ERR_OK)
        log_err(&ei);
    return err_exit_code(e);
}
