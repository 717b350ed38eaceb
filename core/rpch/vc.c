#include "core/rpch/vc.h"

#include "core/rpch/rts.h"

#include <stdio.h>
#include <string.h>

#define WINDOW     (256u * 1024)
#define LIFETIME   (1u << 30)
#define KEEPALIVE  300000u
#define FRAGMENT   5840u /* what Windows says in a bind */
#define CALL       1u
#define PTYPE_RTS  20
#define FRAG_WHOLE 3

enum { PTYPE_FAULT = 3, PTYPE_BIND = 11, PTYPE_BIND_ACK = 12, PTYPE_BIND_NAK = 13 };

static const struct {
    uint16_t port;
    const char *words;
    uint32_t d1;
    uint16_t d2, d3;
    uint64_t d4;
    uint16_t major, minor;
} interfaces[RPC_INTERFACES] = {
#define X(name, port, words, d1, d2, d3, d4, major, minor) {port, words, d1, d2, d3, d4, major, minor},
    RPC_INTERFACE_MAP(X)
#undef X
};

static const struct {
    uint32_t status;
    const char *words;
} statuses[] = {
    {5, "access denied"},
    {0x6ba, "the RPC server is unavailable"},
    {0x6bb, "the RPC server is too busy"},
    {0x6be, "the remote procedure call failed"},
    {0x6bf, "the remote procedure call failed and did not execute"},
    {0x6c5, "the protocol sequence is not supported"},
    {0x6d9, "no endpoint is registered there"},
    {0x6f7, "the RPC server got wrong data"},
    {0x721, "a security package error"},
    {0x1c010002, "the operation is out of range"},
    {0x1c010003, "the interface is not known there"},
    {0x1c00001a, "a protocol error"},
    {0xc0000022, "access denied"},
    {0xc0020017, "the RPC server is unavailable"},
};

uint16_t rpc_interface_port(enum rpc_interface i)
{
    return interfaces[i].port;
}

const char *rpc_interface_words(enum rpc_interface i)
{
    return interfaces[i].words;
}

const char *rpc_status_words(uint32_t status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return statuses[i].words;
    return NULL;
}

bool rpc_error_in_reason(const char *reason, size_t len, uint32_t *status)
{
    static const char mark[] = "RPC Error: ";
    size_t at = sizeof mark - 1;
    uint32_t v = 0;
    unsigned digits = 0;
    if (len < at || memcmp(reason, mark, at) != 0)
        return false;
    for (; at < len && digits < 9; at++, digits++) {
        char c = reason[at];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                            : 16;
        if (d == 16)
            break;
        v = v << 4 | d;
    }
    *status = v;
    return digits > 0 && digits < 9 && (at == len || reason[at] == ',' || reason[at] == ' ');
}

static void le16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void le32(uint8_t *p, uint32_t v)
{
    le16(p, v & 0xffff);
    le16(p + 2, v >> 16);
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint8_t *header(uint8_t *p, unsigned ptype, size_t len, uint32_t call)
{
    static const uint8_t fixed[] = {5, 0, 0, FRAG_WHOLE, 0x10, 0, 0, 0};
    memcpy(p, fixed, sizeof fixed);
    p[2] = (uint8_t)ptype;
    le16(p + 8, (unsigned)len);
    le16(p + 10, 0);
    le32(p + 12, call);
    return p + 16;
}

static uint8_t *put_number(uint8_t *p, enum rts_command type, uint32_t v)
{
    le32(p, type);
    le32(p + 4, v);
    return p + 8;
}

static uint8_t *put_cookie(uint8_t *p, enum rts_command type, const uint8_t cookie[16])
{
    le32(p, type);
    memcpy(p + 4, cookie, 16);
    return p + 20;
}

void vc_init(struct vc *vc, const uint8_t random[static 64])
{
    memset(vc, 0, sizeof *vc);
    memcpy(vc->cookies, random, 64);
}

void vc_out_open(const struct vc *vc, uint8_t out[static VC_A1_SIZE])
{
    uint8_t *p = header(out, PTYPE_RTS, VC_A1_SIZE, 0);
    le16(p, 0);
    le16(p + 2, 4);
    p = put_number(p + 4, RTS_VERSION, 1);
    p = put_cookie(p, RTS_COOKIE, vc->cookies[0]);
    p = put_cookie(p, RTS_COOKIE, vc->cookies[2]);
    put_number(p, RTS_RECEIVE_WINDOW, WINDOW);
}

void vc_in_open(const struct vc *vc, uint8_t out[static VC_B1_SIZE])
{
    uint8_t *p = header(out, PTYPE_RTS, VC_B1_SIZE, 0);
    le16(p, 0);
    le16(p + 2, 6);
    p = put_number(p + 4, RTS_VERSION, 1);
    p = put_cookie(p, RTS_COOKIE, vc->cookies[0]);
    p = put_cookie(p, RTS_COOKIE, vc->cookies[1]);
    p = put_number(p, RTS_CHANNEL_LIFETIME, LIFETIME);
    p = put_number(p, RTS_CLIENT_KEEPALIVE, KEEPALIVE);
    put_cookie(p, RTS_ASSOCIATION_GROUP, vc->cookies[3]);
}

/* C706 12.6.4.3: one context, one transfer syntax (NDR). */
void vc_bind(struct vc *vc, enum rpc_interface i, uint8_t out[static VC_BIND_SIZE])
{
    static const uint8_t ndr[20] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                    0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 2,    0,    0,    0};
    uint8_t *p = header(out, PTYPE_BIND, VC_BIND_SIZE, CALL);
    le16(p, FRAGMENT);
    le16(p + 2, FRAGMENT);
    le32(p + 4, 0); /* a new association group */
    le32(p + 8, 1); /* one context, padding */
    le16(p + 12, 0);
    le16(p + 14, 1); /* one transfer syntax, padding */
    p += 16;
    le32(p, interfaces[i].d1);
    le16(p + 4, interfaces[i].d2);
    le16(p + 6, interfaces[i].d3);
    for (int k = 0; k < 8; k++)
        p[8 + k] = (uint8_t)(interfaces[i].d4 >> (56 - 8 * k));
    le16(p + 16, interfaces[i].major);
    le16(p + 18, interfaces[i].minor);
    memcpy(p + 20, ndr, sizeof ndr);
    vc->state = VC_BINDING;
}

