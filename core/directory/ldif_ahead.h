/*
 * Reading ahead in a large LDIF file. It is read in order by one thread; others pass over stretches that lie ahead of it, and of one that
 * holds nothing wanted and nothing to note only the figures are kept. Any other stretch is read by the one thread as if there were no
 * others, so what is delivered, in which order and with which line numbers is the same.
 *
 * Private to core/directory. The reading thread owns a struct ldif_ahead; only it calls these functions, but for ldif_skim().
 */
#ifndef CORE_DIRECTORY_LDIF_AHEAD_H
#define CORE_DIRECTORY_LDIF_AHEAD_H

#include "core/directory/ldif_file.h"

/*
 * Whether the whole entries among these bytes, from the first empty line to the last, can be passed over; then *out says what was. data: a
 * part of a UTF-8 file behind its first entry. Pure; from any thread.
 */
bool ldif_skim(const char *data, size_t len, const struct ldif_wants *wants, struct ldif_passed *out);

struct ldif_ahead;

/* Starts the other threads. NULL where they would be of no use or cannot be had: the reading goes on without. size: of the file;
   stretch: bytes, at least two. f and wants are borrowed. */
struct ldif_ahead *ldif_ahead_start(const struct ldif_file *f, const struct ldif_wants *wants, uint64_t size,
                                    size_t stretch, unsigned threads);
/*
 * What can be passed over of the stretch that begins at position at, NULL when nothing: it has to be read then. Bytes from there to
 * passed->from have to be read in any case. May wait for another thread; room (a stretch long) is used meanwhile.
 */
const struct ldif_passed *ldif_ahead_of(struct ldif_ahead *a, uint64_t at, char *room);
/* Ends the threads and frees. NULL is fine. */
void ldif_ahead_stop(struct ldif_ahead **a);

#endif
