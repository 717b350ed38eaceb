/*
 * DNS SRV of Autodiscover: _autodiscover._tcp.DOMAIN (Outlook's last way). Bounded by the caller's stop: a resolver that is late is left
 * behind.
 */
#ifndef CORE_PROBE_APP_SRV_H
#define CORE_PROBE_APP_SRV_H

#include "core/base/stop.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct app_srv {
    char host[256];
    uint16_t port;
    unsigned records; /* how many there were; the best is host */
};

/* ERR_NOTFOUND: DNS says that there is none. ERR_UNREACHABLE, ERR_TIMEOUT: it does not say. server NULL: those of resolv.conf. */
enum err app_srv_find(struct app_srv *out, const char *domain, const struct sockaddr_in *server,
                      const struct stop *stop, struct errinfo *ei) MUST_CHECK;

#endif
