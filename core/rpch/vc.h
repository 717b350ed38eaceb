/*
 * A client's virtual connection of RPC over HTTP v2 (MS-RPCH 3.2.2), without I/O: what to write on its two channels, and what the bytes
 * of the OUT channel mean. Enough to open one and to bind an interface through it, which is what a probe wants to know.
 *
 *     vc_init(), vc_in_open() and vc_out_open() are the first bytes of the bodies; feed what comes on OUT until the state is VC_OPEN;
 *     vc_bind() goes out on IN; feed until VC_BOUND or VC_REFUSED.
 *
 * The server's bytes are hostile: lengths are bounded, whatever does not belong ends in VC_BROKEN with the reason.
 */
#ifndef CORE_RPCH_VC_H
#define CORE_RPCH_VC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Interfaces behind the RPC proxy of an Exchange server: name, port, words, UUID (data1, data2, data3, data4), major, minor */
#define RPC_INTERFACE_MAP(X)                                                                                 \
    X(EMSMDB, 6001, "the information store (EMSMDB)", 0xa4f1db00, 0xca47, 0x1067, 0xb31f00dd010662da, 0, 81) \
    X(RFR, 6002, "the referral service (RFR)", 0x1544f5e0, 0x613c, 0x11d1, 0x93df00c04fd7bd09, 1, 0)         \
    X(NSPI, 6004, "the address book (NSPI)", 0xf5cc5a18, 0x4264, 0x101a, 0x8c5908002b2f8426, 56, 0)

enum rpc_interface {
#define X(name, port, words, d1, d2, d3, d4, major, minor) RPC_##name,
    RPC_INTERFACE_MAP(X)
#undef X
        RPC_INTERFACES
};
uint16_t rpc_interface_port(enum rpc_interface i);
const char *rpc_interface_words(enum rpc_interface i);

#define VC_A1_SIZE   76
#define VC_B1_SIZE   104
#define VC_BIND_SIZE 72
#define VC_PDU_MAX   8192 /* of what a server says before and to a bind */

enum vc_state {
    VC_OPENING,
    VC_OPEN, /* A3 and C2 came */
    VC_BINDING,
    VC_BOUND,
    VC_REFUSED, /* the bind: why */
    VC_BROKEN   /* the server does not keep to the protocol: why */
};

struct vc {
    enum vc_state state;
    bool has_a3, has_c2;
    uint32_t timeout_ms, window; /* of the server */
    uint32_t status;             /* of a fault: RPC or NT status, 0 */
    unsigned pings, others;      /* RTS PDUs beside the expected */
    char why[160];
    uint8_t cookies[4][16]; /* virtual connection, IN, OUT, association group */
    uint8_t buf[VC_PDU_MAX];
    size_t have;
};

void vc_init(struct vc *vc, const uint8_t random[static 64]);
/* CONN/A1: the whole body of RPC_OUT_DATA. CONN/B1: the beginning of that of RPC_IN_DATA. */
void vc_out_open(const struct vc *vc, uint8_t out[static VC_A1_SIZE]);
void vc_in_open(const struct vc *vc, uint8_t out[static VC_B1_SIZE]);
/* A bind without authentication of its own (HTTP's stands); state VC_OPEN -> VC_BINDING. */
void vc_bind(struct vc *vc, enum rpc_interface i, uint8_t out[static VC_BIND_SIZE]);
/* Bytes of the OUT channel's body, in any cuts. False when broken. What comes after VC_BOUND or VC_REFUSED is not looked at. */
bool vc_feed(struct vc *vc, const uint8_t *p, size_t n);

/* "access denied", "the RPC server is unavailable"; NULL for a number we have no words for. */
const char *rpc_status_words(uint32_t status);
/* The number in a reason phrase "RPC Error: 6ba, EEInfo: ..." (MS-RPCH 2.1.2.1.3). */
bool rpc_error_in_reason(const char *reason, size_t len, uint32_t *status);

#endif
