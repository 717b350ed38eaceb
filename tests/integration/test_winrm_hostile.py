"""Listeners that answer badly, over HTTP in the clear on loopback: nothing hangs, nothing is sent twice, everything is said in words."""
import itertools
import signal
import socket
import threading
import time
import xml.etree.ElementTree as ET

import pytest

from conftest import casbridge
from wsman_replay import A, OPS, RSP, S, SHELL, W, X, Listener, Session, head, write_config

SOAP = 'application/soap+xml;charset=UTF-8'
SHELL_ID, COMMAND_ID = '11111111-1111-1111-1111-111111111111', '22222222-2222-2222-2222-222222222222'
CREATE = dict(op='create', resource=SHELL + '/cmd', input='stdin', output='stdout stderr')
COMMAND = dict(op='command', line='echo hi')
RECEIVE = dict(op='receive', id=COMMAND_ID, streams='stdout stderr')
SEND = dict(op='send', id=COMMAND_ID, stream='stdin', data='aGk=', end=True)
SIGNAL = dict(op='signal', id=COMMAND_ID, signal=0)
DELETE = dict(op='delete')
ALL = {'create': CREATE, 'command': COMMAND, 'receive': RECEIVE, 'send': SEND, 'signal': SIGNAL, 'delete': DELETE}
BODIES = {
    'create': f'<x:ResourceCreated><a:ReferenceParameters><w:ResourceURI>{SHELL}/cmd</w:ResourceURI><w:SelectorSet>'
              f'<w:Selector Name="ShellId">{SHELL_ID}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>',
    'command': f'<rsp:CommandResponse><rsp:CommandId>{COMMAND_ID}</rsp:CommandId></rsp:CommandResponse>',
    'receive': f'<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="{COMMAND_ID}">aGkK</rsp:Stream><rsp:CommandState '
               f'CommandId="{COMMAND_ID}" State="{SHELL}/CommandState/Done"><rsp:ExitCode>0</rsp:ExitCode></rsp:CommandState>'
               f'</rsp:ReceiveResponse>',
    'send': '<rsp:SendResponse/>', 'signal': '<rsp:SignalResponse/>', 'delete': '',
}


def reply(request, body=None, message_id=None):
    root = ET.fromstring(request)
    action = head(root, A + 'Action')
    names = {'s': S, 'a': A, 'w': W, 'rsp': RSP, 'x': X}
    return (f'<s:Envelope {" ".join(f"xmlns:{k}={chr(34)}{v[1:-1]}{chr(34)}" for k, v in names.items())}><s:Header>'
            f'<a:Action>{action}Response</a:Action><a:RelatesTo>{message_id or head(root, A + "MessageID")}</a:RelatesTo></s:Header>'
            f'<s:Body>{BODIES[OPS[action]] if body is None else body}</s:Body></s:Envelope>').encode()


def op_of(request):
    return OPS[head(ET.fromstring(request), A + 'Action')]


def run_to(session, op):
    """Opens a shell and starts a command where the operation needs them; the operation's result."""
    for before in ('create', 'command'):
        if op == before:
            break
        assert session.do(**ALL[before])['err'] == 'OK'
    return session.do(**ALL[op])


def when(op, what, once=False):
    """Answers well but for one operation."""
    struck = itertools.count()

    def answer(request, n):
        if op_of(request) == op and (not once or next(struck) == 0):
            return what(request)
        return 200, SOAP, reply(request)
    return answer


@pytest.mark.parametrize('op', list(ALL))
def test_dropped_at_each_operation(op, tmp_path):
    with Listener(when(op, lambda r: None)) as listener:
        with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')) as session:
            result = run_to(session, op)
            assert result['err'] == 'UNREACHABLE' and 'connection was lost' in result['what'], result
            assert result['unknown'] == (op in ('command', 'send')), result
        # what changes something came once; a Receive and a Delete twice, each knowingly
        assert listener.actions().count(op) == (2 if op in ('receive', 'delete') else 1), listener.actions()


def test_a_receive_goes_on_over_a_new_connection(tmp_path):
    with Listener(when('receive', lambda r: None, once=True)) as listener:
        with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')) as session:
            result = run_to(session, 'receive')
            assert result['err'] == 'OK' and result['gap'] and result['exit_code'] == 0
            assert not session.do(**RECEIVE)['gap']
        assert listener.connections == 2


def test_a_silent_server_is_left_at_the_deadline(tmp_path):
    for op in ('create', 'command', 'receive'):
        with Listener(when(op, lambda r: time.sleep(4))) as listener:
            begun = time.monotonic()
            with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none'), 1000) as session:
                result = run_to(session, op)
                assert result['err'] == 'TIMEOUT' and time.monotonic() - begun < 4, result
                assert result['unknown'] == (op == 'command')
            # the shell was deleted on a connection of its own
            assert ('delete' in listener.actions()) == (op != 'create')


