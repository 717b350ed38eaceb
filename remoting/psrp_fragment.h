/*
 * PSRP's fragments (MS-PSRP 2.2.4) and the header of a message (2.2.1). No I/O.
 *
 * A fragment is u64 object, u64 number within it, u8 flags (1 first, 2 last), u32 length, all big-endian, and the bytes. A message is u32
 * destination, u32 type (little-endian), two GUIDs as .NET lays them out, and CLIXML. Fragments of several objects may be mixed; those
 * of one object come in order, from 0, first and last marked, or the stream is refused: nothing after such a fault can be trusted.
 */
#ifndef REMOTING_PSRP_FRAGMENT_H
#define REMOTING_PSRP_FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"

#define PSRP_FRAGMENT_HEADER 21
#define PSRP_MESSAGE_HEADER  40
#define PSRP_MAX_FRAGMENT                                                                                    \
    (4u << 20) /* bytes in one fragment; PowerShell sends 32 KB, WS-Man envelopes hold up to 500 KB */
#define PSRP_MAX_OBJECT (64u << 20) /* bytes of one object */
#define PSRP_MAX_OPEN   16          /* objects begun and not ended */

/* ---- GUIDs ---- */

struct psrp_guid {
    uint8_t bytes[16]; /* as on the wire: the first three fields little-endian */
};
#define PSRP_GUID_TEXT 37
/* "00000000-0000-0000-0000-000000000000", lower case. */
void psrp_guid_text(const struct psrp_guid *g, char out[static PSRP_GUID_TEXT]);
bool psrp_guid_parse(struct psrp_guid *g, const char *text, size_t len);
bool psrp_guid_eq(const struct psrp_guid *a, const struct psrp_guid *b);
/* A random one (RFC 4122 version 4). */
enum err psrp_guid_new(struct psrp_guid *g, struct errinfo *ei) MUST_CHECK;

/* ---- messages ---- */

struct psrp_message {
    uint32_t destination, type;
    struct psrp_guid pool, pipeline;
    const char *data; /* CLIXML, the byte order mark already skipped; borrowed */
    size_t len;
};
/* False: shorter than its header. */
bool psrp_message_read(struct psrp_message *m, const void *data, size_t len);
/* Appends header and data, as a client does: destination 2. */
enum err psrp_message_write(struct buf *out, uint32_t type, const struct psrp_guid *pool,
                            const struct psrp_guid *pipeline, const char *data, size_t len) MUST_CHECK;

/* ---- putting together ---- */

struct psrp_open_object {
    uint64_t id, next;
    struct buf data;
    bool used;
};

struct psrp_joiner {
    uint8_t header[PSRP_FRAGMENT_HEADER];
    size_t n_header;
    uint64_t left; /* bytes of the fragment at hand */
    struct psrp_open_object *at;
    struct psrp_open_object open[PSRP_MAX_OPEN];
    size_t held; /* bytes in all of them */
    bool last, broken;
};

void psrp_joiner_init(struct psrp_joiner *j);
void psrp_joiner_fini(struct psrp_joiner *j);
/* Takes bytes in any cuts. Each whole object goes to object(), which may fail and ends the feeding with its error; data is borrowed. What
   PSRP does not allow is ERR_PROTOCOL, what is too large ERR_LIMIT; the joiner takes nothing more then. */
typedef enum err psrp_object_fn(void *arg, const void *data, size_t len, struct errinfo *ei);
enum err psrp_joiner_feed(struct psrp_joiner *j, const void *data, size_t len, psrp_object_fn *object,
                          void *arg, struct errinfo *ei) MUST_CHECK;
/* Nothing half-way: the stream may end here. */
bool psrp_joiner_is_idle(const struct psrp_joiner *j);
size_t psrp_joiner_memory(const struct psrp_joiner *j);

/* ---- taking apart ---- */

/* Appends fragment `number` of an object with as much of data as fits into max bytes (header included; at least one byte of data must)
   and returns how much that was. */
size_t psrp_fragment_write(struct buf *out, uint64_t object, uint64_t number, const void *data, size_t offset,
                           size_t len, size_t max);

#endif
