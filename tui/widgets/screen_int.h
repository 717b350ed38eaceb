/*
 * Between the screen and the part of it that must work in a signal handler.
 */
#ifndef TUI_WIDGETS_SCREEN_INT_H
#define TUI_WIDGETS_SCREEN_INT_H

#include <stddef.h>

/* Remembers the terminal's settings and, as one byte string, how to put it back; installs handlers for SIGSEGV, SIGBUS, SIGFPE,
   SIGILL and SIGABRT and the hook of assert_failed(). restore is copied. */
void crash_arm(int tty, const char *restore, size_t len);
/* The terminal is not ours (suspended, closed): a crash leaves it alone. */
void crash_disarm(void);
void crash_rearm(void);

#endif
