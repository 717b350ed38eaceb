/*
 * The proxy engine: accepts client traffic as the new CAS would, decides by the routing table, authenticates to the legacy CAS with
 * Kerberos, relays without buffering, and shows every request as it happens.
 *
 * Threads: N engine threads, each with its own SO_REUSEPORT listener, epoll, upstream pool, timer wheel, rows and event ring; they share nothing.
 * Kerberos, password checks and mailbox look-ups run on helper threads behind caches, so an engine thread never blocks.
 * proxy_rows() and proxy_events() may be called from one observer thread at any time; they never stop an engine thread.
 */
#ifndef CORE_PROXY_PROXY_H
#define CORE_PROXY_PROXY_H

#include "core/base/stop.h"
#include "core/model/finding.h"
#include "core/model/org.h"
#include "core/model/profile.h"

#include <stdbool.h>
#include <stdint.h>

struct proxy;

enum proxy_auth {                  /* how the engine authenticates upstream */
                  PROXY_AUTH_PASS, /* the client's Authorization goes through as it is (plain relay) */
                  PROXY_AUTH_AS_CLIENT, /* Basic is checked against the KDC and becomes a Kerberos ticket of that user */
                  PROXY_AUTH_KEYTAB /* the engine's own account (the new CAS's machine account); the client's Basic is still checked */
};

struct proxy_config {
    const char *listen_addr;       /* "127.0.0.1" */
    uint16_t listen_port;          /* 0: any free one, see proxy_port() */
    const char *certificate, *key; /* PEM files; NULL: a self-signed one is made */
    unsigned threads;              /* default 1 */
    const char *arrive;            /* server name: routes as that CAS would */
    const char *upstream;          /* or "https://host[:port]": everything there */
    enum proxy_auth auth;
    const char *keytab, *principal; /* PROXY_AUTH_KEYTAB */
    const char *upstream_ca;
    bool upstream_insecure;
    unsigned max_connections; /* default from RLIMIT_NOFILE */
    int header_timeout_s;     /* 30 */
    int idle_timeout_s;       /* 1800: above RPC's 15 min and EAS Ping's 30 min is the caller's choice */
    const char *const *allow; /* CIDR; needed for a non-loopback address */
    size_t n_allow;
    const char *events;       /* file for JSON lines, "-": standard output, NULL */
    const char *har;          /* file, NULL */
    const char *metrics_addr; /* loopback; NULL: no metrics */
    uint16_t metrics_port;    /* 0: any free one, see proxy_metrics_port() */
    const struct profile *profile;
    const char *source;              /* for the organisation and look-ups, NULL: the profile's */
    const struct org *org;           /* borrowed until proxy_free() or a reload; NULL with upstream */
    const struct findings *findings; /* borrowed, NULL: none; explains refusals of the target */
};

/* Starts; when it returns the engine accepts connections. */
enum err proxy_start(struct proxy **out, const struct proxy_config *c, struct errinfo *ei) MUST_CHECK;
uint16_t proxy_port(const struct proxy *p);
uint16_t proxy_metrics_port(const struct proxy *p);   /* 0: no metrics */
const char *proxy_fingerprint(const struct proxy *p); /* SHA-256 of the certificate in use, "AB:CD:..." */
bool proxy_is_self_signed(const struct proxy *p);
/* Stops accepting, lets requests end for at most drain_ms, then closes all. */
void proxy_stop(struct proxy *p, int drain_ms);
void proxy_free(struct proxy **p);
/* Certificate read again; a new organisation and its findings put in place (borrowed as in the configuration; both NULL: keep).
   When it returns nothing of the engine uses the former ones any more and they may be freed; so they must still be there when
   it is called. May wait for a directory look-up under way (20 s at most). */
enum err proxy_reload(struct proxy *p, const struct org *org, const struct findings *findings,
                      struct errinfo *ei) MUST_CHECK;

enum proxy_state {
    PROXY_STATE_HANDSHAKE,
    PROXY_STATE_HEAD,
    PROXY_STATE_AUTH,   /* checking the client's password */
    PROXY_STATE_LOOKUP, /* mailbox look-up */
    PROXY_STATE_CONNECT,
    PROXY_STATE_WAIT,   /* request sent, no answer yet */
    PROXY_STATE_STREAM, /* bodies flow */
    PROXY_STATE_IDLE,
    PROXY_STATE_DONE,
    PROXY_STATE_FAILED
};
const char *proxy_state_name(enum proxy_state s);

/* One request or channel, as the live view shows it. A plain value; texts are safe to show and truncated. */
struct proxy_row {
    /* numbers first: what changes while a body flows is one short run of words */
    uint64_t id;                /* unique and increasing */
    uint64_t session;           /* RPC virtual connection: IN and OUT share it; 0 none */
    int64_t began_ms, ended_ms; /* Unix milliseconds; ended 0: still open */
    int64_t idle_since_ms;
    uint64_t up_bytes, down_bytes;
    int ttfb_ms, total_ms; /* -1: not yet */
    enum proxy_state state;
    int status; /* 0: none yet */
    char client[48], user[96];
    char protocol[16]; /* "oa-in", "oa-out", "oa-echo", "ews", ... */
    char method[20], path[128];
    char action[24]; /* "proxy", "redirect", "refuse", "serve" */
    char target[64]; /* server name */
    char target_site[48];
    char auth[32];    /* "basic->kerberos", "basic (pass)", "negotiate (pinned)" */
    char rule[32];    /* rule id that explains a failure, "" */
    char reason[192]; /* in words, "" */
};

/* Copies up to max rows, newest first: open ones and the most recent ended ones. Returns how many. */
size_t proxy_rows(struct proxy *p, struct proxy_row *out, size_t max);

enum proxy_event_kind {
    PROXY_EVENT_OPEN,
    PROXY_EVENT_HEAD,
    PROXY_EVENT_AUTH,
    PROXY_EVENT_ROUTE,
    PROXY_EVENT_UPSTREAM,
    PROXY_EVENT_FIRST_BYTE,
    PROXY_EVENT_CLOSE
};
struct proxy_event { /* phases of one request, for the ladder */
    uint64_t row;
    int64_t at_ms;
    enum proxy_event_kind kind;
    int status;
    char text[96];
};
/* The phases kept of one row, oldest first. */
size_t proxy_events(struct proxy *p, uint64_t row, struct proxy_event *out, size_t max);

struct proxy_stats {
    uint64_t connections, requests, handshakes, tokens, logons_ok, logons_failed;
    uint64_t status_2xx, status_3xx, status_4xx, status_5xx, up_bytes, down_bytes;
    uint64_t open_connections, open_requests, dropped_events, refused_connections;
    double cpu_seconds; /* of the engine threads */
};
void proxy_stats(struct proxy *p, struct proxy_stats *out);
/* Ends one request's connections. False when it is gone. */
bool proxy_kill(struct proxy *p, uint64_t row);

#endif
