/*
 * Every action of the console, once: the keys, the : palette, ? help, the hint bar and the manual are all made of this list.
 *
 * Lower case looks, upper case changes something; Ctrl is about the terminal. Pure: functions are bound in dispatch.c.
 */
#ifndef TUI_VIEWS_ACTION_MAP_H
#define TUI_VIEWS_ACTION_MAP_H

#include "tui/widgets/key.h"

#include <stdbool.h>
#include <stddef.h>

/* id, crumb, what one sees there */
#define VIEW_MAP(X)                                                                                          \
    X(OVERVIEW, "Overview", "the verdict: may the new CAS take the namespace, and what stands in the way")   \
    X(SERVERS, "Servers", "every Exchange server: what the directory says, what the wire says, the verdict") \
    X(SERVER, "Server", "one server: each virtual directory by directory, wire and verdict, with evidence")  \
    X(SITES, "Sites", "Active Directory sites with their servers")                                           \
    X(FINDINGS, "Findings", "what is wrong, why it matters, how we know, and the cmdlet that mends it")      \
    X(CONNECTIONS, "Connections", "live traffic through the proxy engine, which behaves as the new CAS")     \
    X(LADDER, "Request", "one request, phase by phase, between client, engine and CAS")                      \
    X(PLAN, "Plan", "steps with before, after, cmdlet and inverse; applied only when told to")               \
    X(WIZARD, "Wizard", "the migration: gates, legacy fix, rehearsal, verification")                         \
    X(JOURNAL, "Journal", "every run that changed something, with its records")                              \
    X(RUN, "Run", "the records of one run")                                                                  \
    X(LOG, "Log", "what the console itself has to say")                                                      \
    X(HELP, "Help", "the keys of a view")

enum view_id {
#define X(id, crumb, help) VIEW_##id,
    VIEW_MAP(X)
#undef X
        VIEW_COUNT
};

#define ON(view) (1u << VIEW_##view)
#define ON_ANY   ((1u << VIEW_COUNT) - 1)
#define ON_TABLES                                                                                            \
    (ON(OVERVIEW) | ON(SERVERS) | ON(SERVER) | ON(SITES) | ON(FINDINGS) | ON(CONNECTIONS) | ON(PLAN) |       \
     ON(JOURNAL) | ON(RUN) | ON(LOG))
#define ON_SPLIT (ON(SERVER) | ON(FINDINGS) | ON(PLAN) | ON(WIZARD) | ON(RUN))

enum action_flags {
    ACTION_HINT = 1,   /* stands in the hint bar */
    ACTION_CHANGE = 2, /* refused while read-only */
};

enum action_arg { ARG_NONE, ARG_TEXT, ARG_COLUMN, ARG_THEME, ARG_SERVER, ARG_SUBJECT, ARG_FILE };

