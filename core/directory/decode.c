#include "core/directory/decode_int.h"

#include "core/base/str.h"

#include <string.h>

/* [MS-OXDISCO] 2.2.1.2 */
static const char url_scp[] = "77378F46-2C66-4aa9-A6A6-3E7A48B19596",
                  pointer_scp[] = "67661D7F-8FC4-4fa7-BFAC-E1D7794C1F68";

enum err decode_new(struct decode **out, struct errinfo *ei)
{
    struct decode *d = calloc(1, sizeof *d);
    struct org *org = calloc(1, sizeof *org);
    if (!d || !org) {
        free(d);
        free(org);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for an organisation");
    }
    arena_init(&org->arena, DECODE_ARENA);
    org->lockout_threshold = -1;
    d->org = org;
    *out = d;
    return ERR_OK;
}

void decode_free(struct decode **d)
{
    if (!*d)
        return;
    org_free(&(*d)->org);
    VEC_FREE(&(*d)->sites);
    VEC_FREE(&(*d)->subnets);
    VEC_FREE(&(*d)->links);
    VEC_FREE(&(*d)->servers);
    VEC_FREE(&(*d)->vdirs);
    VEC_FREE(&(*d)->rpcs);
    VEC_FREE(&(*d)->scps);
    VEC_FREE(&(*d)->databases);
    VEC_FREE(&(*d)->copies);
    VEC_FREE(&(*d)->arrays);
    VEC_FREE(&(*d)->domains);
    VEC_FREE(&(*d)->computers);
    VEC_FREE(&(*d)->notes);
    buf_fini(&(*d)->kept);
    free(*d);
    *d = NULL;
}

size_t decode_servers(const struct decode *d)
{
    return d->servers.n;
}

const char *decode_server_name(const struct decode *d, size_t i)
{
    return d->servers.v[i].name;
}

bool decode_has_organization(const struct decode *d)
{
    return d->org->dn != NULL;
}

const char *decode_organization_dn(const struct decode *d)
{
    return d->org->dn;
}

/* networkAddress holds one name a protocol; the FQDN is the one for TCP. It becomes part of URLs and SPNs: a host name, or nothing. */
static const char *fqdn_of(struct decode *d, const struct entry *e)
{
    static const char prefix[] = "ncacn_ip_tcp:";
    for (size_t i = 0; i < e->n; i++) {
        const struct entry_value *v = &e->values[i];
        if (v->attribute != ATTRIBUTE_NETWORK_ADDRESS || v->len < sizeof prefix ||
            str_incmp(v->data, prefix, sizeof prefix - 1) != 0)
            continue;
        char host[256], raw[256];
        uint16_t port;
        size_t len = v->len - (sizeof prefix - 1);
        str_fmt(raw, sizeof raw, "%.*s", (int)(len < sizeof raw ? len : sizeof raw - 1),
                v->data + sizeof prefix - 1);
        if (len < sizeof raw && strlen(raw) == len && url_host(raw, host, sizeof host, NULL, &port) &&
            strlen(host) == len)
            return arena_strn(&d->org->arena, raw, len);
        decode_note(d, e->dn, "networkAddress holds no host name for TCP: taken as absent");
    }
    return NULL;
}

