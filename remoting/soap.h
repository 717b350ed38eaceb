/*
 * SOAP envelopes of WS-Management: what we say, what we are told. Pure: no network, no entities, no DTD.
 *
 * Written: the headers every request has (remoting.md 2.1; MS-WSMV 3.1.4.1), then the operation's body. Read: any prefixes, attribute
 * order and encoding (UTF-8, UTF-16, byte order marks), names by namespace and local part only. An answer counts only when it relates
 * to the request that was sent and is the answer of that operation.
 */
#ifndef REMOTING_SOAP_H
#define REMOTING_SOAP_H

#include "remoting/wsman.h"

#define SOAP_UUID_MAX   46 /* "uuid:" and 36 characters and a NUL */
#define SOAP_DEPTH_MAX  64 /* nested elements of an answer */
#define SOAP_CHUNKS_MAX 100000

/* The operations: name, action, what is under way in words, may a second one do harm, is it tidying up. One place to add a row. */
#define SOAP_OP_MAP(X)                                                                                       \
    X(CREATE, SOAP_NS_TRANSFER "/Create", SOAP_NS_TRANSFER "/CreateResponse", "opening a shell", true,       \
      false)                                                                                                 \
    X(COMMAND, SOAP_NS_SHELL "/Command", SOAP_NS_SHELL "/CommandResponse", "starting the command", true,     \
      false)                                                                                                 \
    X(RECEIVE, SOAP_NS_SHELL "/Receive", SOAP_NS_SHELL "/ReceiveResponse", "waiting for the answer", false,  \
      false)                                                                                                 \
    X(SEND, SOAP_NS_SHELL "/Send", SOAP_NS_SHELL "/SendResponse", "sending input", true, false)              \
    X(SIGNAL, SOAP_NS_SHELL "/Signal", SOAP_NS_SHELL "/SignalResponse", "ending the command", true, true)    \
    X(DELETE, SOAP_NS_TRANSFER "/Delete", SOAP_NS_TRANSFER "/DeleteResponse", "closing the shell", false,    \
      true)                                                                                                  \
    X(GET, SOAP_NS_TRANSFER "/Get", SOAP_NS_TRANSFER "/GetResponse", "asking for a setting", false, false)

#define SOAP_NS_ENVELOPE   "http://www.w3.org/2003/05/soap-envelope"
#define SOAP_NS_ADDRESS    "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define SOAP_NS_WSMAN      "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
#define SOAP_NS_MS_WSMAN   "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
#define SOAP_NS_SHELL      "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
#define SOAP_NS_TRANSFER   "http://schemas.xmlsoap.org/ws/2004/09/transfer"
#define SOAP_NS_FAULT      "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
#define SOAP_NS_POWERSHELL "http://schemas.microsoft.com/powershell"

enum soap_op {
#define X(op, action, reply, words, harmful, tidying) SOAP_OP_##op,
    SOAP_OP_MAP(X)
#undef X
        SOAP_OP_COUNT
};
const char *soap_op_words(enum soap_op op); /* "opening a shell" */
bool soap_op_changes(enum soap_op op);      /* must never be sent twice */
bool soap_op_tidies(enum soap_op op);       /* still done after stop */

struct soap_head {
    const char *to, *message_id, *session_id;
    const char *resource;
    const char *shell_id; /* NULL or "": no selector */
    const struct wsman_option *options;
    size_t n_options;
    size_t max_envelope;
    int timeout_s;
};

/* "uuid:" and a random one in upper case. */
void soap_uuid(char out[static SOAP_UUID_MAX]);

/* Each appends one whole envelope. ERR_INPUT: a text that XML cannot carry (controls, invalid UTF-8); ERR_LIMIT: longer than out may be. */
enum err soap_write_create(struct buf *out, const struct soap_head *h,
                           const struct wsman_shell *s) MUST_CHECK;
enum err soap_write_command(struct buf *out, const struct soap_head *h,
                            const struct wsman_command *c) MUST_CHECK;
enum err soap_write_receive(struct buf *out, const struct soap_head *h, const char *command,
                            const char *streams) MUST_CHECK;
enum err soap_write_send(struct buf *out, const struct soap_head *h, const char *stream, const char *command,
                         const void *data, size_t len, bool end) MUST_CHECK;
enum err soap_write_signal(struct buf *out, const struct soap_head *h, const char *command,
                           enum wsman_signal signal) MUST_CHECK;
enum err soap_write_delete(struct buf *out, const struct soap_head *h) MUST_CHECK;
enum err soap_write_get(struct buf *out, const struct soap_head *h) MUST_CHECK;

struct soap_reply {
    bool is_fault;
    struct wsman_fault fault;
    char shell_id[WSMAN_ID_MAX];   /* of CreateResponse */
    char resource[256];            /* the same; "" when not told */
    char command_id[WSMAN_ID_MAX]; /* of CommandResponse */
    char value[WSMAN_VALUE_MAX];   /* of GetResponse: what was asked for; "" when it does not say */
};
/*
 * Reads the answer to a request of that kind and MessageID. output (emptied first; of ReceiveResponse) may be NULL for others; wanted:
 * of Receive the command whose state counts, NULL or "": any; of Get the element whose text is asked for. ERR_PROTOCOL: no envelope, cut short, a DTD, an answer to something else; ERR_LIMIT. A fault is
 * an answer: ERR_OK. A fault may lack RelatesTo (old servers fault before they have read it), but not name another request.
 */
enum err soap_read(struct soap_reply *out, enum soap_op op, const char *message_id, const char *wanted,
                   const void *xml, size_t len, struct wsman_output *output, struct errinfo *ei) MUST_CHECK;

#endif
