#include "core/probe/mail.h"

#include "core/base/str.h"

#include <string.h>

static bool starts(const char *line, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);
    return len >= n && str_incmp(line, prefix, n) == 0;
}

bool mail_greeting(enum mail_kind kind, const char *line, size_t len, const char **text, size_t *text_len)
{
    const char *want = kind == MAIL_POP ? "+OK" : "* OK";
    size_t n = strlen(want);
    if (!starts(line, len, want) || (len > n && line[n] != ' '))
        return false;
    if (len > n)
        n++;
    *text = line + n;
    *text_len = len - n;
    return true;
}

/* The next word of a line; false at its end. */
static bool word(const char **p, const char *end, const char **w, size_t *len)
{
    while (*p < end && (**p == ' ' || **p == '\t'))
        (*p)++;
    *w = *p;
    while (*p < end && **p != ' ' && **p != '\t')
        (*p)++;
    *len = (size_t)(*p - *w);
    return *len > 0;
}

static bool is(const char *w, size_t len, const char *name)
{
    return len == strlen(name) && str_incmp(w, name, len) == 0;
}

static void mechanism(struct mail_caps *caps, const char *w, size_t len)
{
    if (is(w, len, "PLAIN"))
        caps->plain = true;
    else if (is(w, len, "LOGIN"))
        caps->login = true;
    else if (is(w, len, "NTLM"))
        caps->ntlm = true;
    else if (is(w, len, "GSSAPI"))
        caps->gssapi = true;
    else
        caps->others++;
}

static void imap_word(struct mail_caps *caps, const char *w, size_t len)
{
    if (is(w, len, "STARTTLS"))
        caps->starttls = true;
    else if (is(w, len, "LOGINDISABLED"))
        caps->login_disabled = true;
    else if (starts(w, len, "AUTH="))
        mechanism(caps, w + 5, len - 5);
}

/* POP: a capability a line. */
static void pop_line(struct mail_caps *caps, const char *line, size_t len)
{
    const char *p = line, *end = line + len, *w;
    size_t n;
    if (!word(&p, end, &w, &n))
        return;
    if (is(w, n, "STLS"))
        caps->starttls = true;
    else if (is(w, n, "USER"))
        caps->user = true;
    else if (is(w, n, "SASL"))
        while (word(&p, end, &w, &n))
            mechanism(caps, w, n);
}

enum mail_line mail_caps_line(enum mail_kind kind, struct mail_caps *caps, const char *line, size_t len,
                              bool first)
{
    const char *p = line, *end = line + len, *w;
    size_t n;
    if (kind == MAIL_POP) {
        if (first)
            return starts(line, len, "+OK") ? MAIL_MORE : MAIL_NO;
        if (len == 1 && *line == '.')
            return MAIL_OK;
        pop_line(caps, line, len);
        return MAIL_MORE;
    }
    if (!word(&p, end, &w, &n))
        return MAIL_MORE;
    if (is(w, n, "*")) {
        if (word(&p, end, &w, &n) && is(w, n, "CAPABILITY"))
            while (word(&p, end, &w, &n))
                imap_word(caps, w, n);
        return MAIL_MORE;
    }
    if (!is(w, n, "a"))
        return MAIL_NO;
    caps->user = !caps->login_disabled;
    return word(&p, end, &w, &n) && is(w, n, "OK") ? MAIL_OK : MAIL_NO;
}

enum mail_line mail_tls_line(enum mail_kind kind, const char *line, size_t len)
{
    if (kind == MAIL_POP)
        return starts(line, len, "+OK") ? MAIL_OK : MAIL_NO;
    if (starts(line, len, "* "))
        return MAIL_MORE;
    return starts(line, len, "a OK") ? MAIL_OK : MAIL_NO;
}

void mail_caps_words(enum mail_kind kind, const struct mail_caps *caps, struct buf *out)
{
    const struct {
        bool has;
        const char *words;
    } list[] = {{caps->user, "user and password"},
                {caps->plain, "PLAIN"},
                {caps->login, "LOGIN"},
                {caps->ntlm, "NTLM"},
                {caps->gssapi, "GSSAPI"}};
    const char *sep = "login by ";
    for (size_t i = 0; i < ARRAY_LEN(list); i++)
        if (list[i].has) {
            buf_addf(out, "%s%s", sep, list[i].words);
            sep = ", ";
        }
    if (caps->others)
        buf_addf(out, "%s%u more", *sep == ',' ? " and " : sep, caps->others);
    else if (*sep != ',')
        buf_adds(out, caps->starttls ? "no login before TLS" : "no way to log in offered");
    if (caps->login_disabled)
        buf_adds(out, "; LOGINDISABLED");
    if (caps->starttls)
        buf_adds(out, kind == MAIL_POP ? "; STLS offered" : "; STARTTLS offered");
}
