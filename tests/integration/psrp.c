/*
 * psrp MODE ...: PowerShell remoting and CLIXML piece by piece, for tests that judge it by another's word.
 *
 *     rewrite [FILE...]  CLIXML, read and written again; of several files each is followed by a record separator (0x1e)
 *     json [FILE...]     CLIXML, each value as a line of JSON
 *     replay          a recording of out-of-process lines ("> " ours, "< " the server's) on standard input; each pipeline is a line
 *                       { "state": "Completed", "output": [...], "errors": ["id | category | message"], "warnings": [...], ... }
 *     say MINOR       cases as push has them: what is said to a server of protocol 2.MINOR, the pool's first messages and a pipeline a
 *                     case, as lines of fragments in base64
 *     pipe CMD ARG... cases as push has them, in one pool of the server that CMD starts, results as push prints them and "objects"
 *     ask CMD ARG...  the same, but the server is told that there is a host with a user interface: it will call for it
 */
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/str.h"
#include "remoting/outofproc.h"
#include "remoting/psjson.h"
#include "remoting/psrp.h"
#include "remoting/psxml.h"
#include "tests/integration/cases.h"

#define DOCUMENT_MAX (256u << 20)

static int complain(enum err err, const struct errinfo *ei)
{
    fprintf(stderr, "psrp: %s: %s\n", err_text(err), ei->what);
    return 1;
}

/* ---- CLIXML ---- */

