#include "core/model/profile.h"

#include "core/base/ini.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/str.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum kind { KIND_STRING, KIND_PORT, KIND_BOOL, KIND_INT, KIND_SECRET };

static const struct {
    const char *name;
    enum kind kind;
    bool per_server;
} keys[] = {
#define X(key, kind, server, help) {#key, KIND_##kind, server},
    PROFILE_MAP(X)
#undef X
};

#define MAX_SERVERS 10000
#define MAX_FILE    ((size_t)4 * 1024 * 1024)

static bool find_key(const char *name, enum profile_key *key)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, name) == 0) {
            *key = (enum profile_key)i;
            return true;
        }
    }
    return false;
}

static enum err unknown_key(const char *name, struct errinfo *ei)
{
    const char *near = NULL;
    size_t best = 3;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t d = str_distance(name, keys[i].name);
        if (d < best) {
            best = d;
            near = keys[i].name;
        }
    }
    err_set(ei, ERR_CONFIG, "see casbridge help config", "unknown key \"%.80s\"", name);
    if (near)
        err_hint(ei, "did you mean %s?", near);
    return ERR_CONFIG;
}

static bool parse_flag(const char *s, bool *flag)
{
    static const struct {
        const char *word;
        bool flag;
    } words[] = {{"yes", true}, {"no", false},  {"true", true}, {"false", false},
                 {"on", true},  {"off", false}, {"1", true},    {"0", false}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_ieq(s, words[i].word)) {
            *flag = words[i].flag;
            return true;
        }
    }
    return false;
}

/* Kind by kind, then the keys whose values are one of a few words. */
static enum err check_value(enum profile_key key, const char *value, struct errinfo *ei)
{
    static const struct {
        enum profile_key key;
        const char *words;
    } choices[] = {
        {PROFILE_target, "|2013|2016|2019|se|SE|"},
        {PROFILE_ssh_psrp, "|no|auto|yes|"},
        {PROFILE_ssh_new_host, "|refuse|ask|accept|"},
        {PROFILE_via, "|ssh|winrm|psrp|"},
        {PROFILE_winrm_auth, "|negotiate|kerberos|ntlm|basic|none|"},
    };
    bool flag;
    uint16_t port;
    uint64_t number;
    const char *name = keys[key].name;
    if (!*value)
        return err_set(ei, ERR_CONFIG, "leave the line out instead", "%s has no value", name);
    switch (keys[key].kind) {
    case KIND_BOOL:
        if (!parse_flag(value, &flag))
            return err_set(ei, ERR_CONFIG, "write yes or no", "%s: \"%.40s\" is neither yes nor no", name,
                           value);
        break;
    case KIND_PORT:
        if (!str_to_port(value, &port))
            return err_set(ei, ERR_CONFIG, "1 to 65535", "%s: \"%.40s\" is no port", name, value);
        break;
    case KIND_INT:
        if (!str_to_u64(value, strlen(value), &number) || number == 0 || number > 1000000)
            return err_set(ei, ERR_CONFIG, "1 to 1,000,000", "%s: \"%.40s\" is no number that can be used",
                           name, value);
        break;
    case KIND_SECRET:
        if (!secret_ref_is_valid(value)) /* the value may be the secret itself: not shown */
            return err_set(ei, ERR_CONFIG,
                           "write file:PATH, env:NAME or ask; secrets do not stand in this file",
                           "%s is no reference to a secret", name);
        break;
    case KIND_STRING: break;
    }
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        if (choices[i].key != key)
            continue;
        char word[64];
        if (strchr(value, '|') || !str_fmt(word, sizeof word, "|%.50s|", value) ||
            !strstr(choices[i].words, word)) {
            enum err e = err_set(ei, ERR_CONFIG, NULL, "%s: \"%.40s\" is not known", name, value);
            err_hint(ei, "%.*s", (int)strlen(choices[i].words) - 2, choices[i].words + 1);
            return e;
        }
    }
    return ERR_OK;
}

static enum err put(char **slot, const char *value, struct errinfo *ei)
{
    char *copy = strdup(value);
    if (!copy)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a profile");
    free(*slot);
    *slot = copy;
    return ERR_OK;
}

enum err profile_set(struct profile *p, enum profile_key key, const char *value, struct errinfo *ei)
{
    enum err e = check_value(key, value, ei);
    return e ? e : put(&p->values[key], value, ei);
}

static struct profile_server *server_section(struct profile *p, const char *name)
{
    for (size_t i = 0; i < p->servers.n; i++)
        if (str_ieq(p->servers.v[i].name, name))
            return &p->servers.v[i];
    struct profile_server fresh = {.name = strdup(name)};
    if (!fresh.name || !VEC_PUSH(&p->servers, MAX_SERVERS, fresh)) {
        free(fresh.name);
        return NULL;
    }
    return &p->servers.v[p->servers.n - 1];
}

