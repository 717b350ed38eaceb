/* The lock: one holder, told apart from dead ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "core/store/store_int.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/pg_gate.h"
#include "tests/unit/store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static void test_second_is_told(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *second = NULL;
    struct store_holder h = {0};
    assert_int_equal(store_lock_holder(f->store, &h, &ei), ERR_NOTFOUND);
    assert_int_equal(store_lock(f->store, "ann@CONTOSO.LAB", "apply of plan 7", &ei), ERR_OK);
    assert_int_equal(store_open(&second, f->spec, &ei), ERR_OK);
    assert_int_equal(store_lock(second, "bob@CONTOSO.LAB", "apply", &ei), ERR_LOCKED);
    assert_non_null(strstr(ei.what, "ann@CONTOSO.LAB"));
    assert_non_null(strstr(ei.what, "apply of plan 7"));
    assert_int_equal(store_lock(f->store, "ann@CONTOSO.LAB", "again", &ei), ERR_LOCKED);
    assert_int_equal(store_lock_holder(second, &h, &ei), ERR_OK);
    assert_string_equal(h.who, "ann@CONTOSO.LAB");
    assert_int_equal(h.pid, getpid());
    store_holder_fini(&h);
    store_unlock(second); /* not the holder: changes nothing */
    assert_int_equal(store_lock_check(f->store, &ei), ERR_OK);
    store_unlock(f->store);
    assert_int_equal(store_lock_check(f->store, &ei), ERR_LOCKED);
    assert_int_equal(store_lock(second, "bob@CONTOSO.LAB", "apply", &ei), ERR_OK);
    store_close(&second); /* lets go */
    assert_int_equal(store_lock(f->store, "ann@CONTOSO.LAB", "apply", &ei), ERR_OK);
}

/* Until the server has seen that a session has ended. */
static enum err lock_soon(struct store *s, const char *who, struct errinfo *ei)
{
    enum err e = ERR_LOCKED;
    for (int i = 0; i < 1200 && e == ERR_LOCKED; i++) {
        e = store_lock(s, who, "second try", ei);
        if (e == ERR_LOCKED)
            pg_pause(50);
    }
    return e;
}

static void test_dead_holder_is_taken_over(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *s = NULL;
        if (store_open(&s, f->spec, NULL) != ERR_OK || store_lock(s, "ann", "apply", NULL) != ERR_OK)
            _exit(1);
        if (write(ready[1], "x", 1) != 1)
            _exit(2);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    assert_int_equal(store_lock(f->store, "bob", "apply", &ei), ERR_LOCKED);
    siginfo_t how;
    assert_int_equal(kill(child, SIGKILL), 0);
    /* at once, and although nobody has asked how it ended: a shell that sleeps, a container without an init */
    assert_int_equal(waitid(P_PID, (id_t)child, &how, WEXITED | WNOWAIT), 0);
    assert_int_equal(f->database[0] ? lock_soon(f->store, "bob", &ei)
                                    : store_lock(f->store, "bob", "second try", &ei),
                     ERR_OK);
    assert_int_equal(waitpid(child, NULL, 0), child);
    journal_records all = {0};
    assert_int_equal(journal_read(f->store, JOURNAL_NO_RUN, &all, &ei), ERR_OK);
    assert_int_equal(all.n, 1);
    assert_string_equal(all.v[0].phase, "lock");
    assert_string_equal(all.v[0].who, "bob");
    assert_string_equal(all.v[0].why, "second try");
    assert_non_null(strstr(all.v[0].detail, "the lock of ann"));
    assert_non_null(strstr(all.v[0].detail, "has ended"));
    journal_records_free(&all);
}

static void test_force(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *second = NULL;
    journal_records all = {0};
    assert_int_equal(store_open(&second, f->spec, &ei), ERR_OK);
    assert_int_equal(store_lock(f->store, "ann", "apply", &ei), ERR_OK);
    assert_int_equal(store_lock_force(second, "bob", "", &ei), ERR_USAGE);
    assert_int_equal(store_lock_force(second, "bob", NULL, &ei), ERR_USAGE);
    second->self.pid++; /* stands in for another process: a forced lock within one process would be its own */
    assert_int_equal(store_lock_force(second, "bob", "ann went home", &ei), ERR_OK);
    assert_int_equal(store_lock_check(f->store, &ei), ERR_LOCKED);
    assert_non_null(strstr(ei.what, "bob"));
    store_unlock(second); /* who it was can still be said */
    assert_int_equal(store_lock_check(f->store, &ei), ERR_LOCKED);
    assert_non_null(strstr(ei.what, "bob on "));
    assert_non_null(strstr(ei.what, "took the lock away, and has ended: ann went home"));
    assert_int_equal(store_lock(second, "bob", "again", &ei), ERR_OK);
    store_unlock(f->store); /* must not take bob's lock away */
    assert_int_equal(store_lock_check(second, &ei), ERR_OK);
    assert_int_equal(journal_read(f->store, JOURNAL_NO_RUN, &all, &ei), ERR_OK);
    assert_non_null(strstr(all.v[0].detail, "by force"));
    journal_records_free(&all);
    store_close(&second);
}

