/* A store in a folder of its own, for unit tests: made before each test, gone after. Include after cmocka.h. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "core/store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_fixture {
    char folder[64], file[128], spec[160];
    struct store *store;
};

static inline int store_fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static inline int store_fixture_setup(void **state)
{
    struct store_fixture *f = calloc(1, sizeof *f);
    struct errinfo ei = {0};
    if (!f)
        return -1;
    snprintf(f->folder, sizeof f->folder, "/tmp/casbridge-store-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->file, sizeof f->file, "%s/state/store.db", f->folder);
    snprintf(f->spec, sizeof f->spec, "sqlite:%s", f->file);
    if (store_open(&f->store, f->spec, &ei) != ERR_OK) {
        fprintf(stderr, "store_open: %s\n", ei.what);
        return -1;
    }
    *state = f;
    return 0;
}

static inline int store_fixture_teardown(void **state)
{
    struct store_fixture *f = *state;
    store_close(&f->store);
    nftw(f->folder, store_fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

#endif
