"""The stand-in powershell behind sshd, and its agreement with PowerShell's own engine where that is at
hand.
"""
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import pytest
from conftest import HERE, PROLOGUE, SNAPIN

sys.path.insert(0, HERE)
from casbridge_lab import cmdlet_table, psbind, psread  # noqa: E402
from casbridge_lab.pserror import CmdletError  # noqa: E402

SET = (
    "Set-OutlookAnywhere -Identity '{}\\Rpc (Default Web Site)' -ClientAuthenticationMethod Basic "
    "-IISAuthenticationMethods Basic,NTLM"
)
ENABLE = (
    'Enable-OutlookAnywhere -Server EXCAS02 -ClientAuthenticationMethod Basic -ExternalHostname '
    'mail.contoso.lab -SSLOffloading $false '
    '-IISAuthenticationMethods Basic,NTLM'
)


def errors(done):
    """The text of the error stream."""
    raw = done.stderr.decode()
    if not raw:
        return ''
    assert raw.startswith(
        '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
    ), raw
    assert raw.endswith('</Objs>')
    lines = re.findall('<S S="Error">(.*?)_x000D__x000A_</S>', raw, re.S)
    return '\n'.join(lines).replace('&lt;', '<').replace('&gt;', '>').replace('&amp;', '&')


def fault(lab, server, text):
    with open(f'{lab.dir}/faults/{server}', 'w', encoding='utf-8') as f:
        f.write(text)


def offered(lab, server):
    text = lab.curl(f'https://{server}.contoso.lab:10443/rpc/rpcproxy.dll')[1]
    return re.findall('^WWW-Authenticate: (\\w+)', text, re.M)


@pytest.mark.parametrize('server,generation', [('EXCAS01', 2010), ('E2K7CAS01', 2007)])
def test_the_fix_of_the_story(fresh, server, generation):
    before = fresh.rpc_vdir(server)
    done = fresh.exchange(server, generation, SET.format(server) + '\nexit $LASTEXITCODE')
    assert (done.returncode, errors(done), done.stdout) == (0, '', b'')
    after = fresh.rpc_vdir(server)
    assert (
        after['msExchInternalAuthenticationMethods'] == '3'
        and after['msExchExternalAuthenticationMethods'] == '1'
    )
    assert (
        int(after['uSNChanged']) > int(before['uSNChanged']) and after['whenChanged'] > before['whenChanged']
    )
    assert {
        k: v
        for k, v in after.items()
        if k not in ('uSNChanged', 'whenChanged', 'msExchInternalAuthenticationMethods')
    } == {
        k: v
        for k, v in before.items()
        if k not in ('uSNChanged', 'whenChanged', 'msExchInternalAuthenticationMethods')
    }
    fresh.command('poll', server)
    assert offered(fresh, server.lower()) == ['Negotiate', 'NTLM', 'Basic']
    again = fresh.exchange(server, generation, SET.format(server))
    assert again.returncode == 0
    assert (
        again.stdout.decode()
        == f"WARNING: The command completed successfully but no settings of '{server}\\Rpc (Default Web "
        "Site)' have been modified.\r\n"
    )
    assert fresh.rpc_vdir(server)['uSNChanged'] == after['uSNChanged']


def test_iis_follows_within_the_interval(fresh):
    assert fresh.exchange('EXCAS01', 2010, SET.format('EXCAS01')).returncode == 0
    deadline = time.monotonic() + 10
    while offered(fresh, 'excas01') != ['Negotiate', 'NTLM', 'Basic']:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_enable_and_disable(fresh):
    done = fresh.exchange('EXCAS02', 2010, ENABLE)
    assert done.returncode == 0, errors(done)
    made = fresh.rpc_vdir('EXCAS02')
    like = fresh.rpc_vdir('EX10NTLM')
    assert (
        made['msExchExternalHostName'] == like['msExchExternalHostName']
        and made['msExchInternalAuthenticationMethods'] == '3'
    )
    assert set(made) == set(like)
    assert 'already exists' in errors(fresh.exchange('EXCAS02', 2010, ENABLE))
    assert fresh.exchange('EXCAS02', 2010, 'Restart-Service MSExchangeServiceHost').returncode == 0
    assert offered(fresh, 'excas02') == ['Negotiate', 'NTLM', 'Basic']
    assert 'NonInteractive' in errors(
        fresh.exchange('EXCAS02', 2010, 'Disable-OutlookAnywhere -Server EXCAS02')
    )
    assert (
        fresh.exchange('EXCAS02', 2010, 'Disable-OutlookAnywhere -Server EXCAS02 -Confirm:$false').returncode
        == 0
    )
    assert fresh.rpc_vdir('EXCAS02') == {}


