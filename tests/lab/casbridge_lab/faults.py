"""Misbehaviour on request: one file DIR/faults/SERVER, a knob a line, read anew each time unless look()
was called. README.md lists the knobs.
"""
import re
import time

KNOBS = {
    # the web service
    'http-delay': 'number',
    'http-silent': 'flag',
    'http-drop': 'flag',
    'http-503': 'flag',
    'no-poll': 'flag',
    'old-tls': 'flag',
    'rpc-recycle': 'number',
    # WinRM and Exchange's PowerShell virtual directory
    'winrm-drop-before': 'text',
    'winrm-drop-after': 'text',
    'winrm-deny-after': 'text',
    'winrm-fault': 'text',
    'winrm-slow': 'number',
    'winrm-delay': 'number',
    'winrm-idle-close': 'number',
    'winrm-close-after': 'number',
    'winrm-close-on': 'text',
    'winrm-max-shells': 'number',
    'winrm-max-commands': 'number',
    'winrm-max-envelope': 'number',
    'winrm-throttle': 'number',
    'winrm-redirect': 'text',
    'winrm-identity-change': 'flag',
    'winrm-allow-unencrypted': 'flag',
    'winrm-no-auth': 'flag',
    'winrm-plain-wrap': 'flag',
    'winrm-utf16': 'flag',
    'app': 'text',
    'plain': 'text',
    # the stand-in powershell
    'ssh-delay': 'number',
    'fail': 'text',
    'drop-before-write': 'flag',
    'drop-after-write': 'flag',
    'no-op': 'flag',
    # what the server says of itself
    'build': 'text',
    'no-hotfix': 'flag',
    'no-service': 'flag',
    'extended-protection': 'text',
}
_NUMBER = re.compile(r'[0-9]+(\.[0-9]+)?')


class Faults:
    def __init__(self, lab, server):
        self.path = lab.fault_file(server)
        self.seen = None

    def look(self):
        """From here to the next look() the knobs stay as they are now: for who asks for many at a time."""
        self.seen = None
        self.seen = self._read()

    def _read(self):
        if self.seen is not None:
            return self.seen
        try:
            with open(self.path, encoding='utf-8') as f:
                lines = f.read().splitlines()
        except OSError:
            return {}
        knobs = {}
        for line in lines:
            name, _, value = line.strip().partition(' ')
            if name and not name.startswith('#'):
                knobs[name] = value.strip()
        return knobs

    def unknown(self):
        """Knobs in the file that do not exist, or whose value is not of their kind: a typing error must
        not pass for a healthy server.
        """
        return sorted(
            name
            for name, value in self._read().items()
            if name not in KNOBS
            or (KNOBS[name] == 'number' and not _NUMBER.fullmatch(value))
            or (KNOBS[name] == 'text' and not value)
        )

    def has(self, name):
        assert name in KNOBS
        return name in self._read()

    def text(self, name):
        assert KNOBS[name] == 'text'
        return self._read().get(name)

    def number(self, name):
        assert KNOBS[name] == 'number'
        value = self._read().get(name, '')
        return float(value) if _NUMBER.fullmatch(value) else 0.0

    def wait(self, name):
        """So many seconds, or until the file says that it was long enough."""
        begun = time.monotonic()
        while (left := begun + self.number(name) - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