/* id, name, key, second key, views, flags, argument, help */
#define ACTION_MAP(X)                                                                                        \
    X(OPEN, "open", K_ENTER, 0, ON_TABLES | ON(WIZARD), ACTION_HINT, ARG_NONE, "go into the selected row")   \
    X(BACK, "back", K_ESC, 0, ON_ANY, 0, ARG_NONE, "back: message, filter, detail, view")                    \
    X(FOCUS, "detail", K_TAB, 0, ON_SPLIT, ACTION_HINT, ARG_NONE, "move between the list and its detail")    \
    X(FILTER, "filter", '/', 0, ON_TABLES, ACTION_HINT, ARG_TEXT,                                            \
      "narrow the rows: text, field:value, !not, status:>=400")                                              \
    X(PROBLEMS, "problems", 'z', 0, ON_TABLES, 0, ARG_NONE, "only what is not right; again: everything")     \
    X(SORT, "sort", 's', 0, ON_TABLES, 0, ARG_COLUMN, "sort by the next column, or by the one named")        \
    X(REVERSE, "reverse", 'd', 0, ON_TABLES, 0, ARG_NONE, "sort the other way round")                        \
    X(ENGINE, "engine", 'e', 0, ON(CONNECTIONS) | ON(WIZARD), ACTION_HINT, ARG_NONE,                         \
      "start or stop the engine that behaves as the new CAS")                                                \
    X(PAUSE, "pause", ' ', 0, ON(CONNECTIONS), ACTION_HINT, ARG_NONE, "hold the rows still; again: go on")   \
    X(KILL, "kill", 'K', 0, ON(CONNECTIONS), ACTION_CHANGE, ARG_NONE, "end the selected connection")         \
    X(MAKE, "make-plan", 'm', 0, ON_ANY, ACTION_HINT, ARG_SUBJECT,                                           \
      "make a plan of all findings, or of the rules and servers named; nudge: servers look at once")         \
    X(APPLY, "apply", 'A', 0, ON(PLAN) | ON(WIZARD), ACTION_HINT | ACTION_CHANGE, ARG_TEXT,                  \
      "carry out the plan, after typing the organisation's name; a reason given goes into the journal")      \
    X(FORCE, "force-apply", 'F', 0, ON(PLAN), ACTION_CHANGE, ARG_TEXT,                                       \
      "apply, taking the lock away from whoever holds it: say why, it is recorded")                          \
    X(WRITE, "write", 'w', 0, ON(PLAN), 0, ARG_FILE, "write the plan to a file")                             \
    X(SETTLE, "settle", 'S', 0, ON(WIZARD), ACTION_HINT, ARG_NONE,                                           \
      "answer or skip this gate with a typed reason; again: take that back")                                 \
    X(NEXT_STEP, "next-step", K_RIGHT, 0, ON(WIZARD), ACTION_HINT, ARG_NONE, "look at the next step")        \
    X(LAST_STEP, "previous-step", K_LEFT, 0, ON(WIZARD), 0, ARG_NONE, "look at the step before")             \
    X(CHAIN, "verify-chain", 'v', 0, ON(JOURNAL) | ON(RUN), ACTION_HINT, ARG_NONE,                           \
      "check the journal's hash chain")                                                                      \
    X(ROLLBACK, "rollback", 'R', 0, ON(JOURNAL) | ON(RUN), ACTION_HINT | ACTION_CHANGE, ARG_NONE,            \
      "plan the way back of this run")                                                                       \
    X(READ, "read", 'r', 0, ON_ANY, ACTION_HINT, ARG_NONE, "read the directory again")                       \
    X(PROBE, "probe", 'p', 0, ON_ANY, ACTION_HINT, ARG_NONE,                                                 \
      "ask every CAS what it offers on the wire; in a server's view that one, step by step")                 \
    X(ASK, "ask-servers", 'a', 0, ON_ANY, 0, ARG_NONE,                                                       \
      "ask the servers themselves: rollup, KB3140410, IIS's file; in a server's view that one")              \
    X(CANCEL, "cancel", 'c', 0, ON_ANY, 0, ARG_NONE, "stop what runs; a push ends the host in hand first")   \
    X(COPY, "copy", 'y', 0, ON_ANY, 0, ARG_NONE,                                                             \
      "send the selected row (its cmdlet, where it has one) to the terminal's clipboard")                    \
    X(PALETTE, "palette", ':', 0, ON_ANY, ACTION_HINT, ARG_NONE, "a command by name")                        \
    X(HELP, "help", '?', 0, ON_ANY, ACTION_HINT, ARG_NONE, "the keys of this view")                          \
    X(OVERVIEW, "overview", '1', 0, ON_ANY, 0, ARG_NONE, "go to the overview")                               \
    X(SERVERS, "servers", '2', 0, ON_ANY, 0, ARG_NONE, "go to the servers")                                  \
    X(SITES, "sites", '3', 0, ON_ANY, 0, ARG_NONE, "go to the sites")                                        \
    X(FINDINGS, "findings", '4', 0, ON_ANY, 0, ARG_NONE, "go to the findings")                               \
    X(CONNECTIONS, "connections", '5', 0, ON_ANY, 0, ARG_NONE, "go to the live connections")                 \
    X(PLAN, "plan", '6', 0, ON_ANY, 0, ARG_NONE, "go to the plan")                                           \
    X(WIZARD, "wizard", '7', 0, ON_ANY, 0, ARG_NONE, "go to the migration wizard")                           \
    X(JOURNAL, "journal", '8', 0, ON_ANY, 0, ARG_NONE, "go to the journal")                                  \
    X(LOG, "log", '9', 0, ON_ANY, 0, ARG_NONE, "go to the log")                                              \
    X(SERVER, "server", 0, 0, ON_ANY, 0, ARG_SERVER, "open one server by name")                              \
    X(UNLOCK, "unlock", 'U', 0, ON_ANY, 0, ARG_NONE, "allow changes, after typing the organisation's name")  \
    X(LOCK, "lock", 'L', 0, ON_ANY, 0, ARG_NONE, "back to read-only")                                        \
    X(THEME, "theme", 0, 0, ON_ANY, 0, ARG_THEME, "another set of colours")                                  \
    X(REDRAW, "redraw", KEY_CTRL('l'), 0, ON_ANY, 0, ARG_NONE, "draw the screen anew")                       \
    X(QUIT, "quit", 'q', KEY_CTRL('c'), ON_ANY, 0, ARG_NONE, "leave; asks when something runs")

enum action {
#define X(id, name, key, alt, views, flags, arg, help) ACTION_##id,
    ACTION_MAP(X)
#undef X
        ACTION_COUNT,
    ACTION_NONE = ACTION_COUNT
};

struct action_info {
    const char *name, *help;
    int key, alt;
    unsigned views, flags;
    enum action_arg arg;
};

/* Keys that move in tables and panes; they belong to no action. Ends with key 0. */
struct motion {
    int keys[2];
    const char *help;
};
extern const struct motion motions[];

const struct action_info *action_info(enum action a);
/* ACTION_NONE when the key means nothing in that view. */
enum action action_of_key(int key, enum view_id view);
enum action action_of_name(const char *name, size_t len);
bool action_is_on(enum action a, enum view_id view);
const char *view_crumb(enum view_id v);
const char *view_about(enum view_id v);

/* Actions that `typed` may become, best first: the name begins with it, then the name or the help holds it. Those that have no
   place in the view come last and are left to action_is_on(). Returns how many. */
size_t palette_match(const char *typed, enum view_id view, enum action out[static ACTION_COUNT]);
/* The longest text that all names share which begin with typed; "" when typed is more than a name. */
void palette_complete(const char *typed, const char *const *names, size_t n, char *out, size_t cap);

#endif
