/*
 * applicationHost.config of an IIS server: authentication switches, SSL flags and Extended Protection per virtual directory.
 *
 * The file is hostile input: no network, no document type (so no entities), no XInclude, at most IIS_MAX_FILE bytes, streamed
 * through a push parser so that memory follows what is kept and not the file. Nothing here does I/O but iis_read().
 *
 * A config is immutable once read and may be used from any thread. Source: IIS configuration reference (system.webServer/security),
 * admin-tools.md 7 and 8.
 */
#ifndef CORE_IIS_IIS_H
#define CORE_IIS_IIS_H

#include "core/base/arena.h"
#include "core/base/vec.h"
#include "core/model/evidence.h"

#define IIS_MAX_FILE      ((size_t)64 << 20)
#define IIS_MAX_LOCATIONS 4000

/* What one <location> writes itself; what it does not write is TRI_UNKNOWN, has_ false or NULL. */
struct iis_location {
    const char *path; /* "Default Web Site/owa"; "" is the whole server */
    enum tri anonymous, basic, windows, digest;
    enum tri kernel_mode, pool_credentials;
    bool providers_cleared;      /* <clear/> before the first <add> */
    uint32_t providers, removed; /* IIS_PROVIDER_* */
    bool has_ssl_flags;          /* security/access@sslFlags */
    uint32_t ssl_flags;          /* IIS_SSL_* */
    bool has_token, has_protection_flags;
    enum iis_token token;
    uint32_t protection_flags; /* IIS_PROTECTION_* */
    VEC(const char *) spns;
    enum tri ip_allow_unlisted;
    size_t n_ip_allowed;
};

struct iis_site {
    const char *name;
    int64_t id;              /* the n of W3SVC/n; 0 when not written */
    VEC(const char *) paths; /* "/owa": applications and the virtual directories below them */
};

struct iis_config {
    struct arena arena;
    VEC(struct iis_location) locations; /* [0] is the whole server */
    VEC(struct iis_site) sites;
};

/* data: the file as it lies on disk, UTF-8 or UTF-16 with a mark. ERR_INPUT names the line. out is initialised here; iis_fini() after
   success only. */
enum err iis_parse(struct iis_config *out, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;
/* The same from a file. *modified (may be NULL): when it was last written, Unix seconds. */
enum err iis_read(struct iis_config *out, const char *path, int64_t *modified, struct errinfo *ei) MUST_CHECK;
void iis_fini(struct iis_config *c);

/* What <location path=""> and the file's top say, path without regard to case; NULL when the file has none of that path. */
const struct iis_location *iis_location(const struct iis_config *c, const char *path);
const struct iis_site *iis_site_by_id(const struct iis_config *c, int64_t id);

/* What holds for a virtual directory. Switches, providers and SSL flags come down from the whole server, the site and each folder
   above; Extended Protection is looked up in its own <location>, else in that of its immediate parent, else it is None. */
struct iis_settings {
    const char *path; /* as the caller wrote it */
    bool present; /* the file knows the path: a location of its own, an application or a virtual directory */
    bool anonymous, basic, windows, digest;
    uint32_t providers;
    bool kernel_mode;
    uint32_t ssl_flags;
    enum iis_token token;
    uint32_t protection_flags;
    const char *protection_from;     /* path of the location that says so; NULL: nobody does */
    const struct iis_location *spns; /* of that location; NULL */
    bool ip_filtered;                /* only listed addresses get in */
};
void iis_settings(const struct iis_config *c, const char *path, struct iis_settings *out);

/* Extended Protection as recommended (admin-tools.md 8.2): 25 rows. */
struct iis_row {
    const char *path; /* "Default Web Site/API" */
    bool back_end;
    enum iis_token recommended;
};
#define IIS_ROWS 25
extern const struct iis_row iis_rows[IIS_ROWS];

/* Adds OBSERVATION_IIS for each virtual directory of the server that the directory knows, and for each row of the table above that the
   file has. at: when the file was true. ERR_LIMIT when the set is full. */
enum err iis_observe(const struct iis_config *c, const struct server *server, int64_t at, struct evidence *e,
                     struct errinfo *ei) MUST_CHECK;

/* "Negotiate, NTLM", "Ssl, Ssl128": in IIS's own words. */
const char *iis_token_name(enum iis_token t);
enum err iis_flags_text(struct buf *out, uint32_t ssl_flags);
enum err iis_providers_text(struct buf *out, uint32_t providers);
bool iis_token_from(const char *s, enum iis_token *out);

#endif
