"""What we send over SSH must be PowerShell to PowerShell: our client against a real sshd that hands every command to PowerShell's own
engine (../shared/peers), where a module stands in for Exchange's cmdlets and writes down what the binder gave it."""
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import tarfile
import time

import pytest

from conftest import PROGRAM, ROOT, SHARED, clean_env

PEER = SHARED / 'peers/pwsh.tar.xz'
RECORDED = SHARED / 'fixtures/pwsh/parse.jsonl'
PUSH = PROGRAM.parent / 'tests/integration/push'
PWSH = ROOT / 'build/peers/pwsh/pwsh'
SNAPINS = ('Microsoft.Exchange.Management.PowerShell.Admin:Microsoft.Exchange.Management.PowerShell.E2010:'
           'Microsoft.Exchange.Management.PowerShell.SnapIn')
EXTRA = 58  # parameters besides the two of the real cmdlet: each start of PowerShell costs half a second

pytestmark = [pytest.mark.skipif(not PEER.exists(), reason='no ../shared/peers'),
              pytest.mark.skipif(not os.path.exists('/usr/sbin/sshd'), reason='no sshd')]

MODULE = r"""
function Set-OutlookAnywhere {
    [CmdletBinding()] param(
        [Parameter(Mandatory=$true, Position=0)][AllowEmptyString()][string]$Identity, [AllowEmptyString()][string]$ExternalHostname,
        [AllowEmptyCollection()][AllowEmptyString()][string[]]$IISAuthenticationMethods, [string]$ClientAuthenticationMethod,
        [bool]$SSLOffloading, [switch]$WhatIfLike, [long]$Number, [AllowNull()][object]$Nothing,
%s)
    [IO.File]::AppendAllText("$env:PUSH_DIR/ran", "Set-OutlookAnywhere`n")
    $PSCmdlet.WriteVerbose('Looking for the virtual directory.')
    if ($Identity -eq 'warn') { Write-Warning "It takes up to fifteen minutes until IIS follows; until then clients of this server are asked again and again." }
    if ($Identity -eq 'gone') {
        $e = [InvalidOperationException]::new("The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'.")
        $PSCmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($e, '8EBB9CC0', 'InvalidArgument', 'gone'))
    }
    $PSBoundParameters | ConvertTo-Json -Compress -Depth 3
}
# Part of every PowerShell, but not of the bare engine.
function Invoke-Expression { param([Parameter(Mandatory=$true)][string]$Command) & ([ScriptBlock]::Create($Command)) }
""" % ',\n'.join(f'        [AllowEmptyString()][string]$V{i}' for i in range(EXTRA))

STANDIN = """#!/bin/sh
# The words of the command are split as the server's shell would split them; none of them needs quoting.
set -f
set -- $SSH_ORIGINAL_COMMAND
[ "$1" = powershell ] || exit 127
shift
export HOME={dir} DOTNET_EnableDiagnostics=0 PUSH_DIR={dir} PWSH_STDERR=clixml PWSH_IMPORT={dir}/exchange.psm1 PWSH_SNAPINS="$(cat {dir}/snapins)"
exec {pwsh} "$@"
"""


def unpack():
    """Once for all runs; a name of its own until it is whole."""
    if PWSH.exists():
        return
    partial = ROOT / f'build/peers.{os.getpid()}'
    with tarfile.open(PEER) as tar:
        tar.extractall(partial)
    PWSH.parents[1].mkdir(parents=True, exist_ok=True)
    try:
        (partial / 'pwsh').rename(PWSH.parent)
    except OSError:
        pass  # another run was first
    subprocess.run(['rm', '-rf', str(partial)], check=True)


