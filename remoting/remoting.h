/*
 * Remoting: what carries a cmdlet to a server. Implements core/transport.h; knows no terminal.
 */
#ifndef REMOTING_REMOTING_H
#define REMOTING_REMOTING_H

#include "core/model/profile.h"
#include "core/transport.h"

/* SSH (libssh2): powershell -NoProfile -NonInteractive -EncodedCommand. Borrows the profile. ask:
   called when a host is not in known_hosts and ssh_new_host = ask (NULL: refuse), with the key's type and fingerprint; returns true to
   go on and remember. Secrets are resolved once, at creation. */
typedef bool remoting_ask_host_key(void *arg, const char *host, const char *key);
enum err remoting_ssh_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                          void *arg, struct errinfo *ei) MUST_CHECK;
/* WinRM's command shell (wsman.h): the same, through WS-Management. ask and arg are not used. */
enum err remoting_winrm_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                            void *arg, struct errinfo *ei) MUST_CHECK;
/* PowerShell remoting through WS-Management (psrp.h): objects, from Exchange's own endpoint unless psrp_configuration says otherwise. */
enum err remoting_psrp_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                           void *arg, struct errinfo *ei) MUST_CHECK;
/* Chooses for each server (auto.c): the section's via, else by version and what answers. Asks for secrets when first needed. */
enum err remoting_auto_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                           void *arg, struct errinfo *ei) MUST_CHECK;
/* By name: "ssh", "winrm", "psrp", "auto". NULL: what the profile says for all its servers, else "auto". ERR_USAGE with what there is. */
enum err remoting_transport_new(struct transport **out, const char *via, const struct profile *p,
                                remoting_ask_host_key *ask, void *arg, struct errinfo *ei) MUST_CHECK;

#endif
