/* What the decoder has collected and not yet linked. Strings live in the arena of the organisation under way. */
#ifndef CORE_DIRECTORY_DECODE_INT_H
#define CORE_DIRECTORY_DECODE_INT_H

#include "core/base/vec.h"
#include "core/directory/decode.h"

#define DECODE_MAX_OBJECTS ((size_t)1000000) /* of one kind */
#define DECODE_MAX_NOTES   ((size_t)1000)
#define DECODE_ARENA       ((size_t)512 * 1024 * 1024)

struct raw_vdir {
    struct vdir v;
    const char *internal_host, *external_host; /* Outlook Anywhere: as read */
};
struct raw_database {
    struct database d;
    const char *owner_dn;
};
struct raw_copy {
    const char *dn, *server_dn;
};
struct raw_array {
    struct cas_array a;
    const char *site_dn;
};
struct raw_subnet {
    const char *name, *site_dn;
};
struct raw_link {
    struct site_link l;
    const char **dns;
    size_t n;
};
struct raw_rpc {
    const char *dn;
    enum tri required;
};
struct raw_computer {
    const char *server; /* sAMAccountName without the $ */
    const char *dn, *host_name, *os_version;
    const char **spns;
    size_t n_spns;
    bool has_enctypes;
    uint32_t enctypes;
    int64_t pwd_last_set;
};

struct decode {
    struct org *org;
    VEC(struct site) sites;
    VEC(struct raw_subnet) subnets;
    VEC(struct raw_link) links;
    VEC(struct server) servers;
    VEC(struct raw_vdir) vdirs;
    VEC(struct raw_rpc) rpcs;
    VEC(struct scp) scps;
    VEC(struct raw_database) databases;
    VEC(struct raw_copy) copies;
    VEC(struct raw_array) arrays;
    VEC(struct accepted_domain) domains;
    VEC(struct raw_computer) computers;
    VEC(struct org_note) notes;
    size_t notes_dropped;
    bool keeping;
    struct buf kept; /* the entries as LDIF, when they are kept */
};

/* Turns the lists into arrays of d->org and sets every pointer between them. */
enum err decode_link(struct decode *d, struct errinfo *ei) MUST_CHECK;
/* Outlook Anywhere's host names, which mean something only once the server's generation is known. */
void decode_oa_hosts(struct decode *d, struct raw_vdir *v);

/* Values of an entry. Texts are NULL when absent; what had to be changed or left out is noted. */
const char *decode_keep(struct decode *d, const char *s, size_t len, bool *damaged);
const char *decode_text_of(struct decode *d, const struct entry *e, const struct entry_value *v);
const char *decode_text(struct decode *d, const struct entry *e, enum attribute a);
bool decode_integer(struct decode *d, const struct entry *e, enum attribute a, int64_t *out);
bool decode_flags(struct decode *d, const struct entry *e, enum attribute a, uint32_t *out); /* 32 bits */
enum tri decode_boolean(struct decode *d, const struct entry *e, enum attribute a);
int64_t decode_changed_at(const struct entry *e); /* whenChanged; 0 when absent */
const char **decode_texts(struct decode *d, const struct entry *e, enum attribute a, size_t *n);
/* The entry's DN and the value of its first RDN; false, noted, when it has none. */
bool decode_identify(struct decode *d, const struct entry *e, const char **dn, const char **name);

/* Objects by normalised DN. */
struct dn_map {
    struct dn_slot *slots;
    size_t size, n;
    struct arena keys;
    struct buf scratch;
    struct buf last; /* the parent that was asked about last, as written, and what is above it */
    bool last_found;
    size_t last_index;
};
enum err dn_map_init(struct dn_map *m, size_t expected) MUST_CHECK;
void dn_map_fini(struct dn_map *m);
/* False when the DN is no DN or is there already (*again says which); memory: m->keys.failed. */
bool dn_map_add(struct dn_map *m, const char *dn, size_t index, bool *again);
bool dn_map_find(struct dn_map *m, const char *dn, size_t *index);
/* The nearest ancestor of dn in the map, dn itself not being one. */
bool dn_map_find_above(struct dn_map *m, const char *dn, size_t *index);

#endif
