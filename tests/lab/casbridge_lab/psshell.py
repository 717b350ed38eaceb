"""What every Exchange cmdlet needs: finding objects by the identities PowerShell takes, writing what
differs, and the faults on request.
"""
import os
import re
import signal
import uuid

from . import control, org
from .directory import number, text
from .faults import Faults
from .layout import DC_FQDN, LabError
from .naming import server_dn, server_legacy_dn
from .pserror import CmdletError


def flag_names(flags):
    return [name for name, flag in org.METHOD_FLAGS.items() if flags & flag]


def flag_sum(names):
    total = 0
    for name in names:
        total |= org.METHOD_FLAGS.get(name, 0)
    return total


def object_version_text(value):
    if value is None:
        return ''
    return (
        f'0.{value >> 42 & 0xFF} '
        f'({value >> 34 & 0xFF}.{value >> 26 & 0xFF}.{value >> 10 & 0xFFFF}.{value & 0x3FF})'
    )


def invalid(message, identifier, cmdlet, target=''):
    return CmdletError(
        message,
        f'{identifier},Microsoft.Exchange.Management.{cmdlet}',
        'InvalidOperation',
        target,
        'String' if target else '',
        'InvalidOperationException',
    )


class ShellBase:
    """One server's shell."""

    def __init__(self, lab, server, directory):
        self.lab, self.server, self.directory = lab, server, directory
        self.faults = Faults(lab, server.name)
        self.warnings = []

    # ---- finding things

    def missing(self, cmdlet, identity):
        words = f"object '{identity}' couldn't be found on '{DC_FQDN}'"
        if self.server.generation == 2007:
            words = f"object '{identity}' could not be found on domain controller '{DC_FQDN}'"
        couldnt = 'could not' if self.server.generation == 2007 else "couldn't"
        words = f'The operation {couldnt} be performed because {words}.'
        return CmdletError(
            words,
            f'5E0A6A5,Microsoft.Exchange.Management.SystemConfigurationTasks.{cmdlet.name.replace("-", "")}',
            'InvalidData',
            exception='ManagementObjectNotFoundException',
        )

    def find_server(self, cmdlet, identity):
        """By name, FQDN, DN, or legacy DN."""
        for s in org.SERVERS:
            if identity.lower() in (
                s.name.lower(),
                s.fqdn,
                server_dn(s.name).lower(),
                server_legacy_dn(s.name).lower(),
            ):
                return s
        raise self.missing(cmdlet, identity)

    def vdirs(self, kind, s=None):
        rows = self.directory.vdirs(server_dn(s.name) if s else None)
        wanted = f'msexch{kind}virtualdirectory'.lower().encode()
        return [(dn, e) for dn, e in rows if wanted in [c.lower() for c in e['objectClass']]]

    @staticmethod
    def owner(dn):
        return org.server(dn.lower().partition(',cn=http,cn=protocols,cn=')[2].partition(',')[0])

    def find_vdirs(self, cmdlet, kind, identity):
        """SERVER\\Name, Name (with * at its end for any web site), DN or GUID."""
        rows = self.vdirs(kind)
        lower = identity.lower()
        try:
            wanted = uuid.UUID(lower).bytes_le
            found = [r for r in rows if r[1]['objectGUID'][0] == wanted]
        except ValueError:
            if lower.startswith('cn='):
                found = [
                    r for r in rows if re.sub(r'\s*,\s*', ',', r[0].lower()) == re.sub(r'\s*,\s*', ',', lower)
                ]
            else:
                owner, backslash, name = lower.rpartition('\\')
                rows = [r for r in rows if not backslash or self.owner(r[0]) is org.server(owner)]
                found = [
                    r
                    for r in rows
                    if text(r[1], 'cn').lower() == name
                    or (name.endswith('*') and text(r[1], 'cn').lower().startswith(name[:-1]))
                ]
        if not found:
            raise self.missing(cmdlet, identity)
        return found

    # ---- changing things

    def write(self, change):
        """Runs the change unless a fault says otherwise; faults.py has the knobs."""
        if self.faults.has('drop-before-write'):
            drop_connection()
        if not self.faults.has('no-op'):
            change()
        if self.faults.has('drop-after-write'):
            drop_connection()

    def unchanged(self, shown):
        words = f"The command completed successfully but no settings of '{shown}' have been modified."
        self.warnings.append(words)

    def set_attributes(self, dn, entry, changes, shown, values):
        """Writes what differs. Attribute values are texts, or None to delete."""
        current = {
            name.lower(): sorted(v.decode(errors='surrogateescape') for v in vs) for name, vs in entry.items()
        }
        differing = {}
        for name, value in changes.items():
            wanted = (
                sorted(map(str, value)) if isinstance(value, list) else [] if value is None else [str(value)]
            )
            if current.get(name.lower(), []) != wanted:
                differing[name] = wanted or None
        if not differing:
            return False
        if not values.get('WhatIf'):
            self.write(lambda: self.directory.modify(dn, differing))
        return True

    def must_be_writable(self, dn, entry):
        mine = org.OBJECT_VERSION[min(self.server.generation, 2013)]
        theirs = number(entry, 'msExchVersion')
        if theirs is not None and theirs > mine:
            raise CmdletError(
                f"The object '{text(entry, 'cn')}' is read-only because it was created by a later version "
                "of Exchange: "
                f'{object_version_text(theirs)}. Current supported version is {object_version_text(mine)}.',
                'B4C4E93,Microsoft.Exchange.Management',
                'InvalidOperation',
                exception='InvalidObjectOperationException',
            )

    def tell_iis(self, **request):
        """The cmdlets of all but Outlook Anywhere write IIS themselves."""
        try:
            control.ask(self.lab, **(request or {'command': 'refresh'}))
        except LabError:
            pass  # no web service runs: nothing to tell


def drop_connection():
    """Ends the session that runs us, without a word: what a cable does. By SSH it is the sshd above us; by WinRM
    whoever waits for us (the engine, if it is between) takes our sudden death for that.
    """
    pid, engine = os.getpid(), None
    while pid > 1:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
            stat = f.read()
        name, parent = stat[stat.index('(') + 1 : stat.rindex(')')], int(stat.rpartition(')')[2].split()[1])
        if name.startswith('sshd'):
            os.kill(pid, signal.SIGKILL)
            break
        if name == 'pwsh':
            engine = pid
        pid = parent
    else:
        os.kill(engine or os.getpid(), signal.SIGKILL)
    os._exit(1)