BAD = [
    (
        "Set-OutlookAnywhere -Identity 'EXCAS09\\Rpc (Default Web Site)' -SSLOffloading $true",
        "object 'EXCAS09\\Rpc (Default Web Site)' couldn't be found",
        'SetOutlookAnywhere',
    ),
    (
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' "
        "-ExternalClientAuthenticationMethod Basic",
        "A parameter cannot be found that matches parameter name 'ExternalClientAuthenticationMethod'",
        'NamedParameterNotFound,Set-OutlookAnywhere',
    ),
    (
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -IISAuthenticationMethods Basic,"
        "Negotiate",
        'to an enumeration value',
        'CannotConvertArgumentNoMessage,Set-OutlookAnywhere',
    ),
    (
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -SSLOffloading 'yes'",
        'Boolean parameters accept only',
        'ParameterArgumentTransformationError',
    ),
    (
        'Set-OutlookAnywhere -SSLOffloading $true',
        'missing mandatory parameters: Identity',
        'MissingMandatoryParameter,Set-OutlookAnywhere',
    ),
    (
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -ClientAuthenticationMethod",
        'Missing an argument',
        'MissingArgument',
    ),
    (
        'Set-MapiVirtualDirectory -Identity x',
        'is not recognized as the name of a cmdlet',
        'CommandNotFoundException',
    ),
    (
        "Enable-OutlookAnywhere -Server EXCAS02 -ExternalHostname 'not a host' -SSLOffloading $false "
        "-ClientAuthenticationMethod Basic",
        'not a valid host name',
        'ParameterArgumentTransformationError',
    ),
    ('Get-Process Spooler', 'is not recognized', 'CommandNotFoundException'),
    (
        'Restart-Service Spooler',
        "Cannot find any service with service name 'Spooler'",
        'NoServiceFoundForGivenName',
    ),
    (
        "Set-OwaVirtualDirectory -Identity 'owa (Default Web Site)' -ExternalUrl 'https://x/owa'",
        'matches multiple entries',
        '',
    ),
    ('Get-OutlookAnywhere | Remove-Item', "Unexpected token '|'", 'UnexpectedToken'),
    ('$x = 1', 'reader takes cmdlets', 'UnexpectedToken'),
    ('Get-ExchangeServer $(whoami)', 'knows no variables', 'UnexpectedToken'),
    ('Get-ExchangeServer "EXCAS01"', 'Unexpected token', 'UnexpectedToken'),
    ("Get-ExchangeServer 'EXCAS01", 'missing the terminator', 'TerminatorExpectedAtEndOfString'),
]


def test_errors_are_powershells(lab):
    before = {s: lab.rpc_vdir(s) for s in ('EXCAS01', 'EXCAS02')}
    for script, words, identifier in BAD:
        done = lab.local('EXCAS01', f'{PROLOGUE}Add-PSSnapin {SNAPIN[2010]}\n{script}')
        joined = errors(done).replace(' \n', ' ')
        assert done.returncode == 1 and words in joined and identifier in joined, joined
        assert '    + CategoryInfo          : ' in joined and '    + FullyQualifiedErrorId : ' in joined
    assert {s: lab.rpc_vdir(s) for s in ('EXCAS01', 'EXCAS02')} == before
    over_ssh = lab.exchange('EXCAS01', 2010, BAD[0][0])
    assert over_ssh.returncode == 1 and 'Rpc (Default Web Site)' in errors(over_ssh)


