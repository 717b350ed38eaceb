/* Host names as they stand in the directory: an URL, "host", "host/rpc" or "host:443", in any letter case. */
#include "core/model/org.h"

#include "core/base/str.h"

#include <string.h>

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

bool url_host(const char *url, char *out, size_t cap, enum tri *https, uint16_t *port)
{
    static const struct {
        const char *prefix;
        enum tri https;
        uint16_t port;
    } schemes[] = {{"https://", TRI_YES, 443}, {"http://", TRI_NO, 80}};
    enum tri secure = TRI_UNKNOWN;
    uint16_t number = 0;
    const char *p = url;
    if (!p)
        return false;
    p += strspn(p, " ");
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (str_istarts(p, schemes[i].prefix)) {
            secure = schemes[i].https;
            number = schemes[i].port;
            p += strlen(schemes[i].prefix);
            break;
        }
    }
    const char *host = p, *end;
    if (*p == '[') { /* an IPv6 address */
        host = p + 1;
        end = host + strspn(host, "0123456789abcdefABCDEF:.");
        if (*end != ']')
            return false;
        p = end + 1;
    } else {
        while (is_host_char(*p))
            p++;
        end = p;
    }
    if (end == host || (size_t)(end - host) >= cap)
        return false;
    if (*p == ':') {
        size_t digits = strspn(p + 1, "0123456789");
        char text[8];
        if (digits > 5)
            return false;
        str_fmt(text, sizeof text, "%.*s", (int)digits, p + 1);
        if (!str_to_port(text, &number))
            return false;
        p += 1 + digits;
    }
    p += strspn(p, " ");
    if (*p && *p != '/' && *p != '?' && *p != '#')
        return false;
    for (size_t i = 0; i < (size_t)(end - host); i++)
        out[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 32) : host[i];
    out[end - host] = '\0';
    if (https)
        *https = secure;
    if (port)
        *port = number;
    return true;
}
