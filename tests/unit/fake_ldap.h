/*
 * A domain controller of a few hundred lines, on loopback, in a thread: answers what the tests need, and misbehaves on demand.
 * Requests are taken apart with liblber, as a server would.
 */
#ifndef TESTS_UNIT_FAKE_LDAP_H
#define TESTS_UNIT_FAKE_LDAP_H

#include "core/directory/entry.h"

#include <arpa/inet.h>
#include <lber.h>
#include <ldap.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_CONFIG "CN=Configuration,DC=contoso,DC=lab"
#define FAKE_ORG    "CN=Contoso,CN=Microsoft Exchange,CN=Services," FAKE_CONFIG
#define FAKE_AG     "CN=AG,CN=Administrative Groups," FAKE_ORG

struct fake {
    /* what to do; set before the client connects */
    int servers, page; /* in the organisation; at a time */
    int lose_after,
        lose_times; /* entries of the organisation after which the connection is cut, so many times */
    int bind_code, sites_code, org_code;
    const char *bind_text;
    int users;   /* found by any mailbox filter */
    bool silent; /* after the bind */
    bool no_ad, garbage;
    int spns, range; /* service names of EX0000, and how many of them at a time; 0: one, whole */
    int slow_ms;     /* after each byte of an answer, once logged in */
    int domains;     /* cross references of the forest */
    bool catalogue;  /* the whole forest by the empty base */
    /* what happened */
    atomic_int connections, searches, unpaged;
    char filter_seen[600]; /* bytes of the last search below the domain */
    char asked[16384];     /* "scope base|printable bytes of the request" a line, of every search */

    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_bool over;
};

static _Thread_local int fake_slow_ms; /* of the thread that answers */

static void fake_send(int fd, BerElement *ber)
{
    struct berval *out = NULL;
    if (ber_flatten(ber, &out) == 0) {
        for (size_t at = 0; at < out->bv_len;) {
            ssize_t n = send(fd, out->bv_val + at, fake_slow_ms ? 1 : out->bv_len - at, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            at += (size_t)n;
            if (fake_slow_ms)
                poll(NULL, 0, fake_slow_ms);
        }
    }
    ber_bvfree(out);
    ber_free(ber, 1);
}

static void fake_result(int fd, int id, int tag, int code, const char *text, const char *cookie)
{
    BerElement *ber = ber_alloc_t(LBER_USE_DER);
    ber_printf(ber, "{it{ess}", id, (ber_tag_t)tag, code, "", text ? text : "");
    if (cookie) {
        BerElement *value = ber_alloc_t(LBER_USE_DER);
        struct berval *flat = NULL;
        ber_printf(value, "{is}", 0, cookie);
        ber_flatten(value, &flat);
        ber_printf(ber, "t{{sO}}", (ber_tag_t)LDAP_TAG_CONTROLS, LDAP_CONTROL_PAGEDRESULTS, flat);
        ber_bvfree(flat);
        ber_free(value, 1);
    }
    ber_printf(ber, "}");
    fake_send(fd, ber);
}

/* attributes: name, value, name, value, ... NULL; a name again adds a value */
static void fake_entry(int fd, int id, const char *dn, const char *const *attributes)
{
    BerElement *ber = ber_alloc_t(LBER_USE_DER);
    ber_printf(ber, "{it{s{", id, (ber_tag_t)LDAP_RES_SEARCH_ENTRY, dn);
    for (size_t i = 0; attributes[i]; i += 2) {
        if (i && strcmp(attributes[i], attributes[i - 2]) == 0)
            continue;
        ber_printf(ber, "{s[", attributes[i]);
        for (size_t k = i; attributes[k] && strcmp(attributes[k], attributes[i]) == 0; k += 2)
            ber_printf(ber, "s", attributes[k + 1]);
        ber_printf(ber, "]}");
    }
    ber_printf(ber, "}}}");
    fake_send(fd, ber);
}

static void fake_root(const struct fake *f, int fd, int id)
{
    static const char *const ad[] = {"defaultNamingContext",
                                     "DC=contoso,DC=lab",
                                     "configurationNamingContext",
                                     FAKE_CONFIG,
                                     "rootDomainNamingContext",
                                     "DC=contoso,DC=lab",
                                     "dNSHostName",
                                     "dc1.contoso.lab",
                                     NULL};
    static const char *const other[] = {"vendorName", "somebody", NULL};
    fake_entry(fd, id, "", f->no_ad ? other : ad);
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, NULL);
}

