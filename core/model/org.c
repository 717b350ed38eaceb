#include "core/model/org.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *id, *path, *words;
} protocols[PROTOCOL_COUNT] = {
#define X(name, id, path, words) {id, path, words},
    PROTOCOL_MAP(X)
#undef X
};

const char *protocol_id(enum protocol p)
{
    return (unsigned)p < PROTOCOL_COUNT ? protocols[p].id : "unknown";
}

const char *protocol_path(enum protocol p)
{
    return (unsigned)p < PROTOCOL_COUNT ? protocols[p].path : "-";
}

const char *protocol_words(enum protocol p)
{
    return (unsigned)p < PROTOCOL_COUNT ? protocols[p].words : "unknown protocol";
}

bool protocol_from_id(const char *s, enum protocol *p)
{
    for (int i = 0; i < PROTOCOL_COUNT; i++) {
        if (str_ieq(s, protocols[i].id)) {
            *p = (enum protocol)i;
            return true;
        }
    }
    return false;
}

void org_free(struct org **org)
{
    if (!*org)
        return;
    arena_fini(&(*org)->arena);
    free(*org);
    *org = NULL;
}

const struct site *org_site(const struct org *org, const char *name)
{
    for (size_t i = 0; name && i < org->n_sites; i++)
        if (str_ieq(org->sites[i].name, name))
            return &org->sites[i];
    return NULL;
}

const struct server *org_server(const struct org *org, const char *name)
{
    if (!name)
        return NULL;
    size_t low = 0, high = org->n_servers; /* sorted by name */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = str_icmp(name, org->servers[mid].name);
        if (d == 0)
            return &org->servers[mid];
        if (d < 0)
            high = mid;
        else
            low = mid + 1;
    }
    for (size_t i = 0; i < org->n_servers; i++)
        if (org->servers[i].fqdn && str_ieq(org->servers[i].fqdn, name))
            return &org->servers[i];
    return NULL;
}

const struct server *org_server_by_legacy_dn(const struct org *org, const char *legacy_dn)
{
    for (size_t i = 0; legacy_dn && i < org->n_servers; i++)
        if (org->servers[i].legacy_dn && str_ieq(org->servers[i].legacy_dn, legacy_dn))
            return &org->servers[i];
    return NULL;
}

const struct database *org_database_by_dn(const struct org *org, const char *dn)
{
    for (size_t i = 0; dn && i < org->n_databases; i++)
        if (dn_equal(org->databases[i].dn, dn))
            return &org->databases[i];
    return NULL;
}

const struct vdir *server_vdir(const struct server *s, enum protocol p)
{
    for (size_t i = 0; i < s->n_vdirs; i++)
        if (s->vdirs[i]->protocol == p && !s->vdirs[i]->back_end)
            return s->vdirs[i];
    return NULL;
}

enum generation org_newest(const struct org *org)
{
    enum generation newest = GENERATION_UNKNOWN;
    for (size_t i = 0; i < org->n_servers; i++)
        if (org->servers[i].generation > newest)
            newest = org->servers[i].generation;
    return newest;
}

/* directory.md section 6: the same bit means other things in other generations. */
bool server_is_cas(const struct server *s)
{
    switch (s->generation) {
    case GENERATION_2007:
    case GENERATION_2010: return (s->roles & ROLE_CLIENT_ACCESS) != 0;
    case GENERATION_2013: return (s->roles & ROLE_CAFE) != 0;
    case GENERATION_2016:
    case GENERATION_2019:
    case GENERATION_SE: return (s->roles & (ROLE_CAFE | ROLE_MAILBOX)) != 0;
    case GENERATION_UNKNOWN:
    case GENERATION_2003:
    case GENERATION_COUNT: break;
    }
    return false;
}

bool server_is_legacy_cas(const struct server *s)
{
    return generation_is_legacy(s->generation) && server_is_cas(s);
}

bool server_is_mailbox(const struct server *s)
{
    return (s->roles & ROLE_MAILBOX) != 0;
}

bool server_is_published(const struct server *s)
{
    for (size_t i = 0; server_is_cas(s) && i < s->n_vdirs; i++)
        if (!s->vdirs[i]->back_end && (s->vdirs[i]->external_url || s->vdirs[i]->external_hostname))
            return true;
    return false;
}
