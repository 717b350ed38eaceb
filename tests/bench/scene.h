/* Evidence as a probe of a large organisation leaves it, for benches and tests of scale. */
#ifndef TESTS_BENCH_SCENE_H
#define TESTS_BENCH_SCENE_H

#include "core/base/clock.h"
#include "core/model/evidence.h"

/* What the wire said about each CAS: DNS, TCP, TLS and certificate by its own name and by the namespace, every protocol's challenge, a
   ticket and a logon with it; and about who owns its service name. Every fourth server's /rpc offers Basic only, every tenth server did not answer at all. e is initialised
   here; evidence_fini it also after an error. */
static inline enum err scene_evidence(const struct org *org, const char *name_space, struct evidence *e,
                                      struct errinfo *ei);

static inline struct observation *scene_add(struct evidence *e, const struct server *s,
                                            enum observation_kind kind, enum evidence_source source,
                                            const char *step, enum protocol p, const char *by_name)
{
    struct observation *o = evidence_add(e, kind, source);
    if (!o)
        return NULL;
    o->server = arena_str(&e->arena, s->name);
    o->step = arena_str(&e->arena, step);
    o->protocol = p;
    o->by_name = arena_str(&e->arena, by_name);
    o->subject = p == PROTOCOL_UNKNOWN ? arena_fmt(&e->arena, "%s:443", s->fqdn)
                                       : arena_fmt(&e->arena, "https://%s%s", s->fqdn, protocol_path(p));
    o->outcome = OUTCOME_OK;
    o->detail = arena_fmt(&e->arena, "%s of %s", step, s->name);
    o->elapsed_ms = 3;
    return o;
}

static inline bool scene_tls(struct evidence *e, const struct server *s, const char *name, int64_t now)
{
    struct observation *o = scene_add(e, s, OBSERVATION_TLS, EVIDENCE_WIRE, "tls", PROTOCOL_UNKNOWN, name);
    const char **names = arena_array(&e->arena, 2, sizeof *names);
    if (!o || !names)
        return false;
    names[0] = arena_str(&e->arena, s->fqdn);
    names[1] = arena_str(&e->arena, name);
    o->u.tls.version = "TLSv1.2";
    o->u.tls.cipher = "ECDHE-RSA-AES256-GCM-SHA384";
    o->u.tls.name_ok = true;
    o->u.tls.cert = (struct certificate){.subject_cn = names[0],
                                         .issuer = "Contoso CA",
                                         .names = names,
                                         .n_names = 2,
                                         .not_before = now - 86400,
                                         .not_after = now + 300 * 86400,
                                         .key_type = "RSA",
                                         .key_bits = 2048,
                                         .signature_hash = "sha256",
                                         .chain_ok = true};
    o->u.tls.cert.sha256 = arena_fmt(&e->arena, "%064zx", e->items.n);
    return scene_add(e, s, OBSERVATION_STEP, EVIDENCE_WIRE, "certificate", PROTOCOL_UNKNOWN, name) != NULL;
}

static inline bool scene_challenges(struct evidence *e, const struct server *s, bool basic_only)
{
    for (int p = 0; p < PROTOCOL_POP; p++) {
        struct observation *o =
            scene_add(e, s, OBSERVATION_CHALLENGE, EVIDENCE_WIRE, "challenge", (enum protocol)p, s->fqdn);
        if (!o)
            return false;
        o->u.challenge.status = 401;
        o->u.challenge.offered =
            p == PROTOCOL_OA && basic_only ? AUTH_BASIC : AUTH_BASIC | AUTH_NTLM | AUTH_NEGOTIATE;
        o->u.challenge.server_header = "Microsoft-IIS/7.5";
    }
    return true;
}

static inline bool scene_kerberos(struct evidence *e, const struct server *s, int64_t now)
{
    struct observation *o =
        scene_add(e, s, OBSERVATION_TICKET, EVIDENCE_KERBEROS, "ticket", PROTOCOL_UNKNOWN, s->fqdn);
    if (!o)
        return false;
    o->subject = arena_fmt(&e->arena, "HTTP/%s", s->fqdn);
    o->u.ticket.etype = 18;
    o->u.ticket.kvno = 3;
    o->u.ticket.end_time = now + 36000;
    o = scene_add(e, s, OBSERVATION_LOGON, EVIDENCE_WIRE, "logon-negotiate", PROTOCOL_OA, s->fqdn);
    if (!o)
        return false;
    o->u.logon.method = "negotiate";
    o->u.logon.user = "admin";
    o->u.logon.status = 200;
    return true;
}

/* The owner of HTTP/<fqdn>, as a search of the whole forest finds it: HOST of the server's own account. */
static inline bool scene_owner(struct evidence *e, const struct server *s, int64_t now)
{
    struct observation *o =
        scene_add(e, s, OBSERVATION_SPN, EVIDENCE_DIRECTORY, "spn-owner", PROTOCOL_UNKNOWN, s->fqdn);
    if (!o)
        return false;
    o->at = now;
    o->u.spn.spn = arena_fmt(&e->arena, "HOST/%s", s->fqdn);
    o->u.spn.dn = arena_str(&e->arena, s->computer_dn);
    o->u.spn.account = arena_fmt(&e->arena, "%s$", s->name);
    o->u.spn.is_computer = o->u.spn.is_alias = o->u.spn.whole_forest = o->u.spn.has_enctypes = true;
    o->u.spn.enctypes = 28;
    o->u.spn.pwd_last_set = now - 86400;
    return true;
}

static inline enum err scene_evidence(const struct org *org, const char *name_space, struct evidence *e,
                                      struct errinfo *ei)
{
    int64_t now = clock_unix();
    size_t turn = 0;
    bool room = true;
    evidence_init(e, (size_t)256 << 20);
    for (size_t i = 0; room && i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (!server_is_cas(s))
            continue;
        struct observation *o =
            scene_add(e, s, OBSERVATION_STEP, EVIDENCE_WIRE, "dns", PROTOCOL_UNKNOWN, s->fqdn);
        struct observation *tcp =
            scene_add(e, s, OBSERVATION_STEP, EVIDENCE_WIRE, "tcp", PROTOCOL_UNKNOWN, s->fqdn);
        room = o && tcp && scene_owner(e, s, now);
        if (room && ++turn % 10 == 0) {
            tcp->outcome = OUTCOME_ERROR;
            continue;
        }
        room = room && scene_tls(e, s, s->fqdn, now) && scene_tls(e, s, name_space, now) &&
               scene_challenges(e, s, turn % 4 == 0) && scene_kerberos(e, s, now);
    }
    return room ? ERR_OK : err_set(ei, ERR_LIMIT, NULL, "no memory for the evidence");
}

#endif
