"""PSRP with PowerShell itself at the other end (../shared/peers): on a pipe, and as SSH's subsystem."""
import json
import os

import pytest

from conftest import ENGINE_TMP
from psrp_support import EXCHANGE_PS1, PUSH, build, live, piped, pwsh
from test_pwsh import Server, hostile_values


def hostile_cases():
    values = hostile_values()
    assert len(values) >= 230
    cases, want = [], []
    for a, b in zip(values, values[1:] + values[:1]):
        cases.append({'params': [['Identity', 'string', a], ['ExternalHostname', 'string', b], ['IISAuthenticationMethods', 'list', [a, b, a]]]})
        want.append({'Identity': a, 'ExternalHostname': b, 'IISAuthenticationMethods': [a, b, a]})
    return cases, want


@live
@pytest.mark.parametrize('mode', [(), ('-LanguageMode', 'NoLanguage')], ids=['full', 'no-language'])
def test_hostile_values_reach_the_binder_as_data(pwsh, tmp_path, mode):
    cases, want = hostile_cases()
    ran = tmp_path / 'ran'
    for case, expected, got in zip(cases, want, piped(pwsh, tmp_path, cases, *mode, env={'PSRP_RAN': str(ran)}), strict=True):
        assert got['err'] == 'OK' and got['ok'] and got['errors'] == [] and got['objects'] == [expected], (case, got)
    assert len(ran.read_text().splitlines()) == len(cases)


@live
def test_each_kind_and_each_ending(pwsh, tmp_path):
    kinds, warned, gone, unknown, missing, none, after = piped(pwsh, tmp_path, [
        {'params': [['Identity', 'string', 'x'], ['SSLOffloading', 'bool', False], ['WhatIfLike', 'switch', None], ['Number', 'int', -2**40],
                    ['Nothing', 'null', None], ['IISAuthenticationMethods', 'words', ['Basic', 'NTLM']]]},
        {'params': [['Identity', 'string', 'warn']]}, {'params': [['Identity', 'string', 'gone']]},
        {'params': [['Identity', 'string', 'x'], ['NoSuch', 'string', 'y']]}, {'params': []}, {'cmdlet': 'Get-Mailbox', 'params': []},
        {'params': [['Identity', 'string', 'the pool lives on'], ['Number', 'int', 5]]}], '-LanguageMode', 'NoLanguage')
    assert kinds['objects'][0].pop('WhatIfLike')['IsPresent'] is True
    assert kinds['objects'] == [{'Identity': 'x', 'SSLOffloading': False, 'Number': -2**40, 'Nothing': None,
                                 'IISAuthenticationMethods': ['Basic', 'NTLM']}]
    assert warned['ok'] and warned['warnings'] == ['It takes up to fifteen minutes.']
    assert not gone['ok'] and gone['err'] == 'OK' and not gone['outcome_unknown']
    assert gone['errors'] == [{'message': "The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'.",
                               'id': '8EBB9CC0,Set-OutlookAnywhere', 'category': 'InvalidArgument', 'target': 'gone'}]
    assert unknown['errors'][0]['id'] == 'NamedParameterNotFound,Set-OutlookAnywhere'
    assert missing['errors'][0]['id'] == 'MissingMandatoryParameter,Set-OutlookAnywhere'  # asked for, and refused, not waited for
    assert none['errors'][0]['id'] == 'CommandNotFoundException' and none['errors'][0]['target'] == 'Get-Mailbox'
    assert after['ok'] and after['objects'] == [{'Identity': 'the pool lives on', 'Number': 5}]


@live
def test_what_it_says_besides(pwsh, tmp_path):
    plain, verbose = [['Identity', 'string', 'x']], [['Identity', 'string', 'x'], ['Verbose', 'switch', None]]
    quiet, told = piped(pwsh, tmp_path, [{'params': plain}, {'params': verbose}], '-LanguageMode', 'NoLanguage')
    assert quiet['ok'] and quiet['verbose'] == [] and told['ok'] and told['verbose'] == ['Looking for the virtual directory.']
    assert told['warnings'] == told['debug'] == told['information'] == []