/* serialNumber has the revision, versionNumber is the fallback (directory.md 5.1, 5.2). */
static void version_of(struct decode *d, const struct entry *e, struct server *s)
{
    char serial[128], a[VERSION_TEXT_SIZE], b[VERSION_TEXT_SIZE], product[96];
    int64_t number;
    struct version by_number;
    bool has_serial = entry_text(e, ATTRIBUTE_SERIAL_NUMBER, serial, sizeof serial);
    bool has_number =
        decode_integer(d, e, ATTRIBUTE_VERSION_NUMBER, &number) && version_from_number(number, &by_number);
    if (has_serial && version_from_serial(serial, &s->version)) {
        s->has_version = true;
        struct version plain = s->version;
        plain.has_revision = false;
        if (has_number && by_number.major >= 8 && version_cmp(plain, by_number) != 0)
            decode_note(d, e->dn, "serialNumber says %s, versionNumber %s: the first is taken",
                        version_text(s->version, a), version_text(by_number, b));
    } else if (has_number) {
        s->has_version = true;
        s->version = by_number;
        if (entry_first(e, ATTRIBUTE_SERIAL_NUMBER))
            decode_note(d, e->dn, "serialNumber cannot be read: the version comes from versionNumber");
    }
    if (!s->has_version) {
        s->product = "Exchange, version not known";
        decode_note(d, e->dn, "neither serialNumber nor versionNumber says a version");
        return;
    }
    s->generation = generation_of(s->version);
    s->product = arena_str(&d->org->arena, version_product(s->version, product, sizeof product));
    if (s->generation == GENERATION_UNKNOWN)
        decode_note(d, e->dn, "version %s is of no Exchange known here", version_text(s->version, a));
}

static bool add_organization(struct decode *d, const struct entry *e)
{
    if (d->org->dn) {
        decode_note(d, e->dn, "a second organisation was left out: a forest has one");
        return true;
    }
    if (!decode_identify(d, e, &d->org->dn, &d->org->name))
        return true;
    d->org->has_object_version = decode_integer(d, e, ATTRIBUTE_OBJECT_VERSION, &d->org->object_version);
    return true;
}

static bool add_array(struct decode *d, const struct entry *e)
{
    struct raw_array r = {.site_dn = decode_text(d, e, ATTRIBUTE_SERVER_SITE), .a.fqdn = fqdn_of(d, e)};
    return !decode_identify(d, e, &r.a.dn, &r.a.name) || VEC_PUSH(&d->arrays, DECODE_MAX_OBJECTS, r);
}

static bool add_server(struct decode *d, const struct entry *e)
{
    struct server s = {.rpc_encryption = TRI_UNKNOWN};
    if (e->classes & (CLASS_ARRAY | CLASS_ARRAY_LEGACY)) /* subclasses of a server, and no servers */
        return add_array(d, e);
    if (!decode_identify(d, e, &s.dn, &s.name))
        return true;
    s.fqdn = fqdn_of(d, e);
    s.legacy_dn = decode_text(d, e, ATTRIBUTE_LEGACY_DN);
    s.install_path = decode_text(d, e, ATTRIBUTE_INSTALL_PATH);
    s.site_dn = decode_text(d, e, ATTRIBUTE_SERVER_SITE);
    s.dag_dn = decode_text(d, e, ATTRIBUTE_DAG_LINK);
    s.changed_at = decode_changed_at(e);
    version_of(d, e, &s);
    decode_flags(d, e, ATTRIBUTE_ROLES, &s.roles);
    if (!entry_first(e, ATTRIBUTE_ROLES) && s.generation != GENERATION_2003)
        decode_note(d, e->dn, "msExchCurrentServerRoles is not there: the roles are not known");
    return VEC_PUSH(&d->servers, DECODE_MAX_OBJECTS, s);
}

/* name of the web site in parentheses: "Rpc (Default Web Site)" (directory.md 8.3) */
static const char *website_of(struct decode *d, const char *name)
{
    const char *open = strrchr(name, '('), *close = open ? strrchr(open, ')') : NULL;
    return close && close > open + 1 ? arena_strn(&d->org->arena, open + 1, (size_t)(close - open) - 1)
                                     : NULL;
}