CASES = {
    'empty 401': (lambda r: (401, None, b''), 'AUTH'),
    'empty 403': (lambda r: (403, None, b''), 'DENIED'),
    'empty 404': (lambda r: (404, None, b''), 'CONFIG'),
    '413': (lambda r: (413, 'text/html', b'<html>too large</html>'), 'REMOTE'),
    'empty 500': (lambda r: (500, None, b''), 'REMOTE'),
    '503': (lambda r: (503, 'text/html', b'<html/>'), 'UNREACHABLE'),
    '302': (lambda r: (302, None, b'', {'Location': 'http://elsewhere.contoso.lab/wsman'}), 'REFUSED'),
    'empty 200': (lambda r: (200, SOAP, b''), 'PROTOCOL'),
    'html': (lambda r: (200, 'text/html', b'<html/>'), 'PROTOCOL'),
    'cut short': (lambda r: (200, SOAP, reply(r)[:-30]), 'PROTOCOL'),
    'another request': (lambda r: (200, SOAP, reply(r, message_id='uuid:0')), 'PROTOCOL'),
    'DTD': (lambda r: (200, SOAP, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + reply(r)), 'PROTOCOL'),
    'deep': (lambda r: (200, SOAP, reply(r, '<rsp:x>' * 200 + '</rsp:x>' * 200)), 'PROTOCOL'),
    'endless': (lambda r: (200, SOAP, b' ' * (12 << 20)), 'LIMIT'),
}


@pytest.mark.parametrize('case', list(CASES))
def test_bad_answers(case, tmp_path):
    answer, err = CASES[case]
    for op in ('create', 'command', 'receive'):
        with Listener(when(op, answer)) as listener:
            with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')) as session:
                result = run_to(session, op)
                assert result['err'] == err and result['what'] and 'elsewhere' not in str(listener.headers), (op, result)
                definite = case in ('empty 401', 'empty 403', 'empty 404', '413', '302')
                assert result['unknown'] == (op == 'command' and not definite), (op, result)
            assert listener.actions().count(op) == 1


def test_another_commands_output_is_refused(tmp_path):
    other = BODIES['receive'].replace(COMMAND_ID, '33333333-3333-3333-3333-333333333333')
    with Listener(when('receive', lambda r: (200, SOAP, reply(r, other)))) as listener:
        with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')) as session:
            assert run_to(session, 'receive')['err'] == 'PROTOCOL'


def test_status_lines_of_openwsman(tmp_path):
    """"HTTP/1.1 200 (null)" and "Connection: Close" on every answer: each request has a connection of its own, none is sent twice."""
    server = socket.create_server(('127.0.0.1', 0))
    heard = []

    def serve():
        while True:
            try:
                c, _ = server.accept()
            except OSError:
                return
            with c, c.makefile('rb') as f:
                length = 0
                while (line := f.readline().strip()):
                    if line.lower().startswith(b'content-length:'):
                        length = int(line.split(b':')[1])
                body = f.read(length).decode()
                heard.append(op_of(body))
                data = reply(body)
                c.sendall(b'HTTP/1.1 200 (null)\r\nContent-Type: application/soap+xml\r\nConnection: Close\r\nContent-Length: %d\r\n\r\n' %
                          len(data) + data)
    threading.Thread(target=serve, daemon=True).start()
    try:
        with Session(write_config(tmp_path, f'http://{{fqdn}}:{server.getsockname()[1]}/wsman', 'winrm_auth = none')) as session:
            result = run_to(session, 'receive')
            assert result['err'] == 'OK' and result['exit_code'] == 0, result
    finally:
        server.close()
    assert heard == ['create', 'command', 'receive', 'delete']


def test_no_login_is_for_loopback_addresses(tmp_path):
    """winrm_auth = none: the address decides, not the name; no connection is even tried."""
    with Listener(lambda r, n: (200, SOAP, reply(r))) as listener:
        for address, err in (('192.0.2.1', 'REFUSED'), ('[2001:db8::1]', 'REFUSED'), ('127.9.9.9', 'UNREACHABLE'), ('127.0.0.1', 'OK')):
            config = write_config(tmp_path, f'http://localhost:{listener.port}/wsman', 'winrm_auth = none', f'host.localhost = {address}')
            begun = time.monotonic()
            with Session(config) as session:
                result = session.do(**CREATE)
            assert result['err'] == err and time.monotonic() - begun < 3, result
            assert err != 'REFUSED' or 'loopback only' in result['what'], result


