/*
 * What the tests of the SSH transport share: a server (sshd.h), a profile that points at it, one cmdlet to
 * run. Header only, for tests.
 */
#ifndef TESTS_UNIT_SSH_FIXTURE_H
#define TESTS_UNIT_SSH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "remoting/remoting.h"
#include "remoting/script.h"
#include "tests/unit/sshd.h"

/* PowerShell's stand-in: notes what it was asked, then does what DIR/mode says. */
static const char standin[] =
    "#!/bin/sh\n"
    "cd \"$1\" || exit 99\n"
    "printf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >> runs\n"
    "clixml() { printf '#< CLIXML\\r\\n<Objs Version=\"1.1.0.1\" "
    "xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">%s</Objs>' \"$1\" >&2; }\n"
    "case \"$(cat mode)\" in\n"
    "ok) cat > input; printf 'first\\r\\nWARNING: takes a while\\r\\nsecond\\r\\n'; exit 0;;\n"
    "error) clixml '<S S=\"Error\">Set-X : no such thing_x000D__x000A_</S>"
    "<S S=\"Error\">    + CategoryInfo          : InvalidArgument: (t:S) [Set-X], E_x000D__x000A_</S>"
    "<S S=\"Error\">    + FullyQualifiedErrorId : Id1_x000D__x000A_</S>'; exit 1;;\n"
    "stdout-error) printf 'kept\\r\\nSet-X : bad name\\r\\nAt line:5 char:1\\r\\n+ Set-X -A\\r\\n+ "
    "~~~~~\\r\\n"
    "+ CategoryInfo          : InvalidData: (:) [Set-X], E\\r\\n+ FullyQualifiedErrorId : Id2\\r\\n'; exit "
    "1;;\n"
    "soft) clixml '<S S=\"warning\">WARNING: soft_x000D__x000A_</S>'; echo 'noise' >&2; exit 0;;\n"
    "missing) echo 'sh: powershell: not found' >&2; exit 127;;\n"
    "mute) exit 3;;\n"
    "oem) printf 'gr\\201n\\r\\n';;\n"
    "big) for i in 1 2 3 4 5 6 7 8; do head -c 400000 /dev/zero | tr '\\0' o; head -c 100000 /dev/zero | tr "
    "'\\0' e >&2;"
    " done; printf END;;\n"
    "huge) head -c 17000000 /dev/zero | tr '\\0' o;;\n"
    "slow) echo begun; while kill -0 $PPID 2>/dev/null; do sleep 0.1; done;;\n"
    "drop) echo begun; kill -9 $PPID;;\n"
    "signal) kill -TERM $$;;\n"
    "esac\n";

#define PATIENCE_MS 300000 /* no test's judge, only an end for one that hangs */

struct fixture {
    struct sshd sshd;
    struct profile profile;
    struct transport *ssh;
    struct remote_result result;
    struct errinfo ei;
    struct arena arena;
    struct cmdlet cmdlet;
    int asked;
    bool answer;
    char asked_host[300], asked_key[120];
};

static struct fixture f;
static bool have_sshd;

static inline bool ask(void *arg, const char *host, const char *key)
{
    struct fixture *x = arg;
    x->asked++;
    str_copy(x->asked_host, sizeof x->asked_host, host);
    str_copy(x->asked_key, sizeof x->asked_key, key);
    return x->answer;
}

static inline void set(enum profile_key key, const char *value)
{
    free(f.profile.values[key]);
    f.profile.values[key] = value ? strdup(value) : NULL;
}

static inline void set_file(enum profile_key key, const char *name)
{
    char path[256];
    str_fmt(path, sizeof path, "%s/%s", f.sshd.dir, name);
    set(key, path);
}

static inline void set_port(int port)
{
    char text[16];
    str_fmt(text, sizeof text, "%d", port);
    set(PROFILE_ssh_port, text);
}

