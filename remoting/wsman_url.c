#include <string.h>

#include "core/base/str.h"
#include "remoting/wsman_http.h"

static enum err bad(struct errinfo *ei, const char *text)
{
    char shown[200];
    str_show_fixed(shown, sizeof shown, text, strlen(text));
    return err_set(ei, ERR_CONFIG, "write http://{fqdn}:5985/wsman or https://{fqdn}:5986/wsman",
                   "\"%s\" is no URL of a WinRM listener", shown);
}

/* A name's letters, digits, dots and dashes, or an IPv6 address: it goes into TLS, Kerberos and messages. */
static bool host_is_plain(const char *s, size_t len, bool v6)
{
    static const char name[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";
    static const char address[] = "0123456789abcdefABCDEF.:";
    return len > 0 && len < 256 && strspn(s, v6 ? address : name) >= len;
}

enum err wsman_url_parse(struct wsman_url *out, const char *text, struct errinfo *ei)
{
    struct wsman_url u = {.tls = str_istarts(text, "https://")};
    const char *host = text + (u.tls ? 8 : 7), *end;
    if (!u.tls && !str_istarts(text, "http://"))
        return bad(ei, text);
    for (const char *s = text; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '"' || *s == '<' || *s == '>')
            return bad(ei, text);
    bool v6 = *host == '[';
    if (v6)
        host++;
    size_t n = strcspn(host, v6 ? "]" : ":/?#@");
    end = host + n + (v6 && host[n] == ']');
    if (!host_is_plain(host, n, v6) || (v6 && host[n] != ']') || strchr(end, '@') || strchr(end, '#'))
        return bad(ei, text);
    str_fmt(u.host, sizeof u.host, "%.*s", (int)n, host);
    u.port = u.tls ? 443 : 80;
    if (*end == ':') {
        char digits[8];
        size_t k = strspn(++end, "0123456789");
        if (k >= sizeof digits || !str_fmt(digits, sizeof digits, "%.*s", (int)k, end) ||
            !str_to_port(digits, &u.port))
            return bad(ei, text);
        end += k;
    }
    if ((*end && *end != '/' && *end != '?') || !str_copy(u.path, sizeof u.path, *end ? end : "/") ||
        !str_copy(u.text, sizeof u.text, text))
        return bad(ei, text);
    *out = u;
    return ERR_OK;
}

bool wsman_text_expand(char *out, size_t cap, const char *text, const struct remote_target *target)
{
    static const char fqdn[] = "{fqdn}", server[] = "{server}";
    size_t n = 0;
    while (*text) {
        const char *value = text;
        size_t len = 1, step = 1;
        if (strncmp(text, fqdn, sizeof fqdn - 1) == 0) {
            value = target->fqdn && *target->fqdn ? target->fqdn : target->server;
            step = sizeof fqdn - 1;
        } else if (strncmp(text, server, sizeof server - 1) == 0) {
            value = target->server;
            step = sizeof server - 1;
        }
        if (value != text)
            len = strlen(value);
        if (n + len >= cap)
            return false;
        memcpy(out + n, value, len);
        n += len;
        text += step;
    }
    out[n] = '\0';
    return true;
}

enum err wsman_url_expand(struct wsman_url *out, const char *text, const struct remote_target *target,
                          struct errinfo *ei)
{
    char whole[sizeof out->text];
    return wsman_text_expand(whole, sizeof whole, text, target)
               ? wsman_url_parse(out, whole, ei)
               : err_set(ei, ERR_CONFIG, NULL, "the URL is too long");
}
