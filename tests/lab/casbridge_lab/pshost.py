"""The stand-in powershell.exe: takes one -EncodedCommand as sshd hands it over, reads it strictly, runs
the cmdlets, and writes what Windows PowerShell would write. Also the back end of LabExchange.psm1,
which gives PowerShell's own engine the same cmdlets.
"""
import base64
import binascii
import json
import re
import sys

import ldap

from . import cmdlet_table, pserror, psread
from .cmdlets import Shell
from .directory import Directory
from .faults import Faults
from .layout import LabError
from .psbind import bind
from .pserror import CmdletError, CommandNotFound

COMMAND_LINE = re.compile(
    r'\s*powershell(?:\.exe)?\s+-NoProfile\s+-NonInteractive(?:\s+-ExecutionPolicy\s+Bypass)'
    r'?\s+-EncodedCommand\s+(\S+)\s*',
    re.I,
)
SERVICE = 'msexchangeservicehost'
OEM = 'cp437'


BUILT_IN = {'add-pssnapin': '_add_snapin', 'restart-service': '_restart_service'}


def run_cmdlet(shell, cmdlet, values):
    """A directory that fails is an error record too."""
    try:
        return shell.run(cmdlet, values)
    except ldap.SERVER_DOWN:
        raise CmdletError(
            'Active Directory server dc1.contoso.lab is not available. Error message: A local error '
            'occurred.',
            'C6E8B1D,Microsoft.Exchange.Management',
            'NotSpecified',
            exception='ADTransientException',
        ) from None
    except ldap.LDAPError as e:
        words = e.args[0].get('desc', '') if e.args and isinstance(e.args[0], dict) else str(e)
        raise CmdletError(
            'Active Directory operation failed on dc1.contoso.lab. This error is not retriable. Additional '
            f'information: {words}.',
            'B8F3C7A,Microsoft.Exchange.Management',
            'NotSpecified',
            exception='ADOperationException',
        ) from None


