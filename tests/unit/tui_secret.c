/* A job asks for a password: it waits for the user, gets the answer, and the next one is not bothered. */
#include "tui/session_int.h"

#include "core/base/clock.h"
#include "core/base/secret.h"
#include "core/base/str.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct job {
    const char *prompt;
    struct secret secret;
    struct errinfo ei;
    enum err e;
    bool done;
};

static unsigned told;

static void changed(void *arg, unsigned events)
{
    (void)arg;
    told |= events;
}

static void run(void *arg)
{
    struct job *j = arg;
    j->e = secret_resolve(&j->secret, "ask", j->prompt, &j->ei);
}

static void done(void *arg)
{
    ((struct job *)arg)->done = true;
}

static void wait_for(struct session *s, const bool *flag, unsigned event)
{
    int64_t end = clock_mono_ms() + 10000;
    while (clock_mono_ms() < end && !(flag ? *flag : (told & event) != 0)) {
        struct pollfd p = {job_pool_fd(s->pool), POLLIN, 0};
        poll(&p, 1, 100);
        session_collect(s);
    }
    assert_true(flag ? *flag : (told & event) != 0);
    told = 0;
}

static struct session *open_session(void)
{
    static const struct profile profile;
    static struct console_config config = {.profile = &profile, .who = "ann"};
    struct session *s = NULL;
    struct errinfo ei = {.code = ERR_OK};
    told = 0;
    assert_int_equal(session_new(&s, &config, changed, NULL, &ei), ERR_OK);
    return s;
}

static void submit(struct session *s, struct job *j)
{
    assert_int_equal(job_pool_submit(s->pool, run, done, j), ERR_OK);
}

static void asked_once(void **state)
{
    (void)state;
    struct session *s = open_session();
    struct job a = {.prompt = "SSH password"}, b = {.prompt = "SSH password"},
               c = {.prompt = "LDAP password"};
    char prompt[160];
    assert_false(session_question(s, prompt, sizeof prompt));
    submit(s, &a);
    submit(s, &b);
    wait_for(s, NULL, SESSION_QUESTION);
    assert_true(session_question(s, prompt, sizeof prompt));
    assert_string_equal(prompt, "SSH password");
    session_answer(s, "hunter2");
    wait_for(s, &a.done, 0);
    wait_for(s, &b.done, 0); /* the second was not asked */
    assert_int_equal(a.e, ERR_OK);
    assert_string_equal(a.secret.bytes, "hunter2");
    assert_string_equal(b.secret.bytes, "hunter2");
    assert_false(session_question(s, prompt, sizeof prompt));
    submit(s, &c); /* another password is another question */
    wait_for(s, NULL, SESSION_QUESTION);
    session_answer(s, NULL);
    wait_for(s, &c.done, 0);
    assert_int_equal(c.e, ERR_REFUSED);
    assert_non_null(strstr(c.ei.what, "LDAP password"));
    struct job d = {.prompt = "LDAP password"}; /* no is an answer too, until the user begins something */
    submit(s, &d);
    wait_for(s, &d.done, 0);
    assert_int_equal(d.e, ERR_REFUSED);
    assert_non_null(strstr(d.ei.what, "LDAP password"));
    session_secrets_ask_again(s);
    d = (struct job){.prompt = "LDAP password"};
    submit(s, &d);
    wait_for(s, NULL, SESSION_QUESTION);
    session_answer(s, "hunter3");
    wait_for(s, &d.done, 0);
    assert_int_equal(d.e, ERR_OK);
    secret_fini(&d.secret);
    secret_fini(&a.secret);
    secret_fini(&b.secret);
    session_free(&s);
}

static void run_question(void *arg)
{
    struct job *j = arg;
    j->e = secret_ask_yes(j->prompt) ? ERR_OK : ERR_REFUSED;
}

/* A question is no password: each is put, the answer to one is not the answer to the next. */
static void yes_or_no(void **state)
{
    (void)state;
    static const char *const answers[] = {"yes", NULL, "yes"};
    struct session *s = open_session();
    for (size_t i = 0; i < 3; i++) {
        struct job a = {.prompt = "Trust it?"};
        char prompt[160];
        assert_int_equal(job_pool_submit(s->pool, run_question, done, &a), ERR_OK);
        wait_for(s, NULL, SESSION_QUESTION);
        assert_true(session_question(s, prompt, sizeof prompt));
        assert_true(session_question_is_yes_no(s));
        assert_string_equal(prompt, "Trust it?");
        session_answer(s, answers[i]);
        wait_for(s, &a.done, 0);
        assert_int_equal(a.e, answers[i] ? ERR_OK : ERR_REFUSED);
    }
    struct job b = {.prompt = "SSH password"};
    submit(s, &b);
    wait_for(s, NULL, SESSION_QUESTION);
    assert_false(session_question_is_yes_no(s));
    session_answer(s, NULL);
    wait_for(s, &b.done, 0);
    session_free(&s);
}

/* Leaving while a job waits for an answer must not hang. */
static void left_unanswered(void **state)
{
    (void)state;
    struct session *s = open_session();
    struct job a = {.prompt = "SSH password"}, b = {.prompt = "LDAP password"};
    submit(s, &a);
    submit(s, &b);
    wait_for(s, NULL, SESSION_QUESTION);
    session_free(&s);
    assert_true(a.done && b.done);
    assert_int_equal(a.e, ERR_REFUSED);
    assert_int_equal(b.e, ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_once),
        cmocka_unit_test(yes_or_no),
        cmocka_unit_test(left_unanswered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