static bool add_vdir(struct decode *d, const struct entry *e)
{
    static const struct {
        uint32_t bit;
        enum protocol protocol;
    } kinds[] = {
        {CLASS_VDIR_OA, PROTOCOL_OA},
        {CLASS_VDIR_OWA, PROTOCOL_OWA},
        {CLASS_VDIR_ECP, PROTOCOL_ECP},
        {CLASS_VDIR_EWS, PROTOCOL_EWS},
        {CLASS_VDIR_OAB, PROTOCOL_OAB},
        {CLASS_VDIR_EAS, PROTOCOL_EAS},
        {CLASS_VDIR_MAPI, PROTOCOL_MAPI},
        {CLASS_VDIR_AUTODISCOVER, PROTOCOL_AUTODISCOVER},
        {CLASS_VDIR_POWERSHELL, PROTOCOL_POWERSHELL},
    };
    struct raw_vdir r = {.v.protocol = PROTOCOL_UNKNOWN};
    uint32_t bits;
    int64_t number;
    if (e->classes &
        (CLASS_CONTAINER | CLASS_VDIR_PUSH)) /* F2 of directory.md 3; push notifications: nothing of ours */
        return true;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (e->classes & kinds[i].bit)
            r.v.protocol = kinds[i].protocol;
    if (r.v.protocol == PROTOCOL_UNKNOWN) {
        decode_note(d, e->dn, "a virtual directory of a class not known here was left out");
        return true;
    }
    if (!decode_identify(d, e, &r.v.dn, &r.v.name))
        return true;
    r.v.website = website_of(d, r.v.name);
    r.v.back_end = str_ieq(r.v.website, "Exchange Back End");
    r.internal_host = decode_text(d, e, ATTRIBUTE_INTERNAL_HOST);
    r.external_host = decode_text(d, e, ATTRIBUTE_EXTERNAL_HOST);
    r.v.external_ssl = r.v.internal_ssl = r.v.ssl_offloading = r.v.nlb_bypass = TRI_UNKNOWN;
    if (decode_integer(d, e, ATTRIBUTE_INTERNAL_AUTH, &r.v.iis_auth_raw)) {
        r.v.has_iis_auth = true;
        r.v.iis_auth = (auth_set)(uint64_t)r.v.iis_auth_raw & AUTH_ALL;
    }
    if (decode_integer(d, e, ATTRIBUTE_EXTERNAL_AUTH, &r.v.client_auth_raw)) {
        r.v.has_client_auth = true;
        r.v.client_auth = (auth_set)(uint64_t)r.v.client_auth_raw & AUTH_ALL;
    }
    if (r.v.protocol == PROTOCOL_OA) {
        if (decode_flags(d, e, ATTRIBUTE_RPC_HTTP_FLAGS, &bits))
            r.v.ssl_offloading = bits & 1 ? TRI_YES : TRI_NO;
        if (decode_integer(d, e, ATTRIBUTE_MANAGEMENT_SETTINGS,
                           &number)) { /* an ordinal, not a flag (directory.md 7) */
            r.v.has_internal_client_auth = auth_from_ordinal(number, &r.v.internal_client_auth);
            if (!r.v.has_internal_client_auth)
                decode_note(d, e->dn, "msExchManagementSettings is no method known here: taken as absent");
        }
        r.v.xrop_url = decode_text(d, e, ATTRIBUTE_URL);
    } else {
        r.v.internal_url = r.internal_host;
        r.v.external_url = r.external_host;
    }
    r.v.metabase_path = decode_text(d, e, ATTRIBUTE_METABASE_PATH);
    r.v.nlb_bypass_url = decode_text(d, e, ATTRIBUTE_NLB_BYPASS);
    r.v.exchange2003_url = decode_text(d, e, ATTRIBUTE_URL_2003);
    r.v.changed_at = decode_changed_at(e);
    return VEC_PUSH(&d->vdirs, DECODE_MAX_OBJECTS, r);
}

static bool add_rpc_client_access(struct decode *d, const struct entry *e)
{
    bool damaged;
    struct raw_rpc r = {.dn = decode_keep(d, e->dn, strlen(e->dn), &damaged),
                        .required = decode_boolean(d, e, ATTRIBUTE_ENCRYPTION_REQUIRED)};
    return VEC_PUSH(&d->rpcs, DECODE_MAX_OBJECTS, r);
}

