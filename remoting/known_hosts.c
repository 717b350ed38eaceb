#include "remoting/known_hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/str.h"

struct span {
    const char *s;
    size_t len;
};

void known_host_fini(struct known_host *h)
{
    VEC_FREE(&h->keys);
}

enum err known_host_name(struct buf *out, const char *host, uint16_t port)
{
    for (const char *p = host; *p; p++) {
        /* A name that could be read as more than a name must not get into the file. */
        if ((unsigned char)*p <= ' ' || strchr(",*?!|#[]@", *p) || *p == 0x7f)
            return ERR_INPUT;
    }
    if (!*host || strlen(host) > 255)
        return ERR_INPUT;
    size_t from = out->len;
    enum err err = port == 22 ? buf_adds(out, host) : buf_addf(out, "[%s]:%u", host, port);
    for (size_t i = from; err == ERR_OK && i < out->len; i++) {
        if (out->data[i] >= 'A' && out->data[i] <= 'Z')
            out->data[i] = (char)(out->data[i] + ('a' - 'A'));
    }
    return err;
}

static struct span next_word(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\t'))
        (*at)++;
    struct span word = {*at, 0};
    while (*at < end && **at != ' ' && **at != '\t' && **at != '\r')
        (*at)++;
    word.len = (size_t)(*at - word.s);
    return word;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* * and ?, without recursion: on a mismatch the last star takes one character more. */
static bool pattern_matches(struct span p, const char *name)
{
    size_t i = 0, star = SIZE_MAX;
    const char *resume = name;
    while (*name) {
        if (i < p.len && p.s[i] == '*') {
            star = i++;
            resume = name;
        } else if (i < p.len && (p.s[i] == '?' || lower(p.s[i]) == *name)) {
            i++;
            name++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (i < p.len && p.s[i] == '*')
        i++;
    return i == p.len;
}

/* "|1|salt|hash": HMAC-SHA1 of the name with the salt as key, both in base64. */
static bool hash_matches(struct span h, const char *name)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    struct buf salt, want;
    bool ok = false;
    const char *bar = h.len > 3 ? memchr(h.s + 3, '|', h.len - 3) : NULL;
    if (!bar)
        return false;
    buf_init(&salt, 64);
    buf_init(&want, 64);
    if (base64_decode(&salt, h.s + 3, (size_t)(bar - h.s) - 3) == ERR_OK &&
        base64_decode(&want, bar + 1, (size_t)(h.s + h.len - bar) - 1) == ERR_OK &&
        want.len == SHA_DIGEST_LENGTH)
        ok = HMAC(EVP_sha1(), buf_str(&salt), (int)salt.len, (const uint8_t *)name, strlen(name), mac,
                  &mac_len) &&
             memcmp(mac, want.data, want.len) == 0;
    buf_fini(&salt);
    buf_fini(&want);
    return ok;
}

static bool hosts_match(struct span hosts, const char *name)
{
    bool match = false;
    if (hosts.len > 3 && memcmp(hosts.s, "|1|", 3) == 0)
        return hash_matches(hosts, name);
    const char *at = hosts.s, *end = hosts.s + hosts.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        bool negated = *at == '!';
        struct span pattern = {at + negated, (size_t)(stop - at) - negated};
        if (pattern_matches(pattern, name)) {
            if (negated)
                return false;
            match = true;
        }
        at = stop + 1;
    }
    return match;
}

/* The key of a line whose hosts matched; false when it is none. */
static bool read_key(struct known_key *out, struct span type, struct span base64)
{
    char inside[sizeof out->type];
    struct buf blob;
    bool ok = false;
    buf_init(&blob, HOST_KEY_MAX);
    if (type.len < sizeof out->type && base64_decode(&blob, base64.s, base64.len) == ERR_OK && blob.len > 0) {
        memcpy(out->type, type.s, type.len);
        out->type[type.len] = '\0';
        memcpy(out->blob, blob.data, blob.len);
        out->len = blob.len;
        host_key_type(out->blob, out->len, inside, sizeof inside);
        ok = strcmp(inside, out->type) == 0;
    }
    buf_fini(&blob);
    return ok;
}

static enum err read_line(struct known_host *out, const char *at, const char *end, const char *name,
                          unsigned number)
{
    struct span hosts = next_word(&at, end);
    bool revoked = false;
    if (hosts.len == 0 || *hosts.s == '#')
        return ERR_OK;
    if (*hosts.s == '@') {
        revoked = hosts.len == 8 && memcmp(hosts.s, "@revoked", 8) == 0;
        if (!revoked)
            return ERR_OK;
        hosts = next_word(&at, end);
    }
    if (!hosts_match(hosts, name))
        return ERR_OK;
    struct known_key key = {.revoked = revoked, .line = number};
    struct span type = next_word(&at, end);
    struct span base64 = next_word(&at, end);
    if (out->keys.n == KNOWN_HOSTS_MAX_KEYS || !read_key(&key, type, base64))
        return ERR_OK;
    return VEC_PUSH(&out->keys, KNOWN_HOSTS_MAX_KEYS, key) ? ERR_OK : ERR_NOMEM;
}

enum err known_host_find(struct known_host *out, const char *text, size_t len, const char *name)
{
    const char *end = text + len;
    enum err err = ERR_OK;
    for (unsigned number = 1; text < end && number <= KNOWN_HOSTS_MAX_ENTRIES && err == ERR_OK; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        err = read_line(out, text, stop, name, number);
        text = newline ? stop + 1 : end;
    }
    return err;
}

enum host_key_verdict known_host_judge(const struct known_host *h, const uint8_t *blob, size_t len,
                                       const struct known_key **expected)
{
    char type[48];
    const struct known_key *same_type = NULL, *any = NULL;
    bool known = false;
    host_key_type(blob, len, type, sizeof type);
    for (size_t i = 0; i < h->keys.n; i++) {
        const struct known_key *k = &h->keys.v[i];
        bool equal = k->len == len && memcmp(k->blob, blob, len) == 0;
        if (equal && k->revoked)
            return HOST_KEY_REVOKED;
        if (k->revoked)
            continue;
        known = known || equal;
        if (!same_type && strcmp(k->type, type) == 0)
            same_type = k;
        if (!any)
            any = k;
    }
    if (known)
        return HOST_KEY_KNOWN;
    if (expected)
        *expected = same_type ? same_type : any;
    return same_type ? HOST_KEY_CHANGED : any ? HOST_KEY_OTHER_TYPE : HOST_KEY_UNKNOWN;
}

void host_key_type(const uint8_t *blob, size_t len, char *out, size_t cap)
{
    out[0] = '\0';
    if (len < 4)
        return;
    size_t n = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
    if (n > len - 4 || n >= cap || n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (blob[4 + i] <= ' ' || blob[4 + i] >= 0x7f)
            return;
    }
    memcpy(out, blob + 4, n);
    out[n] = '\0';
}

void host_key_fingerprint(const uint8_t *blob, size_t len, char out[static FINGERPRINT_SIZE])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct buf text;
    (void)SHA256(blob, len, hash);
    buf_init(&text, FINGERPRINT_SIZE);
    if (base64_encode(&text, hash, sizeof hash) != ERR_OK)
        buf_reset(&text);
    while (text.len > 0 && text.data[text.len - 1] == '=')
        text.data[--text.len] = '\0';
    str_fmt(out, FINGERPRINT_SIZE, "SHA256:%s", buf_str(&text));
    buf_fini(&text);
}

