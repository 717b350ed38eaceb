/*
 * What the applications behind /EWS, /owa, /ecp, /OAB, /mapi and ActiveSync answer, read and put in words. Pure functions over
 * hostile bytes; no network here.
 */
#ifndef CORE_PROBE_APP_ANSWERS_H
#define CORE_PROBE_APP_ANSWERS_H

#include "core/base/buf.h"
#include "core/model/evidence.h"
#include "core/model/version.h"

/* ---- EWS (MS-OXWSCDATA; SOAP 1.1 4.4) */

struct ews_answer {
    bool
        has_version; /* ServerVersionInfo: of the server that answered in the end, which behind a proxy is another one */
    struct version version;
    bool is_fault;
    bool is_success;
    char code[96];   /* ResponseCode, else the fault's code without its prefix; "" none */
    char text[400];  /* MessageText or faultstring, as sent */
    char folder[64]; /* DisplayName */
};
enum err ews_request(struct buf *out) MUST_CHECK; /* GetFolder of the inbox */
enum err ews_parse(struct ews_answer *out, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;
/* What a response code means and what to do; NULL when nothing is known. */
const char *ews_code_words(const char *code);

/* ---- OWA and ECP pages */

enum owa_form { OWA_FORM_NONE, OWA_FORM_OWAAUTH_DLL, OWA_FORM_AUTH_OWA, OWA_FORM_OTHER };

struct owa_page {
    enum owa_form form; /* a form that asks for a password, and where it is sent */
    bool has_version;
    struct version
        version; /* from links to /owa/VERSION/ and /owa/auth/VERSION/; without revision before 2013 */
};
void owa_page_read(struct owa_page *out, const char *html, size_t len);
/* A path that is Exchange's logon page: "/owa/auth/logon.aspx?...". */
bool owa_is_logon_url(const char *url);
/* X-OWA-Version, or a number found in a page. Up to 2010 the last part is of OWA's own files, not of the server: it is dropped. */
bool owa_version(const char *text, struct version *out);

/* ---- ActiveSync (MS-ASHTTP 2.2.2, MS-ASCMD) */

/* Whether an OPTIONS answer is good for devices; header NULL: not sent. */
enum outcome eas_judge_options(const char *server, const char *versions, const char *commands,
                               struct buf *detail);
/* The newest version of the list that is known here, for MS-ASProtocolVersion; NULL. */
const char *eas_newest(const char *versions);
/* The answer to FolderSync by its HTTP status; NULL for 200 and the unknown. ok: the mailbox was found and answers. */
const char *eas_status_words(int status, bool *ok);
/* Status inside a 200 answer (MS-ASCMD 2.2.3.177.4, 2.2.4); NULL when unknown. */
const char *eas_folder_words(int status, bool *ok);

/* ---- MAPI/HTTP (MS-OXCMAPIHTTP 2.2.3.3) */

const char *mapi_code_words(unsigned code); /* X-ResponseCode; NULL when unknown */
/* "Exchange/15.00.1497.002" */
bool mapi_version(const char *server_application, struct version *out);

/* ---- Offline address book (MS-OXWOAB 2.2) */

struct oab_manifest {
    char name[128]; /* as sent */
    uint64_t sequence, bytes;
    unsigned lists, full, diffs, templates;
    bool is_version4; /* a full file of version 32 (OAB version 4) */
};
enum err oab_parse(struct oab_manifest *out, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;

#endif
