#include "core/report/lines.h"

#include "core/base/str.h"
#include "core/report/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 10000 /* of one list */
#define MAX_KINDS 32    /* a bit each */

/* No default: a new kind is a new name here and new rows below, and the compiler says so. */
static const char *kind_name(unsigned kind)
{
    switch ((enum observation_kind)kind) {
    case OBSERVATION_STEP: return "step";
    case OBSERVATION_CHALLENGE: return "challenge";
    case OBSERVATION_TLS: return "tls";
    case OBSERVATION_TICKET: return "ticket";
    case OBSERVATION_LOGON: return "logon";
    case OBSERVATION_IIS: return "iis";
    case OBSERVATION_BUILD: return "build";
    case OBSERVATION_SPN: return "spn";
    }
    return NULL;
}

enum type { TEXT, INT, BITS, TIME, BOOL, AUTH, TOKEN, NAMES, VERSION };
#define EVERY    UINT32_MAX
#define OF(kind) (UINT32_C(1) << OBSERVATION_##kind)

static const struct field {
    uint32_t of; /* bit per kind that has it */
    const char *key;
    enum type type;
    size_t at;
} fields[] = {
#define F(of, key, type, member)                                                                             \
    {                                                                                                        \
        of, key, type, offsetof(struct observation, member)                                                  \
    }
    F(EVERY, "server", TEXT, server),
    F(EVERY, "step", TEXT, step),
    F(EVERY, "subject", TEXT, subject),
    F(EVERY, "by_name", TEXT, by_name),
    F(EVERY, "detail", TEXT, detail),
    F(EVERY, "at", TIME, at),
    F(EVERY, "elapsed_ms", INT, elapsed_ms),
    F(OF(CHALLENGE), "status", INT, u.challenge.status),
    F(OF(CHALLENGE), "offered", AUTH, u.challenge.offered),
    F(OF(CHALLENGE), "anonymous", BOOL, u.challenge.anonymous),
    F(OF(CHALLENGE), "server_header", TEXT, u.challenge.server_header),
    F(OF(CHALLENGE), "fe_server", TEXT, u.challenge.fe_server),
    F(OF(TLS), "version", TEXT, u.tls.version),
    F(OF(TLS), "cipher", TEXT, u.tls.cipher),
    F(OF(TLS), "versions_tried", BITS, u.tls.versions_tried),
    F(OF(TLS), "versions_offered", BITS, u.tls.versions_offered),
    F(OF(TLS), "asks_for_certificate", BOOL, u.tls.asks_for_certificate),
    F(OF(TLS), "needs_certificate", BOOL, u.tls.needs_certificate),
    F(OF(TLS), "name_ok", BOOL, u.tls.name_ok),
    F(OF(TLS), "subject_cn", TEXT, u.tls.cert.subject_cn),
    F(OF(TLS), "issuer", TEXT, u.tls.cert.issuer),
    F(OF(TLS), "names", NAMES, u.tls.cert.names),
    F(OF(TLS), "not_before", TIME, u.tls.cert.not_before),
    F(OF(TLS), "not_after", TIME, u.tls.cert.not_after),
    F(OF(TLS), "key_type", TEXT, u.tls.cert.key_type),
    F(OF(TLS), "key_bits", INT, u.tls.cert.key_bits),
    F(OF(TLS), "signature_hash", TEXT, u.tls.cert.signature_hash),
    F(OF(TLS), "sha256", TEXT, u.tls.cert.sha256),
    F(OF(TLS), "chain_ok", BOOL, u.tls.cert.chain_ok),
    F(OF(TLS), "chain_error", TEXT, u.tls.cert.chain_error),
    F(OF(TICKET), "etype", INT, u.ticket.etype),
    F(OF(TICKET), "kvno", INT, u.ticket.kvno),
    F(OF(TICKET), "end_time", TIME, u.ticket.end_time),
    F(OF(TICKET), "error", INT, u.ticket.error),
    F(OF(LOGON), "method", TEXT, u.logon.method),
    F(OF(LOGON), "user", TEXT, u.logon.user),
    F(OF(LOGON), "status", INT, u.logon.status),
    F(OF(IIS), "path", TEXT, u.iis.path),
    F(OF(IIS), "anonymous", BOOL, u.iis.anonymous),
    F(OF(IIS), "basic", BOOL, u.iis.basic),
    F(OF(IIS), "windows", BOOL, u.iis.windows),
    F(OF(IIS), "digest", BOOL, u.iis.digest),
    F(OF(IIS), "has_providers", BOOL, u.iis.has_providers),
    F(OF(IIS), "providers", BITS, u.iis.providers),
    F(OF(IIS), "ssl_flags", BITS, u.iis.ssl_flags),
    F(OF(IIS), "token", TOKEN, u.iis.token),
    F(OF(IIS), "protection_flags", BITS, u.iis.protection_flags),
    F(OF(IIS), "ip_filtered", BOOL, u.iis.ip_filtered),
    F(OF(SPN), "spn", TEXT, u.spn.spn),
    F(OF(SPN), "dn", TEXT, u.spn.dn),
    F(OF(SPN), "account", TEXT, u.spn.account),
    F(OF(SPN), "is_computer", BOOL, u.spn.is_computer),
    F(OF(SPN), "is_alias", BOOL, u.spn.is_alias),
    F(OF(SPN), "is_disabled", BOOL, u.spn.is_disabled),
    F(OF(SPN), "has_enctypes", BOOL, u.spn.has_enctypes),
    F(OF(SPN), "is_partial", BOOL, u.spn.is_partial),
    F(OF(SPN), "whole_forest", BOOL, u.spn.whole_forest),
    F(OF(SPN), "enctypes", BITS, u.spn.enctypes),
    F(OF(SPN), "pwd_last_set", TIME, u.spn.pwd_last_set),
    F(OF(SPN), "others", NAMES, u.spn.others),
    F(OF(BUILD), "build", VERSION, u.build.version),
#undef F
};

