/*
 * Judgements of one object from the directory alone, shared by rules (which add wire, IIS and host) and routes
 * (preconditions of a hop). TRI_UNKNOWN wherever the directory does not say it. Pure.
 */
#ifndef CORE_RULES_JUDGE_H
#define CORE_RULES_JUDGE_H

#include "core/model/org.h"

/* Methods that make IIS offer Windows authentication (Negotiate and NTLM): admin-tools.md 7.1. */
#define JUDGE_WINDOWS (AUTH_NTLM | AUTH_WINDOWS | AUTH_NEGOTIATE | AUTH_KERBEROS)

/* An Rpc virtual directory below the server: on 2007/2010 it exists only when Outlook Anywhere was enabled (directory.md 8.4). */
enum tri judge_oa_is_enabled(const struct server *s);
/* The IIS methods of its Outlook Anywhere include NTLM or another that turns Windows authentication on. */
enum tri judge_oa_has_windows(const struct vdir *v);
/* The same of any virtual directory; unknown when the directory does not say. */
enum tri judge_has_windows(const struct vdir *v);
/* Its external host name is one of names; unknown when n is 0. */
enum tri judge_oa_has_name(const struct vdir *v, const char *const *names, size_t n);
/* Forms authentication: bit Fba in either attribute. */
enum tri judge_has_fba(const struct vdir *v);
/* 2010 OWA, ECP, EAS: an internal URL, without which the new CAS does not choose this server (routing.md 3.6). */
enum tri judge_has_internal_url(const struct server *s, enum protocol p);
/* 2007 RTM (8.0): no IISAuthenticationMethods, always Basic and NTLM (cmdlets.md 2.1). */
bool judge_is_2007_rtm(const struct server *s);
/* Windows Server 2008 R2 from operatingSystemVersion "6.1 (7601)". */
enum tri judge_is_2008r2(const struct server *s);
/* A host name of the organisation's servers: equal to the server's FQDN or short name. */
bool judge_is_own_name(const struct server *s, const char *host);

#endif
