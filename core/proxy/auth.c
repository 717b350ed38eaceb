/*
 * The front end's authentication. Basic is parsed here, its password checked by a job (or by memory), and the credentials are
 * wiped from the buffer; Negotiate and NTLM belong to a connection and pass through only where the relay is plain.
 */
#include "core/proxy/auth_int.h"

#include "core/base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_WAIT_MS 30000

static void *take_ident(void *i)
{
    return ident_ref(i);
}

static void drop_ident(void *i)
{
    struct ident *x = i;
    ident_unref(&x);
}

enum err auth_new(struct auth_state **out, const struct proxy_config *cfg, struct errinfo *ei)
{
    struct auth_state *a = calloc(1, sizeof *a);
    struct krb_login *login = NULL;
    enum err r = ERR_OK;
    EVP_MAC *mac = NULL;
    if (a == NULL)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the engine");
    a->mode = cfg->auth;
    (void)pthread_mutex_init(&a->mac_lock, NULL);
    if (RAND_bytes(a->key, sizeof a->key) != 1 || (mac = EVP_MAC_fetch(NULL, "HMAC", NULL)) == NULL ||
        (a->mac = EVP_MAC_CTX_new(mac)) == NULL) {
        r = err_set(ei, ERR_TLS, NULL, "the random generator or HMAC of OpenSSL does not work");
        goto out;
    }
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0),
                           OSSL_PARAM_construct_end()};
    if (EVP_MAC_init(a->mac, a->key, sizeof a->key, params) != 1) {
        r = err_set(ei, ERR_TLS, NULL, "HMAC-SHA256 of OpenSSL does not work");
        goto out;
    }
    if ((r = logon_book_new(&a->book, take_ident, drop_ident)) != ERR_OK) {
        r = err_set(ei, r, NULL, "no memory for the engine");
        goto out;
    }
    logon_budget(a->book, cfg->org != NULL ? cfg->org->lockout_threshold : -1);
    if (a->mode == PROXY_AUTH_KEYTAB) {
        r = krb_login_keytab(&login, cfg->principal, cfg->keytab, ei);
        if (r == ERR_OK && (a->engine = ident_new(krb_login_name(login), login)) == NULL)
            r = err_set(ei, ERR_NOMEM, NULL, "no memory for the engine");
    }
out:
    EVP_MAC_free(mac);
    if (r == ERR_OK)
        *out = a;
    else
        auth_free(&a);
    return r;
}

void auth_organisation(struct auth_state *a, const struct org *org)
{
    logon_budget(a->book, org->lockout_threshold);
}

void auth_free(struct auth_state **ap)
{
    struct auth_state *a = *ap;
    if (a == NULL)
        return;
    ident_unref(&a->engine);
    logon_book_free(&a->book);
    EVP_MAC_CTX_free(a->mac);
    (void)pthread_mutex_destroy(&a->mac_lock);
    OPENSSL_cleanse(a->key, sizeof a->key);
    free(a);
    *ap = NULL;
}

/* HMAC-SHA256 under the key of this run. The context is shared: taking turns costs less than fetching one each time. */
bool auth_digest(struct auth_state *a, const char *label, const void *data, size_t len,
                 uint8_t out[static LOGON_DIGEST])
{
    size_t n = 0;
    (void)pthread_mutex_lock(&a->mac_lock);
    bool ok = EVP_MAC_init(a->mac, NULL, 0, NULL) == 1 &&
              EVP_MAC_update(a->mac, (const unsigned char *)label, strlen(label) + 1) == 1 &&
              EVP_MAC_update(a->mac, data, len) == 1 && EVP_MAC_final(a->mac, out, &n, LOGON_DIGEST) == 1 &&
              n == LOGON_DIGEST;
    (void)pthread_mutex_unlock(&a->mac_lock);
    return ok;
}

/* user and password of "Basic ..." in one decoded buffer. RFC 7617: the first colon divides; UTF-8, else Latin-1 as old clients send it. */
static bool basic_parse(const char *b64, size_t len, struct buf *decoded, size_t *user_len)
{
    if (len > 8192 || base64_decode(decoded, b64, len) != ERR_OK || decoded->failed != ERR_OK ||
        decoded->len == 0)
        return false;
    if (!utf8_valid(decoded->data, decoded->len)) {
        size_t n = decoded->len;
        for (size_t i = 0; i < n; i++) {
            unsigned char ch = (unsigned char)decoded->data[i];
            if (ch < 0x80)
                (void)buf_addc(decoded, (char)ch);
            else
                (void)buf_addf(decoded, "%c%c", 0xc0 | ch >> 6, 0x80 | (ch & 0x3f));
        }
        if (decoded->failed != ERR_OK)
            return false;
        OPENSSL_cleanse(decoded->data, n);
        buf_drop(decoded, n);
    }
    const char *colon = memchr(decoded->data, ':', decoded->len);
    if (colon == NULL || colon == decoded->data || memchr(decoded->data, '\0', decoded->len) != NULL)
        return false;
    *user_len = (size_t)(colon - decoded->data);
    for (size_t i = 0; i < *user_len; i++)
        if ((unsigned char)decoded->data[i] < 0x20)
            return false;
    return *user_len < 256;
}

