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


def ask(lab, timeout=15.0, **request):
    """Sends one request and returns the answer. Raises LabError with the daemon's words where it refuses."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        try:
            s.connect(lab.control_socket)
            s.sendall(json.dumps(request).encode() + b'\n')
            data = b''
            while not data.endswith(b'\n') and len(data) < LIMIT:
                chunk = s.recv(65536)
                if not chunk:
                    break
                data += chunk
        except OSError as e:
            raise LabError(
                f'the web servers do not answer ({e}): see {lab.path("log", "cas.out")}, or run "lab up"'
            ) from None
    try:
        answer = json.loads(data)
    except ValueError:
        raise LabError('the web servers gave no answer') from None
    if 'error' in answer:
        raise LabError(answer['error'])
    return answer


class Starter:
    """Starts the daemon early, so that it loads its code while keys and databases are made, and lets it go
    when they are there.
    """

    def __init__(self, processes, name, claim):
        self.processes, self.name, lab = processes, name, processes.lab
        env = processes.environment(
            KRB5_CONFIG=lab.path('krb5.conf'),
            KRB5RCACHENAME='none:',
            KRB5CCNAME='MEMORY:lab',
            NTLM_USER_FILE=lab.path('cas', 'ntlm.users'),
        )
        argv = [
            sys.executable or '/usr/bin/python3',
            '-I',
            os.path.join(HERE, 'casbridge_lab', 'casd.py'),
            '--dir',
            lab.dir,
            '--claim',
            str(claim.fileno()),
        ]
        self.child = processes.start(name, argv, env=env, stdin=subprocess.PIPE, pass_fds=[claim.fileno()])

    def go(self):
        try:
            self.child.stdin.write(b'go\n')
            self.child.stdin.close()
        except BrokenPipeError:
            pass
        self.processes.wait_until(self.name, lambda: os.path.exists(self.processes.lab.control_socket))