@pytest.mark.parametrize('allowed,place,follows', [
    (False, 'http://b.contoso.lab:{}/wsman', False), (True, 'http://b.contoso.lab:{}/wsman', True),
    (True, 'http://b.elsewhere.lab:{}/wsman', False), (True, 'nonsense', False)])
@pytest.mark.parametrize('how', ['fault', '302'])
def test_redirection(how, allowed, place, follows, tmp_path):
    with Listener(lambda r, n: (200, SOAP, reply(r))) as there:
        place = place.format(there.port)
        fault = ('<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text>x</s:Text></s:Reason><s:Detail><f:WSManFault '
                 'xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="2150859161"><f:Message>The request needs to be sent '
                 f'to a different machine. Redirect location reported: {place}.</f:Message></f:WSManFault></s:Detail></s:Fault>')
        answers = {'fault': lambda r, n: (500, SOAP, reply(r, fault)), '302': lambda r, n: (302, None, b'', {'Location': place})}
        with Listener(answers[how]) as here:
            lines = ['winrm_auth = none', 'host.b.contoso.lab = 127.0.0.1', 'host.b.elsewhere.lab = 127.0.0.1']
            config = write_config(tmp_path, f'http://{{fqdn}}:{here.port}/wsman', *lines, *(['winrm_redirect = yes'] if allowed else []))
            with Session(config) as session:
                result = session.do(**CREATE)
                assert result['err'] == ('OK' if follows else 'REFUSED'), result
                if not follows and place != 'nonsense':
                    assert place in result['what'] + result['hint'], result
        assert bool(there.requests) == follows


def test_addresses_have_no_domain(tmp_path):
    """127.0.0.1 and 128.0.0.1 are the same but for what stands before the first dot."""
    place = 'http://128.0.0.1:1/wsman'
    with Listener(lambda r, n: (302, None, b'', {'Location': place})) as here:
        with Session(write_config(tmp_path, f'http://127.0.0.1:{here.port}/wsman', 'winrm_auth = none', 'winrm_redirect = yes')) as session:
            result = session.do(**CREATE)
            assert result['err'] == 'REFUSED' and 'winrm_redirect does not allow' in result['hint'], result


def test_urls(tmp_path):
    for url in ('ftp://{fqdn}/wsman', 'http://', 'http://a b/', 'http://user@{fqdn}/', 'http://{fqdn}:0/', 'http://{fqdn}:99999/', '{fqdn}',
                'http://[::1/', 'http://ex$cas/'):
        path = write_config(tmp_path, url, 'winrm_auth = none')
        done = casbridge('--config', path, '--source', 'ldif:/dev/null', 'exec', '--on', 'X', '--via', 'winrm', '--', 'Get-X')
        assert done.code != 0
        with Session(path) as session:
            session.process.wait(10)
            assert session.process.returncode == 3 and 'no URL of a WinRM listener' in session.process.stderr.read(), url


def test_a_shell_nobody_told_us_of_is_not_waited_for(tmp_path):
    """A server that loses Create and hangs on its Delete costs seconds, not one more operation's time and its repetition."""
    freed = threading.Event()

    def answer(request, n):
        if op_of(request) == 'delete':
            freed.wait(60)
        return None
    with Listener(answer) as listener:
        try:
            with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none'), timeout_ms=90000) as session:
                session.do(op='timeout', seconds=1)
                got = session.do(**CREATE, shell_id=SHELL_ID)
                assert got['err'] == 'UNREACHABLE' and got['shell_id'] == '', got
                assert listener.actions() == ['create', 'delete']
        finally:
            freed.set()


def test_a_hanging_signal_leaves_the_delete_its_time(tmp_path):
    """After Ctrl-C a server that hangs on terminating the command is still asked to delete the shell."""
    waiting, freed = threading.Event(), threading.Event()

    def answer(request, n):
        if op_of(request) == 'receive':
            waiting.set()
        if op_of(request) in ('receive', 'signal'):
            freed.wait(60)
            return None
        if op_of(request) == 'delete':
            freed.set()
        return 200, SOAP, reply(request)
    with Listener(answer) as listener:
        try:
            with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none'), timeout_ms=90000) as session:
                assert session.do(**CREATE)['err'] == session.do(**COMMAND)['err'] == 'OK'
                threading.Thread(target=lambda: waiting.wait(60) and session.process.send_signal(signal.SIGINT)).start()
                assert session.do(**RECEIVE)['err'] == 'INTERRUPTED'
                assert session.do(**SIGNAL)['err'] == 'TIMEOUT'
                assert session.do(**DELETE)['err'] == 'OK'
        finally:
            freed.set()
            waiting.set()