static void wipe(struct buf *b)
{
    if (b->data != NULL)
        OPENSSL_cleanse(b->data, b->cap);
    buf_fini(b);
}

/* --- asking the KDC */

struct logon_job {
    struct pjob base;
    struct auth_state *auth;
    uint8_t digest[LOGON_DIGEST];
    char user[256];
    struct secret password;
    struct ident *ident;
    bool failed; /* the KDC could not be asked */
    struct errinfo ei;
};

/* RFC 4120 codes that say "wrong password": those a domain controller counts. */
static enum logon_outcome outcome_of(enum err r, const struct errinfo *ei)
{
    if (r == ERR_OK)
        return LOGON_RIGHT;
    if (r != ERR_AUTH || ei->sys == 37) /* clock skew proves nothing about the password */
        return LOGON_FAILED;
    return ei->sys == 24 || ei->sys == 31 ? LOGON_WRONG : LOGON_REFUSED;
}

static void logon_run(struct pjob *j)
{
    struct logon_job *lj = (struct logon_job *)j;
    struct logon_book *book = lj->auth->book;
    void *found = NULL;
    switch (logon_check(book, lj->digest, lj->user, clock_mono_ms() / 1000, ASK_WAIT_MS, &found, lj->ei.what,
                        sizeof lj->ei.what)) {
    case LOGON_YES: lj->ident = found; return;
    case LOGON_NO: return;
    case LOGON_PENDING:
        lj->failed = true;
        (void)str_copy(lj->ei.what, sizeof lj->ei.what, "the KDC has not answered yet");
        return;
    case LOGON_ASK: break;
    }
    struct krb_login *login = NULL;
    struct ident *ident = NULL;
    enum err r = krb_login_password(&login, lj->user, &lj->password, &lj->ei);
    enum logon_outcome o = outcome_of(r, &lj->ei);
    if (r == ERR_OK) {
        if (lj->auth->mode ==
            PROXY_AUTH_KEYTAB) /* the engine goes under its own name: the ticket is not needed */
            krb_login_free(&login);
        if ((ident = ident_new(lj->user, login)) == NULL)
            o = LOGON_FAILED;
    }
    if (ident != NULL)
        lj->ident = ident_ref(ident);
    lj->failed = o == LOGON_FAILED;
    logon_settle(book, lj->digest, lj->user, clock_mono_ms() / 1000, o, ident, lj->ei.what);
}

static void believe(struct conn *c, struct ident *i, const uint8_t *digest)
{
    struct auth_state *a = c->e->p->auth;
    uint8_t key[LOGON_DIGEST];
    ident_unref(&c->ident);
    c->ident = i;
    memcpy(c->digest, digest, sizeof c->digest);
    c->has_digest = true;
    c->believed_ms = c->e->now_ms;
    char who[600];
    int n = snprintf(who, sizeof who, "%s\n%s", a->engine != NULL ? a->engine->name : "", i->name);
    if (n < 0 || (size_t)n >= sizeof who || !auth_digest(a, "pool", who, (size_t)n, key))
        (void)RAND_bytes(key, sizeof key); /* then nobody shares it */
    memcpy(c->key, key, POOL_KEY);
}

static void show_user(struct conn *c, const char *user, size_t len)
{
    struct proxy_row *r = row_of(c);
    if (r != NULL) {
        str_show_fixed(r->user, sizeof r->user, user, len);
        rows_touch(&c->e->rows, c->row);
    }
}

static void show_auth(struct conn *c, const char *auth)
{
    struct proxy_row *r = row_of(c);
    if (r != NULL)
        (void)str_copy(r->auth, sizeof r->auth, auth);
}

static void logon_done(struct pjob *j)
{
    struct logon_job *lj = (struct logon_job *)j;
    struct engine *e = j->e;
    struct conn *c = j->c;
    if (lj->ident != NULL)
        count_add(&e->count.logons_ok, 1);
    else
        count_add(&e->count.logons_failed, 1);
    if (c != NULL) {
        if (lj->ident != NULL) {
            believe(c, lj->ident, lj->digest);
            lj->ident = NULL;
            row_event(c, PROXY_EVENT_AUTH, "password right: %.60s", c->ident->name);
            request_authenticated(c);
        } else if (lj->failed) {
            answer_status(c, 500, "kerberos-ticket", lj->ei.what);
        } else {
            row_event(c, PROXY_EVENT_AUTH, "refused");
            answer_challenge(c, lj->ei.what);
        }
        conn_run(c);
    }
    ident_unref(&lj->ident);
    secret_fini(&lj->password);
    OPENSSL_cleanse(lj->digest, sizeof lj->digest);
    free(lj);
}