def test_each_version_has_its_snapin(lab):
    for server, generation in (('E2K7CAS01', 2007), ('EXCAS01', 2010), ('EX13CAS01', 2013)):
        for other, name in [x for x in SNAPIN.items() if x[0] in (generation, 2010)] + (
            [(2013, SNAPIN[2013])] if generation == 2010 else []
        ):
            done = lab.local(
                server,
                f'{PROLOGUE}Add-PSSnapin {name} -ErrorAction Stop\nGet-ExchangeServer -Identity {server}',
            )
            if other == generation or (generation, other) == (2013, 2010):
                assert (
                    done.returncode == 0 and f'Name                 : {server}\r\n' in done.stdout.decode()
                ), errors(done)
            else:
                assert (
                    done.returncode == 1
                    and f"The Windows PowerShell snap-in '{name}' is not installed on this machine."
                    in errors(done).replace(' \n', ' ')
                )
    done = lab.local('EXCAS01', PROLOGUE + 'Get-ExchangeServer')
    assert done.returncode == 1 and "The term 'Get-ExchangeServer' is not recognized" in errors(done)


def test_preferences(lab):
    """Without Stop the script goes on and the last statement decides; without the progress preference
    there is a progress record.
    """
    quiet, snap = (
        "$ProgressPreference='SilentlyContinue';",
        'Add-PSSnapin Microsoft.Exchange.Management.PowerShell.E2010;',
    )
    done = lab.local('EXCAS01', f'{quiet}{snap} Get-ExchangeServer NOWHERE; Get-ExchangeServer EXCAS01')
    assert done.returncode == 0 and b'excas01.contoso.lab' in done.stdout and 'NOWHERE' in errors(done)
    assert (
        lab.local(
            'EXCAS01', f'{quiet}{snap} Get-ExchangeServer EXCAS01; Get-ExchangeServer NOWHERE'
        ).returncode
        == 1
    )
    loud, silent = lab.local('EXCAS01', snap), lab.local('EXCAS01', f'{quiet}{snap} exit 7')
    assert b'S="progress"' in loud.stderr and loud.returncode == 0
    assert silent.stderr == b'' and silent.returncode == 7


@pytest.mark.parametrize(
    'command',
    [
        'whoami',
        'powershell -Command Get-Date',
        'powershell -NoProfile -NonInteractive -EncodedCommand ****',
        'powershell -NoProfile -NonInteractive -EncodedCommand QQBB; rm -rf /',
    ],
)
def test_no_other_command_line(lab, command):
    done = lab.local('EXCAS01', None, command)
    assert done.returncode == 1 and done.stderr


def test_host_keys_differ_and_are_known(lab):
    with open(lab.config['ssh_known_hosts'], encoding='utf-8') as f:
        lines = f.read().splitlines()
    keys = {line.split()[2] for line in lines}
    assert len(keys) == 9 and len(lines) == 18
    assert any(line.startswith('[excas01.contoso.lab]:10022 ssh-ed25519 ') for line in lines)


def test_other_cmdlets_change_the_directory(fresh):
    script = (
        "Set-OwaVirtualDirectory -Identity 'EXCAS01\\owa (Default Web Site)' -ExternalUrl https://"
        "owa.contoso.lab/owa -FormsAuthentication $false\n"
        'Set-ClientAccessServer -Identity EXCAS01 -AutoDiscoverServiceInternalUri https://mail.contoso.lab/'
        'Autodiscover/Autodiscover.xml\n'
        'Set-RpcClientAccess -Server EXCAS01 -EncryptionRequired $false\n'
        "Set-ActiveSyncVirtualDirectory -Identity 'EXCAS01\\Microsoft-Server-ActiveSync (Default Web Site)' "
        "-WindowsAuthEnabled $true\n"
        "Get-OwaVirtualDirectory -Server EXCAS01; Get-ClientAccessServer EXCAS01; Get-RpcClientAccess "
        "-Server EXCAS01"
    )
    done = fresh.exchange('EXCAS01', 2010, script)
    out = done.stdout.decode()
    assert done.returncode == 0, errors(done)
    assert re.search(r'^ExternalUrl +: https://owa.contoso.lab/owa\r$', out, re.M) and re.search(
        r'^FormsAuthentication +: False\r$', out, re.M
    )
    assert re.search(
        r'^AutoDiscoverServiceInternalUri +: https://mail.contoso.lab/', out, re.M
    ) and re.search(r'^EncryptionRequired +: False\r$', out, re.M)
    # these take effect at once
    assert fresh.curl('https://excas01.contoso.lab:10443/owa/')[0] == 401
    assert (
        'Negotiate'
        in fresh.curl('https://excas01.contoso.lab:10443/Microsoft-Server-ActiveSync', '-X', 'OPTIONS')[1]
    )