class Stop(Exception):
    """The script ends here."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Host:
    def __init__(self, lab, server, encoding=None):
        self.server = server
        self.shell = Shell(lab, server, Directory(lab))
        self.cmdlets = cmdlet_table.cmdlets(server.generation)
        self.snapins = set()
        self.out, self.errors = [], []
        self.encoding, self.stop_on_error, self.progress = encoding or OEM, False, True
        self.succeeded = True

    # ---- a whole script

    def run(self, script):
        """Exit code; output in `out`, error lines in `errors`."""
        try:
            statements = psread.read(script)
        except psread.ParseError as e:
            line, character, source = psread.position(script, e.at)
            self.errors += pserror.parse_lines(e, line, character, source)
            return 1
        try:
            for statement in statements:
                self._statement(script, statement)
        except Stop as end:
            return end.code
        return 0 if self.succeeded else 1

    def _statement(self, script, s):
        if isinstance(s, psread.Exit):
            raise Stop(0 if s.code is None else s.code & 0xFFFFFFFF if s.code < 0 else s.code)
        if isinstance(s, psread.Assignment):
            self._assign(s)
            return
        try:
            self._command(s)
            self.succeeded = True
        except CmdletError as e:
            self.succeeded = False
            line, character, source = psread.position(script, s.at)
            self.errors += pserror.lines(e, s.name, line, character, source, s.end - s.at)
            if self.stop_on_error or e.stops:
                raise Stop(1) from None

    def _assign(self, s):
        value = str(s.value).lower()
        if s.name == 'encoding':
            self.encoding = 'utf-8'
        elif s.name == 'progresspreference':
            self.progress = value != 'silentlycontinue'
        elif s.name == 'erroractionpreference':
            self.stop_on_error = value == 'stop'

    def _command(self, s):
        """Runs a cmdlet; a CmdletError is marked when -ErrorAction makes it end the script."""
        lower = s.name.lower()
        if lower in BUILT_IN:
            getattr(self, BUILT_IN[lower])(s)
            return
        if lower not in self.cmdlets or not self.snapins:
            raise CommandNotFound(s.name)
        cmdlet = self.cmdlets[lower]
        values = bind(cmdlet, s.arguments, self.server.generation)
        try:
            for item in run_cmdlet(self.shell, cmdlet, values):
                self._show(item)
        except CmdletError as e:
            e.stops = str(values.get('erroraction', '')).lower() == 'stop'
            raise
        finally:
            if str(values.get('warningaction', '')).lower() not in ('silentlycontinue', 'ignore'):
                self.out += [w if w.startswith('What if:') else f'WARNING: {w}' for w in self.shell.warnings]
            self.shell.warnings.clear()

    def _simple(self, s, cmdlet):
        return bind(cmdlet, s.arguments, self.server.generation)

    def _add_snapin(self, s):
        P = cmdlet_table.Parameter
        cmdlet = cmdlet_table.Cmdlet('Add-PSSnapin', {'name': P('Name', 'server', True)})
        values = self._simple(s, cmdlet)
        name = next(
            (n for n in cmdlet_table.SNAPINS[self.server.generation] if n.lower() == values['Name'].lower()),
            None,
        )
        if name is None or name in self.snapins:
            words = (
                f"The Windows PowerShell snap-in '{values['Name']}' is not installed on this machine."
                if name is None
                else f'Cannot add Windows PowerShell snap-in {name} because it is already added. Verify the '
                'name of the snap-in and try again.'
            )
            e = CmdletError(
                words,
                'AddPSSnapInRead,Microsoft.PowerShell.Commands.AddPSSnapinCommand',
                'InvalidArgument',
                values['Name'],
                'String',
                'PSArgumentException',
            )
            e.stops = str(values.get('erroraction', '')).lower() == 'stop'
            raise e
        self.snapins.add(name)

    def _restart_service(self, s):
        P = cmdlet_table.Parameter
        cmdlet = cmdlet_table.Cmdlet(
            'Restart-Service', {'name': P('Name', 'server', True), 'force': P('Force', 'switch', False)}
        )
        values = self._simple(s, cmdlet)
        if values['Name'].lower() != SERVICE:
            raise CmdletError(
                f"Cannot find any service with service name '{values['Name']}'.",
                'NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.RestartServiceCommand',
                'ObjectNotFound',
                values['Name'],
                'String',
                'ServiceCommandException',
            )
        if self.server.web:
            self.shell.tell_iis(command='poll', server=self.server.name)

    # ---- output

    def _show(self, item):
        """As Format-List does; a text as it is."""
        if isinstance(item, str):
            self.out.append(item)
            return
        width = max(map(len, item))
        self.out.append('')
        self.out += [f'{name:<{width}} : {_shown(value)}'.rstrip() for name, value in item.items()]
        self.out.append('')

    def flush(self):
        """Writes both streams as bytes, with Windows' line ends."""
        data = ''.join(line + '\r\n' for line in self.out)
        sys.stdout.buffer.write(data.encode(self.encoding, 'replace'))
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(pserror.clixml(self.errors, self.progress).encode('utf-8'))
        sys.stderr.buffer.flush()


def _shown(value):
    if value is None:
        return ''
    if isinstance(value, (list, tuple)):
        return '{' + ', '.join(map(str, value)) + '}'
    return str(value)


def encoded_command(line):
    """The script of a command line. Raises LabError with what cmd.exe or powershell.exe would say."""
    match = COMMAND_LINE.fullmatch(line)
    if match is None:
        raise LabError(
            f"'{line.split()[0] if line.split() else ''}' is not recognized as an internal or external "
            "command,\r\n"
            'operable program or batch file. (The stand-in takes powershell -NoProfile -NonInteractive '
            '[-ExecutionPolicy Bypass] '
            '-EncodedCommand BASE64.)'
        )
    try:
        return base64.b64decode(match[1], validate=True).decode('utf-16-le')
    except (binascii.Error, UnicodeDecodeError):
        raise LabError(
            'Cannot process the command because the value specified with -EncodedCommand is not properly '
            'encoded. '
            'The value must be Base64 encoded.'
        ) from None


