/* Between the files of the snapshot: the manifest, and the reader of the archive without its compression. */
#ifndef CORE_REPORT_SNAPSHOT_INT_H
#define CORE_REPORT_SNAPSHOT_INT_H

#include "core/directory/directory.h"
#include "core/report/snapshot.h"

#include <openssl/evp.h>

#define TAR_BLOCK    512
#define MANIFEST_MAX ((size_t)4 * 1024 * 1024)
#define PART_MAX     ((size_t)256 * 1024 * 1024)
#define N_PARTS      2 /* besides the manifest */
#define SHA256_HEX   65

enum part { PART_LDIF, PART_EVIDENCE };
extern const char *const snapshot_part_names[N_PARTS];
#define MANIFEST_NAME "manifest.json"

struct part_info {
    uint64_t bytes;
    char sha256[SHA256_HEX];
};

void snapshot_sha256_hex(EVP_MD_CTX *ctx, char out[static SHA256_HEX]);

enum err manifest_write(struct buf *out, const struct snapshot_facts *facts, const struct org *org,
                        const acceptances *accepted, const struct part_info parts[static N_PARTS],
                        struct errinfo *ei) MUST_CHECK;

/* The manifest as read; strings in the snapshot's arena. */
struct manifest {
    struct part_info parts[N_PARTS];
    struct directory_origin origin;
    struct org_note *notes;
    size_t n_notes;
};
enum err manifest_read(const char *text, size_t len, struct snapshot *s, struct manifest *m,
                       struct errinfo *ei) MUST_CHECK;

/* A push reader of the archive: feed uncompressed bytes as they come. */
struct unpack {
    struct snapshot *snapshot;
    struct manifest manifest;
    struct directory_feed *feed;
    EVP_MD_CTX *hash;
    unsigned member;  /* 0: the manifest, then the parts */
    bool in_data;     /* else at a header */
    bool ended;       /* the closing block was seen */
    uint64_t left;    /* bytes of the member's data */
    unsigned padding; /* bytes after it */
    char block[TAR_BLOCK];
    size_t n_block;
    struct buf text; /* the manifest; the line of evidence under way */
    uint64_t line;
};
enum err unpack_new(struct unpack **out, struct errinfo *ei) MUST_CHECK;
enum err unpack_feed(struct unpack *u, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;
/* The end of the input; source is what the organisation then says. */
enum err unpack_end(struct unpack *u, const char *source, struct snapshot **out,
                    struct errinfo *ei) MUST_CHECK;
void unpack_free(struct unpack **u);

#endif