def test_2013_wants_its_own_parameters(fresh):
    name = (
        "Set-OutlookAnywhere -Identity 'EX13CAS01\\Rpc (Default Web Site)' -ExternalHostname mail.contoso.lab"
    )
    assert 'must also specify' in errors(fresh.exchange('EX13CAS01', 2013, name))
    done = fresh.exchange(
        'EX13CAS01',
        2013,
        name + ' -ExternalClientsRequireSsl $true -ExternalClientAuthenticationMethod Negotiate '
        '-InternalClientAuthenticationMethod Basic -IISAuthenticationMethods Basic,NTLM,Negotiate',
    )
    assert done.returncode == 0, errors(done)
    entry = fresh.rpc_vdir('EX13CAS01')
    assert entry['msExchExternalAuthenticationMethods'] == '8192' and entry['msExchManagementSettings'] == '0'


def test_faults(fresh):
    before = fresh.rpc_vdir('EXCAS01')
    fault(fresh, 'EXCAS01', 'fail Access is denied.\n')
    done = fresh.exchange('EXCAS01', 2010, SET.format('EXCAS01'))
    assert done.returncode == 1 and 'Set-OutlookAnywhere : Access is denied.' in errors(done)
    fault(fresh, 'EXCAS01', 'no-op\nssh-delay 0.3\n')
    began = time.monotonic()
    assert fresh.exchange('EXCAS01', 2010, SET.format('EXCAS01')).returncode == 0
    assert time.monotonic() - began > 0.3
    fault(fresh, 'EXCAS01', 'drop-before-write\n')
    assert fresh.exchange('EXCAS01', 2010, SET.format('EXCAS01')).returncode == 255
    assert fresh.rpc_vdir('EXCAS01') == before
    fault(fresh, 'EXCAS01', 'drop-after-write\n')
    assert fresh.exchange('EXCAS01', 2010, SET.format('EXCAS01')).returncode == 255
    assert fresh.rpc_vdir('EXCAS01')['msExchInternalAuthenticationMethods'] == '3'
    fault(fresh, 'EXCAS01', '')
    assert fresh.exchange('EXCAS01', 2010, 'Get-ExchangeServer EXCAS01').returncode == 0


# ---- against PowerShell itself


def test_reader_agrees_with_the_recorded_parser(shared):
    """Whatever the strict reader takes it binds as PowerShell did; what PowerShell refuses it refuses."""
    taken = refused = 0
    with open(os.path.join(shared, 'fixtures', 'pwsh', 'parse.jsonl'), encoding='utf-8') as f:
        for line in f:
            record = json.loads(line)
            try:
                statements = psread.read(record['source'])
                arguments = {}
                assert len(statements) == 1
                for a in statements[0].arguments:
                    assert a.name
                    arguments[a.name] = a.value
            except (psread.ParseError, AssertionError):
                refused += 1
                continue
            if record['errors'] or record['statements'] != 1 or record['executable_parts']:
                pytest.fail(f'taken, though PowerShell does not: {record["source"]!r}')
            if record['bound'] is None:
                continue
            taken += 1
            for name, value in record['bound'].items():
                mine, value = (x if isinstance(x, list) else [x] for x in (arguments[name], value))
                assert list(map(str, mine)) == list(map(str, value)), record['source']
    assert taken > 200 and refused > 50