def serve(lab, server, line, delay_knob='ssh-delay', encoding=None):
    """One command line over SSH or WinRM. Returns the exit code."""
    Faults(lab, server.name).wait(delay_knob)
    try:
        script = encoded_command(line)
    except LabError as e:
        sys.stderr.write(f'{e}\r\n')
        return 1
    host = Host(lab, server, encoding)
    code = host.run(script)
    host.flush()
    return code & 0xFF


# ---- the same cmdlets for PowerShell's own engine

_TYPES = {
    'bool': 'bool',
    'switch': 'switch',
    'int': 'int',
    'uri': 'uri',
    'texts': 'string[]',
    'method': 'LabAuthenticationMethod',
    'methods': 'LabAuthenticationMethod[]',
    'token': 'LabProtectionMode',
    'flags': 'LabProtectionFlag[]',
}


def module_text(server):
    """Functions with typed parameters, one for each cmdlet of the server's version, to be defined by
    LabExchange.psm1.
    """
    generation = server.generation
    out = [
        f'enum LabAuthenticationMethod {{ {"; ".join(cmdlet_table.METHODS[generation])} }}',
        f'enum LabProtectionMode {{ {"; ".join(cmdlet_table.ALLOWED["token"])} }}',
        f'enum LabProtectionFlag {{ {"; ".join(cmdlet_table.ALLOWED["flags"])} }}',
    ]
    for cmdlet in cmdlet_table.cmdlets(generation).values():
        parameters = []
        for p in cmdlet.parameters.values():
            if p.name in ('WhatIf', 'Confirm'):
                continue
            position = ', Position = 0' if p.kind in ('id', 'server') and not parameters else ''
            parameters.append(
                f'[Parameter(Mandatory = ${str(p.mandatory).lower()}{position})] '
                f'[{_TYPES.get(p.kind, "string")}] ${p.name}'
            )
        impact = (
            f'SupportsShouldProcess, ConfirmImpact = \'{"High" if cmdlet.asks else "Medium"}\''
            if cmdlet.changes
            else ''
        )
        out.append(
            f'function {cmdlet.name} {{ [CmdletBinding({impact})] param({", ".join(parameters)})\n'
            + (
                f'    if (-not $PSCmdlet.ShouldProcess("{cmdlet.name}")) {{ return }}\n'
                if cmdlet.changes
                else ''
            )
            + f"    Invoke-LabCmdlet '{cmdlet.name}' $PSBoundParameters $PSCmdlet\n}}"
        )
    return '\n'.join(out) + '\n'


def invoke(lab, server, request):
    """One bound cmdlet as JSON {name, values}; answers {objects, warnings, error}. Values were typed by
    the real binder.
    """
    cmdlet = cmdlet_table.cmdlets(server.generation).get(str(request.get('name', '')).lower())
    if cmdlet is None:
        return {
            'error': {
                'message': 'no such cmdlet',
                'id': 'CommandNotFoundException',
                'category': 'ObjectNotFound',
            }
        }
    shell = Shell(lab, server, Directory(lab))
    values = {
        cmdlet.parameters[k.lower()].name: v
        for k, v in request.get('values', {}).items()
        if k.lower() in cmdlet.parameters
    }
    values.setdefault('Confirm', False)  # the engine has asked already
    try:
        objects = run_cmdlet(shell, cmdlet, values)
    except CmdletError as e:
        return {'error': e.record(cmdlet.name), 'warnings': shell.warnings}
    return {'objects': objects, 'warnings': shell.warnings}


def invoke_from_standard_input(lab, server):
    request = json.loads(base64.b64decode(sys.stdin.read()))
    sys.stdout.write(json.dumps(invoke(lab, server, request)) + '\n')
    return 0
