/*
 * Between the files of the wizard.
 */
#ifndef TUI_VIEWS_WIZARD_INT_H
#define TUI_VIEWS_WIZARD_INT_H

#include "tui/views/gates.h"
#include "tui/views/ui.h"

enum step { STEP_GATES, STEP_FIX, STEP_REHEARSE, STEP_VERIFY, STEP_COUNT };
enum step_state { STEP_TODO, STEP_DONE, STEP_BLOCKED };

struct wizard {
    enum step here;
    struct gate_settled settled[GATE_COUNT];
    bool loaded;
    struct gate_answer answers[GATE_COUNT];
    unsigned closed;  /* gates that are not open */
    unsigned fixable; /* findings an apply could mend */
    unsigned rehearsed, to_rehearse;
    enum step_state states[STEP_COUNT];
    const char *blocked[STEP_COUNT]; /* why */
};

/* A legacy CAS counts as rehearsed when the newest request to it that ended did so well. */
bool wizard_is_rehearsed(const struct session *s, const struct server *server);
/* What stands below the step bar; the gates have a table of their own. */
void wizard_describe_fix(struct view *v);
void wizard_describe_rehearsal(struct view *v);
void wizard_describe_verification(struct view *v);

#endif