/* Servers from..; false when the connection is to be cut now. */
static bool fake_organization(struct fake *f, int fd, int id, int from)
{
    char dn[300], name[32], next[16] = "", fqdn[64];
    int to = from + f->page < f->servers ? from + f->page : f->servers;
    if (f->org_code) {
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, f->org_code, "no", NULL);
        return true;
    }
    for (int i = from; i < to; i++) {
        if (f->lose_times > 0 && i == f->lose_after) {
            f->lose_times--;
            return false;
        }
        snprintf(name, sizeof name, "EX%04d", i);
        snprintf(dn, sizeof dn, "cn=%s,CN=Servers,%s", name, FAKE_AG);
        snprintf(fqdn, sizeof fqdn, "ncacn_ip_tcp:ex%04d.contoso.lab", i);
        const char *const server[] = {"objectClass",
                                      "server",
                                      "objectClass",
                                      "msExchExchangeServer",
                                      "serialNumber",
                                      "Version 14.3 (Build 30123.4)",
                                      "msExchCurrentServerRoles",
                                      "36",
                                      "networkAddress",
                                      fqdn,
                                      NULL};
        fake_entry(fd, id, dn, server);
    }
    if (to < f->servers)
        snprintf(next, sizeof next, "%d", to);
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, next);
    return true;
}

/* Values of servicePrincipalName from..., as a controller gives them when there are more than it likes: range=0-1499, ..., range=3000-* */
static void fake_names(const struct fake *f, int fd, int id, const char *dn, int from, bool whole)
{
    BerElement *ber = ber_alloc_t(LBER_USE_DER);
    int to = f->range && from + f->range < f->spns ? from + f->range : f->spns;
    char text[64];
    ber_printf(ber, "{it{s{", id, (ber_tag_t)LDAP_RES_SEARCH_ENTRY, dn);
    if (whole)
        ber_printf(ber, "{s[ss]}{s[s]}", "objectClass", "user", "computer", "sAMAccountName", "EX0000$");
    if (!f->range)
        snprintf(text, sizeof text, "servicePrincipalName");
    else if (to < f->spns)
        snprintf(text, sizeof text, "servicePrincipalName;range=%d-%d", from, to - 1);
    else
        snprintf(text, sizeof text, "servicePrincipalName;range=%d-*", from);
    ber_printf(ber, "{s[", text);
    for (int i = from; i < to; i++) {
        snprintf(text, sizeof text, "HOST/%d", i);
        ber_printf(ber, "s", text);
    }
    ber_printf(ber, "]}}}}");
    fake_send(fd, ber);
}

static void fake_computers(const struct fake *f, int fd, int id)
{
    struct fake one = {.spns = f->spns ? f->spns : 1, .range = f->range};
    fake_names(&one, fd, id, "CN=EX0000,DC=contoso,DC=lab", 0, true);
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
}

/* Owners of HTTP/mail.contoso.lab: one of this domain, and in the catalogue one of another. */
static void fake_owners(int fd, int id, bool catalogue)
{
    static const char *const own[] = {"objectClass",
                                      "user",
                                      "objectClass",
                                      "computer",
                                      "sAMAccountName",
                                      "ASA$",
                                      "servicePrincipalName",
                                      "http/mail.contoso.lab",
                                      "msDS-SupportedEncryptionTypes",
                                      "24",
                                      "pwdLastSet",
                                      "134400000000000000",
                                      NULL};
    static const char *const part[] = {"objectClass",
                                       "user",
                                       "objectClass",
                                       "computer",
                                       "sAMAccountName",
                                       "WEB$",
                                       "servicePrincipalName",
                                       "HTTP/MAIL.contoso.lab",
                                       NULL};
    fake_entry(fd, id, "CN=ASA,CN=Computers,DC=contoso,DC=lab", own);
    if (catalogue)
        fake_entry(fd, id, "CN=WEB,CN=Computers,DC=child,DC=contoso,DC=lab", part);
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
}

/* All of them, or the one whose short name the filter has. */
static void fake_domains(const struct fake *f, int fd, int id, const char *raw, size_t raw_len)
{
    static const char *const reference[] = {"objectClass", "crossRef", "nCName", "DC=x", NULL};
    static const char *const named[][2] = {
        {"contoso", "DC=contoso,DC=lab"},
        {"child", "DC=child,DC=contoso,DC=lab"}, /* below it, as most are */
        {"parent", "DC=lab"}};
    static const char attribute[] = "nETBIOSName";
    const char *name = memmem(raw, raw_len, attribute, sizeof attribute - 1);
    char dn[80];
    /* an assertion of equality: the value is an octet string of its own behind the name */
    if (name && name[sizeof attribute - 1] == '\x04') {
        for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
            const char *const one[] = {"objectClass", "crossRef", "nCName", named[i][1], NULL};
            if (memcmp(name + sizeof attribute + 1, named[i][0], strlen(named[i][0])) == 0)
                fake_entry(fd, id, "CN=D,CN=Partitions," FAKE_CONFIG, one);
        }
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
        return;
    }
    for (int i = 0; i < f->domains; i++) {
        snprintf(dn, sizeof dn, "CN=D%d,CN=Partitions,%s", i, FAKE_CONFIG);
        fake_entry(fd, id, dn, reference);
    }
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
}

