/*
 * Names to numbers, without regard to letter case (ASCII): host names, DNs as written, account names, in sets large enough that
 * looking at each in turn would be seen. The size is fixed at birth. Keys are borrowed and must outlive the map. Not thread-safe
 * while names are added.
 */
#ifndef CORE_BASE_NAME_MAP_H
#define CORE_BASE_NAME_MAP_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct name_map {
    struct name_slot *slots;
    size_t size, n;
};

/* Room for so many names. */
enum err name_map_init(struct name_map *m, size_t names) MUST_CHECK;
void name_map_fini(struct name_map *m); /* of a zeroed one too */
/* The number of a name: number when it is new, else the one it was first added with. name is not NULL. */
size_t name_map_add(struct name_map *m, const char *name, size_t number);
bool name_map_find(const struct name_map *m, const char *name, size_t *number);

#endif