/* Lists are a pointer and the number after it. */
#define FOLLOWS(list, n)                                                                                     \
    _Static_assert(offsetof(struct observation, n) ==                                                        \
                       offsetof(struct observation, list) + sizeof(const char **),                           \
                   "the number of values follows the values")
FOLLOWS(u.tls.cert.names, u.tls.cert.n_names);
FOLLOWS(u.spn.others, u.spn.n_others);

/* ---- writing; absent, zero and false are left out */

static json_t *names_json(const char *const *names, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_text(names[i]));
    return list;
}

static json_t *value_json(const struct observation *o, const struct field *f)
{
    const char *p = (const char *)o + f->at;
    const char *const *text = (const void *)p;
    const struct version *v = (const void *)p;
    size_t n;
    switch (f->type) {
    case TEXT: return *text ? json_text(*text) : NULL;
    case INT: return *(const int *)(const void *)p ? json_integer(*(const int *)(const void *)p) : NULL;
    case BITS:
    case AUTH:
        return *(const uint32_t *)(const void *)p ? json_integer(*(const uint32_t *)(const void *)p) : NULL;
    case TOKEN: return json_integer(*(const enum iis_token *)(const void *)p);
    case TIME: return json_integer(*(const int64_t *)(const void *)p);
    case BOOL: return *(const bool *)(const void *)p ? json_true() : NULL;
    case NAMES:
        memcpy(&n, p + sizeof(const char **), sizeof n);
        return n ? names_json(*(const char *const *const *)(const void *)p, n) : NULL;
    case VERSION:
        return json_pack("[i,i,i,i,b]", v->major, v->minor, v->build, v->revision, (int)v->has_revision);
    }
    return NULL;
}

enum err lines_write(const struct observation *o, struct buf *out, struct errinfo *ei)
{
    json_t *j = json_object();
    json_object_set_new(j, "kind", json_string(kind_name(o->kind)));
    json_object_set_new(j, "source", json_string(evidence_source_name(o->source)));
    json_object_set_new(j, "outcome", json_string(outcome_name(o->outcome)));
    if (o->protocol < PROTOCOL_COUNT)
        json_object_set_new(j, "protocol", json_string(protocol_id(o->protocol)));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        json_t *value = fields[i].of & UINT32_C(1) << o->kind ? value_json(o, &fields[i]) : NULL;
        if (value)
            json_object_set_new(j, fields[i].key, value);
    }
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    if (text) {
        buf_adds(out, text);
        buf_addc(out, '\n');
    }
    enum err e = text ? out->failed : ERR_NOMEM;
    free(text);
    return e ? err_set(ei, e, NULL, "there is more evidence than fits") : ERR_OK;
}

/* ---- reading */

static enum err wrong(struct errinfo *ei, const char *key)
{
    return err_set(ei, ERR_INPUT, NULL, "\"%s\" of an observation is not what it should be", key);
}

static bool to_int(const json_t *v, json_int_t low, json_int_t high, json_int_t *out)
{
    if (!json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return *out >= low && *out <= high;
}

static bool take_names(struct arena *a, const json_t *v, void *p)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n > MAX_NAMES)
        return false;
    const char **names = arena_array(a, n + 1, sizeof *names);
    for (size_t i = 0; names && i < n; i++) {
        const char *s = json_string_value(json_array_get(v, i));
        if (!s || !(names[i] = arena_str(a, s)))
            return false;
    }
    memcpy(p, &names, sizeof names);
    memcpy((char *)p + sizeof names, &n, sizeof n);
    return names != NULL;
}