static bool add_scp(struct decode *d, const struct entry *e)
{
    struct scp s = {0};
    bool ours = false;
    for (size_t i = 0; i < e->n; i++) {
        const struct entry_value *v = &e->values[i];
        if (v->attribute != ATTRIBUTE_KEYWORDS || v->len != sizeof url_scp - 1)
            continue;
        bool pointer = str_incmp(v->data, pointer_scp, v->len) == 0;
        ours = ours || pointer || str_incmp(v->data, url_scp, v->len) == 0;
        s.is_pointer = s.is_pointer || pointer;
    }
    if (!ours || !decode_identify(d, e, &s.dn, &s.server_name)) /* connection points are many programs' */
        return true;
    s.url = decode_text(d, e, ATTRIBUTE_BINDING_INFORMATION);
    if (!s.url)
        decode_note(d, e->dn, "this Autodiscover connection point has no serviceBindingInformation");
    size_t n;
    const char **keywords = decode_texts(d, e, ATTRIBUTE_KEYWORDS, &n);
    s.sites = keywords; /* filtered in place */
    for (size_t i = 0; i < n; i++)
        if (str_istarts(keywords[i], "Site="))
            keywords[s.n_sites++] = keywords[i] + strlen("Site=");
    return VEC_PUSH(&d->scps, DECODE_MAX_OBJECTS, s);
}

/* ".../cn=Configuration/cn=Servers/cn=NAME/cn=Microsoft Private MDB": the server, or the array that stands for it. */
static const char *rpc_server_of(struct decode *d, const char *legacy_dn)
{
    static const char mark[] = "/cn=Servers/cn=";
    const char *at = legacy_dn ? str_icontains(legacy_dn, mark) : NULL;
    if (!at)
        return NULL;
    at += sizeof mark - 1;
    size_t len = strcspn(at, "/");
    return len && at[len] == '/' ? arena_strn(&d->org->arena, at, len) : NULL;
}

static bool add_database(struct decode *d, const struct entry *e)
{
    struct raw_database r = {.owner_dn = decode_text(d, e, ATTRIBUTE_OWNING_SERVER)};
    if (!decode_identify(d, e, &r.d.dn, &r.d.name))
        return true;
    r.d.rpc_client_access_server = rpc_server_of(d, decode_text(d, e, ATTRIBUTE_LEGACY_DN));
    r.d.oab_dn = decode_text(d, e, ATTRIBUTE_USE_OAB);
    r.d.is_public = (e->classes & CLASS_PUBLIC_MDB) != 0;
    return VEC_PUSH(&d->databases, DECODE_MAX_OBJECTS, r);
}

static bool add_copy(struct decode *d, const struct entry *e)
{
    bool damaged;
    struct raw_copy r = {.dn = decode_keep(d, e->dn, strlen(e->dn), &damaged),
                         .server_dn = decode_text(d, e, ATTRIBUTE_HOST_SERVER)};
    return VEC_PUSH(&d->copies, DECODE_MAX_OBJECTS, r);
}

static bool add_domain(struct decode *d, const struct entry *e)
{
    uint32_t bits = 0;
    struct accepted_domain a = {.name = decode_text(d, e, ATTRIBUTE_DOMAIN_NAME)};
    if (!a.name)
        return true;
    a.is_default =
        decode_flags(d, e, ATTRIBUTE_DOMAIN_FLAGS, &bits) && bits & 4; /* assumed: directory.md 2 */
    return VEC_PUSH(&d->domains, DECODE_MAX_OBJECTS, a);
}

static bool add_site(struct decode *d, const struct entry *e)
{
    struct site s = {0};
    return !decode_identify(d, e, &s.dn, &s.name) || VEC_PUSH(&d->sites, DECODE_MAX_OBJECTS, s);
}

