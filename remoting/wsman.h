/*
 * WS-Management as a client: a session with one endpoint, one remote shell in it, seven operations (MS-WSMV; remoting.md 2).
 *
 * It serves the command shell (winrs.h) and PSRP alike: resource URI, options, streams and payloads are the caller's; envelopes,
 * faults, HTTP, logins and message encryption are ours. One session belongs to one thread and holds one connection at a time.
 *
 * What changes something (Create, Command, Send, Signal) is sent at most once. When the connection is lost after it left, the
 * operation fails and wsman_outcome_unknown() says true until the session ends. A Receive, a Get or a Delete changes nothing that a second
 * one would change again: after a lost connection it logs in anew, knowingly, and is repeated once. So is anything but a Command or a
 * Send that a server answers by wanting another login, and a Create without a name that comes first in another run (wsman_reuse) when
 * its connection was dying.
 */
#ifndef REMOTING_WSMAN_H
#define REMOTING_WSMAN_H

#include "core/base/buf.h"
#include "core/base/stop.h"
#include "core/base/vec.h"
#include "core/model/profile.h"
#include "core/transport.h"

/* ---- who we are: made once a transport, shared by its threads ---- */

struct wsman_access;
/* Reads winrm_auth, winrm_user, winrm_password, winrm_spn, winrm_redirect, trust and the host map of the profile (borrowed), each
   for every server; secrets are resolved here, once. No network: tickets are had when first needed. */
enum err wsman_access_new(struct wsman_access **out, const struct profile *p, struct errinfo *ei) MUST_CHECK;
void wsman_access_free(struct wsman_access **a); /* after its sessions */

/* ---- a session ---- */

#define WSMAN_ENVELOPE_LEAST 32768     /* bytes: no server can be set to take less */
#define WSMAN_ENVELOPE_SAFE  153600    /* what 2008 R2 takes and gives */
#define WSMAN_ENVELOPE_NEWER 512000    /* protocol 2.2 and later */
#define WSMAN_OPERATION_S    20        /* OperationTimeout */
#define WSMAN_READ_MARGIN_S  10        /* by which the wait for an answer exceeds it */
#define WSMAN_ID_MAX         64        /* bytes of a ShellId or CommandId and its NUL */
#define WSMAN_VALUE_MAX      64        /* bytes of a setting and its NUL; the rest is cut */
#define WSMAN_REPLY_MAX      (8 << 20) /* bytes of an answer; more is ERR_LIMIT */
/* What Signals in all, and a Delete of its own, may take once stop has been raised or is nearly over. */
#define WSMAN_CLEANUP_MS 5000

struct wsman;
/* url: "http://{fqdn}:5985/wsman" with {fqdn} and {server} to be replaced by the target's. Connects and logs in with the first
   operation. stop is borrowed until wsman_free(). ERR_CONFIG: the URL; ERR_REFUSED: Basic without TLS. */