static bool take_version(const json_t *v, struct version *out)
{
    json_int_t n[4];
    for (size_t i = 0; i < 4; i++)
        if (!to_int(json_array_get(v, i), 0, UINT16_MAX, &n[i]))
            return false;
    const json_t *has = json_array_get(v, 4);
    *out =
        (struct version){(uint16_t)n[0], (uint16_t)n[1], (uint16_t)n[2], (uint16_t)n[3], json_is_true(has)};
    return json_is_boolean(has);
}

static bool take_value(struct arena *a, struct observation *o, const struct field *f, const json_t *v)
{
    char *p = (char *)o + f->at;
    const char *text;
    json_int_t n;
    switch (f->type) {
    case TEXT:
        text = json_is_string(v) ? arena_str(a, json_string_value(v)) : NULL;
        memcpy(p, &text, sizeof text);
        return text != NULL;
    case INT:
        if (!to_int(v, INT_MIN, INT_MAX, &n))
            return false;
        *(int *)(void *)p = (int)n;
        return true;
    case TIME:
        if (!to_int(v, INT64_MIN, INT64_MAX, &n))
            return false;
        *(int64_t *)(void *)p = n;
        return true;
    case BOOL: *(bool *)(void *)p = json_is_true(v); return json_is_boolean(v);
    case BITS:
    case AUTH:
        if (!to_int(v, 0, f->type == AUTH ? AUTH_ALL : UINT32_MAX, &n))
            return false;
        *(uint32_t *)(void *)p = (uint32_t)n;
        return true;
    case TOKEN:
        if (!to_int(v, IIS_TOKEN_NONE, IIS_TOKEN_REQUIRE, &n))
            return false;
        *(enum iis_token *)(void *)p = (enum iis_token)n;
        return true;
    case NAMES: return take_names(a, v, p);
    case VERSION: return take_version(v, (struct version *)(void *)p);
    }
    return false;
}

/* Promised to be fit for a terminal: a probe made it so, whoever wrote this file may not have. */
static bool show_detail(struct arena *a, struct observation *o)
{
    struct buf b;
    if (!o->detail)
        return true;
    buf_init(&b, LINES_MAX * 4);
    str_show(&b, o->detail, strlen(o->detail));
    if (!str_eq(buf_str(&b), o->detail))
        o->detail = b.failed ? NULL : arena_str(a, buf_str(&b));
    buf_fini(&b);
    return o->detail != NULL;
}

/* The number of the name of key among n; false when it is none of them. */
static bool take_name(const json_t *j, const char *key, const char *(*name)(unsigned), unsigned n,
                      unsigned *out)
{
    const char *s = json_string_value(json_object_get(j, key));
    for (unsigned i = 0; s && i < n; i++) {
        if (str_eq(name(i), s)) { /* beyond the last there is no name */
            *out = i;
            return true;
        }
    }
    return false;
}

static const char *source_name(unsigned i)
{
    return evidence_source_name((enum evidence_source)i);
}
static const char *end_name(unsigned i)
{
    return outcome_name((enum outcome)i);
}

static enum err take(const json_t *j, struct evidence *e, struct errinfo *ei)
{
    unsigned kind, source, outcome;
    if (!take_name(j, "kind", kind_name, MAX_KINDS, &kind))
        return err_set(ei, ERR_INPUT, "was it made by a newer casbridge?",
                       "an observation is of a kind not known here");
    if (!take_name(j, "source", source_name, EVIDENCE_HOST + 1, &source))
        return wrong(ei, "source");
    if (!take_name(j, "outcome", end_name, OUTCOME_SKIPPED + 1, &outcome))
        return wrong(ei, "outcome");
    struct observation *o = evidence_add(e, (enum observation_kind)kind, (enum evidence_source)source);
    if (!o)
        return err_set(ei, ERR_LIMIT, NULL, "there is more evidence than is kept");
    o->outcome = (enum outcome)outcome;
    o->at = 0;
    const json_t *protocol = json_object_get(j, "protocol");
    if (protocol &&
        (!json_is_string(protocol) || !protocol_from_id(json_string_value(protocol), &o->protocol)))
        return wrong(ei, "protocol");
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const json_t *v = fields[i].of & UINT32_C(1) << kind ? json_object_get(j, fields[i].key) : NULL;
        if (v && !take_value(&e->arena, o, &fields[i], v))
            return e->arena.failed ? err_set(ei, ERR_LIMIT, NULL, "there is more evidence than is kept")
                                   : wrong(ei, fields[i].key);
    }
    return show_detail(&e->arena, o) ? ERR_OK : wrong(ei, "detail");
}

enum err lines_read(const char *line, size_t len, struct evidence *e, struct errinfo *ei)
{
    json_error_t why;
    size_t before = e->items.n;
    json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(j)) {
        json_decref(j);
        return err_set(ei, ERR_INPUT, NULL, "an observation is no JSON object");
    }
    enum err err = take(j, e, ei);
    if (err)
        e->items.n = before;
    json_decref(j);
    return err;
}
