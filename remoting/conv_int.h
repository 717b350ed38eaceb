/* Inside the conversation's two files only. */
#ifndef REMOTING_CONV_INT_H
#define REMOTING_CONV_INT_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>

#include "remoting/conv.h"

struct conv {
    enum conv_scheme scheme;
    bool kerberos; /* else NTLM */
    bool seal, complete, dead;
    gss_cred_id_t cred;
    gss_ctx_id_t ctx;
    gss_name_t target;
    struct krb_login *login; /* one owner is ours */
    char spn[320], who[256];
    struct gss_channel_bindings_struct bindings;
    char binding[96]; /* "tls-server-end-point:" and the hash; none when bindings.application_data is empty */
    struct buf sealed;
    size_t n_buffers;
    gss_iov_buffer_desc iov[3]; /* what gss_wrap_iov() allocated last */
};

extern const gss_OID_desc conv_spnego_oid, conv_krb5_oid, conv_ntlm_oid;

/* "what: GSSAPI's words". */
enum err conv_words(struct conv *c, OM_uint32 major, OM_uint32 minor, enum err err, const char *what,
                    struct errinfo *ei);

#endif
