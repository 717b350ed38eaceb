"""What the tests of PSRP and CLIXML share: the helpers `psrp` and `push`, PowerShell's engine and cmdlets for it."""
import json
import subprocess

import pytest

from conftest import ENGINE_TMP, PROGRAM, ROOT, SHARED, clean_env
from test_pwsh import PEER, PWSH, unpack

PSRP = PROGRAM.parent / 'tests/integration/psrp'
PUSH = PROGRAM.parent / 'tests/integration/push'
FIXTURES = SHARED / 'fixtures/pwsh'
EXCHANGE = SHARED / 'fixtures/exchange-clixml'

recorded = pytest.mark.skipif(not FIXTURES.exists(), reason='no ../shared/fixtures/pwsh')
live = pytest.mark.skipif(not PEER.exists(), reason='no ../shared/peers')
exchange = pytest.mark.skipif(not EXCHANGE.exists(), reason='no ../shared/fixtures/exchange-clixml')


def build(helper):
    if not helper.exists():
        subprocess.run(['make', '-s', f'CONFIG={PROGRAM.parent.name}', str(helper.relative_to(ROOT))], cwd=ROOT, check=True)


@pytest.fixture(scope='module')
def pwsh():
    if not PEER.exists():
        pytest.skip('no ../shared/peers')
    unpack()
    return PWSH


def psrp(*args, data=b'', check=True, timeout=120):
    build(PSRP)
    if isinstance(data, str):
        data = data.encode()
    done = subprocess.run([str(PSRP), *map(str, args)], input=data, capture_output=True, timeout=timeout, env=clean_env())
    assert b'Sanitizer' not in done.stderr and b'runtime error' not in done.stderr, done.stderr
    assert not check or done.returncode == 0, done.stderr
    return done


def values_of(text):
    return [json.loads(line) for line in text.decode().split('\n')[:-1]]


def as_json(data):
    return values_of(psrp('json', data=data).stdout)

EXCHANGE_PS1 = """
function Set-OutlookAnywhere { [CmdletBinding()] param(
    [Parameter(Mandatory=$true)][AllowEmptyString()][string]$Identity, [AllowEmptyString()][string]$ExternalHostname,
    [AllowEmptyCollection()][AllowEmptyString()][string[]]$IISAuthenticationMethods, [bool]$SSLOffloading, [switch]$WhatIfLike, [long]$Number,
    [AllowNull()][object]$Nothing)
    if ($env:PSRP_RAN) { [IO.File]::AppendAllText($env:PSRP_RAN, "Set-OutlookAnywhere`n") }
    $PSCmdlet.WriteVerbose('Looking for the virtual directory.')
    if ($Identity -eq 'warn') { $PSCmdlet.WriteWarning('It takes up to fifteen minutes.') }
    if ($Identity -eq 'gone') {
        $e = [InvalidOperationException]::new("The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'.")
        $PSCmdlet.ThrowTerminatingError([System.Management.Automation.ErrorRecord]::new($e, '8EBB9CC0', 'InvalidArgument', 'gone'))
    }
    $PSBoundParameters }
function Get-Endless { for (;;) { [System.Threading.Thread]::Sleep(20) } }
function Get-Many { param([int]$Count, [int]$Size) for ($i = 0; $i -lt $Count; $i++) { [pscustomobject]@{ Id = $i; Text = 'x' * $Size } } }
function Get-Answer { $Host.UI.ReadLine() }
function Get-HostName { $Host.Name }
function Get-Ended { [System.Environment]::Exit(3) }
"""


def piped(pwsh, tmp_path, cases, *args, env=None, mode='pipe'):
    build(PSRP)
    (tmp_path / 'exchange.ps1').write_text(EXCHANGE_PS1)
    lines = ''.join(json.dumps({'cmdlet': 'Set-OutlookAnywhere', **case}) + '\n' for case in cases)
    done = subprocess.run([str(PSRP), mode, str(pwsh), '-s', '-InitialScript', str(tmp_path / 'exchange.ps1'), *args], input=lines.encode(),
                          capture_output=True, timeout=200, env={**clean_env(), 'HOME': ENGINE_TMP, 'TMPDIR': ENGINE_TMP, **(env or {})})
    assert b'Sanitizer' not in done.stderr and done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.decode().split('\n')[:-1]]