static void fake_users(const struct fake *f, int fd, int id)
{
    char dn[64];
    for (int i = 0; i < f->users; i++) {
        static const char *const user[] = {"objectClass", "user",           "sAMAccountName",
                                           "alice",       "proxyAddresses", "SMTP:alice@contoso.com",
                                           NULL};
        snprintf(dn, sizeof dn, "CN=user%d,DC=contoso,DC=lab", i);
        fake_entry(fd, id, dn, user);
    }
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
}

/* What the catalogue knows: an owner of a service name, or a mailbox, of another domain. */
static void fake_forest(struct fake *f, int fd, int id, const char *raw, size_t raw_len)
{
    static const char *const user[] = {"objectClass",
                                       "user",
                                       "sAMAccountName",
                                       "zoe",
                                       "proxyAddresses",
                                       "SMTP:zoe@child.example",
                                       "msExchHomeServerName",
                                       "/o=Contoso/cn=Servers/cn=EX0000",
                                       NULL};
    if (!f->catalogue) {
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, LDAP_NO_SUCH_OBJECT, "NameErr", "");
    } else if (memmem(raw, raw_len, "http/", 5)) {
        fake_owners(fd, id, true);
    } else {
        if (memmem(raw, raw_len, "zoe", 3))
            fake_entry(fd, id, "CN=zoe,CN=Users,DC=child,DC=contoso,DC=lab", user);
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
    }
}

static void fake_base(const struct fake *f, int fd, int id, const char *base, const char *attribute)
{
    static const char *const value[] = {"objectClass", "top", "url", "1", "url", "2", NULL};
    if (strstr(base, "CN=gone")) {
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, LDAP_NO_SUCH_OBJECT, NULL, NULL);
        return;
    }
    const char *range = strstr(attribute, ";range=");
    if (range)
        fake_names(f, fd, id, base, (int)strtol(range + 7, NULL, 10), false);
    else
        fake_entry(fd, id, base, value);
    fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, NULL);
}

static void fake_note(struct fake *f, int scope, const char *base, const char *raw, size_t raw_len)
{
    size_t n = strlen(f->asked);
    int head = snprintf(f->asked + n, sizeof f->asked - n, "%d %s|", scope, base);
    n += head > 0 && (size_t)head < sizeof f->asked - n ? (size_t)head : 0;
    for (size_t i = 0; i < raw_len && n + 2 < sizeof f->asked; i++)
        if (raw[i] >= ' ' && raw[i] <= '~')
            f->asked[n++] = raw[i];
    f->asked[n++] = '\n';
    f->asked[n] = '\0';
}

