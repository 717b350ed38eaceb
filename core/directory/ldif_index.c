#include "core/directory/ldif_index.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

/* About 100 MB at the very most; a mailbox has some seven names. */
#define MAX_NAMES     ((size_t)12000000)
#define MAX_MAILBOXES ((size_t)2000000)

struct ldif_slot {
    uint32_t hash, mailbox; /* index of positions */
};

static uint32_t short_hash(const struct mailbox_key *k)
{
    uint64_t h = mailbox_key_hash(k);
    return (uint32_t)(h ^ h >> 32);
}

static void take_key(void *arg, const struct mailbox_key *k)
{
    struct ldif_index *x = arg;
    if (x->n_slots == x->cap_slots &&
        !vec_grow((void **)&x->slots, &x->cap_slots, x->n_slots, sizeof *x->slots, MAX_NAMES)) {
        x->incomplete = true;
        return;
    }
    x->slots[x->n_slots++] = (struct ldif_slot){short_hash(k), (uint32_t)(x->n_positions - 1)};
}

static enum err take_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct ldif_index *x = arg;
    (void)ei;
    if (x->n_positions == x->cap_positions &&
        !vec_grow((void **)&x->positions, &x->cap_positions, x->n_positions, sizeof *x->positions,
                  MAX_MAILBOXES)) {
        x->incomplete = true;
        return ERR_OK;
    }
    x->positions[x->n_positions++] = e->position;
    mailbox_keys(e, take_key, x);
    return ERR_OK;
}

static void ignore_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    (void)arg, (void)line, (void)subject, (void)text; /* said when the organisation was read */
}

static int by_hash(const void *a, const void *b)
{
    const struct ldif_slot *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->mailbox < y->mailbox ? -1 : x->mailbox > y->mailbox;
}

enum err ldif_index_build(struct ldif_index *x, struct ldif_file *f, const struct stop *stop,
                          struct errinfo *ei)
{
    const struct ldif_wants wants = {.who = FOR_MAILBOX,
                                     .wanted = CLASS_USER,
                                     .unwanted = CLASS_COMPUTER,
                                     .entry = take_entry,
                                     .note = ignore_note,
                                     .arg = x};
    struct ldif_scan scan;
    *x = (struct ldif_index){0};
    enum err e = ldif_file_scan(f, &wants, stop, &scan, ei);
    if (e)
        ldif_index_fini(x);
    else if (x->n_slots)
        qsort(x->slots, x->n_slots, sizeof *x->slots, by_hash);
    return e;
}

void ldif_index_fini(struct ldif_index *x)
{
    free(x->slots);
    free(x->positions);
    *x = (struct ldif_index){0};
}

struct finding {
    const struct mailbox_key *key;
    const struct org *org;
    struct mailbox *out;
    char first_dn[160];
    unsigned n;
    char second_dn[160];
};

/* A hash is no proof: the entry itself decides. */
static enum err check_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct finding *f = arg;
    (void)ei;
    if (!mailbox_key_matches(f->key, e))
        return ERR_OK;
    if (f->n++ == 0) {
        mailbox_fill(f->out, e, f->org);
        str_copy(f->first_dn, sizeof f->first_dn, e->dn);
    } else {
        str_copy(f->second_dn, sizeof f->second_dn, e->dn);
    }
    return ERR_OK;
}

enum err ldif_index_find(const struct ldif_index *x, const struct ldif_file *f, const struct mailbox_key *k,
                         const struct org *org, struct mailbox *out, struct errinfo *ei)
{
    struct mailbox found;
    struct finding finding = {.key = k, .org = org, .out = &found};
    const struct ldif_wants wants = {.who = FOR_MAILBOX, .entry = check_entry, .arg = &finding};
    uint32_t hash = short_hash(k);
    size_t low = 0, high = x->n_slots;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (x->slots[mid].hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    uint32_t last = UINT32_MAX; /* one mailbox may have the same name twice: UPN and address */
    for (; low < x->n_slots && x->slots[low].hash == hash && finding.n < 2; low++) {
        if (x->slots[low].mailbox == last)
            continue;
        last = x->slots[low].mailbox;
        enum err e = ldif_file_entry(f, x->positions[last], &wants, ei);
        if (e)
            return e;
    }
    if (finding.n > 1)
        return err_set(ei, ERR_INPUT, "use another of its names, or correct the directory",
                       "%s: two have it: %s and %s", k->text, finding.first_dn, finding.second_dn);
    if (!finding.n)
        return err_set(ei, ERR_NOTFOUND,
                       x->incomplete
                           ? "the export is too large to be indexed whole: use a live directory"
                           : "check the name; does the export hold the users (the domain partition)?",
                       "no mailbox %s in %s", k->text, f->path);
    *out = found;
    return ERR_OK;
}
