#include <string.h>

#include "remoting/conv_int.h"

static enum err usable(const struct conv *c, struct errinfo *ei)
{
    return conv_is_complete(c)
               ? ERR_OK
               : err_set(ei, ERR_PROTOCOL, NULL, "the login is not in a state to protect messages");
}

/* The form Windows uses, also for RC4, whose pad byte counts in the length. */
static enum err seal_iov(struct conv *c, const void *plain, size_t len, struct conv_sealed *out,
                         struct errinfo *ei)
{
    OM_uint32 minor;
    int conf = 0;
    if (c->n_buffers)
        gss_release_iov_buffer(&minor, c->iov, (int)c->n_buffers);
    c->n_buffers = 0;
    buf_reset(&c->sealed);
    if (buf_add(&c->sealed, plain, len))
        return err_set(ei, c->sealed.failed, NULL, "no room for a message of %zu bytes", len);
    c->iov[0] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE};
    c->iov[1] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_DATA, .buffer = {len, c->sealed.data}};
    c->iov[2] = (gss_iov_buffer_desc){.type = GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE};
    OM_uint32 major = gss_wrap_iov(&minor, c->ctx, 1, GSS_C_QOP_DEFAULT, &conf, c->iov, 3);
    if (GSS_ERROR(major))
        return conv_words(c, major, minor, ERR_PROTOCOL, "encrypting", ei);
    c->n_buffers = 3;
    if (!conf)
        return err_set(ei, ERR_PROTOCOL, NULL, "Kerberos did not encrypt");
    size_t pad = c->iov[2].buffer.length;
    if (pad && buf_add(&c->sealed, c->iov[2].buffer.value, pad))
        return err_set(ei, c->sealed.failed, NULL, "no room for a message of %zu bytes", len);
    *out = (struct conv_sealed){c->iov[0].buffer.value, c->sealed.data, c->iov[0].buffer.length, len + pad,
                                len + pad};
    return ERR_OK;
}

#define NTLM_SIGNATURE 16

/* gss-ntlmssp knows no IOV; the signature comes first. */
static enum err seal_whole(struct conv *c, const void *plain, size_t len, struct conv_sealed *out,
                           struct errinfo *ei)
{
    OM_uint32 minor, ignored;
    int conf = 0;
    gss_buffer_desc in = {len, (void *)(uintptr_t)plain}, token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_wrap(&minor, c->ctx, 1, GSS_C_QOP_DEFAULT, &in, &conf, &token);
    enum err e = ERR_OK;
    buf_reset(&c->sealed);
    if (GSS_ERROR(major))
        e = conv_words(c, major, minor, ERR_PROTOCOL, "encrypting", ei);
    else if (!conf || token.length != len + NTLM_SIGNATURE)
        e = err_set(ei, ERR_PROTOCOL, NULL, "NTLM did not encrypt");
    else if (buf_add(&c->sealed, token.value, token.length))
        e = err_set(ei, c->sealed.failed, NULL, "no room for a message of %zu bytes", len);
    else
        *out =
            (struct conv_sealed){c->sealed.data, c->sealed.data + NTLM_SIGNATURE, NTLM_SIGNATURE, len, len};
    gss_release_buffer(&ignored, &token);
    return e;
}

enum err conv_seal(struct conv *c, const void *plain, size_t len, struct conv_sealed *out, struct errinfo *ei)
{
    enum err e = usable(c, ei);
    if (!e)
        e = c->kerberos ? seal_iov(c, plain, len, out, ei) : seal_whole(c, plain, len, out, ei);
    c->dead = c->dead || e != ERR_OK;
    return e;
}

/* In place in a copy: a failed attempt may have changed what it looked at. */
static OM_uint32 open_iov(struct conv *c, const void *head, size_t head_len, const void *data,
                          size_t data_len, struct buf *out, int *conf)
{
    OM_uint32 minor, major;
    size_t at = out->len;
    struct buf copy;
    buf_init(&copy, head_len + 1);
    char *room = buf_reserve(out, data_len);
    if (!room || buf_add(&copy, head, head_len)) {
        buf_fini(&copy);
        return GSS_S_FAILURE;
    }
    memcpy(room, data, data_len);
    gss_iov_buffer_desc iov[3] = {{GSS_IOV_BUFFER_TYPE_HEADER, {head_len, copy.data}},
                                  {GSS_IOV_BUFFER_TYPE_DATA, {data_len, room}},
                                  {GSS_IOV_BUFFER_TYPE_DATA, {0, NULL}}};
    major = gss_unwrap_iov(&minor, c->ctx, conf, NULL, iov, 3);
    if (!GSS_ERROR(major))
        buf_commit(out, data_len);
    buf_fini(&copy);
    /* RC4's pad byte stays in what is opened so: a length of 1 to 8 in each of its bytes */
    if (!GSS_ERROR(major) && head_len == 45 && out->len > at) {
        unsigned char pad = (unsigned char)out->data[out->len - 1];
        if (pad >= 1 && pad <= 8 && out->len - at >= pad)
            out->data[out->len -= pad] = '\0';
    }
    return major;
}

static OM_uint32 open_whole(struct conv *c, const void *head, size_t head_len, const void *data,
                            size_t data_len, struct buf *out, int *conf, OM_uint32 *minor)
{
    struct buf whole;
    OM_uint32 ignored, major = GSS_S_FAILURE;
    gss_buffer_desc plain = GSS_C_EMPTY_BUFFER;
    buf_init(&whole, head_len + data_len + 1);
    (void)buf_add(&whole, head, head_len);
    if (buf_add(&whole, data, data_len) == ERR_OK) {
        gss_buffer_desc in = {whole.len, whole.data};
        major = gss_unwrap(minor, c->ctx, &in, &plain, conf, NULL);
    }
    if (!GSS_ERROR(major) && buf_add(out, plain.value, plain.length))
        major = GSS_S_FAILURE;
    gss_release_buffer(&ignored, &plain);
    buf_fini(&whole);
    return major;
}

enum err conv_open(struct conv *c, const void *head, size_t head_len, const void *data, size_t data_len,
                   struct buf *out, struct errinfo *ei)
{
    OM_uint32 minor = 0, major = GSS_S_FAILURE;
    int conf = 0;
    enum err e = usable(c, ei);
    if (e)
        return e;
    /* What Windows sends opens in both forms; what was made by plain gss_wrap (OMI) only whole. A refused token does not advance the
       sequence, so trying the other form is no second message. */
    if (c->kerberos)
        major = open_iov(c, head, head_len, data, data_len, out, &conf);
    if (GSS_ERROR(major))
        major = open_whole(c, head, head_len, data, data_len, out, &conf, &minor);
    if (out->failed)
        e = err_set(ei, out->failed, NULL, "no room for an answer of %zu bytes", data_len);
    else if (GSS_ERROR(major))
        e = conv_words(c, major, minor, ERR_PROTOCOL, "an answer that does not open", ei);
    else if (GSS_SUPPLEMENTARY_INFO(major))
        e = err_set(ei, ERR_PROTOCOL, "something between drops or repeats messages",
                    "an encrypted answer came out of order");
    else if (!conf)
        e = err_set(ei, ERR_PROTOCOL, NULL, "the answer was signed but not encrypted");
    c->dead = c->dead || e != ERR_OK;
    return e;
}