class Server:
    def __init__(self, directory, commands='ForceCommand exec {dir}/standin', profile=''):
        """commands: what sshd_config says about them; profile: more lines for ours."""
        self.dir = directory
        with socket.create_server(('127.0.0.1', 0)) as s:
            self.port = s.getsockname()[1]
        for name in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(directory / name)], check=True)
        (directory / 'authorized').write_text((directory / 'user.pub').read_text())
        (directory / 'known_hosts').write_text(f'[excas01.contoso.lab]:{self.port} ' + (directory / 'host.pub').read_text())
        (directory / 'exchange.psm1').write_text(MODULE)
        (directory / 'snapins').write_text(SNAPINS)
        (directory / 'standin').write_text(STANDIN.format(dir=directory, pwsh=PWSH))
        (directory / 'standin').chmod(0o755)
        (directory / 'sshd_config').write_text(
            f'ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {directory}/host\nPidFile none\nStrictModes no\nUsePAM no\n'
            f'PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n'
            f'AuthorizedKeysFile {directory}/authorized\n{commands.format(dir=directory, pwsh=PWSH)}\n')
        (directory / 'config.ini').write_text(
            f'[test]\nssh_user = {pwd.getpwuid(os.getuid()).pw_name}\nssh_key = {directory}/user\nssh_port = {self.port}\n'
            f'ssh_known_hosts = {directory}/known_hosts\nhost.excas01.contoso.lab = 127.0.0.1\n{profile}')
        (directory / 'config.ini').chmod(0o600)
        self.made_run = os.getuid() == 0 and not os.path.isdir('/run/sshd')
        if self.made_run:
            os.mkdir('/run/sshd', 0o755)
        with open(directory / 'sshd.log', 'w') as log:
            self.process = subprocess.Popen(['/usr/sbin/sshd', '-D', '-e', '-f', str(directory / 'sshd_config')], stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise AssertionError((directory / 'sshd.log').read_text())

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.made_run:
            os.rmdir('/run/sshd')

    def push(self, cases, config='config.ini'):
        lines = ''.join(json.dumps({'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010',
                                    'cmdlet': 'Set-OutlookAnywhere', **case}) + '\n' for case in cases)
        done = subprocess.run([str(PUSH), str(self.dir / config)], input=lines, capture_output=True, text=True, timeout=120,
                              env=clean_env())
        assert done.returncode == 0, done.stderr
        assert 'Sanitizer' not in done.stderr, done.stderr
        return [json.loads(line) for line in done.stdout.split('\n')[:-1]]

    def ran(self):
        try:
            return len((self.dir / 'ran').read_text().splitlines())
        except FileNotFoundError:
            return 0


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    if not PUSH.exists():
        subprocess.run(['make', '-s', f'CONFIG={PROGRAM.parent.name}', str(PUSH.relative_to(ROOT))], cwd=ROOT, check=True)
    unpack()
    one = Server(tmp_path_factory.mktemp('pwsh'))
    try:
        yield one
    finally:
        one.stop()


def hostile_values():
    """Every value PowerShell was ever asked about, and some more."""
    values = ['--%', '-', '--', '-Identity', '\u2013x', '\u2014', '\u2015%', '-- %', "'", "''", '\u2018\u2019\u201a\u201b', "x'\u2019; calc; '",
              '$(calc)', '${x}', '`', '`n', '"', '\u201c\u201d\u201e', '%PATH%', '!x!', '^&|<>', ';', '#', '<#', '#>', '@(', '@{', '&{calc}',
              '\r', '\n', '\r\n', '\t', '\x01\x1f\x7f', '\u0085', '\u2028\u2029', '\u00a0', '\u200b\u202e', '\ufeff', '\ufffd', '\U0001f600',
              '\U0010ffff', '\U0001fffe', 'e\u0301', '\u00e4\u00f6\u00fc\u00df', 'a' * 300, ' ', '  lead', 'trail  ', '\\', '\\\\', "\\'", '/*',
              'EXCAS01\\Rpc (Default Web Site)', '[a]', '*', '?', '$null', '$true', '0x10', '1e3', '5', '', 'CON']
    if RECORDED.exists():
        for line in RECORDED.read_bytes().split(b'\n')[:-1]:
            bound = json.loads(line)['bound'] or {}
            value = bound.get('Identity')
            if isinstance(value, str) and '\0' not in value and value.encode('utf-8', 'replace').decode() == value:
                values.append(value)
    return list(dict.fromkeys(values))


def test_hostile_values(server):
    values = hostile_values()
    assert len(values) >= 230
    names = ['Identity', 'ExternalHostname'] + [f'V{i}' for i in range(EXTRA)]
    cases, want = [], []
    for at in range(0, len(values), len(names)):
        part = values[at:at + len(names)]
        # each run begins somewhere else, so that the real parameters meet values of every kind
        bound = dict(zip(names, part))
        cases.append({'params': [[n, 'string', v] for n, v in bound.items()] + [['IISAuthenticationMethods', 'list', part]]})
        want.append({**bound, 'IISAuthenticationMethods': part})
    before = server.ran()
    for case, expected, got in zip(cases, want, server.push(cases), strict=True):
        assert got['err'] == 'OK' and got['exit_code'] == 0 and got['errors'] == [] and got['ok'], got
        assert json.loads(got['output']) == expected
    assert server.ran() - before == len(cases)


def test_the_real_parameters(server):
    """Each of these alone as -Identity and -ExternalHostname: the first value of a command is read in another state than the others."""
    values = ['--%', '\u2013x', "x'\u2019; Get-Item /; '", '$(calc)`"', '\r\nSet-OutlookAnywhere -Identity \'y\'', '\U0001f600']
    cases = [{'params': [['Identity', 'string', a], ['ExternalHostname', 'string', b]]}
             for a, b in zip(values, values[1:] + values[:1])]
    for case, got in zip(cases, server.push(cases), strict=True):
        assert got['ok'], got
        assert json.loads(got['output']) == {n: v for n, _, v in case['params']}
        assert len(got['text']) < 400  # on the command line, not on standard input


def test_each_kind(server):
    params = [['Identity', 'string', 'EXCAS01\\Rpc (Default Web Site)'], ['ClientAuthenticationMethod', 'word', 'Basic'],
              ['IISAuthenticationMethods', 'words', ['Basic', 'NTLM']], ['SSLOffloading', 'bool', False], ['WhatIfLike', 'switch', None],
              ['Number', 'int', -5], ['Nothing', 'null', None]]
    got, dashes, small, large = server.push([
        {'params': params},
        {'params': [params[0], ['IISAuthenticationMethods', 'list', ['--%', '-b', '--%']], ['ExternalHostname', 'string', 'after']]},
        {'params': [params[0], ['Number', 'int', -2**62]]},
        {'params': [params[0], ['Number', 'int', 2**62]]}])
    assert got['text'] == ("Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -ClientAuthenticationMethod Basic "
                           "-IISAuthenticationMethods Basic,NTLM -SSLOffloading:$false -WhatIfLike -Number:-5 -Nothing $null")
    assert json.loads(got['output']) == {'Identity': 'EXCAS01\\Rpc (Default Web Site)', 'ClientAuthenticationMethod': 'Basic',
                                         'IISAuthenticationMethods': ['Basic', 'NTLM'], 'SSLOffloading': False, 'WhatIfLike': True,
                                         'Number': -5, 'Nothing': None}
    assert json.loads(dashes['output']) == {'Identity': params[0][2], 'IISAuthenticationMethods': ['--%', '-b', '--%'],
                                            'ExternalHostname': 'after'}
    assert json.loads(small['output'])['Number'] == -2**62 and json.loads(large['output'])['Number'] == 2**62


def test_a_script_too_long_for_the_command_line(server):
    value = 'h\u00e4\u2019' * 2500
    got, = server.push([{'params': [['Identity', 'string', 'x'], ['ExternalHostname', 'string', value]]}])
    assert got['ok'], got
    assert json.loads(got['output']) == {'Identity': 'x', 'ExternalHostname': value}


def test_errors_and_warnings(server):
    warned, gone, unknown, missing = server.push([
        {'params': [['Identity', 'string', 'warn']]},
        {'params': [['Identity', 'string', 'gone']]},
        {'params': [['Identity', 'string', 'x'], ['NoSuchParameter', 'string', 'y']]},
        {'cmdlet': 'Set-NoSuchThing', 'params': [['Identity', 'string', 'x']]}])
    assert warned['ok'] and warned['warnings'] == [
        'It takes up to fifteen minutes until IIS follows; until then clients of this server are asked again and again.']
    assert json.loads(warned['output']) == {'Identity': 'warn'}
    assert not gone['ok'] and gone['exit_code'] == 1 and gone['err'] == 'OK' and gone['output'] is None
    assert gone['errors'] == [{'message': "The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'.",
                               'id': '8EBB9CC0,Set-OutlookAnywhere', 'category': 'InvalidArgument', 'target': 'gone'}]
    assert unknown['exit_code'] == 1 and unknown['errors'][0]['id'] == 'NamedParameterNotFound,Set-OutlookAnywhere'
    assert 'NoSuchParameter' in unknown['errors'][0]['message']
    assert missing['exit_code'] == 1 and missing['errors'][0]['id'] == 'CommandNotFoundException'
    assert missing['errors'][0]['target'] == 'Set-NoSuchThing'


def test_what_it_says_besides(server):
    got, = server.push([{'params': [['Identity', 'string', 'x'], ['Verbose', 'switch', None]]}])
    assert got['ok'] and got['verbose'] == ['Looking for the virtual directory.'] and got['warnings'] == got['debug'] == []
    assert json.loads(got['output'])['Identity'] == 'x'


def test_without_its_snapin_the_cmdlet_does_not_run(server):
    before = server.ran()
    (server.dir / 'snapins').write_text('Microsoft.Exchange.Management.PowerShell.Admin')
    try:
        got, right = server.push([{'params': [['Identity', 'string', 'x']]},
                                  {'generation': '2007', 'params': [['Identity', 'string', 'x']]}])
    finally:
        (server.dir / 'snapins').write_text(SNAPINS)
    assert not got['ok'] and got['exit_code'] == 1
    assert got['errors'][0]['id'] == 'AddPSSnapInRead,AddPSSnapin'
    assert right['ok']
    assert server.ran() - before == 1


def test_what_cannot_travel_is_refused_here(server):
    before = server.ran()
    values = ['\ufffe', 'a\uffffb']
    for got in server.push([{'params': [['Identity', 'string', v]]} for v in values]):
        assert got['err'] == 'INPUT' and not got['sent'] and '-Identity' in got['what']
    none, = server.push([{'generation': '2003', 'params': [['Identity', 'string', 'x']]}])
    assert none['err'] == 'INPUT' and not none['sent']
    assert server.ran() == before
