"""The other side of winrm.c: python3-winrm with the same command line. What to connect to is JSON on the first line of standard input;
then a line "kept N" or "fresh N" a turn, answered as winrm.c does.
"""
import json
import resource
import socket
import sys
import time

request = json.loads(sys.stdin.readline())
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve(request['hosts'].get(host, host), *rest, **more)

from winrm.protocol import Protocol  # noqa: E402


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


def once(p):
    """As winrm.Session.run_cmd does it, but for the code page, which is ours."""
    shell = p.open_shell(codepage=65001, noprofile=True)
    command = p.run_command(shell, request['line'])
    out, err, code = p.get_command_output(shell, command)
    p.cleanup_command(shell, command)
    p.close_shell(shell)
    if code != 0 or request['server'].encode() not in out:
        raise SystemExit(f'the command failed: {code}, {err[-300:]}')


kept = None
for line in sys.stdin:
    how, n = line.split()
    began, taken = cpu(), []
    for _ in range(int(n)):
        start = time.monotonic()
        if how == 'fresh' and kept:
            kept.transport.session.close()
            kept = None
        kept = kept or Protocol(request['url'], **request['options'])
        once(kept)
        taken.append((time.monotonic() - start) * 1000)
    print(json.dumps({'ms': taken, 'cpu_ms': cpu() - began}), flush=True)