static bool add_subnet(struct decode *d, const struct entry *e)
{
    const char *dn;
    struct raw_subnet r = {.site_dn = decode_text(d, e, ATTRIBUTE_SITE_OBJECT)};
    return !decode_identify(d, e, &dn, &r.name) || VEC_PUSH(&d->subnets, DECODE_MAX_OBJECTS, r);
}

static bool add_site_link(struct decode *d, const struct entry *e)
{
    const char *dn;
    int64_t cost;
    struct raw_link r = {.l.cost = 100};
    if (!decode_identify(d, e, &dn, &r.l.name))
        return true;
    if ((decode_integer(d, e, ATTRIBUTE_EXCH_COST, &cost) || decode_integer(d, e, ATTRIBUTE_COST, &cost)) &&
        cost >= 0 && cost <= INT32_MAX)
        r.l.cost = (int)cost;
    r.dns = decode_texts(d, e, ATTRIBUTE_SITE_LIST, &r.n);
    return VEC_PUSH(&d->links, DECODE_MAX_OBJECTS, r);
}

static bool add_schema_version(struct decode *d, const struct entry *e)
{
    char name[64];
    int64_t n;
    if (dn_rdn(e->dn, name, sizeof name) && str_ieq(name, "ms-Exch-Schema-Version-Pt") &&
        decode_integer(d, e, ATTRIBUTE_RANGE_UPPER, &n))
        d->org->schema_version = n;
    return true;
}

static bool add_domain_root(struct decode *d, const struct entry *e)
{
    /* of several domains the strictest; 0 never locks */
    int64_t n, *kept = &d->org->lockout_threshold;
    if (decode_integer(d, e, ATTRIBUTE_LOCKOUT_THRESHOLD, &n) && n >= 0 &&
        (*kept < 0 || (n > 0 && (*kept == 0 || n < *kept))))
        *kept = n;
    return true;
}

static bool add_computer(struct decode *d, const struct entry *e)
{
    char sam[128];
    int64_t n;
    bool damaged;
    size_t len;
    if (!entry_text(e, ATTRIBUTE_SAM, sam, sizeof sam) || (len = strlen(sam)) < 2 || sam[len - 1] != '$')
        return true;
    struct raw_computer r = {.server = arena_strn(&d->org->arena, sam, len - 1),
                             .dn = decode_keep(d, e->dn, strlen(e->dn), &damaged),
                             .host_name = decode_text(d, e, ATTRIBUTE_DNS_HOST_NAME),
                             .os_version = decode_text(d, e, ATTRIBUTE_OS_VERSION)};
    r.spns = decode_texts(d, e, ATTRIBUTE_SPN, &r.n_spns);
    r.has_enctypes = decode_flags(d, e, ATTRIBUTE_ENCTYPES, &r.enctypes);
    /* FILETIME: 100 ns since 1601 */
    if (decode_integer(d, e, ATTRIBUTE_PWD_LAST_SET, &n) && n > INT64_C(116444736000000000))
        r.pwd_last_set = n / 10000000 - INT64_C(11644473600);
    return VEC_PUSH(&d->computers, DECODE_MAX_OBJECTS, r);
}

enum err decode_entry(struct decode *d, const struct entry *e, struct errinfo *ei)
{
    static const struct {
        uint32_t bit;
        bool (*add)(struct decode *d, const struct entry *e); /* false: memory or the limit ran out */
    } kinds[] = {
        {CLASS_VDIR, add_vdir},
        {CLASS_SERVER, add_server},
        {CLASS_SCP, add_scp},
        {CLASS_MDB, add_database},
        {CLASS_MDB_COPY, add_copy},
        {CLASS_RPC_CLIENT_ACCESS, add_rpc_client_access},
        {CLASS_SITE, add_site},
        {CLASS_SUBNET, add_subnet},
        {CLASS_SITE_LINK, add_site_link},
        {CLASS_COMPUTER, add_computer},
        {CLASS_ACCEPTED_DOMAIN, add_domain},
        {CLASS_ORGANIZATION, add_organization},
        {CLASS_ATTRIBUTE_SCHEMA, add_schema_version},
        {CLASS_DOMAIN, add_domain_root},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!(e->classes & kinds[i].bit))
            continue;
        if ((d->keeping && entry_to_ldif(e, &d->kept)) || !kinds[i].add(d, e) || d->org->arena.failed)
            return err_set(ei, ERR_LIMIT, "read a part of the directory, or give it more memory",
                           "%s: the organisation is larger than this program keeps", e->dn);
        break;
    }
    return ERR_OK;
}

