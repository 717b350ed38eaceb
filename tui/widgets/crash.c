/* A crash must not leave the admin with a terminal that echoes nothing. Only async-signal-safe calls past the signal. */
#include "tui/widgets/screen_int.h"

#include "core/base/err.h"
#include "core/base/str.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct {
    int tty;
    char restore[256];
    size_t len;
    struct termios modes;
    bool has_modes;
    atomic_bool armed;
} crash;

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static struct sigaction before[ARRAY_LEN(fatal)];

static void restore_terminal(void)
{
    if (!atomic_exchange(&crash.armed, false))
        return;
    for (size_t at = 0; at < crash.len;) {
        ssize_t n = write(crash.tty, crash.restore + at, crash.len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    if (crash.has_modes)
        tcsetattr(crash.tty, TCSANOW, &crash.modes);
}

static void on_fatal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    restore_terminal();
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++) {
        if (fatal[i] == sig)
            sigaction(sig, &before[i], NULL);
    }
    /* Whoever was in charge before gets it: the default, or a sanitizer with its report. A fault of the processor happens again by
       itself, at the place a report should name; a signal that was sent must be sent again. */
    if (info->si_code <= 0 || sig == SIGABRT)
        raise(sig);
}

void crash_arm(int tty, const char *restore, size_t len)
{
    static bool installed;
    crash.tty = tty;
    crash.len = len < sizeof crash.restore ? len : sizeof crash.restore;
    memcpy(crash.restore, restore, crash.len);
    crash.has_modes = tcgetattr(tty, &crash.modes) == 0;
    atomic_store(&crash.armed, true);
    if (installed)
        return;
    installed = true;
    assert_set_hook(restore_terminal);
    struct sigaction sa = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        sigaction(fatal[i], &sa, &before[i]);
}

void crash_disarm(void)
{
    atomic_store(&crash.armed, false);
}

void crash_rearm(void)
{
    atomic_store(&crash.armed, crash.len > 0);
}
