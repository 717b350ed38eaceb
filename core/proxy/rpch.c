/*
 * RPC channels: reads the first PDUs of a stream as they pass, to find the virtual connection they belong to. A bystander: what it does
 * not understand makes it look away, never the stream stop.
 */
#include "core/proxy/proxy_int.h"
#include "core/rpch/rts.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PDU  256u
#define MAX_SEEN 6u

struct watch {
    bool off;
    uint8_t seen;
    uint16_t have;
    uint32_t skip; /* of a PDU too long to keep */
    uint8_t buf[MAX_PDU];
};

struct rpch {
    struct watch up, down;
};

void rpch_begin(struct conn *c)
{
    c->rpch = calloc(1, sizeof *c->rpch);
    if (c->rpch != NULL)
        c->rpch->down.off = c->path_kind == PATH_OA_IN; /* nothing comes back there but an error */
}

void rpch_end(struct conn *c)
{
    free(c->rpch);
    c->rpch = NULL;
}

static void pdu(struct conn *c, struct watch *w, bool up)
{
    struct rts_pdu d;
    if (!rts_decode(w->buf, w->have, &d)) {
        w->off = true;
        return;
    }
    struct proxy_row *row = row_of(c);
    uint64_t session = up ? rts_session(&d) : 0;
    if (row != NULL && session != 0 && row->session == 0) {
        row->session = session;
        rows_touch(&c->e->rows, c->row);
    }
    if (d.ptype == 20 && d.flags != RTS_FLAG_PING)
        row_event(c, up ? PROXY_EVENT_UPSTREAM : PROXY_EVENT_FIRST_BYTE, "%s %s",
                  up ? "client:" : "server:", rts_name(&d));
    if (++w->seen >= MAX_SEEN)
        w->off = true;
}

static void watch(struct conn *c, struct watch *w, const uint8_t *p, size_t n, bool up)
{
    while (n > 0 && !w->off) {
        if (w->skip > 0) {
            size_t k = n < w->skip ? n : w->skip;
            w->skip -= (uint32_t)k;
            p += k;
            n -= k;
            continue;
        }
        size_t want = RTS_HEADER;
        int len = rts_length(w->buf, w->have);
        if (len > 0)
            want = (size_t)len;
        if (want > MAX_PDU) {
            w->skip = (uint32_t)(want - w->have);
            w->have = 0;
            if (++w->seen >= MAX_SEEN)
                w->off = true;
            continue;
        }
        size_t k = want - w->have < n ? want - w->have : n;
        memcpy(w->buf + w->have, p, k);
        w->have = (uint16_t)(w->have + k);
        p += k;
        n -= k;
        len = rts_length(w->buf, w->have);
        if (len < 0) {
            w->off = true;
        } else if (len > 0 && w->have == (unsigned)len) {
            pdu(c, w, up);
            w->have = 0;
        }
    }
}

void rpch_feed(struct conn *c, const char *p, size_t n, bool up)
{
    struct rpch *r = c->rpch;
    watch(c, up ? &r->up : &r->down, (const uint8_t *)p, n, up);
    if (r->up.off && r->down.off)
        rpch_end(c);
}
