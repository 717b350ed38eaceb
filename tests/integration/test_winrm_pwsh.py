"""What we send through the WinRM shell must be PowerShell to PowerShell: the same hostile values as over SSH (test_pwsh.py), handed to
PowerShell's own engine by a small command shell in the clear, whose binder says what it received."""
import base64
import json
import os
import subprocess
import uuid
import xml.etree.ElementTree as ET

import pytest

from conftest import PROGRAM, ROOT, clean_env
from test_pwsh import EXTRA, MODULE, PEER, PUSH, PWSH, SNAPINS, STANDIN, hostile_values, unpack
from wsman_replay import A, OPS, RSP, S, SHELL, W, X, Listener, head, write_config

pytestmark = pytest.mark.skipif(not PEER.exists(), reason='no ../shared/peers')
SOAP = 'application/soap+xml;charset=UTF-8'


class Shell:
    """Create, Command, Send, Receive, Signal, Delete over one program; what is sent to it is what it gets."""

    def __init__(self, directory):
        self.dir, self.commands = directory, {}
        (directory / 'exchange.psm1').write_text(MODULE)
        (directory / 'snapins').write_text(SNAPINS)
        (directory / 'standin').write_text(STANDIN.format(dir=directory, pwsh=PWSH))
        (directory / 'standin').chmod(0o755)

    def answer(self, xml, n):
        root = ET.fromstring(xml)
        action, body = head(root, A + 'Action'), root.find(S + 'Body')
        said = getattr(self, OPS[action])(body) or ''
        names = {'s': S, 'a': A, 'w': W, 'rsp': RSP, 'x': X}
        return 200, SOAP, (f'<s:Envelope {" ".join(f"xmlns:{k}={chr(34)}{v[1:-1]}{chr(34)}" for k, v in names.items())}><s:Header>'
                           f'<a:Action>{action}Response</a:Action><a:RelatesTo>{head(root, A + "MessageID")}</a:RelatesTo></s:Header>'
                           f'<s:Body>{said}</s:Body></s:Envelope>').encode()

    def create(self, body):
        return ('<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet><w:Selector Name="ShellId">S1</w:Selector></w:SelectorSet>'
                '</a:ReferenceParameters></x:ResourceCreated>')

    def command(self, body):
        name, line = str(uuid.uuid4()).upper(), body.findtext(f'{RSP}CommandLine/{RSP}Command')
        assert len(line) < 8191 # what cmd.exe takes
        self.commands[name] = subprocess.Popen([str(self.dir / 'standin')], env=dict(os.environ, SSH_ORIGINAL_COMMAND=line),
                                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return f'<rsp:CommandResponse><rsp:CommandId>{name}</rsp:CommandId></rsp:CommandResponse>'

    def send(self, body):
        stream = body.find(f'{RSP}Send/{RSP}Stream')
        self.commands[stream.get('CommandId')].stdin.write(base64.b64decode(stream.text or ''))
        return '<rsp:SendResponse/>'

    def receive(self, body):
        name = body.find(f'{RSP}Receive/{RSP}DesiredStream').get('CommandId')
        process = self.commands[name]
        out, err = process.communicate(timeout=60)
        # characters cut in two, as Windows cuts them at any byte
        streams = [('stdout', out[i:i + 7]) for i in range(0, len(out), 7)] + [('stderr', err)]
        return ('<rsp:ReceiveResponse>' + ''.join(f'<rsp:Stream Name="{s}" CommandId="{name}">{base64.b64encode(d).decode()}</rsp:Stream>'
                                                  for s, d in streams) +
                f'<rsp:CommandState CommandId="{name}" State="{SHELL}/CommandState/Done"><rsp:ExitCode>{process.returncode}</rsp:ExitCode>'
                '</rsp:CommandState></rsp:ReceiveResponse>')

    def signal(self, body):
        return '<rsp:SignalResponse/>'

    def delete(self, body):
        return ''


@pytest.fixture(scope='module')
def push(tmp_path_factory):
    if not PUSH.exists():
        subprocess.run(['make', '-s', f'CONFIG={PROGRAM.parent.name}', str(PUSH.relative_to(ROOT))], cwd=ROOT, check=True)
    unpack()
    directory = tmp_path_factory.mktemp('winrm-pwsh')
    with Listener(Shell(directory).answer) as listener:
        config = write_config(directory, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')

        def do(cases):
            lines = ''.join(json.dumps({'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010',
                                        'cmdlet': 'Set-OutlookAnywhere', **case}) + '\n' for case in cases)
            done = subprocess.run([str(PUSH), str(config), 'winrm'], input=lines, capture_output=True, text=True, timeout=120,
                                  env=clean_env())
            assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
            return [json.loads(line) for line in done.stdout.split('\n')[:-1]]
        yield do


def test_hostile_values(push):
    values = hostile_values()
    assert len(values) >= 230
    names = ['Identity', 'ExternalHostname'] + [f'V{i}' for i in range(EXTRA)]
    cases, want = [], []
    for at in range(0, len(values), len(names)):
        part = values[at:at + len(names)]
        cases.append({'params': [[n, 'string', v] for n, v in zip(names, part)] + [['IISAuthenticationMethods', 'list', part]]})
        want.append({**dict(zip(names, part)), 'IISAuthenticationMethods': part})
    for expected, got in zip(want, push(cases), strict=True):
        assert got['err'] == 'OK' and got['exit_code'] == 0 and got['errors'] == [] and got['ok'], got
        assert json.loads(got['output']) == expected


def test_short_scripts_errors_and_warnings(push):
    values = ['--%', "x'\u2019; Get-Item /; '", '$(calc)`"', '\U0001f600\u20ac']
    cases = [{'params': [['Identity', 'string', a], ['ExternalHostname', 'string', b]]} for a, b in zip(values, values[1:] + values[:1])]
    *ran, gone, warned = push(cases + [{'params': [['Identity', 'string', 'gone']]}, {'params': [['Identity', 'string', 'warn']]}])
    for case, got in zip(cases, ran, strict=True):
        assert got['ok'] and json.loads(got['output']) == {n: v for n, _, v in case['params']}, got
    assert not gone['ok'] and gone['sent'] and not gone['outcome_unknown'] and gone['exit_code'] == 1
    assert gone['errors'][0]['message'] == "The operation couldn't be performed because object 'gone' couldn't be found on 'dc1.contoso.lab'."
    assert gone['errors'][0]['category'] == 'InvalidArgument' and gone['errors'][0]['target'] == 'gone'
    assert warned['ok'] and warned['warnings'][0].startswith('It takes up to fifteen minutes')
