/* RTS PDUs. Names come from the pattern of commands, as in the PDU table of MS-RPCH 2.2.4. */
#include "core/rpch/rts.h"

#include <string.h>

#define PTYPE_RTS 20

static uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int rts_length(const uint8_t *p, size_t n)
{
    if (n < RTS_HEADER)
        return 0;
    /* version 5.0 or 5.1, little-endian integers */
    if (p[0] != 5 || p[1] > 1 || p[4] != 0x10 || le16(p + 8) < RTS_HEADER)
        return -1;
    return le16(p + 8);
}

/* Payload of a command; -1: unknown, or not enough bytes to tell. */
static int payload(uint32_t type, const uint8_t *p, size_t n)
{
    switch (type) {
    case RTS_RECEIVE_WINDOW:
    case RTS_CONNECTION_TIMEOUT:
    case RTS_CHANNEL_LIFETIME:
    case RTS_CLIENT_KEEPALIVE:
    case RTS_VERSION:
    case RTS_DESTINATION:
    case RTS_PING_TRAFFIC: return 4;
    case RTS_COOKIE:
    case RTS_ASSOCIATION_GROUP: return 16;
    case RTS_FLOW_CONTROL_ACK: return 24;
    case RTS_EMPTY:
    case RTS_NEGATIVE_ANCE:
    case RTS_ANCE: return 0;
    case RTS_PADDING:
        if (n < 4 || le32(p) > 0xffff)
            return -1;
        return (int)(4 + le32(p));
    case RTS_CLIENT_ADDRESS:
        if (n < 4 || le32(p) > 1)
            return -1;
        return 4 + (le32(p) == 0 ? 4 : 16) + 12;
    default: return -1;
    }
}

static bool command(struct rts_pdu *o, uint32_t type, const uint8_t *p)
{
    switch (type) {
    case RTS_COOKIE:
        if (o->n_cookies < 4)
            memcpy(o->cookies[o->n_cookies++], p, 16);
        break;
    case RTS_RECEIVE_WINDOW: o->window = le32(p); break;
    case RTS_CONNECTION_TIMEOUT: o->timeout_ms = le32(p); break;
    case RTS_CHANNEL_LIFETIME: o->lifetime = le32(p); break;
    case RTS_CLIENT_KEEPALIVE: o->keepalive_ms = le32(p); break;
    case RTS_VERSION: return le32(p) == 1;
    default: break;
    }
    return true;
}

bool rts_decode(const uint8_t *p, size_t n, struct rts_pdu *out)
{
    struct rts_pdu o = {0};
    if (n < RTS_HEADER || n > UINT16_MAX || rts_length(p, n) != (int)n)
        return false;
    o.ptype = p[2];
    o.pfc = p[3];
    o.length = (uint16_t)n;
    o.auth_length = le16(p + 10);
    o.call_id = le32(p + 12);
    if (o.ptype == PTYPE_RTS) {
        if (n < 20)
            return false;
        o.flags = le16(p + 16);
        o.n_commands = le16(p + 18);
        size_t at = 20;
        for (unsigned i = 0; i < o.n_commands; i++) {
            if (n - at < 4)
                return false;
            uint32_t type = le32(p + at);
            at += 4;
            int len = payload(type, p + at, n - at);
            if (len < 0 || (size_t)len > n - at || !command(&o, type, p + at))
                return false;
            if (i < RTS_MAX_COMMANDS)
                o.commands[i] = (uint8_t)type;
            at += (size_t)len;
        }
        if (at != n)
            return false;
    }
    *out = o;
    return true;
}

static const struct {
    const char *name;
    uint16_t flags;
    uint8_t n, commands[6];
} patterns[] = {
    {"CONN/A1", 0, 4, {RTS_VERSION, RTS_COOKIE, RTS_COOKIE, RTS_RECEIVE_WINDOW}},
    {"CONN/A2",
     RTS_FLAG_OUT_CHANNEL,
     5,
     {RTS_VERSION, RTS_COOKIE, RTS_COOKIE, RTS_CHANNEL_LIFETIME, RTS_RECEIVE_WINDOW}},
    {"CONN/A3", 0, 1, {RTS_CONNECTION_TIMEOUT}},
    {"CONN/B1",
     0,
     6,
     {RTS_VERSION, RTS_COOKIE, RTS_COOKIE, RTS_CHANNEL_LIFETIME, RTS_CLIENT_KEEPALIVE,
      RTS_ASSOCIATION_GROUP}},
    {"CONN/B3", 0, 2, {RTS_RECEIVE_WINDOW, RTS_VERSION}},
    {"CONN/C2", 0, 3, {RTS_VERSION, RTS_RECEIVE_WINDOW, RTS_CONNECTION_TIMEOUT}},
    {"Ping", RTS_FLAG_PING, 0, {0}},
    {"Echo", RTS_FLAG_ECHO, 0, {0}},
    {"Keep-alive", RTS_FLAG_OTHER_CMD, 1, {RTS_CLIENT_KEEPALIVE}},
    {"FlowControlAck", RTS_FLAG_OTHER_CMD, 1, {RTS_FLOW_CONTROL_ACK}},
    {"FlowControlAckWithDestination", RTS_FLAG_OTHER_CMD, 2, {RTS_DESTINATION, RTS_FLOW_CONTROL_ACK}},
    {"IN_R/A1", RTS_FLAG_RECYCLE, 4, {RTS_VERSION, RTS_COOKIE, RTS_COOKIE, RTS_COOKIE}},
    {"OUT_R1/A2", RTS_FLAG_RECYCLE, 1, {RTS_DESTINATION}},
    {"OUT_R/A3", RTS_FLAG_RECYCLE, 5, {RTS_VERSION, RTS_COOKIE, RTS_COOKIE, RTS_COOKIE, RTS_RECEIVE_WINDOW}},
    {"OUT_R2/B3", RTS_FLAG_EOF, 1, {RTS_ANCE}},
};

static const char *const ptypes[] = {
    [0] = "request",   [2] = "response",  [3] = "fault",          [11] = "bind",
    [12] = "bind_ack", [13] = "bind_nak", [14] = "alter_context", [15] = "alter_context_resp",
    [16] = "auth3",    [17] = "shutdown", [18] = "co_cancel",     [19] = "orphaned",
    [20] = "RTS"};

const char *rts_name(const struct rts_pdu *pdu)
{
    if (pdu->ptype >= sizeof ptypes / sizeof ptypes[0] || ptypes[pdu->ptype] == NULL)
        return "unknown";
    if (pdu->ptype == PTYPE_RTS)
        for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
            if (patterns[i].flags == pdu->flags && patterns[i].n == pdu->n_commands &&
                memcmp(patterns[i].commands, pdu->commands, patterns[i].n) == 0)
                return patterns[i].name;
    return ptypes[pdu->ptype];
}

uint64_t rts_session(const struct rts_pdu *pdu)
{
    uint64_t a, b;
    if (pdu->n_cookies == 0)
        return 0;
    memcpy(&a, pdu->cookies[0], 8);
    memcpy(&b, pdu->cookies[0] + 8, 8);
    a ^= b * 0x9e3779b97f4a7c15u;
    return a != 0 ? a : 1;
}