static enum err convert_one(struct psxml_reader *r, bool json, FILE *in, struct errinfo *ei)
{
    struct buf out;
    char chunk[4096];
    size_t n;
    enum err err = ERR_OK;
    const struct ps_value *v, *first = NULL;
    buf_init(&out, DOCUMENT_MAX);
    psxml_reader_reset(r);
    while (err == ERR_OK && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        err = psxml_feed(r, chunk, n, ei);
    if (err == ERR_OK)
        err = psxml_end(r, ei);
    while (err == ERR_OK && (v = psxml_next(r)) != NULL) {
        first = first ? first : v;
        if (json && (err = psjson_write(&out, v)) == ERR_OK)
            err = buf_addc(&out, '\n');
    }
    if (err == ERR_OK && !json)
        err = psxml_write_document(&out, first, ei);
    if (err == ERR_OK)
        fwrite(buf_str(&out), 1, out.len, stdout);
    buf_fini(&out);
    return err;
}

static int convert(bool json, char **files)
{
    struct psxml_reader *r = NULL;
    struct errinfo ei = {0};
    enum err err = psxml_reader_new(&r, DOCUMENT_MAX);
    if (err == ERR_OK && !*files)
        err = convert_one(r, json, stdin, &ei);
    for (; err == ERR_OK && *files; files++) {
        FILE *in = fopen(*files, "rb");
        err = in ? convert_one(r, json, in, &ei) : err_errno(&ei, ERR_INPUT, NULL, "%s", *files);
        (void)fputs("\x1e", stdout);
        if (in)
            (void)fclose(in);
    }
    psxml_reader_free(&r);
    return err == ERR_OK ? 0 : complain(err, &ei);
}

/* ---- recordings ---- */

struct replay {
    struct psrp *psrp;
    json_t *now;
    struct psrp_guid theirs;
};

static void note(json_t *now, const char *list, const char *text)
{
    json_array_append_new(json_object_get(now, list), json_string(text));
}

static void on_event(void *arg, const struct psrp_event *e)
{
    static const char *const lists[] = {
        [PSRP_EVENT_WARNING] = "warnings",     [PSRP_EVENT_VERBOSE] = "verbose",
        [PSRP_EVENT_DEBUG] = "debug",          [PSRP_EVENT_INFORMATION] = "information",
        [PSRP_EVENT_HOST_CALL] = "host_calls", [PSRP_EVENT_UNREADABLE] = "unreadable"};
    struct replay *r = arg;
    struct buf b;
    char text[4096];
    if (!r->now)
        return;
    buf_init(&b, DOCUMENT_MAX);
    switch (e->kind) {
    case PSRP_EVENT_OUTPUT:
        if (psjson_write(&b, e->value) == ERR_OK)
            json_array_append_new(json_object_get(r->now, "output"),
                                  json_loads(buf_str(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
        break;
    case PSRP_EVENT_ERROR:
        str_fmt(text, sizeof text, "%s | %s | %s", e->error.id ? e->error.id : "-",
                e->error.category ? e->error.category : "-", e->error.message);
        note(r->now, "errors", text);
        break;
    case PSRP_EVENT_PROGRESS:
        str_fmt(text, sizeof text, "%s %d", e->text, e->percent);
        note(r->now, "progress", text);
        break;
    case PSRP_EVENT_ENDED:
        str_fmt(text, sizeof text, "%s%s%s",
                e->state == PSRP_COMPLETED ? "Completed"
                : e->state == PSRP_FAILED  ? "Failed"
                                           : "Stopped",
                e->state == PSRP_FAILED ? ": " : "", e->state == PSRP_FAILED ? e->error.message : "");
        json_object_set_new(r->now, "state", json_string(text));
        break;
    default:
        if ((size_t)e->kind < ARRAY_LEN(lists) && lists[e->kind])
            note(r->now, lists[e->kind], e->text);
        break;
    }
    buf_fini(&b);
}

static json_t *new_pipeline(void)
{
    return json_pack("{s:n,s:[],s:[],s:[],s:[],s:[],s:[],s:[],s:[],s:[]}", "state", "output", "errors",
                     "warnings", "verbose", "debug", "information", "progress", "host_calls", "unreadable");
}

static void finish(struct replay *r)
{
    if (!r->now)
        return;
    (void)json_dumpf(r->now, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
    json_decref(r->now);
    r->now = NULL;
    psrp_forget_pipeline(r->psrp);
}

/* Their pipeline's name is ours from here on: the recording was made by another client. */
static void rename_pipeline(const struct replay *r, char *fragments, size_t len)
{
    size_t at = 0;
    while (at + PSRP_FRAGMENT_HEADER <= len) {
        const unsigned char *h = (const unsigned char *)fragments + at;
        size_t n = (size_t)h[17] << 24 | (size_t)h[18] << 16 | (size_t)h[19] << 8 | h[20];
        char *id = fragments + at + PSRP_FRAGMENT_HEADER + 24;
        if ((h[16] & 1) && n >= PSRP_MESSAGE_HEADER && at + PSRP_FRAGMENT_HEADER + n <= len &&
            memcmp(id, r->theirs.bytes, 16) == 0)
            memcpy(id, psrp_pipeline_id(r->psrp)->bytes, 16);
        at += PSRP_FRAGMENT_HEADER + n;
    }
}

static enum err begin(struct replay *r, const char *line, struct errinfo *ei)
{
    struct arena arena;
    struct cmdlet c;
    const char *id = strstr(line, "PSGuid='");
    finish(r);
    if (!id || !psrp_guid_parse(&r->theirs, id + 8, PSRP_GUID_TEXT - 1))
        return ERR_INPUT;
    arena_init(&arena, 1 << 20);
    cmdlet_init(&c, &arena, "Get-Any");
    enum err err = psrp_start(r->psrp, &c, ei);
    arena_fini(&arena);
    r->now = new_pipeline();
    return err;
}

static int replay(void)
{
    struct replay r = {0};
    struct errinfo ei = {0};
    struct buf bytes;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    buf_init(&bytes, DOCUMENT_MAX);
    enum err err = psrp_new(&r.psrp, 0, on_event, &r, &ei);
    while (err == ERR_OK && (len = getline(&line, &cap, stdin)) > 0) {
        struct outofproc_line l;
        bool theirs = *line != '>';
        const char *s = *line == '>' || *line == '<' ? line + (line[1] == ' ' ? 2 : 0) : line;
        len -= s - line;
        len -= len > 0 && s[len - 1] == '\n';
        if (!theirs && strncmp(s, "<Command ", 9) == 0)
            err = begin(&r, s, &ei);
        if (!theirs)
            continue;
        if (!outofproc_parse(&l, s, (size_t)len)) {
            err = err_set(&ei, ERR_INPUT, NULL, "a line that is none: %.100s", s);
        } else if (l.kind == OUTOFPROC_DATA) {
            buf_reset(&bytes);
            err = base64_decode(&bytes, l.data, l.len);
            rename_pipeline(&r, bytes.data, bytes.len);
            if (err == ERR_OK)
                err = psrp_receive(r.psrp, buf_str(&bytes), bytes.len, &ei);
        }
    }
    finish(&r);
    psrp_free(&r.psrp);
    buf_fini(&bytes);
    free(line);
    return err == ERR_OK ? 0 : complain(err, &ei);
}

/* ---- what is said ---- */

static enum err print_waiting(struct psrp *p)
{
    struct buf bytes, text;
    struct psrp_packet packet;
    buf_init(&bytes, DOCUMENT_MAX);
    buf_init(&text, DOCUMENT_MAX);
    enum err err = psrp_take(p, 1 << 20, &bytes, &packet) ? base64_encode(&text, buf_str(&bytes), bytes.len)
                                                          : ERR_INTERNAL;
    if (err == ERR_OK)
        (void)puts(buf_str(&text));
    buf_fini(&bytes);
    buf_fini(&text);
    return err;
}

/* A message of a server, in one fragment. */
static enum err hear(struct psrp *p, uint32_t type, const char *clixml, struct errinfo *ei)
{
    static const struct psrp_guid none;
    static uint64_t object = 1;
    struct buf message, bytes;
    buf_init(&message, 4096);
    buf_init(&bytes, 4096);
    enum err err = psrp_message_write(&message, type, psrp_pool_id(p), &none, clixml, strlen(clixml));
    if (err == ERR_OK) {
        message.data[0] = 1; /* to the client */
        (void)psrp_fragment_write(&bytes, object++, 0, message.data, 0, message.len, 4096);
        err = psrp_receive(p, buf_str(&bytes), bytes.len, ei);
    }
    buf_fini(&message);
    buf_fini(&bytes);
    return err;
}

static void nothing(void *arg, const struct psrp_event *e)
{
    (void)arg, (void)e;
}

static enum err say_case(struct psrp *p, json_t *one, struct errinfo *ei)
{
    struct arena arena;
    struct cmdlet c;
    arena_init(&arena, 16 << 20);
    enum err err = one ? case_build(&c, &arena, one) : ERR_USAGE;
    if (err == ERR_OK)
        err = psrp_start(p, &c, ei);
    if (err == ERR_OK)
        err = print_waiting(p);
    psrp_forget_pipeline(p);
    arena_fini(&arena);
    return err;
}

static int say(const char *minor)
{
    struct psrp *p = NULL;
    struct errinfo ei = {0};
    char capability[200], *line = NULL;
    size_t cap = 0;
    (void)str_fmt(capability, sizeof capability,
                  "<Obj><MS><Version N=\"protocolversion\">2.%.3s</Version></MS></Obj>", minor);
    enum err err = psrp_new(&p, 0, nothing, NULL, &ei);
    if (err == ERR_OK)
        err = print_waiting(p);
    if (err == ERR_OK)
        err = hear(p, PSRP_SESSION_CAPABILITY, capability, &ei);
    if (err == ERR_OK)
        err = hear(p, PSRP_RUNSPACEPOOL_STATE, "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>", &ei);
    while (err == ERR_OK && getline(&line, &cap, stdin) > 0) {
        json_t *one = json_loads(line, 0, NULL);
        err = say_case(p, one, &ei);
        json_decref(one);
    }
    psrp_free(&p);
    free(line);
    return err == ERR_OK ? 0 : complain(err, &ei);
}

/* ---- a server on a pipe ---- */

struct child {
    pid_t pid;
    int in, out;
    bool host; /* say that there is one */
};

static enum err wait_for(int fd, short events, const struct stop *stop, struct errinfo *ei)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        enum err err = stop_check(stop, ei, "the server on the pipe");
        if (err != ERR_OK)
            return err;
        if (poll(&p, 1, stop_left_ms(stop, 100)) > 0)
            return ERR_OK;
    }
}

/* In whole fragments of one message each: what stands there made another text. */
static void claim(struct buf *fragments, const char *from, const char *to)
{
    char *at = fragments->data ? memmem(fragments->data, fragments->len, from, strlen(from)) : NULL;
    if (!at)
        return;
    size_t offset = (size_t)(at - fragments->data), begin = 0, more = strlen(to) - strlen(from), len = 0;
    while (begin + PSRP_FRAGMENT_HEADER +
               (len = (size_t)(unsigned char)fragments->data[begin + 19] << 8 |
                      (unsigned char)fragments->data[begin + 20]) <
           offset)
        begin += PSRP_FRAGMENT_HEADER + len;
    fragments->data[begin + 19] = (char)((len + more) >> 8);
    fragments->data[begin + 20] = (char)(len + more);
    (void)buf_reserve(fragments, more);
    at = fragments->data + offset;
    memmove(at + strlen(to), at + strlen(from), fragments->len - offset - strlen(from));
    memcpy(at, to, strlen(to));
    buf_commit(fragments, more);
}

static enum err write_all(struct child *c, const char *s, size_t len, const struct stop *stop,
                          struct errinfo *ei)
{
    while (len > 0) {
        enum err err = wait_for(c->in, POLLOUT, stop, ei);
        ssize_t n = err == ERR_OK ? write(c->in, s, len < 4096 ? len : 4096) : 0;
        if (err != ERR_OK || n < 0)
            return err != ERR_OK ? err : err_errno(ei, ERR_UNREACHABLE, NULL, "write");
        s += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

static enum err child_write(void *arg, const void *data, size_t len, const struct stop *stop,
                            struct errinfo *ei)
{
    struct child *c = arg;
    struct outofproc_line line;
    struct buf fragments, text;
    if (!c->host || !outofproc_parse(&line, data, len - 1) || line.kind != OUTOFPROC_DATA)
        return write_all(c, data, len, stop, ei);
    buf_init(&fragments, 1 << 20);
    buf_init(&text, 1 << 20);
    (void)!base64_decode(&fragments, line.data, line.len);
    claim(&fragments, "_isHostNull\">true", "_isHostNull\">false");
    claim(&fragments, "_isHostUINull\">true", "_isHostUINull\">false");
    (void)buf_add(&text, data, (size_t)(line.data - (const char *)data));
    (void)!base64_encode(&text, buf_str(&fragments), fragments.len);
    (void)buf_adds(&text, "</Data>\n");
    enum err err = write_all(c, buf_str(&text), text.len, stop, ei);
    buf_fini(&fragments);
    buf_fini(&text);
    return err;
}

static enum err child_read(void *arg, void *data, size_t cap, size_t *n, const struct stop *stop,
                           struct errinfo *ei)
{
    struct child *c = arg;
    enum err err = wait_for(c->out, POLLIN, stop, ei);
    ssize_t got = err == ERR_OK ? read(c->out, data, cap) : 0;
    if (got < 0)
        return err_errno(ei, ERR_UNREACHABLE, NULL, "read");
    *n = (size_t)got;
    return err;
}

static bool start_child(struct child *c, char **argv)
{
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0)
        return false;
    c->pid = fork();
    if (c->pid == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        for (int fd = 3; fd < 16; fd++)
            (void)close(fd);
        execvp(argv[0], argv);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    c->in = in[1];
    c->out = out[0];
    return c->pid > 0;
}

static json_t *run_case(struct outofproc *session, json_t *one)
{
    struct arena arena;
    struct cmdlet c;
    struct stop stop;
    struct remote_result r = {0};
    struct errinfo ei = {0};
    json_int_t timeout_ms = json_integer_value(json_object_get(one, "timeout_ms"));
    arena_init(&arena, 16 << 20);
    stop_init(&stop, timeout_ms ? timeout_ms : 60000, NULL);
    enum err err = case_build(&c, &arena, one);
    if (err == ERR_OK)
        err = outofproc_run(session, &c, &stop, &r, &ei);
    json_t *out = case_result(&r, err, &ei, "");
    remote_result_fini(&r);
    arena_fini(&arena);
    return out;
}

static int pipe_to(char **argv, bool host)
{
    struct child c = {.host = host};
    struct outofproc *session = NULL;
    struct errinfo ei = {0};
    char *line = NULL;
    size_t cap = 0;
    if (!argv[0] || !start_child(&c, argv))
        return 2;
    enum err err = outofproc_open(&session, &(struct outofproc_io){&c, child_write, child_read}, NULL, &ei);
    while (err == ERR_OK && getline(&line, &cap, stdin) > 0) {
        json_t *one = json_loads(line, 0, NULL), *result = one ? run_case(session, one) : json_null();
        (void)json_dumpf(result, stdout, JSON_COMPACT);
        (void)putchar('\n');
        json_decref(result);
        json_decref(one);
    }
    outofproc_close(&session);
    (void)close(c.in);
    (void)close(c.out);
    (void)kill(c.pid, SIGTERM);
    (void)waitpid(c.pid, NULL, 0);
    free(line);
    return err == ERR_OK ? 0 : complain(err, &ei);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    (void)signal(SIGPIPE, SIG_IGN);
    if (str_eq(mode, "rewrite") || str_eq(mode, "json"))
        return convert(str_eq(mode, "json"), argv + 2);
    if (str_eq(mode, "replay"))
        return replay();
    if (str_eq(mode, "say") && argc > 2)
        return say(argv[2]);
    if (str_eq(mode, "pipe") || str_eq(mode, "ask"))
        return pipe_to(argv + 2, str_eq(mode, "ask"));
    fprintf(stderr, "psrp rewrite|json [FILE...] | replay | say MINOR | pipe|ask CMD ARG...\n");
    return 2;
}
