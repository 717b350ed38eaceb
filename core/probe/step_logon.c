#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/probe_int.h"

#include <string.h>

/* What a method is called in a sentence: what was refused, and what the server was asked with. */
static const struct {
    const char *refused, *with;
} words_for[LOGON_COUNT] = {
    [LOGON_BASIC] = {"user and password are", "Basic"},
    [LOGON_NTLM] = {"the NTLM logon is", "NTLM"},
    [LOGON_NEGOTIATE_NTLM] = {"the NTLM logon within Negotiate is", "NTLM within Negotiate"},
    [LOGON_KERBEROS] = {"the Kerberos ticket is", "a Kerberos ticket"},
};

/* What a healthy application says to a bare GET of somebody it let in, since it has no page there. Assumed from what admins see in a
   browser; an anonymous request, which met a 401, would have got it too were it about anything but the missing page. */
static const struct {
    enum protocol protocol;
    int status;
    const char *words;
} no_page[] = {
    {PROTOCOL_EAS, 501, "ActiveSync has no page for a browser"},
    {PROTOCOL_EAS, 505, "ActiveSync has no page for a browser"},
    {PROTOCOL_OAB, 403, "the folder is not listed"},
};

/* NULL: that is no answer of a healthy one. */
static const char *let_in_words(const struct target *t, enum protocol p, int status)
{
    for (size_t i = 0; i < ARRAY_LEN(no_page) && t->status[p] == 401; i++)
        if (no_page[i].protocol == p && no_page[i].status == status)
            return no_page[i].words;
    return NULL;
}

static void judge(struct target *t, struct observation *o, enum protocol p, enum logon_method m,
                  const struct http_answer *a)
{
    struct buf words;
    char ticket[96] = "";
    int status = a->status;
    const uint8_t *body = (const uint8_t *)a->body.data;
    buf_init(&words, 1024);
    if (m == LOGON_KERBEROS)
        str_fmt(ticket, sizeof ticket, " (%s, kvno %d)", krb_etype_name(t->ticket.etype), t->ticket.kvno);
    if (status == 401) {
        (void)challenge_words(&words, &a->challenge);
        target_say(t, o, OUTCOME_FAILED, "401: %s refused, the server offers %s%s", words_for[m].refused,
                   buf_str(&words), ticket);
    } else if (status >= 200 && status < 300) {
        bool echo =
            p == PROTOCOL_OA && a->body.len >= 20 && body[0] == 5 && body[2] == 0x14; /* MS-RPCH 2.2.4.48 */
        target_say(t, o, OUTCOME_OK, "%d with %s%s%s", status, words_for[m].with,
                   echo ? ", the RPC proxy echoes" : "", ticket);
    } else {
        /* past authentication: what the application makes of a bare request is its own step */
        const char *good = let_in_words(t, p, status), *more = good ? good : status_words(status, p);
        bool fine =
            good || (p != PROTOCOL_OA && ((status >= 300 && status < 400) || status == 405 || status == 400));
        target_say(t, o, fine ? OUTCOME_OK : OUTCOME_FAILED, "%d with %s%s%s", status, words_for[m].with,
                   more ? ": " : "", more ? more : "");
    }
    buf_fini(&words);
}

/* Past authentication, whatever the application then made of a bare request: a server that wanted a logon first does not want another.
   A device that cannot reach it proves nothing. */
static bool is_let_in(int anonymous, int status)
{
    if (status >= 200 && status < 300)
        return true;
    return anonymous == 401 && status != 401 && status != 502 && status != 504;
}

void step_method(struct target *t, enum protocol p, enum logon_method m, bool last)
{
    char url[PROBE_NAME_MAX + 64], step[32];
    struct errinfo ei = {0};
    struct http_answer a = {0};
    struct stop share;
    const char *why;
    protocol_url(t, p, url, sizeof url);
    str_fmt(step, sizeof step, "logon-%s", logon_name(m));
    struct observation *o = target_note(t, OBSERVATION_LOGON, EVIDENCE_WIRE, step, p, url, t->fqdn);
    if (!o)
        return;
    const char *user = target_user(t, m, &why);
    o->u.logon.method = arena_str(&t->e->arena, logon_name(m));
    o->u.logon.user = arena_str(&t->e->arena, user);
    if (!user) {
        target_say(t, o, OUTCOME_SKIPPED, "%s", why);
        return;
    }
    struct http_request req = plain_request(p);
    target_share(t, last, &share);
    int64_t from = clock_mono_ms();
    enum err e = target_ask_as(t, m, NULL, &req, &share, &a, &ei);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    o->u.logon.status = a.status;
    if (e) {
        target_say(t, o, e == ERR_REFUSED || e == ERR_NOTFOUND ? OUTCOME_SKIPPED : OUTCOME_ERROR, "%s",
                   *ei.what ? ei.what : err_text(e));
    } else {
        judge(t, o, p, m, &a);
        if (is_let_in(t->status[p], a.status))
            t->worked[p] |= 1u << m;
    }
    http_answer_fini(&a);
}

void step_methods(struct target *t, enum protocol p, bool last)
{
    uint32_t left = t->offered[p];
    if (p == PROTOCOL_OA)
        left |= 1u << LOGON_KERBEROS;
    for (int m = 0; m < LOGON_COUNT; m++) {
        if (!(left & (1u << m)))
            continue;
        left &= ~(1u << m);
        step_method(t, p, (enum logon_method)m, last && left == 0);
    }
}
