/* CIDR ranges, all as IPv6 so that a mapped IPv4 client on a dual-stack listener matches its IPv4 range. */
#include "core/proxy/cidr.h"

#include "core/base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum err cidr_parse(const char *text, struct cidr *out, struct errinfo *ei)
{
    static const char hint[] = "an address range looks like 10.1.0.0/16 or 2001:db8::/32";
    char addr[64];
    struct cidr c = {.bits = 128};
    const char *slash = strchr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (n == 0 || n >= sizeof addr)
        return err_set(ei, ERR_USAGE, hint, "%s is no address range", text);
    memcpy(addr, text, n);
    addr[n] = '\0';
    unsigned max = 128;
    if (inet_pton(AF_INET, addr, c.addr + 12) == 1) {
        memcpy(c.addr, mapped, sizeof mapped);
        max = 32;
    } else if (inet_pton(AF_INET6, addr, c.addr) != 1) {
        return err_set(ei, ERR_USAGE, hint, "%s is no address range", text);
    }
    if (slash != NULL) {
        uint64_t bits;
        if (!str_to_u64(slash + 1, strlen(slash + 1), &bits) || bits > max)
            return err_set(ei, ERR_USAGE, hint, "%s: the prefix is 0 to %u", text, max);
        c.bits = (uint8_t)(128 - max + bits);
    }
    for (unsigned bit = c.bits; bit < 128; bit++)
        if (c.addr[bit / 8] & (0x80u >> bit % 8))
            return err_set(ei, ERR_USAGE, "write the network's own address", "%s has bits beyond its prefix",
                           text);
    *out = c;
    return ERR_OK;
}

enum err cidr_list_add(struct cidr_list *l, const char *text, struct errinfo *ei)
{
    if (l->n == CIDR_MAX)
        return err_set(ei, ERR_LIMIT, NULL, "more than %d address ranges", CIDR_MAX);
    enum err r = cidr_parse(text, &l->v[l->n], ei);
    if (r == ERR_OK)
        l->n++;
    return r;
}

static bool as_v6(const struct sockaddr *sa, uint8_t out[16])
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + 12, &in.sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        memcpy(out, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool matches(const struct cidr *c, const uint8_t a[16])
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(c->addr, a, whole) != 0)
        return false;
    return rest == 0 || ((c->addr[whole] ^ a[whole]) & (0xff00u >> rest & 0xff)) == 0;
}

bool cidr_list_allows(const struct cidr_list *l, const struct sockaddr *sa)
{
    static const struct cidr loopback[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}, 104},
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128},
    };
    uint8_t a[16];
    if (!as_v6(sa, a))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(loopback); i++)
        if (matches(&loopback[i], a))
            return true; /* the machine itself is always let in */
    for (size_t i = 0; i < l->n; i++)
        if (matches(&l->v[i], a))
            return true;
    return false;
}