struct given {  /* a key of the file */
    char *name; /* with its section; what differs in case only is the same */
    unsigned line;
};

struct reading {
    struct profile *out;
    const char *wanted; /* section, or NULL while the only one is sought */
    bool found, names_file_secret;
    unsigned sections;
    char only[256], names[512]; /* of the profiles there are */
    VEC(struct given) given;
};

static int order_of_given(const void *x, const void *y)
{
    const struct given *a = x, *b = y;
    int c = strcmp(a->name, b->name);
    return c ? c : (a->line > b->line) - (a->line < b->line);
}

static enum err remember(struct reading *r, const char *profile, const char *server, const char *key,
                         unsigned line, struct errinfo *ei)
{
    struct buf b;
    buf_init(&b, 16384);
    /* names of profiles keep their case; a newline is in none of the three */
    if (!buf_addf(&b, "%s\n%s\n%s", profile, server ? server : "", key))
        for (char *c = b.data + strlen(profile); *c; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
    struct given g = {b.failed ? NULL : strdup(buf_str(&b)), line};
    buf_fini(&b);
    if (g.name && VEC_PUSH(&r->given, MAX_FILE, g))
        return ERR_OK;
    free(g.name);
    return err_set(ei, ERR_NOMEM, NULL, "no memory for a profile");
}

/* The last one counts, so that what is appended to a file holds; but it may be a slip. */
static void tell_twice(struct reading *r, const char *path)
{
    if (r->given.n)
        qsort(r->given.v, r->given.n, sizeof *r->given.v, order_of_given);
    for (size_t i = 1; i < r->given.n; i++) {
        const struct given *before = &r->given.v[i - 1], *again = &r->given.v[i];
        if (strcmp(before->name, again->name) == 0)
            log_line(LOG_LEVEL_WARNING, "%s:%u: %s was given in line %u already: this one counts", path,
                     again->line, strrchr(again->name, '\n') + 1, before->line);
    }
}

static void forget_given(struct reading *r)
{
    for (size_t i = 0; i < r->given.n; i++)
        free(r->given.v[i].name);
    VEC_FREE(&r->given);
}

/* "lab server EXCAS01" -> "lab" and "EXCAS01". */
static bool split_section(const char *section, char *profile, size_t cap, const char **server)
{
    const char *word = strstr(section, " server ");
    *server = word ? word + strlen(" server ") : NULL;
    return str_fmt(profile, cap, "%.*s", (int)(word ? (size_t)(word - section) : strlen(section)), section);
}

/* First pass: which profiles there are. Everything in the file is checked, also in profiles not used today. */
static enum err survey(void *arg, const char *section, const char *key, const char *value, unsigned line,
                       struct errinfo *ei)
{
    struct reading *r = arg;
    char profile[256];
    const char *server;
    enum profile_key k;
    if (!*section)
        return err_set(ei, ERR_CONFIG, "begin with [NAME]", "a key stands before the first section");
    split_section(section, profile, sizeof profile, &server);
    if (!key) {
        if (server)
            return ERR_OK;
        size_t n = strlen(r->names);
        str_fmt(r->names + n, sizeof r->names - n, "%s%s", n ? ", " : "", profile);
        str_copy(r->only, sizeof r->only, profile);
        r->sections++;
        return ERR_OK;
    }
    enum err full = remember(r, profile, server, key, line, ei);
    if (full)
        return full;
    if (strncmp(key, "host.", 5) == 0) {
        struct hostmap scratch = {0};
        enum err e = server ? err_set(ei, ERR_CONFIG, "put it into the profile's own section",
                                      "host keys are not for one server")
                            : hostmap_add_pair(&scratch, key + 5, value, ei);
        hostmap_fini(&scratch);
        return e ? (ei ? (ei->code = ERR_CONFIG) : ERR_CONFIG) : ERR_OK;
    }
    if (!find_key(key, &k))
        return unknown_key(key, ei);
    if (server && !keys[k].per_server)
        return err_set(ei, ERR_CONFIG, "put it into the profile's own section", "%s is not for one server",
                       key);
    if (keys[k].kind == KIND_SECRET && strncmp(value, "file:", 5) == 0)
        r->names_file_secret = true;
    return check_value(k, value, ei);
}

static enum err take(void *arg, const char *section, const char *key, const char *value, unsigned line,
                     struct errinfo *ei)
{
    struct reading *r = arg;
    char profile[256];
    const char *server;
    enum profile_key k;
    (void)line;
    split_section(section, profile, sizeof profile, &server);
    if (strcmp(profile, r->wanted) != 0)
        return ERR_OK;
    if (!server)
        r->found = true;
    if (!key)
        return ERR_OK;
    if (strncmp(key, "host.", 5) == 0)
        return hostmap_add_pair(&r->out->hosts, key + 5, value, ei);
    if (!find_key(key, &k))
        return unknown_key(key, ei);
    if (!server)
        return put(&r->out->values[k], value, ei);
    struct profile_server *s = server_section(r->out, server);
    return s ? put(&s->values[k], value, ei) : err_set(ei, ERR_LIMIT, NULL, "too many server sections");
}

static enum err load(struct profile *out, const char *path, bool must_exist, const char *name,
                     struct errinfo *ei)
{
    struct reading r = {.out = out, .wanted = name};
    struct stat st;
    struct buf text;
    buf_init(&text, MAX_FILE);
    enum err e = ERR_OK;
    if (stat(path, &st) < 0 && errno == ENOENT && !must_exist) {
        if (name)
            e = err_set(ei, ERR_CONFIG, "make the file, or name another with --config",
                        "there is no profile %s: no %s", name, path);
        goto out;
    }
    e = path_read(&text, path, ei);
    if (e) {
        if (ei)
            ei->code = ERR_CONFIG;
        e = ERR_CONFIG;
        goto out;
    }
    e = ini_parse(buf_str(&text), text.len, path, survey, &r, ei);
    if (e)
        goto out;
    tell_twice(&r, path);
    if (r.names_file_secret && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 077) {
        e = err_set(ei, ERR_CONFIG, "chmod 600 it", "%s names a secret and is readable by others", path);
        goto out;
    }
    if (!r.wanted)
        r.wanted = r.sections == 1 ? r.only : "default";
    e = ini_parse(buf_str(&text), text.len, path, take, &r, ei);
    if (!e && !r.found && name) {
        e = err_set(ei, ERR_CONFIG, NULL, "%s has no profile %s", path, name);
        err_hint(ei, r.names[0] ? "it has %s" : "it has none", r.names);
    } else if (!e && !r.found && r.sections > 1) {
        e = err_set(ei, ERR_CONFIG, NULL, "%s has several profiles and none was chosen", path);
        err_hint(ei, "--profile NAME: %s", r.names);
    }
    if (!e && r.found) {
        e = put(&out->name, r.wanted, ei);
        if (!e)
            e = put(&out->file, path, ei);
    }
out:
    forget_given(&r);
    buf_fini(&text);
    return e;
}

enum err profile_load(struct profile *out, const char *file, const char *name, struct errinfo *ei)
{
    struct profile fresh = {0};
    struct buf path;
    buf_init(&path, 4096);
    enum err e = file ? buf_adds(&path, file) : path_config(&path, "config.ini", ei);
    if (!e)
        e = load(&fresh, buf_str(&path), file != NULL, name, ei);
    buf_fini(&path);
    if (e)
        profile_fini(&fresh);
    else
        *out = fresh;
    return e;
}

void profile_fini(struct profile *p)
{
    free(p->name);
    free(p->file);
    for (size_t k = 0; k < PROFILE_KEY_COUNT; k++)
        free(p->values[k]);
    for (size_t i = 0; i < p->servers.n; i++) {
        free(p->servers.v[i].name);
        for (size_t k = 0; k < PROFILE_KEY_COUNT; k++)
            free(p->servers.v[i].values[k]);
    }
    VEC_FREE(&p->servers);
    hostmap_fini(&p->hosts);
    *p = (struct profile){0};
}

const char *profile_get(const struct profile *p, enum profile_key key, const char *server)
{
    for (size_t i = 0; server && i < p->servers.n; i++)
        if (str_ieq(p->servers.v[i].name, server) && p->servers.v[i].values[key])
            return p->servers.v[i].values[key];
    return p->values[key];
}

bool profile_flag(const struct profile *p, enum profile_key key, bool otherwise)
{
    const char *s = profile_get(p, key, NULL);
    bool flag;
    return s && parse_flag(s, &flag) ? flag : otherwise;
}

int profile_int(const struct profile *p, enum profile_key key, int otherwise)
{
    const char *s = profile_get(p, key, NULL);
    uint64_t n;
    return s && str_to_u64(s, strlen(s), &n) && n <= 1000000 ? (int)n : otherwise;
}

uint16_t profile_port(const struct profile *p, enum profile_key key, const char *server, uint16_t otherwise)
{
    const char *s = profile_get(p, key, server);
    uint16_t port;
    return s && str_to_port(s, &port) ? port : otherwise;
}

bool profile_namespace(const struct profile *p, size_t i, char *out, size_t cap)
{
    const char *s = profile_get(p, PROFILE_namespace, NULL);
    while (s && *s) {
        s += strspn(s, ", \t");
        size_t n = strcspn(s, ", \t");
        if (n && i-- == 0)
            return str_fmt(out, cap, "%.*s", (int)n, s);
        s += n;
    }
    return false;
}
