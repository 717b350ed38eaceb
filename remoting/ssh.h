/*
 * What the choice between the ways (auto.c) knows of SSH besides the transport itself.
 */
#ifndef REMOTING_SSH_H
#define REMOTING_SSH_H

#include "core/transport.h"

/* The SSH transport's run() on a connection to the server's port that stands already: own_fd, non-blocking, consumed also on error. A
   connection made only to see whether somebody answers costs the server a process, and a line of complaint in its log. */
enum err ssh_run_connected(struct transport *ssh, int own_fd, const struct remote_target *target,
                           const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                           struct errinfo *ei);

#endif
