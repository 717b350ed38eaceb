/* Texts that an LDIF reader finds hard, out of any bytes: what entries are made of, in any order, broken and long. */
#ifndef TESTS_UNIT_LDIF_TEXT_H
#define TESTS_UNIT_LDIF_TEXT_H

#include "core/base/buf.h"
#include "core/base/str.h"
#include "core/directory/ldif.h"

#include <stdlib.h>
#include <string.h>

struct ldif_fragment {
    const char *text;
    size_t len;
};
#define FRAGMENT(s)                                                                                          \
    {                                                                                                        \
        s, sizeof s - 1                                                                                      \
    }

/* Twice: whole users are most of an export, and what makes one of them other than the one before is one line. */
static const struct ldif_fragment ldif_fragments[] = {
    FRAGMENT("dn: CN=u1,DC=x\nobjectClass: top\nobjectClass: user\ncn: u1\ndisplayName: u\n\n"),
    FRAGMENT(
        "dn: CN=u2,DC=x\nobjectClass: top\nobjectClass: user\ncn: u2\nmail: u2@example.invalid.example\n\n"),
    FRAGMENT("dn: CN=u3,DC=x\r\nobjectClass: top\r\nobjectClass: user\r\ncn: u3\r\ndescription: u\r\n\r\n"),
    FRAGMENT("dn: CN=u4,DC=x\r\nobjectClass: top\r\nobjectClass: user\r\ncn: u4\r\n\r\n"),
    FRAGMENT("dn: CN=s,DC=x\nobjectClass: site\nurl: x\n\n"),
    FRAGMENT("dn: CN=a,\n DC=x\n"),
    FRAGMENT("dn: CN=b\n"),
    FRAGMENT("dn:: Q049YQ==\n"),
    FRAGMENT("dn:: !\n"),
    FRAGMENT("dn:< file:///x\n"),
    FRAGMENT("dn:\n"),
    FRAGMENT("dn: CN=\0\n"),
    FRAGMENT("dN: CN=c \r\n"),
    FRAGMENT("objectClass: top\nobjectClass: user\n"),
    FRAGMENT("objectClass: top\nobjectClass: site\n"),
    FRAGMENT("objectClass:: dXNlcg==\n"),
    FRAGMENT("cn: x\n"),
    FRAGMENT("url: y\n"),
    FRAGMENT("url:: !\n"),
    FRAGMENT("dc: x\n"),
    FRAGMENT("dnsRoot: x\n"),
    FRAGMENT("description: 0123456789012345678901234567890123456789012345678901234567890123456789\n"),
    FRAGMENT("changetype: add\n"),
    FRAGMENT("changetype: modify\n"),
    FRAGMENT("version: 1\n"),
    FRAGMENT("version: 2\n"),
    FRAGMENT("search: 2\nresult: 4 no\n"),
    FRAGMENT("# comment\n"),
    FRAGMENT(" folded\n"),
    FRAGMENT("rubbish\n"),
    FRAGMENT("d"),
    FRAGMENT("dn"),
    FRAGMENT("\n"),
    FRAGMENT("\n\n"),
    FRAGMENT("\r\n"),
    FRAGMENT("\r"),
    FRAGMENT("\t\n"),
    FRAGMENT("\0\n"),
    FRAGMENT("\xc3\xb6\n"),
};

/* Each byte of data chooses a fragment; one above the table makes the last one come again, at most 30 times. */
static inline void ldif_make(struct buf *out, const uint8_t *data, size_t len)
{
    const size_t n = sizeof ldif_fragments / sizeof *ldif_fragments;
    for (size_t i = 0; i < len; i++) {
        size_t times = 1, at = i;
        if (data[i] >= n) {
            times = data[i] % 31;
            while (at && data[at] >= n)
                at--;
        }
        const struct ldif_fragment *f = &ldif_fragments[data[at] % n];
        while (times--)
            buf_add(out, f->text, f->len);
    }
}

/* What came out, as text. */
struct ldif_said {
    struct buf text;
};

static inline enum err ldif_say_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct ldif_said *s = arg;
    (void)ei;
    buf_addf(&s->text, "%llu@%llu %s %x", (unsigned long long)e->line, (unsigned long long)e->position, e->dn,
             e->classes);
    for (size_t i = 0; i < e->n; i++) {
        buf_addf(&s->text, "|%d%d ", e->values[i].attribute, e->values[i].cut);
        buf_add(&s->text, e->values[i].data, e->values[i].len);
    }
    buf_addc(&s->text, '\n');
    return ERR_OK;
}

static inline void ldif_say_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    struct ldif_said *s = arg;
    buf_addf(&s->text, "note %llu %s: %s\n", (unsigned long long)line, subject ? subject : "-", text);
}

static inline struct ldif_wants ldif_say(struct ldif_said *s)
{
    buf_init(&s->text, (size_t)256 * 1024 * 1024);
    return (struct ldif_wants){.who = FOR_ORG | FOR_COMPUTER,
                               .wanted = CLASSES_OF_ORG | CLASS_COMPUTER,
                               .entry = ldif_say_entry,
                               .note = ldif_say_note,
                               .arg = s};
}

static inline void ldif_say_figures(struct ldif_said *s, uint64_t entries, uint64_t with_class,
                                    uint64_t lines, bool cut)
{
    buf_addf(&s->text, "%llu entries, %llu with a class, %llu lines%s\n", (unsigned long long)entries,
             (unsigned long long)with_class, (unsigned long long)lines, cut ? ", cut" : "");
}

/* Fed a line at a time, in memory of its own: of nothing more than one line can be passed over at once then. */
static inline bool ldif_read_slowly(struct ldif_said *s, const char *text, size_t len)
{
    struct ldif p;
    struct ldif_wants w = ldif_say(s);
    bool cut, good = true;
    ldif_init(&p, &w, LDIF_DETECT);
    for (const char *at = text, *end = text + len; good && at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = newline ? (size_t)(newline + 1 - at) : (size_t)(end - at);
        char *line = malloc(n);
        good = line && (memcpy(line, at, n), ldif_feed(&p, line, n, NULL) == ERR_OK);
        free(line);
        at += n;
    }
    good = good && ldif_finish(&p, &cut, NULL) == ERR_OK;
    if (good)
        ldif_say_figures(s, p.entries, p.with_class, p.line, cut);
    ldif_fini(&p);
    return good;
}

#endif