/* The connection dies at each message of taking the lock, of a dead holder too: held by whoever was told so, and by nobody else. */
static void test_lock_lost_at_every_message(void **state)
{
    struct store_fixture *f = *state;
    struct pg_gate gate;
    char spec[200];
    int got = 0, lost = 0;
    assert_true(pg_gate_open(&gate, store_pg.port));
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable&sslmode=disable",
             gate.port, f->database);
    for (int round = 0; round < 4; round++)
        for (int at = 1; at <= 10; at++) {
            struct store *s = NULL;
            struct errinfo ei = {0};
            bool after = round & 1;
            if (round & 2) /* somebody who has died holds it */
                assert_true(store_fixture_raw(f, "INSERT INTO lock VALUES (1, 'eve', 'h', 'postgresql', 1,"
                                                 " 999999, 'x', 1)"));
            assert_int_equal(store_open(&s, spec, &ei), ERR_OK);
            pg_gate_cut(&gate, at, after);
            enum err e = store_lock(s, "ann", "apply", &ei);
            pg_gate_cut(&gate, 0, false);
            if (e != ERR_OK && e != ERR_UNREACHABLE && e != ERR_LOCKED)
                fail_msg("message %d: %s %s", at, err_name(e), ei.what);
            enum err check = store_lock_check(s, &ei);
            if ((check == ERR_OK) != (e == ERR_OK))
                fail_msg("message %d: %s, then %s %s", at, err_name(e), err_name(check), ei.what);
            if (e == ERR_OK)
                assert_int_equal(store_lock(f->store, "bob", "x", &ei), ERR_LOCKED);
            got += e == ERR_OK;
            lost += e != ERR_OK;
            store_close(&s);
            if (lock_soon(f->store, "bob", &ei) != ERR_OK)
                fail_msg("message %d, %s: %s", at, after ? "after" : "before", ei.what);
            store_unlock(f->store);
            size_t n = 0;
            assert_int_equal(journal_verify(f->store, &n, &ei), ERR_OK);
        }
    pg_gate_close(&gate);
    assert_true(got >= 8 && lost >= 16);
}

/* A full disk keeps the row of a run that has ended, in a console that goes on: the next run there must not be locked out by it. */
static void test_row_that_stays_behind(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *second = NULL;
    struct store_holder h = {0};
    static const char *const refuse[] = {
        "CREATE TRIGGER stuck BEFORE DELETE ON lock BEGIN SELECT RAISE(ABORT, 'full'); END",
        "CREATE TRIGGER stuck BEFORE DELETE ON lock EXECUTE FUNCTION refuse()"};
    static const char *const again[] = {"DROP TRIGGER stuck", "DROP TRIGGER stuck ON lock"};
    bool pg = f->database[0] != 0;
    assert_int_equal(store_lock(f->store, "ann", "apply", &ei), ERR_OK);
    assert_true(store_fixture_raw(f, refuse[pg]));
    store_unlock(f->store);
    assert_true(store_fixture_raw(f, again[pg]));
    assert_int_equal(store_open(&second, f->spec, &ei), ERR_OK);
    assert_int_equal(store_lock_holder(second, &h, &ei), ERR_OK);
    assert_true(h.ended);
    store_holder_fini(&h);
    if (store_lock(second, "ann", "resume", &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(store_lock(f->store, "ann", "another", &ei), ERR_LOCKED); /* that one is held */
    store_close(&second);
    assert_int_equal(store_lock(f->store, "ann", "another", &ei), ERR_OK);
}

static void test_who_may_live(void **state)
{
    (void)state;
    struct store_process self, h;
    assert_int_equal(store_process_self(&self, NULL), ERR_OK);
    assert_true(self.started > 0);
    assert_true(store_process_may_live(&self, &self));
    h = self;
    h.started++; /* the pid was given to another process */
    assert_false(store_process_may_live(&h, &self));
    h = self;
    str_copy(h.host, sizeof h.host, "elsewhere"); /* nothing can be known */
    h.pid = 4194303;
    assert_true(store_process_may_live(&h, &self));
    h = self;
    str_copy(h.place, sizeof h.place, "another-boot pid:[1]");
    assert_false(store_process_may_live(&h, &self));
    h = self;
    size_t boot = strcspn(self.place, " ");
    str_fmt(h.place, sizeof h.place, "%.*s pid:[1]", (int)boot, self.place);
    assert_true(store_process_may_live(&h, &self));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_second_is_told),        BOTH(test_dead_holder_is_taken_over),      BOTH(test_force),
        BOTH(test_row_that_stays_behind), POSTGRES(test_lock_lost_at_every_message), ALONE(test_who_may_live),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