/* "CN=Configuration,DC=contoso,DC=lab" out of anything below it. */
static const char *configuration_of(const char *dn)
{
    char name[32];
    for (; dn; dn = dn_parent(dn))
        if (dn_rdn(dn, name, sizeof name) && str_ieq(name, "Configuration"))
            return dn;
    return NULL;
}

/* "DC=contoso,DC=lab" -> "contoso.lab" */
static const char *dns_domain(struct decode *d, const char *dn)
{
    char label[256], whole[512] = "";
    for (; dn && *dn; dn = dn_parent(dn)) {
        size_t len = strlen(whole);
        if (!str_istarts(dn, "DC=") || !dn_rdn(dn, label, sizeof label) ||
            !str_fmt(whole + len, sizeof whole - len, "%s%s", len ? "." : "", label))
            return NULL;
    }
    return whole[0] ? arena_str(&d->org->arena, whole) : NULL;
}

static void fill_context(struct decode *d, const struct decode_context *c)
{
    struct org *org = d->org;
    struct arena *a = &org->arena;
    const char *any = org->dn        ? org->dn
                      : d->servers.n ? d->servers.v[0].dn
                      : d->sites.n   ? d->sites.v[0].dn
                                     : NULL;
    const char *config = c->config_naming_context ? c->config_naming_context : configuration_of(any);
    const char *root = c->root_naming_context ? c->root_naming_context : config ? dn_parent(config) : NULL;
    org->source = arena_str(a, c->source);
    org->controller = arena_str(a, c->controller);
    org->taken_at = c->taken_at;
    org->config_naming_context = arena_str(a, config);
    org->root_naming_context = arena_str(a, root);
    org->default_naming_context = arena_str(a, c->default_naming_context ? c->default_naming_context : root);
    org->domain = dns_domain(d, root);
    if (!org->dn && d->servers.n) { /* an export of a part: <Org> stands above "Administrative Groups" */
        char name[256];
        for (const char *dn = d->servers.v[0].dn; dn && !org->dn; dn = dn_parent(dn))
            if (dn_rdn(dn, name, sizeof name) && str_ieq(name, "Administrative Groups"))
                org->dn = dn_parent(dn);
        if (org->dn && dn_rdn(org->dn, name, sizeof name))
            org->name = arena_str(a, name);
        decode_note(d, org->dn,
                    "the organisation object itself was not read: its name comes from the servers' DN");
    }
}

enum err decode_finish(struct decode **d, const struct decode_context *c, struct org **out,
                       struct errinfo *ei)
{
    struct decode *it = *d;
    struct org *org = it->org;
    fill_context(it, c);
    enum err e = decode_link(it, ei);
    if (!e) {
        org->n_notes = it->notes.n;
        org->notes = arena_array(&org->arena, it->notes.n + 1, sizeof *org->notes);
        if (org->notes) {
            if (it->notes.n)
                memcpy(org->notes, it->notes.v, it->notes.n * sizeof *org->notes);
            if (it->notes_dropped)
                org->notes[org->n_notes++] = (struct org_note){
                    NULL, arena_fmt(&org->arena, "%zu more notes were left out", it->notes_dropped)};
        }
        if (org->arena.failed)
            e = err_set(ei, ERR_LIMIT, NULL, "no memory for the organisation");
    }
    if (!e) {
        *out = org;
        it->org = NULL;
    }
    decode_free(d);
    return e;
}
