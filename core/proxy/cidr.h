/* Address ranges in CIDR notation: who may connect. */
#ifndef CORE_PROXY_CIDR_H
#define CORE_PROXY_CIDR_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CIDR_MAX 64

struct cidr {
    uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;     /* of 128 */
};
struct cidr_list {
    struct cidr v[CIDR_MAX];
    size_t n;
};

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. Bits below the prefix must be zero: a typing error must not widen what is allowed. */
enum err cidr_parse(const char *text, struct cidr *out, struct errinfo *ei) MUST_CHECK;
enum err cidr_list_add(struct cidr_list *l, const char *text, struct errinfo *ei) MUST_CHECK;
/* An empty list allows loopback addresses only. */
bool cidr_list_allows(const struct cidr_list *l, const struct sockaddr *sa);

#endif