/* False: cut the connection. */
static bool fake_search(struct fake *f, int fd, int id, BerElement *ber, const char *raw, size_t raw_len)
{
    ber_int_t scope, deref, sizelimit, timelimit, typesonly;
    struct berval base, attribute = {0};
    char text[ENTRY_DN_MAX], wanted[100] = "";
    f->searches++;
    if (ber_scanf(ber, "{miiiib", &base, &scope, &deref, &sizelimit, &timelimit, &typesonly) == LBER_ERROR)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)base.bv_len, base.bv_val);
    ber_len_t len;
    ber_tag_t tag = ber_peek_tag(ber, &len);
    if (tag == LBER_ERROR || ber_scanf(ber, "x{") == LBER_ERROR) /* the filter, then the attributes */
        return false;
    if (ber_peek_tag(ber, &len) == LBER_OCTETSTRING && ber_scanf(ber, "m", &attribute) != LBER_ERROR)
        snprintf(wanted, sizeof wanted, "%.*s", (int)attribute.bv_len, attribute.bv_val);
    /* the cookie of the page control is a decimal number at the very end */
    static const char oid[] = LDAP_CONTROL_PAGEDRESULTS;
    const char *control = memmem(raw, raw_len, oid, sizeof oid - 1);
    int from = 0;
    if (control) {
        const char *p = raw + raw_len;
        while (p > control && p[-1] >= '0' && p[-1] <= '9')
            p--;
        for (; p < raw + raw_len; p++)
            from = from * 10 + (*p - '0');
    } else if (scope != LDAP_SCOPE_BASE) {
        f->unpaged++;
    }
    fake_note(f, scope, text, raw, raw_len);
    if (f->silent)
        return true;
    if (f->garbage) {
        send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
        return false;
    }
    if (scope == LDAP_SCOPE_BASE && !text[0]) {
        fake_root(f, fd, id);
    } else if (!text[0]) {
        fake_forest(f, fd, id, raw, raw_len);
    } else if (strcmp(text, "DC=child,DC=contoso,DC=lab") == 0 || strcmp(text, "DC=lab") == 0) {
        fake_forest(f, fd, id, raw, raw_len);
    } else if (scope == LDAP_SCOPE_BASE) {
        fake_base(f, fd, id, text, wanted);
    } else if (strncmp(text, "CN=Partitions,", 14) == 0) {
        fake_domains(f, fd, id, raw, raw_len);
    } else if (scope == LDAP_SCOPE_ONELEVEL) {
        static const char *const org[] = {"objectClass", "msExchOrganizationContainer", NULL};
        fake_entry(fd, id, FAKE_ORG, org);
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, 0, NULL, "");
    } else if (strstr(text, "CN=Sites")) {
        fake_result(fd, id, LDAP_RES_SEARCH_RESULT, f->sites_code, "no", "");
    } else if (strcmp(text, "DC=contoso,DC=lab") == 0) {
        size_t n = 0; /* strings of the filter, as they came */
        for (size_t i = 0; i < raw_len && n + 1 < sizeof f->filter_seen; i++)
            if (raw[i] >= ' ' && raw[i] <= '~')
                f->filter_seen[n++] = raw[i];
        f->filter_seen[n] = '\0';
        if (strstr(f->filter_seen, "http/"))
            fake_owners(fd, id, false);
        else if (strstr(f->filter_seen, "computer"))
            fake_computers(f, fd, id);
        else
            fake_users(f, fd, id);
    } else {
        return fake_organization(f, fd, id, from);
    }
    return true;
}

static bool fake_read(struct fake *f, int fd, char *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (f->over)
            return false;
        if (poll(&p, 1, 20) <= 0)
            continue;
        ssize_t got = recv(fd, to + at, n - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool fake_request(struct fake *f, int fd)
{
    static const size_t most = 1 << 20;
    char head[6];
    if (!fake_read(f, fd, head, 2))
        return false;
    size_t len = (unsigned char)head[1], more = len & 0x80 ? len & 0x7f : 0;
    if (more > 4 || (more && !fake_read(f, fd, head + 2, more)))
        return false;
    for (size_t i = 0, v = 0; more && i < more; i++)
        len = v = v << 8 | (unsigned char)head[2 + i];
    if (len > most)
        return false;
    char *body = malloc(len + 1);
    bool go_on = false;
    if (body && fake_read(f, fd, body, len)) {
        struct berval bv = {.bv_len = len, .bv_val = body};
        BerElement *ber = ber_init(&bv);
        ber_int_t id;
        ber_len_t inner;
        ber_scanf(ber, "i", &id);
        ber_tag_t op = ber_peek_tag(ber, &inner);
        if (op == LDAP_REQ_BIND) {
            fake_result(fd, id, LDAP_RES_BIND, f->bind_code, f->bind_text, NULL);
            fake_slow_ms = f->slow_ms;
            go_on = true;
        } else if (op == LDAP_REQ_SEARCH) {
            go_on = fake_search(f, fd, id, ber, body, len);
        } else {
            go_on = op == LDAP_REQ_ABANDON;
        }
        ber_free(ber, 1);
    }
    free(body);
    return go_on;
}

/* One client at a time: that is how the tests come. */
static void *fake_run(void *arg)
{
    struct fake *f = arg;
    while (!f->over) {
        struct pollfd p = {.fd = f->listener, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(f->listener, NULL, NULL);
        if (fd < 0)
            continue;
        f->connections++;
        fake_slow_ms = 0;
        while (fake_request(f, fd))
            ;
        close(fd);
    }
    return NULL;
}

static int fake_start(struct fake *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        listen(f->listener, 8) < 0 || getsockname(f->listener, (struct sockaddr *)&sa, &len) < 0)
        return -1;
    f->port = ntohs(sa.sin_port);
    return pthread_create(&f->thread, NULL, fake_run, f);
}

static void fake_stop(struct fake *f)
{
    f->over = true;
    pthread_join(f->thread, NULL);
    close(f->listener);
}

#endif
