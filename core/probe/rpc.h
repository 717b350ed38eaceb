/*
 * An RPC endpoint reached through the RPC proxy: two HTTP channels, the virtual connection, one bind (MS-RPCH). The driver around
 * core/rpch/vc.h.
 */
#ifndef CORE_PROBE_RPC_H
#define CORE_PROBE_RPC_H

#include "core/probe/logon.h"
#include "core/rpch/vc.h"

#include "core/base/stop.h"

struct target;

struct rpc_answer {
    bool bound;
    int open_ms, bind_ms; /* -1: not come so far */
    char words[320];      /* what became of it, for people */
};

/* server: the RPC server's name in the query ("exmbx01.contoso.lab", "guid@contoso.lab"). ERR_OK: the server answered, out says what;
   otherwise the fact is unknown (time-out, connection lost). ERR_REFUSED as of target_ask_as(). */
enum err rpc_bind(struct target *t, enum logon_method m, const char *server, enum rpc_interface i,
                  const struct stop *stop, struct rpc_answer *out, struct errinfo *ei) MUST_CHECK;

#endif