enum err wsman_new(struct wsman **out, struct wsman_access *a, const struct remote_target *target,
                   const char *url, const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* Deletes the shell when it is still there (within WSMAN_CLEANUP_MS, failure is not told), closes. NULL is fine. */
void wsman_free(struct wsman **w);
/* For another run after the shell was deleted: all as in a new session, but the connection and its login are kept. stop NULL: parked. */
void wsman_reuse(struct wsman *w, const struct stop *stop);
/* MaxEnvelopeSize from here on; WSMAN_ENVELOPE_SAFE at first. */
void wsman_set_envelope(struct wsman *w, size_t bytes);
/* OperationTimeout from here on, seconds. The wait for an answer is longer by WSMAN_READ_MARGIN_S. */
void wsman_set_operation_timeout(struct wsman *w, int seconds);
/* Bytes of payload (before base64) that one Command, Send or Create of this session has room for. */
size_t wsman_room(const struct wsman *w);
/*
 * Before so many bytes of payload are sent. What is sure to fit costs nothing; for more the server is asked, once a session, how large
 * an envelope it takes (winrm/config, MaxEnvelopeSizekb), and MaxEnvelopeSize is that from here on: larger, so that it goes in one
 * message, or smaller, so that it is taken at all. A server that does not tell (only administrators may read it) leaves it as it
 * was. Errors are stop's only.
 */
enum err wsman_make_room(struct wsman *w, size_t bytes, struct errinfo *ei) MUST_CHECK;
/* "" before Create. Borrowed. */
const char *wsman_shell_id(const struct wsman *w);
/* The host and port connected to, for messages: "excas01.contoso.lab:5985". Borrowed. */
const char *wsman_peer(const struct wsman *w);
/* A Command or a Send left and its answer never came whole, or says that it took too long. */
bool wsman_outcome_unknown(const struct wsman *w);

/* ---- faults: data, besides the words in errinfo ---- */

struct wsman_fault {
    uint32_t code;      /* WSManFault@Code; 0: none, or a fault without one */
    char subcode[64];   /* "TimedOut", "QuotaLimit": the local name of the innermost Subcode; "" */
    char reason[512];   /* the server's own words (innermost provider's when there are), safe to show; "" */
    int wait_ms;        /* "at least Z milliseconds", -1 when no wait is named */
    char redirect[256]; /* where it wants us to go instead; "" */
    int http_status;    /* 500 mostly; also of an answer without envelope (413, 503, 302) */
};
/* Of the last operation that failed with an answer; code, subcode and http_status are empty otherwise. Borrowed until the next
   operation. */
const struct wsman_fault *wsman_last_fault(const struct wsman *w);

#define WSMAN_FAULT_TIMED_OUT         2150858793u /* no output yet */
#define WSMAN_FAULT_INVALID_SELECTORS 2150858843u /* the shell or command is gone */
#define WSMAN_FAULT_NO_SUCH_RESOURCE  2150858811u
#define WSMAN_FAULT_TOO_MANY_COMMANDS 2150859174u
#define WSMAN_FAULT_LINE_TOO_LONG     2147942606u
#define WSMAN_FAULT_FILE_NOT_FOUND    2147942402u
#define WSMAN_FAULT_REDIRECT          2150859161u
#define WSMAN_FAULT_ABORTED           995u /* broken off */

/* ---- the operations: each one request and one answer ----
   ERR_OK: done. ERR_REMOTE (or ERR_AUTH, ERR_DENIED, ERR_NOTFOUND, ERR_REFUSED where the fault means that): the server answered no,
   see wsman_last_fault(). ERR_UNREACHABLE, ERR_TIMEOUT, ERR_TLS, ERR_PROTOCOL, ERR_LIMIT, ERR_INTERRUPTED: no good answer came. */

struct wsman_option {
    const char *name, *value;
    bool must_comply;
};

struct wsman_variable {
    const char *name, *value;
};

struct wsman_shell {
    const char *resource;       /* ".../windows/shell/cmd" or ".../powershell/Microsoft.Exchange" */
    const char *shell_id;       /* asked for, in upper case; NULL: the server chooses */
    const char *name;           /* NULL */
    const char *input, *output; /* "stdin pr", "stdout stderr" */
    const struct wsman_option *options;
    size_t n_options;
    const struct wsman_variable *environment;
    size_t n_environment;
    const char *directory; /* working directory; NULL */
    int idle_timeout_s;    /* 0: the server's */
    const void *creation;  /* bytes for creationXml, NULL: none; at most wsman_room() */
    size_t creation_len;
};
/* One shell a session. The resource and the ShellId the server returned go with everything that follows. When the answer is lost, the
   ShellId that was asked for is deleted: no shell is left where the server takes names (WinRM 3.0, 2012), no harm done where it gives
   its own (WinRM 2.0). Such a name is good for one Create. A redirection is ERR_REFUSED unless winrm_redirect allows it and the place is in the same domain; then the new place is tried. */
enum err wsman_create(struct wsman *w, const struct wsman_shell *shell, struct errinfo *ei) MUST_CHECK;

struct wsman_command {
    const char *id;               /* asked for; NULL: the server chooses */
    const char *line;             /* rsp:Command; "" for PSRP */
    const char *const *arguments; /* text, one rsp:Arguments each */
    size_t n_arguments;
    const void *raw; /* bytes for one more rsp:Arguments in base64; NULL: none; at most wsman_room() */
    size_t raw_len;
    const struct wsman_option *options;
    size_t n_options;
};
/* id: what the server returned, to be used from here on. */
enum err wsman_command(struct wsman *w, const struct wsman_command *c, char id[static WSMAN_ID_MAX],
                       struct errinfo *ei) MUST_CHECK;

/* command NULL: the shell's own stream (PSRP's pool). len 0 with end: only the end is told. */
enum err wsman_send(struct wsman *w, const char *stream, const char *command, const void *data, size_t len,
                    bool end, struct errinfo *ei) MUST_CHECK;

enum wsman_state { WSMAN_STATE_NONE, WSMAN_STATE_RUNNING, WSMAN_STATE_PENDING, WSMAN_STATE_DONE };

struct wsman_chunk {
    char stream[16];            /* "stdout" */
    char command[WSMAN_ID_MAX]; /* "" when the stream is the shell's */
    size_t at, len;             /* in data */
    bool end;
};

struct wsman_output {
    struct buf data; /* base64 undone, all chunks one after the other */
    VEC(struct wsman_chunk) chunks;
    enum wsman_state state; /* of the command asked for; NONE when the answer says nothing */
    bool has_exit_code;
    uint32_t exit_code;
    bool timed_out; /* nothing to tell yet (2150858793): ask again */
    bool gap;       /* the connection had been lost: an answer before this one may have been lost with it */
};
void wsman_output_init(struct wsman_output *o);
void wsman_output_fini(struct wsman_output *o);
/* Waits for output up to the OperationTimeout. command NULL: the shell's own. streams: "stdout stderr". *out is emptied first. */
enum err wsman_receive(struct wsman *w, const char *command, const char *streams,
                       const struct wsman_option *options, size_t n_options, struct wsman_output *out,
                       struct errinfo *ei) MUST_CHECK;

enum wsman_signal {
    WSMAN_SIGNAL_TERMINATE,
    WSMAN_SIGNAL_CTRL_C,
    WSMAN_SIGNAL_CTRL_BREAK,
    WSMAN_SIGNAL_PS_CTRL_C
};
/* Also after stop has been raised, see WSMAN_CLEANUP_MS. */
enum err wsman_signal(struct wsman *w, const char *command, enum wsman_signal signal,
                      struct errinfo *ei) MUST_CHECK;
/* The first element of that name of what the server tells of resource, or, with of_shell, of this session's shell as that resource
   ("State", for one); "" when there is none. Works without a shell, too. */
enum err wsman_get(struct wsman *w, const char *resource, bool of_shell, const char *name,
                   char value[static WSMAN_VALUE_MAX], struct errinfo *ei) MUST_CHECK;
/* Ends the shell; the session can create another one then. Also after stop has been raised. */
enum err wsman_delete(struct wsman *w, struct errinfo *ei) MUST_CHECK;

#endif
