/*
 * A cmdlet as data: a name and typed parameters. The only place that turns one into PowerShell text, and the
 * only place that reads such text back (from a plan file, which is input like any other).
 *
 * Quoting is the rule measured against PowerShell's own parser (remoting.md 6.1): 'value' with each of the
 * five single quotes PowerShell knows (U+0027 U+2018 U+2019 U+201A U+201B) doubled; lists one literal per
 * element; -Flag:$true for booleans; -Name:'value' for a value, or a list's first element, that begins with a
 * dash ('--%' is taken for the stop-parsing token otherwise). Bare words only for CMDLET_WORD values, which
 * must match [A-Za-z][A-Za-z0-9]*. Values must be valid UTF-8 without NUL, U+FFFE, U+FFFF.
 *
 * Not thread-safe while it is built; immutable and shared after. Everything lives in the arena.
 */
#ifndef CORE_MODEL_CMDLET_H
#define CORE_MODEL_CMDLET_H

#include "core/base/arena.h"
#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cmdlet_kind {
    CMDLET_STRING, /* one quoted string */
    CMDLET_WORD,   /* one bare word of a table of ours: Basic */
    CMDLET_WORDS,  /* Basic,NTLM */
    CMDLET_LIST,   /* 'a','b' */
    CMDLET_BOOL,   /* $true, $false */
    CMDLET_NULL,   /* $null */
    CMDLET_SWITCH, /* -Name alone */
    CMDLET_INT,
};

struct cmdlet_value {
    enum cmdlet_kind kind;
    const char **strings; /* STRING, WORD: one; WORDS, LIST: n */
    size_t n;
    bool flag;
    int64_t number;
};

struct cmdlet_param {
    const char *name; /* "Identity", without the dash */
    struct cmdlet_value value;
};

#define CMDLET_MAX_PARAMS 64
#define CMDLET_MAX_VALUES 1024  /* elements of one list */
#define CMDLET_MAX_VALUE  65536 /* bytes of one string */

struct cmdlet {
    const char *name; /* "Set-OutlookAnywhere" */
    struct cmdlet_param *params;
    size_t n_params;
    struct arena *arena; /* where parameters are put; borrowed */
    enum err failed; /* the first error of a builder function; such a cmdlet has no text: a parameter would be
                        missing */
};

/* Verb-Noun of letters and digits; letters and digits. For names that do not come from a table of ours (exec,
 * a plan file). */
bool cmdlet_name_is_valid(const char *name);
bool cmdlet_param_name_is_valid(const char *name);

/*
 * Names must be valid (above): an ASSERT. Values and names are copied. A builder function fails with
 * ERR_LIMIT (too many, too long, the arena is full) or ERR_INPUT (NULL, no value, a parameter named twice, a
 * word that is none); what fails stays failed.
 */
void cmdlet_init(struct cmdlet *c, struct arena *arena, const char *name);
enum err cmdlet_string(struct cmdlet *c, const char *param, const char *value);
enum err cmdlet_word(struct cmdlet *c, const char *param, const char *word);
enum err cmdlet_words(struct cmdlet *c, const char *param, const char *const *words, size_t n);
enum err cmdlet_list(struct cmdlet *c, const char *param, const char *const *values, size_t n);
enum err cmdlet_bool(struct cmdlet *c, const char *param, bool value);
enum err cmdlet_null(struct cmdlet *c, const char *param);
enum err cmdlet_switch(struct cmdlet *c, const char *param);
enum err cmdlet_int(struct cmdlet *c, const char *param, int64_t value);
enum err cmdlet_copy(struct cmdlet *dst, struct arena *arena, const struct cmdlet *src) MUST_CHECK;
const struct cmdlet_param *cmdlet_param(const struct cmdlet *c, const char *name);

/* Appends "Set-OutlookAnywhere -Identity 'EXCAS01\Rpc (Default Web Site)' ..." - PowerShell to PowerShell.
   ERR_INPUT when a value cannot travel (see above); nothing is appended then. */
enum err cmdlet_text(struct buf *out, const struct cmdlet *c, struct errinfo *ei) MUST_CHECK;
/* One value, quoted as above. */
enum err cmdlet_quote(struct buf *out, const char *value, struct errinfo *ei) MUST_CHECK;
/*
 * Reads exactly what cmdlet_text writes and nothing else: one cmdlet, parameters by name; its text is the
 * input again, byte for byte. Anything PowerShell would treat as more than data (variables other than
 * $true/$false/$null, sub-expressions, pipes, separators, comments, double quotes) is ERR_INPUT, and the text
 * says where. Which cmdlets and parameters there are is not its business. A list of one element comes back as
 * a string: the text is the same.
 */
enum err cmdlet_parse(struct cmdlet *out, struct arena *arena, const char *text,
                      struct errinfo *ei) MUST_CHECK;

#endif
