/*
 * Mailboxes of an LDIF export by everything they are called, without keeping them: hashes of the names and where the entries
 * stand in the file. Private to core/directory. Immutable once built.
 */
#ifndef CORE_DIRECTORY_LDIF_INDEX_H
#define CORE_DIRECTORY_LDIF_INDEX_H

#include "core/directory/ldif_file.h"
#include "core/directory/mailbox.h"

struct ldif_index {
    struct ldif_slot *slots; /* by hash */
    size_t n_slots, cap_slots;
    uint64_t *positions;
    size_t n_positions, cap_positions;
    bool incomplete; /* more names than are kept */
};

/* One pass over the file. */
enum err ldif_index_build(struct ldif_index *x, struct ldif_file *f, const struct stop *stop,
                          struct errinfo *ei) MUST_CHECK;
void ldif_index_fini(struct ldif_index *x);
/* ERR_NOTFOUND; ERR_INPUT when several have that name. */
enum err ldif_index_find(const struct ldif_index *x, const struct ldif_file *f, const struct mailbox_key *k,
                         const struct org *org, struct mailbox *out, struct errinfo *ei) MUST_CHECK;

#endif