static enum err append(int fd, const struct buf *line, const char *path, struct errinfo *ei)
{
    struct stat st;
    struct buf whole;
    char last = '\n';
    enum err err = ERR_OK;
    buf_init(&whole, line->limit + 1);
    /* A file whose last line has no end would swallow ours. */
    if (fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n')
        (void)buf_addc(&whole, '\n');
    (void)buf_add(&whole, line->data, line->len);
    if (whole.failed != ERR_OK || write(fd, whole.data, whole.len) != (ssize_t)whole.len || fsync(fd) != 0)
        err = err_errno(ei, ERR_SYSTEM, "the key was accepted for this run only",
                        "%s: cannot add the host key", path);
    buf_fini(&whole);
    return err;
}

enum err known_hosts_remember(const char *path, const char *name, const uint8_t *blob, size_t len,
                              struct errinfo *ei)
{
    char type[48];
    struct buf line;
    int fd = -1;
    host_key_type(blob, len, type, sizeof type);
    buf_init(&line, 2 * HOST_KEY_MAX);
    (void)buf_addf(&line, "%s %s ", name, type);
    enum err err = type[0] ? base64_encode(&line, blob, len) : ERR_INPUT;
    (void)buf_addc(&line, '\n');
    if (err != ERR_OK || line.failed != ERR_OK) {
        err = err_set(ei, ERR_LIMIT, NULL, "the host key of %s is not one that can be kept", name);
        goto out;
    }
    err = path_make_parents(path, ei);
    if (err != ERR_OK)
        goto out;
    fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* A link is followed when it is the admin's own (dot files kept elsewhere); only creating through one is
     * not. */
    if (fd < 0 && errno == ELOOP)
        fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        err = err_errno(ei, ERR_SYSTEM, "choose another file with ssh_known_hosts",
                        "%s: cannot add the host key", path);
    else
        err = append(fd, &line, path, ei);
out:
    if (fd >= 0)
        (void)close(fd);
    buf_fini(&line);
    return err;
}
