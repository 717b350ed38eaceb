/* Between the files of PSRP. */
#ifndef REMOTING_PSRP_INT_H
#define REMOTING_PSRP_INT_H

#include "remoting/psrp.h"

/* psrp_message.c: what we say, as CLIXML (2.2.2). Everything is built in the arena. */
enum err psrp_say_capability(struct buf *out, struct arena *a, struct errinfo *ei) MUST_CHECK;
enum err psrp_say_pool(struct buf *out, struct arena *a, struct errinfo *ei) MUST_CHECK;
/* level: the server's protocol, minor: fields came with 2.2 and 2.3. */
enum err psrp_say_pipeline(struct buf *out, struct arena *a, const struct cmdlet *cmdlet, unsigned minor,
                           struct errinfo *ei) MUST_CHECK;
/* The answer to a host call: there is no host. */
enum err psrp_say_no_host(struct buf *out, struct arena *a, int64_t call, const char *method, int32_t number,
                          struct errinfo *ei) MUST_CHECK;

/* key: base64 of a public key */
enum err psrp_say_key(struct buf *out, struct arena *a, const char *key, struct errinfo *ei) MUST_CHECK;

/* psrp_key.c: appends a public key whose private half nobody has, in base64. Any thread. */
enum err psrp_key(struct buf *out, struct errinfo *ei) MUST_CHECK;

/* psrp_record.c: what the server says. */
void psrp_read_error(struct psrp_error *out, const struct ps_value *record);
/* The text of a warning, of a verbose, debug or information record; never NULL. */
const char *psrp_read_text(const struct ps_value *record);
/* A host call's number (2.2.3.17): its name, and does the server wait for an answer? */
const char *psrp_host_method(int64_t number, bool *waits);

#endif
