"""Between the command line and the daemon that plays the web servers: one JSON line each way over a Unix
socket.
"""
import json
import os
import socket
import subprocess
import sys

from .layout import HERE, LabError

LIMIT = 1 << 20


def ask(lab, timeout=15.0, socket_path=None, **request):
    """Sends one request and returns the answer. Raises LabError with the daemon's words where it refuses."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        try:
            s.connect(socket_path or lab.control_socket)
            s.sendall(json.dumps(request).encode() + b'\n')
            data = b''
            while not data.endswith(b'\n') and len(data) < LIMIT:
                chunk = s.recv(65536)
                if not chunk:
                    break
                data += chunk
        except OSError as e:
            raise LabError(
                f'a daemon does not answer ({e}): see cas.out and winrm.out in {lab.path("log")}, or run "lab up"'
            ) from None
    try:
        answer = json.loads(data)
    except ValueError:
        raise LabError('a daemon gave no answer') from None
    if 'error' in answer:
        raise LabError(answer['error'])
    return answer


class Starter:
    """Starts a daemon early, so that it loads its code while keys and databases are made, and lets it go
    when they are there.
    """

    def __init__(self, processes, name, program, socket_path, claim=None):
        self.processes, self.name, lab = processes, name, processes.lab
        self.socket_path = socket_path
        env = processes.environment(
            KRB5_CONFIG=lab.path('krb5.conf'),
            KRB5RCACHENAME='none:',
            KRB5CCNAME='MEMORY:lab',
            NTLM_USER_FILE=lab.path('cas', 'ntlm.users'),
        )
        argv = [
            sys.executable or '/usr/bin/python3',
            '-I',
            os.path.join(HERE, 'casbridge_lab', program),
            '--dir',
            lab.dir,
        ]
        fds = []
        if claim is not None:
            fds = [claim.fileno()]
            argv += ['--claim', str(claim.fileno())]
        self.child = processes.start(name, argv, env=env, stdin=subprocess.PIPE, pass_fds=fds)

    def go(self):
        """Does not wait: wait() does."""
        try:
            self.child.stdin.write(b'go\n')
            self.child.stdin.close()
        except BrokenPipeError:
            pass

    def wait(self):
        self.processes.wait_until(self.name, lambda: os.path.exists(self.socket_path))