static void ask(struct conn *c, const uint8_t *digest, const char *user, const struct buf *decoded,
                size_t user_len)
{
    struct logon_job *lj = calloc(1, sizeof *lj);
    if (lj != NULL) {
        lj->base.run = logon_run;
        lj->base.done = logon_done;
        lj->auth = c->e->p->auth;
        memcpy(lj->digest, digest, sizeof lj->digest);
        (void)str_copy(lj->user, sizeof lj->user, user);
        row_state(c, PROXY_STATE_AUTH);
        if (secret_set(&lj->password, decoded->data + user_len + 1, decoded->len - user_len - 1) == ERR_OK &&
            pjob_start(c->e, c, &lj->base))
            return;
        secret_fini(&lj->password);
        free(lj);
    }
    answer_status(c, 503, "", "too many logons wait");
}

/* --- the request's Authorization */

static bool scheme_is(const char *v, size_t len, const char *name, const char **rest, size_t *rest_len)
{
    size_t n = strlen(name);
    if (len <= n || str_incmp(v, name, n) != 0 || v[n] != ' ')
        return false;
    while (n < len && v[n] == ' ')
        n++;
    *rest = v + n;
    *rest_len = len - n;
    return true;
}

static bool check_basic(struct conn *c, char *b64, size_t len)
{
    struct engine *e = c->e;
    struct auth_state *a = e->p->auth;
    struct buf decoded;
    uint8_t digest[LOGON_DIGEST];
    char user[256], why[160] = "";
    size_t user_len = 0;
    bool go = false;
    void *found = NULL;
    buf_init(&decoded, 32768);
    if (!auth_digest(a, "basic", b64, len, digest)) {
        answer_status(c, 500, "", "HMAC of OpenSSL failed");
        goto out;
    }
    bool parsed = basic_parse(b64, len, &decoded, &user_len);
    OPENSSL_cleanse(b64, len);
    memset(b64, 'A', len); /* what is left must still be a head */
    if (!parsed) {
        answer_challenge(c, "the client's Basic credentials cannot be read");
        goto out;
    }
    memcpy(user, decoded.data, user_len);
    user[user_len] = '\0';
    show_user(c, user, user_len);
    if (c->has_digest && c->ident != NULL && CRYPTO_memcmp(c->digest, digest, sizeof digest) == 0 &&
        e->now_ms - c->believed_ms < 60000) {
        go = true;
        goto out;
    }
    c->has_digest = false;
    switch (logon_check(a->book, digest, user, e->now_ms / 1000, 0, &found, why, sizeof why)) {
    case LOGON_YES:
        believe(c, found, digest);
        row_event(c, PROXY_EVENT_AUTH, "password right (remembered)");
        go = true;
        break;
    case LOGON_NO:
        count_add(&e->count.logons_failed, 1);
        answer_challenge(c, why);
        break;
    default: ask(c, digest, user, &decoded, user_len);
    }
out:
    wipe(&decoded);
    OPENSSL_cleanse(digest, sizeof digest);
    return go;
}

/* A plain relay looks only as far as it must: who may share a connection, and what the row shows. */
static bool pass(struct conn *c, const char *v, size_t len)
{
    struct auth_state *a = c->e->p->auth;
    const char *rest;
    size_t rest_len, user_len = 0;
    uint8_t digest[LOGON_DIGEST];
    memset(c->key, 0, sizeof c->key);
    if (v == NULL) {
        show_auth(c, c->pinned ? "negotiate (pinned)" : "");
        return true;
    }
    c->has_auth = true;
    if (scheme_is(v, len, "Basic", &rest, &rest_len)) {
        struct buf decoded;
        buf_init(&decoded, 32768);
        c->basic = true;
        show_auth(c, "basic (pass)");
        if (basic_parse(rest, rest_len, &decoded, &user_len))
            show_user(c, decoded.data, user_len);
        wipe(&decoded);
    } else if (scheme_is(v, len, "NTLM", &rest, &rest_len)) {
        c->auth_bound = true;
        show_auth(c, "ntlm (pinned)");
    } else if (scheme_is(v, len, "Negotiate", &rest, &rest_len)) {
        c->auth_bound = true;
        show_auth(c, "negotiate (pinned)");
    }
    if (!c->auth_bound) { /* shared with those who send the very same credentials only */
        if (!auth_digest(a, "pass", v, len, digest))
            (void)RAND_bytes(digest, sizeof digest);
        memcpy(c->key, digest, POOL_KEY);
        OPENSSL_cleanse(digest, sizeof digest);
    }
    return true;
}

bool auth_request(struct conn *c)
{
    const struct auth_state *a = c->e->p->auth;
    const struct http1_head *h = &c->e->req_head;
    char *raw = iobuf_head(c->in);
    const struct http1_field *f = http1_find(h, HTTP1_AUTHORIZATION);
    if (a->mode == PROXY_AUTH_PASS)
        return pass(c, f != NULL ? raw + f->value : NULL, f != NULL ? f->value_len : 0);
    const char *rest;
    size_t rest_len;
    if (f == NULL) {
        answer_challenge(c, NULL);
        return false;
    }
    if (!scheme_is(raw + f->value, f->value_len, "Basic", &rest, &rest_len)) {
        answer_challenge(c, "the client sent Negotiate or NTLM: the engine would need delegation to go on as "
                            "that user, so it takes Basic only");
        return false;
    }
    c->has_auth = c->basic = true;
    show_auth(c, "basic->kerberos");
    return check_basic(c, raw + (rest - raw), rest_len);
}
