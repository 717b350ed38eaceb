/*
 * The first bytes a server says: is it SSH, and which algorithms does it offer? Pure.
 *
 * libssh2 tells only that no algorithm was agreed on. What the server offered stands in the clear in its
 * first packet (RFC 4253 4.2, 6, 7.1), so the connection keeps the first bytes and this reads them.
 */
#ifndef REMOTING_KEXINIT_H
#define REMOTING_KEXINIT_H

#include <stdbool.h>
#include <stddef.h>

#define KEXINIT_PEEK_MAX 8192 /* bytes worth keeping */

enum kexinit_list {
    KEXINIT_KEX,
    KEXINIT_HOST_KEY,
    KEXINIT_CIPHER_OUT, /* client to server */
    KEXINIT_CIPHER_IN,
    KEXINIT_MAC_OUT,
    KEXINIT_MAC_IN,
    KEXINIT_LISTS
};

struct kexinit {
    char banner[256]; /* the line that begins with "SSH-"; "" when none came. Made safe to show. */
    char said[96];    /* the first line of a server that is not SSH, made safe to show; "" */
    bool has_lists;
    char lists[KEXINIT_LISTS][1024]; /* comma-separated, made safe to show, cut where longer */
};

void kexinit_read(struct kexinit *out, const void *data, size_t len);
/* Do two comma-separated lists share a name? */
bool kexinit_agree(const char *a, const char *b);
/* "key exchange", "host key", ... */
const char *kexinit_list_name(enum kexinit_list list);

#endif
