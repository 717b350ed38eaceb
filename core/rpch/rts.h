/*
 * RTS PDUs of MS-RPCH 2.2.3-2.2.4 and the common DCE/RPC header, as a bystander reads them: to group an IN and an OUT channel into
 * one virtual connection and to name what passes. Pure; every length is checked; unknown things are named as such.
 */
#ifndef CORE_RPCH_RTS_H
#define CORE_RPCH_RTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTS_HEADER 16 /* common header */

enum rts_flag {
    RTS_FLAG_PING = 1,
    RTS_FLAG_OTHER_CMD = 2,
    RTS_FLAG_RECYCLE = 4,
    RTS_FLAG_IN_CHANNEL = 8,
    RTS_FLAG_OUT_CHANNEL = 0x10,
    RTS_FLAG_EOF = 0x20,
    RTS_FLAG_ECHO = 0x40
};

enum rts_command {
    RTS_RECEIVE_WINDOW,
    RTS_FLOW_CONTROL_ACK,
    RTS_CONNECTION_TIMEOUT,
    RTS_COOKIE,
    RTS_CHANNEL_LIFETIME,
    RTS_CLIENT_KEEPALIVE,
    RTS_VERSION,
    RTS_EMPTY,
    RTS_PADDING,
    RTS_NEGATIVE_ANCE,
    RTS_ANCE,
    RTS_CLIENT_ADDRESS,
    RTS_ASSOCIATION_GROUP,
    RTS_DESTINATION,
    RTS_PING_TRAFFIC
};

#define RTS_MAX_COMMANDS 16

struct rts_pdu {
    uint8_t ptype, pfc;
    uint16_t length, auth_length;
    uint32_t call_id;
    /* ptype 20 only */
    uint16_t flags, n_commands;
    uint8_t commands[RTS_MAX_COMMANDS];
    unsigned n_cookies;
    uint8_t cookies[4][16]; /* the first is the virtual connection's */
    uint32_t window, timeout_ms, lifetime, keepalive_ms;
};

/* Length of the PDU that begins at p, from its header; 0: fewer than RTS_HEADER bytes; -1: no DCE/RPC PDU. */
int rts_length(const uint8_t *p, size_t n);
/* p .. n is one whole PDU. False when it is malformed. */
bool rts_decode(const uint8_t *p, size_t n, struct rts_pdu *out);
/* "CONN/A1", "Ping", "bind", ...; never NULL. */
const char *rts_name(const struct rts_pdu *pdu);
/* A number for a virtual connection, not 0. */
uint64_t rts_session(const struct rts_pdu *pdu);

#endif