#define SAY(vc, ...) snprintf((vc)->why, sizeof(vc)->why, __VA_ARGS__)

static void broken(struct vc *vc, const char *why)
{
    vc->state = VC_BROKEN;
    SAY(vc, "%s", why);
}

/* Results come after the secondary address, aligned to four bytes. */
static void take_bind_ack(struct vc *vc, const uint8_t *p, size_t n)
{
    static const char *const reasons[] = {"no reason given", "the interface is not served there",
                                          "the transfer syntax is not known there", "a limit is reached"};
    if (n < 26)
        goto cut;
    size_t at = 26 + get16(p + 24);
    at = (at + 3) & ~(size_t)3;
    if (at + 8 > n || p[at] == 0)
        goto cut;
    unsigned result = get16(p + at + 4), reason = get16(p + at + 6);
    if (result == 0) {
        vc->state = VC_BOUND;
        return;
    }
    vc->state = VC_REFUSED;
    SAY(vc, "%s (result %u, reason %u)", reason < 4 ? reasons[reason] : "refused", result, reason);
    return;
cut:
    broken(vc, "a bind_ack that is too short");
}

static void take_fault(struct vc *vc, const uint8_t *p, size_t n)
{
    if (n < 28) {
        broken(vc, "a fault that is too short");
        return;
    }
    vc->state = VC_REFUSED;
    vc->status = get32(p + 24);
    const char *words = rpc_status_words(vc->status);
    SAY(vc, "%s (fault 0x%x)", words ? words : "refused", vc->status);
}

static void take_rts(struct vc *vc, const struct rts_pdu *pdu)
{
    const char *name = rts_name(pdu);
    if (strcmp(name, "CONN/A3") == 0 && !vc->has_a3) {
        vc->has_a3 = true;
        vc->timeout_ms = pdu->timeout_ms;
    } else if (strcmp(name, "CONN/C2") == 0 && !vc->has_c2) {
        vc->has_c2 = true;
        vc->window = pdu->window;
        vc->timeout_ms = pdu->timeout_ms;
    } else if (pdu->flags & RTS_FLAG_PING) {
        vc->pings++;
    } else if (pdu->flags & RTS_FLAG_EOF) {
        broken(vc, "the server ended the channel");
    } else {
        vc->others++;
    }
    if (vc->state == VC_OPENING && vc->has_a3 && vc->has_c2)
        vc->state = VC_OPEN;
}

static void take_pdu(struct vc *vc, const uint8_t *p, size_t n)
{
    struct rts_pdu pdu;
    if (!rts_decode(p, n, &pdu)) {
        broken(vc, "a malformed PDU");
    } else if (pdu.ptype == PTYPE_RTS) {
        take_rts(vc, &pdu);
    } else if (vc->state != VC_BINDING) {
        broken(vc, "an RPC answer that nobody asked for");
    } else if (pdu.ptype == PTYPE_BIND_ACK) {
        take_bind_ack(vc, p, n);
    } else if (pdu.ptype == PTYPE_BIND_NAK) {
        vc->state = VC_REFUSED;
        SAY(vc, "the RPC server does not accept the association (reason %u)", n >= 18 ? get16(p + 16) : 0u);
    } else if (pdu.ptype == PTYPE_FAULT) {
        take_fault(vc, p, n);
    } else {
        vc->state = VC_BROKEN;
        SAY(vc, "%s instead of an answer to the bind", rts_name(&pdu));
    }
}

bool vc_feed(struct vc *vc, const uint8_t *p, size_t n)
{
    while (n > 0 && vc->state < VC_BOUND) {
        int len = rts_length(vc->buf, vc->have);
        size_t want = len > 0 ? (size_t)len : RTS_HEADER;
        size_t k = want - vc->have < n ? want - vc->have : n;
        memcpy(vc->buf + vc->have, p, k);
        vc->have += k;
        p += k;
        n -= k;
        len = rts_length(vc->buf, vc->have);
        if (len < 0)
            broken(vc, "what comes on the OUT channel is no RPC");
        else if (len > VC_PDU_MAX)
            broken(vc, "a PDU of absurd length");
        else if (len > 0 && vc->have == (size_t)len) {
            vc->have = 0;
            take_pdu(vc, vc->buf, (size_t)len);
        }
    }
    return vc->state != VC_BROKEN;
}