static inline void trust_host(const char *key_file)
{
    char name[64], path[80], line[2000];
    str_fmt(path, sizeof path, "%s.pub", key_file);
    char *key = sshd_read(&f.sshd, path);
    str_fmt(name, sizeof name, "[excas01.contoso.lab]:%d", f.sshd.port);
    str_fmt(line, sizeof line, "%s %s", name, key);
    sshd_file(&f.sshd, "known_hosts", line, 0600);
    free(key);
}

static inline void start_server(const char *more)
{
    char config[1024];
    sshd_kill(&f.sshd.pid);
    str_fmt(config, sizeof config, "HostKey %s/host_ed25519\nHostKey %s/host_ecdsa\n%s", f.sshd.dir,
            f.sshd.dir, more);
    sshd_start(&f.sshd, config);
    set_port(f.sshd.port);
    trust_host("host_ed25519");
}

static inline int set_up_group(void **state)
{
    (void)state;
    have_sshd = sshd_prepare(&f.sshd, standin);
    if (!have_sshd) {
        print_message("skipped: no /usr/sbin/sshd\n");
        return 0;
    }
    (void)unsetenv("SSH_AUTH_SOCK");
    sshd_keygen(&f.sshd, "user", "ed25519", "");
    char *pub = sshd_read(&f.sshd, "user.pub");
    sshd_file(&f.sshd, "authorized", pub, 0600);
    free(pub);
    start_server("");
    return 0;
}

static inline int tear_down_group(void **state)
{
    (void)state;
    sshd_stop(&f.sshd);
    return 0;
}

static inline int set_up(void **state)
{
    (void)state;
    if (!have_sshd)
        return 0;
    set(PROFILE_ssh_user, f.sshd.user);
    set_file(PROFILE_ssh_key, "user");
    set_file(PROFILE_ssh_known_hosts, "known_hosts");
    set(PROFILE_ssh_new_host, "ask");
    set_port(f.sshd.port);
    assert_int_equal(hostmap_add(&f.profile.hosts, "excas01.contoso.lab=127.0.0.1:1", &f.ei), ERR_OK);
    trust_host("host_ed25519");
    sshd_file(&f.sshd, "runs", "", 0600);
    f.asked = 0;
    f.answer = false;
    arena_init(&f.arena, 4 << 20);
    cmdlet_init(&f.cmdlet, &f.arena, "Set-OutlookAnywhere");
    assert_int_equal(cmdlet_string(&f.cmdlet, "Identity", "EXCAS01\\Rpc (Default Web Site)"), ERR_OK);
    assert_int_equal(remoting_ssh_new(&f.ssh, &f.profile, ask, &f, &f.ei), ERR_OK);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (!have_sshd)
        return 0;
    remote_result_fini(&f.result);
    f.ssh->free(f.ssh);
    arena_fini(&f.arena);
    hostmap_fini(&f.profile.hosts);
    for (int i = 0; i < PROFILE_KEY_COUNT; i++)
        set((enum profile_key)i, NULL);
    return 0;
}

static inline enum err run_for(const char *mode, int64_t timeout_ms)
{
    static const struct remote_target target = {"EXCAS01", "excas01.contoso.lab", GENERATION_2010};
    struct stop stop;
    if (!have_sshd)
        skip();
    sshd_file(&f.sshd, "mode", mode, 0600);
    remote_result_fini(&f.result);
    memset(&f.ei, 0, sizeof f.ei);
    stop_init(&stop, timeout_ms, NULL);
    return f.ssh->run(f.ssh, &target, &f.cmdlet, &stop, &f.result, &f.ei);
}

static inline enum err run(const char *mode)
{
    return run_for(mode, PATIENCE_MS);
}

static inline size_t runs(void)
{
    char *text = sshd_read(&f.sshd, "runs");
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    free(text);
    return n;
}

#define EXPECT_OUTPUT(text)                                                                                  \
    do {                                                                                                     \
        assert_non_null(f.result.output); /* strcmp() would not come back */                                 \
        assert_string_equal(f.result.output, text);                                                          \
    } while (0)
#define EXPECT_WHAT(part) assert_non_null(strstr(f.ei.what, part))
#define EXPECT_HINT(part) assert_non_null(strstr(f.ei.hint, part))

#endif