@live
def test_large_objects_and_many(pwsh, tmp_path):
    large, many = piped(pwsh, tmp_path, [{'cmdlet': 'Get-Many', 'params': [['Count', 'int', 3], ['Size', 'int', 1000000]]},
                                         {'cmdlet': 'Get-Many', 'params': [['Count', 'int', 2000], ['Size', 'int', 10]]}])
    assert [len(o['Text']) for o in large['objects']] == [1000000] * 3
    assert [o['Id'] for o in many['objects']] == list(range(2000))


# ---- as SSH's subsystem ----


@pytest.fixture(scope='module')
def subsystem(pwsh, tmp_path_factory):
    if not os.path.exists('/usr/sbin/sshd'):
        pytest.skip('no sshd')
    build(PUSH)
    directory = tmp_path_factory.mktemp('subsystem')
    (directory / 'exchange.ps1').write_text(EXCHANGE_PS1)
    one = Server(directory, f'SetEnv HOME={ENGINE_TMP} TMPDIR={ENGINE_TMP} DOTNET_EnableDiagnostics=0\n'
                 'Subsystem powershell {pwsh} -sshs -NoLogo -LanguageMode NoLanguage -InitialScript {dir}/exchange.ps1',
                 'ssh_psrp = yes\n')
    for mode in ('auto', 'no'):
        text = (directory / 'config.ini').read_text().replace('ssh_psrp = yes', f'ssh_psrp = {mode}')
        (directory / f'{mode}.ini').write_text(text)
        (directory / f'{mode}.ini').chmod(0o600)
    try:
        yield one
    finally:
        one.stop()


def test_objects_over_ssh(subsystem):
    values = ["--% x'\u2019; Get-Item /; '$(calc)`\"\r\n\U0001f600", 'h\u00e4\u2019' * 10000]
    cases = [{'params': [['Identity', 'string', v], ['IISAuthenticationMethods', 'list', [v, 'NTLM']]]} for v in values]
    for value, got in zip(values, subsystem.push(cases), strict=True):
        assert got['ok'] and got['exit_code'] is None and got['output'] is None, got
        assert got['objects'] == [{'Identity': value, 'IISAuthenticationMethods': [value, 'NTLM']}]


def test_errors_over_ssh(subsystem):
    gone, unknown = subsystem.push([{'params': [['Identity', 'string', 'gone']]}, {'cmdlet': 'Get-Mailbox', 'params': []}])
    assert gone['errors'][0]['id'] == '8EBB9CC0,Set-OutlookAnywhere' and not gone['outcome_unknown']
    assert unknown['errors'][0]['id'] == 'CommandNotFoundException' and 'ssh_psrp = no' in unknown['warnings'][0]
    late, = subsystem.push([{'cmdlet': 'Get-Endless', 'params': [], 'timeout_ms': 6000}])
    assert late['err'] == 'TIMEOUT' and late['outcome_unknown'] and 'PipelineStopped' in [e['id'] for e in late['errors']]


def test_auto_takes_the_subsystem(subsystem):
    got, = subsystem.push([{'params': [['Identity', 'string', 'x']]}], 'auto.ini')
    assert got['objects'] == [{'Identity': 'x'}] and got['output'] is None


@pytest.fixture(scope='module')
def without_subsystem(pwsh, tmp_path_factory):
    if not os.path.exists('/usr/sbin/sshd'):
        pytest.skip('no sshd')
    build(PUSH)
    one = Server(tmp_path_factory.mktemp('exec'), profile='ssh_psrp = auto\n')
    try:
        yield one
    finally:
        one.stop()


def test_auto_falls_back_to_a_command_line(without_subsystem):
    got, = without_subsystem.push([{'params': [['Identity', 'string', 'x']]}])
    assert got['ok'] and got['exit_code'] == 0 and json.loads(got['output']) == {'Identity': 'x'} and got['objects'] is None
    config = without_subsystem.dir / 'config.ini'
    (without_subsystem.dir / 'yes.ini').write_text(config.read_text().replace('ssh_psrp = auto', 'ssh_psrp = yes'))
    (without_subsystem.dir / 'yes.ini').chmod(0o600)
    refused, = without_subsystem.push([{'params': [['Identity', 'string', 'x']]}], 'yes.ini')
    assert refused['err'] == 'DENIED' and not refused['sent'] and 'no powershell subsystem' in refused['what'] and 'ssh_psrp' in refused['hint']
    assert without_subsystem.ran() == 1
