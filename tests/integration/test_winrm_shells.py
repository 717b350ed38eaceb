"""The shell of a run: its name is proposed, so that one whose making nobody told us of can be deleted; the connection is kept for the next."""
import itertools
import json
import subprocess
import xml.etree.ElementTree as ET

import pytest

from conftest import casbridge, clean_env
from psrp_support import PUSH, build
from test_winrm_hostile import SOAP, op_of, reply
from winrm_support import GET, quiet, remote  # noqa: F401
from wsman_replay import RSP, S, W, Listener, fault


@pytest.mark.parametrize('server,knob,left', [
    ('EX13CAS01', 'winrm-drop-before', 0), ('EX13CAS01', 'winrm-drop-after', 0), ('EX13CAS01', 'winrm-deny-after', 0),
    ('EXCAS01', 'winrm-drop-before', 0), ('EXCAS01', 'winrm-drop-after', 1), ('EXCAS01', 'winrm-deny-after', 2)])
def test_a_shell_nobody_told_us_of(remote, server, knob, left):
    """It is deleted by the name that was asked for. A 2010 server has given it another name: that does no harm."""
    remote.knobs(f'{knob} Create', server=server)
    before = remote.counts(server)[0]
    done, hosts = remote.run(on=(server,), timeout=15)
    counts, shells = remote.counts(server)
    after = {k: v - before.get(k, 0) for k, v in counts.items()}
    assert done.code == 6 and not after.get('Command') and after.get('Delete', 0) <= 2, (after, hosts)
    assert len(shells) == left, (after, shells)


def push_twice(config):
    """Two runs of one transport on one server, one after the other (exec takes a server named twice for one)."""
    build(PUSH)
    case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'cmdlet': GET[0], 'params': [[GET[1][1:], 'string', GET[2]]]}
    done = subprocess.run([str(PUSH), str(config), 'winrm', 'lab'], input=(json.dumps(case) + '\n') * 2, capture_output=True, text=True,
                          timeout=120, env=clean_env())
    assert done.returncode == 0 and 'Sanitizer' not in done.stderr, done.stderr
    got = [json.loads(line) for line in done.stdout.splitlines()]
    assert [g['ok'] for g in got] == [True, True], got


def twice_on(remote, answer):
    """Two runs over one session with a listener of ours: operations and the names of their shells, in order."""
    def name(request):
        root = ET.fromstring(request)
        shell = root.find(f'{S}Body/{RSP}Shell')
        return shell.get('ShellId') if shell is not None else next(e.text for e in root.iter(W + 'Selector'))
    with Listener(answer) as listener:
        config = remote.config(f'host.excas01.contoso.lab/{listener.port} = 127.0.0.1:{listener.port}',
                               url=f'http://{{fqdn}}:{listener.port}/wsman', auth='none')
        push_twice(config)
        return [(op_of(r), name(r)) for r in listener.requests]


def test_a_create_on_a_dying_connection(remote):
    """Only a kept connection may have died of age: the shell that may be there is deleted, another one is asked for under another name."""
    creates = itertools.count()
    heard = twice_on(remote, lambda r, n: None if op_of(r) == 'create' and next(creates) == 1 else (200, SOAP, reply(r)))
    once = ['create', 'command', 'receive', 'delete']
    assert [op for op, _ in heard] == once + ['create', 'delete'] + once, heard
    names = [name for op, name in heard if op == 'create']
    assert len(set(names)) == 3 and heard[5][1] == names[1], heard


def test_a_name_that_is_taken(remote):
    """The server had carried out a Create that it then wanted a login for: that shell is deleted, another one is asked for, once."""
    creates = itertools.count()
    heard = twice_on(remote, lambda r, n: (500, SOAP, reply(r, fault(2150858843, 'InvalidSelectors'))) if op_of(r) == 'create' and
                     next(creates) == 0 else (200, SOAP, reply(r)))
    once = ['create', 'command', 'receive', 'delete']
    assert [op for op, _ in heard] == ['create', 'delete'] + once + once, heard
    names = [name for op, name in heard if op == 'create']
    assert len(set(names)) == 3 and heard[1][1] == names[0], heard


def test_a_server_that_takes_no_names(remote):
    fault = ('<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd">'
             'w:SchemaValidationError</s:Value></s:Subcode></s:Code><s:Reason><s:Text>x</s:Text></s:Reason></s:Fault>')
    heard = twice_on(remote, lambda r, n: (500, SOAP, reply(r, fault)) if 'ShellId="' in r and op_of(r) == 'create' else
                     (200, SOAP, reply(r)))
    assert [op for op, _ in heard] == ['create', 'create', 'command', 'receive', 'delete'] * 2, heard
    assert [bool(name) for op, name in heard if op == 'create'] == [True, False] * 2


def test_the_next_run_goes_on_with_the_connection(remote):
    """Two runs on one server, one after the other: one login, a shell each; and another login when the server has hung up between."""
    def logins():
        log = remote.lab.dir / 'winrm/EXCAS01.log'
        return sum(' Login ' in line for line in log.read_text().splitlines()) if log.exists() else 0

    def twice():
        before, shells = logins(), remote.counts()[0].get('Create', 0)
        push_twice(remote.config())
        return logins() - before, remote.counts()[0]['Create'] - shells
    assert twice() == (1, 2)
    remote.knobs('winrm-close-on Delete') # with it a run is over
    assert twice() == (2, 2)
    # hung up while the next Create was under way: only on a kept connection is it asked for again
    remote.knobs('winrm-drop-before Create')
    assert casbridge('--config', remote.config(), '--profile', 'lab', 'exec', '--on', 'EXCAS01', '--via', 'winrm', '--', *GET).code == 6
