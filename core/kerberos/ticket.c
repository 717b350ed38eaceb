#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <string.h>

enum err krb_ticket_get(struct krb_login *login, const char *spn, struct krb_ticket *out, struct errinfo *ei)
{
    char cache[KRB_CACHE_MAX];
    krb5_context ctx =
        NULL; /* one a call: a context serves one thread, and a slow KDC must not hold up the others */
    krb5_ccache cc = NULL;
    krb5_creds in = {0}, *creds = NULL;
    krb5_ticket *ticket = NULL;
    enum err e = ERR_OK;
    *out = (struct krb_ticket){0};
    str_copy(out->spn, sizeof out->spn, spn);
    krb5_error_code code = krb5_init_context(&ctx);
    if (code)
        return krb_error_set(NULL, code, ei, "reading krb5.conf");
    pthread_mutex_lock(&login->lock);
    str_copy(cache, sizeof cache, login->cache);
    pthread_mutex_unlock(&login->lock);
    if ((e = krb_service_parse(ctx, spn, &in.server, ei)))
        goto out;
    code = krb5_cc_resolve(ctx, cache, &cc);
    if (!code)
        code = krb5_cc_get_principal(ctx, cc, &in.client);
    if (!code)
        code = krb5_get_credentials(ctx, 0, cc, &in, &creds);
    if (!code)
        code = krb5_decode_ticket(&creds->ticket, &ticket);
    if (code) {
        int number = krb_error_number(code);
        out->error = number > 0 && number < 128 ? number : 0;
        e = krb_error_set(ctx, code, ei, spn);
        goto out;
    }
    out->etype = ticket->enc_part.enctype;
    out->kvno = (int)ticket->enc_part.kvno;
    out->end_time = creds->times.endtime;
out:
    if (ticket)
        krb5_free_ticket(ctx, ticket);
    krb5_free_creds(ctx, creds);
    krb5_free_principal(ctx, in.server);
    krb5_free_principal(ctx, in.client);
    if (cc)
        krb5_cc_close(ctx, cc);
    krb5_free_context(ctx);
    return e;
}