@pytest.mark.parametrize(
    'text,expected',
    [
        ("Get-X -A 'it''s'", "it's"),
        ('Get-X -A \u2018a\u2019\u2019b\u2019', 'a\u2019b'),
        ("Get-X -A:'--%'", '--%'),
        ("Get-X -A 'a','b'", ['a', 'b']),
        ("Get-X -A @('a', 'b')", ['a', 'b']),
        ('Get-X -A $true', True),
        ('Get-X -A:$null', None),
        ('Get-X -A a.b', 'a.b'),
        ("Get-X -A ''", ''),
    ],
)
def test_values(text, expected):
    assert psread.read(text)[0].arguments[0].value == expected


@pytest.mark.parametrize(
    'text',
    [
        "Get-X 'a'b",
        'Get-X "a"',
        'Get-X `a',
        'Get-X {a}',
        'Get-X (a)',
        'Get-X -A --%',
        'Get-X $env:X',
        'Get-X @(a)',
        '& x',
        'Get-X; |',
        'Get-X -A a,',
        "Get-X -A 'a' > f",
        'Get-X $true.ToString()',
        '',
        "'a'",
        "Get-X -A 'a\u2019; Get-Y 'b",
    ],
)
def test_refused_or_empty(text):
    if text:
        with pytest.raises(psread.ParseError):
            psread.read(text)
    else:
        assert psread.read(text) == []


def test_binder():
    cmdlet = cmdlet_table.cmdlets(2010)['set-outlookanywhere']

    def bind(text):
        return psbind.bind(cmdlet, psread.read('Set-OutlookAnywhere ' + text)[0].arguments, 2010)

    assert bind("x -IISAuth basic,NTLM -SSL 1 -WhatIf") == {
        'Identity': 'x',
        'IISAuthenticationMethods': ['Basic', 'Ntlm'],
        'SSLOffloading': True,
        'WhatIf': True,
    }
    assert (
        bind("-Identity x -IISAuthenticationMethods 'Basic,Ntlm' -Confirm:$false -ea Stop")['erroraction']
        == 'Stop'
    )
    for text in ('x -I y', 'x -Ext y', 'x y', 'x -SSLOffloading $true -SSLOffloading $true', 'x -Confirm:1'):
        with pytest.raises(CmdletError):
            bind(text)


def run_engine(lab, engine, server, script):
    env = {
        **os.environ,
        'LAB_DIR': lab.dir,
        'LAB_SERVER': server,
        'PWSH_IMPORT': os.path.join(HERE, 'LabExchange.psm1'),
        'PWSH_STDERR': 'clixml',
        'PWSH_SNAPINS': ':'.join(SNAPIN.values()),
        'HOME': lab.dir,
    }
    return subprocess.run(
        [
            engine,
            '-NoProfile',
            '-NonInteractive',
            '-EncodedCommand',
            base64.b64encode(script.encode('utf-16-le')).decode(),
        ],
        env=env,
        capture_output=True,
        check=False,
    )


def test_both_readers_change_the_directory_alike(fresh, engine):
    volatile = ('whenChanged', 'whenCreated', 'uSNChanged', 'uSNCreated', 'objectGUID')
    good = f'{SET.format("EXCAS01")}\n{ENABLE}\nGet-OutlookAnywhere -Server EXCAS02'
    bad = "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -Nonsense 1"

    def in_the_engine(script):
        return run_engine(fresh, engine, 'EXCAS01', f'{PROLOGUE}Add-PSSnapin {SNAPIN[2010]}\n{script}')

    seen = []
    for run in (lambda script: fresh.exchange('EXCAS01', 2010, script), in_the_engine):
        done = run(good)
        assert done.returncode == 0, done.stderr.decode()
        plain = re.sub(r'\x1b\[[0-9;]*m', '', done.stdout.decode())
        assert re.search(r'^ExternalHostname +: mail.contoso.lab\r$', plain, re.M), plain
        found = {s: fresh.rpc_vdir(s) for s in ('EXCAS01', 'EXCAS02')}
        assert found['EXCAS01']['msExchInternalAuthenticationMethods'] == '3'
        seen.append(
            {s: {k: v for k, v in e.items() if k.rstrip(':') not in volatile} for s, e in found.items()}
        )
        done = run(bad)
        assert done.returncode == 1
        assert 'NamedParameterNotFound,Set-OutlookAnywhere' in errors(done) + done.stdout.decode()
        fresh.command('reset')
    assert seen[0] == seen[1]
