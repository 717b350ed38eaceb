/*
 * PowerShell remoting's protocol as a client (MS-PSRP 3.1): one runspace pool and one pipeline after the other in it. No I/O: bytes in,
 * bytes out, events. The carrier (outofproc.h, psrp_wsman.c) brings fragments of the server and takes ours.
 *
 * A pipeline is one command with parameters, never a script: nothing is quoted, and an endpoint in no-language mode (Exchange's) takes
 * it. A server that calls for a host (a prompt, the width of a window) gets an error as its answer where it waits for one, so that no
 * prompt ever hangs; one that wants to exchange keys for a SecureString gets one that nobody can use, for it waits too, and the caller
 * is told. Messages of unknown types and of other pipelines are passed over. An object that cannot be read is an event of its own: how
 * the pipeline ended is still learnt.
 */
#ifndef REMOTING_PSRP_H
#define REMOTING_PSRP_H

#include "core/model/cmdlet.h"
#include "remoting/psobject.h"
#include "remoting/psrp_fragment.h"

/* name, type (2.2.1) */
#define PSRP_MESSAGE_MAP(X)                                                                                  \
    X(SESSION_CAPABILITY, 0x00010002)                                                                        \
    X(INIT_RUNSPACEPOOL, 0x00010004)                                                                         \
    X(PUBLIC_KEY, 0x00010005)                                                                                \
    X(PUBLIC_KEY_REQUEST, 0x00010007)                                                                        \
    X(RUNSPACEPOOL_STATE, 0x00021005)                                                                        \
    X(CREATE_PIPELINE, 0x00021006)                                                                           \
    X(APPLICATION_PRIVATE_DATA, 0x00021009)                                                                  \
    X(RUNSPACEPOOL_HOST_CALL, 0x00021100)                                                                    \
    X(RUNSPACEPOOL_HOST_RESPONSE, 0x00021101)                                                                \
    X(PIPELINE_OUTPUT, 0x00041004)                                                                           \
    X(ERROR_RECORD, 0x00041005)                                                                              \
    X(PIPELINE_STATE, 0x00041006)                                                                            \
    X(DEBUG_RECORD, 0x00041007)                                                                              \
    X(VERBOSE_RECORD, 0x00041008)                                                                            \
    X(WARNING_RECORD, 0x00041009)                                                                            \
    X(PROGRESS_RECORD, 0x00041010)                                                                           \
    X(INFORMATION_RECORD, 0x00041011)                                                                        \
    X(PIPELINE_HOST_CALL, 0x00041100)                                                                        \
    X(PIPELINE_HOST_RESPONSE, 0x00041101)
enum psrp_type {
#define X(name, type) PSRP_##name = type,
    PSRP_MESSAGE_MAP(X)
#undef X
};

enum psrp_pool_state { /* 2.2.3.4 */
                       PSRP_POOL_BEFORE_OPEN = 0,
                       PSRP_POOL_OPENING = 1,
                       PSRP_POOL_OPENED = 2,
                       PSRP_POOL_CLOSED = 3,
                       PSRP_POOL_CLOSING = 4,
                       PSRP_POOL_BROKEN = 5
};

enum psrp_pipeline_state { /* 2.2.3.5 */
                           PSRP_NOT_STARTED = 0,
                           PSRP_RUNNING = 1,
                           PSRP_STOPPING = 2,
                           PSRP_STOPPED = 3,
                           PSRP_COMPLETED = 4,
                           PSRP_FAILED = 5
};

enum psrp_event_kind {
    PSRP_EVENT_OPENED,  /* the pool may be used */
    PSRP_EVENT_CLOSED,  /* pool closed or broken: text says why when it broke */
    PSRP_EVENT_OUTPUT,  /* value */
    PSRP_EVENT_ERROR,   /* error, value (NULL: its record could not be read): the pipeline goes on */
    PSRP_EVENT_WARNING, /* text; so the four after it */
    PSRP_EVENT_VERBOSE,
    PSRP_EVENT_DEBUG,
    PSRP_EVENT_INFORMATION,
    PSRP_EVENT_PROGRESS,  /* text: the activity; percent */
    PSRP_EVENT_ENDED,     /* state; error when it says why (stopped, failed) */
    PSRP_EVENT_HOST_CALL, /* text: the method asked for and not granted */
    PSRP_EVENT_SECRET,    /* it sends a SecureString: nobody will read it */
    PSRP_EVENT_UNREADABLE /* text: what came and could not be read */
};

struct psrp_error { /* an ErrorRecord (2.2.3.15); any may be NULL but message */
    const char *message, *id, *category, *target;
};

struct psrp_event { /* everything is borrowed for the length of the call */
    enum psrp_event_kind kind;
    const struct ps_value *value;
    const char *text;
    struct psrp_error error;
    enum psrp_pipeline_state state;
    int percent;
};
typedef void psrp_event_fn(void *arg, const struct psrp_event *event);

struct psrp;
/* The pool's first messages wait to be sent from here on. memory: bytes that one object may take as a tree, 0: PSRP_MAX_OBJECT. */
enum err psrp_new(struct psrp **out, size_t memory, psrp_event_fn *event, void *arg,
                  struct errinfo *ei) MUST_CHECK;
void psrp_free(struct psrp **p); /* NULL is fine */

const struct psrp_guid *psrp_pool_id(const struct psrp *p);
enum psrp_pool_state psrp_pool_state(const struct psrp *p);
/* "2.3": the server's protocol, "" before it said so. */
const char *psrp_server_protocol(const struct psrp *p);
/* Is the server's protocol at least that? */
bool psrp_server_is(const struct psrp *p, unsigned major, unsigned minor);

/* Fragments of the server, in any cuts. ERR_PROTOCOL: not to be talked to any more. */
enum err psrp_receive(struct psrp *p, const void *data, size_t len, struct errinfo *ei) MUST_CHECK;

/* Queues a pipeline; the pool must be open and no other pipeline in it. ERR_INPUT: a value that cannot travel, named by its parameter;
   nothing is queued then. */
enum err psrp_start(struct psrp *p, const struct cmdlet *cmdlet, struct errinfo *ei) MUST_CHECK;
const struct psrp_guid *psrp_pipeline_id(const struct psrp *p);
/* Where the carrier's server gave the pipeline another name. */
enum psrp_pipeline_state psrp_pipeline_state(const struct psrp *p);
bool psrp_pipeline_has_ended(const struct psrp *p);
/* What waits to be sent to the pipeline is not sent any more, the rest of the pipeline itself included: it was told to stop. */
void psrp_withdraw(struct psrp *p);
/* The carrier has closed it: the next one may start. */
void psrp_forget_pipeline(struct psrp *p);

/* What is to be sent, as whole fragments: appends as many as fit into max bytes of one destination, oldest first. False: nothing waits.
   No byte is handed out twice. */
struct psrp_packet {
    bool pipeline; /* to the pipeline, else to the pool */
    bool answer;   /* on the stream of host responses, else the default one */
};
bool psrp_take(struct psrp *p, size_t max, struct buf *out, struct psrp_packet *packet);
bool psrp_has_output(const struct psrp *p);
/* Bytes that wait, in as few fragments as can be. */
size_t psrp_waiting(const struct psrp *p);
/* Bytes held by what is being put together and by the last object's tree. */
size_t psrp_memory(const struct psrp *p);

#endif
