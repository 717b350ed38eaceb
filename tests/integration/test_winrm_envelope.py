"""How much a server takes at once (winrm/config, MaxEnvelopeSizekb): asked only when it matters, believed when told, the usual when not."""
import threading
import xml.etree.ElementTree as ET

import pytest

from winrm_support import HTTP, Remote
from wsman_replay import A, CONFIG, FAULT, OPS, SHELL, W, Listener, Session, envelope, fault, head, write_config

SOAP = 'application/soap+xml;charset=UTF-8'
USUAL, LEAST = 153600, 32768
CREATED = ('<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet><w:Selector Name="ShellId">S1</w:Selector></w:SelectorSet>'
           '</a:ReferenceParameters></x:ResourceCreated>')


def config(kb):
    return f'<cfg:Config xmlns:cfg="{CONFIG[1:-1]}"><cfg:MaxEnvelopeSizekb>{kb}</cfg:MaxEnvelopeSizekb></cfg:Config>'


def told(get):
    """A server whose answer to Get is that: (status, body), or None: the connection is dropped."""
    def answer(xml, _):
        root = ET.fromstring(xml)
        action, message_id = head(root, A + 'Action'), head(root, A + 'MessageID')
        if OPS[action] != 'get':
            return 200, SOAP, envelope(action + 'Response', message_id, CREATED if OPS[action] == 'create' else '')
        assert head(root, W + 'ResourceURI') == CONFIG[1:-1] and not list(root.iter(W + 'Selector'))
        if get is None:
            return None
        status, body = get
        return status, SOAP if body else None, envelope(FAULT if status == 500 else action + 'Response', message_id, body) if body else b''
    return answer


ANSWERS = {
    'smaller': ((200, config(64)), 64 * 1024), 'larger': ((200, config(4096)), 4 << 20), 'larger than we write': ((200, config(1 << 20)), 4 << 20),
    'the least': ((200, config(32)), LEAST), 'access denied': ((500, fault(5, 'AccessDenied')), USUAL),
    'no such resource': ((500, fault(2150858811, 'DestinationUnreachable')), USUAL), '403': ((403, None), USUAL), '404': ((404, None), USUAL),
    'a number that is none': ((200, config('many')), USUAL), 'less than can be': ((200, config(1)), USUAL),
    'more than can be': ((200, config(1 << 40)), USUAL), 'nothing': ((200, ''), USUAL), 'something else': ((200, '<x/>'), USUAL),
    'the connection lost': (None, USUAL),
}


@pytest.mark.parametrize('name', ANSWERS)
def test_what_the_server_says(name, tmp_path):
    get, size = ANSWERS[name]
    with Listener(told(get)) as listener:
        with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none')) as session:
            assert session.do(op='create', resource=f'{SHELL}/cmd', input='stdin', output='stdout')['err'] == 'OK'
            usual = session.do(op='room', bytes=1000)['room']
            assert listener.actions() == ['create'] and usual < USUAL * 3 // 4  # nothing is asked that need not be
            answer = session.do(op='room', bytes=100000)
            assert answer['err'] == 'OK' and (answer['room'] == usual) == (size == USUAL)
            assert size * 3 // 4 - 3000 < answer['room'] < size * 3 // 4, answer
            session.do(op='room', bytes=3000000)
            assert listener.actions().count('get') == (2 if get is None else 1)  # asked once; on a new connection once more
            assert session.do(op='delete')['err'] == 'OK'
        assert head(ET.fromstring(listener.requests[-1]), W + 'MaxEnvelopeSize') == str(size)


def test_a_deadline_holds(tmp_path):
    """A server that never answers is not waited for longer than the caller has time."""
    done = threading.Event()

    def answer(xml, n):
        if OPS[head(ET.fromstring(xml), A + 'Action')] == 'get':
            done.wait(20)
            return None
        return told(None)(xml, n)
    with Listener(answer) as listener:
        with Session(write_config(tmp_path, f'http://{{fqdn}}:{listener.port}/wsman', 'winrm_auth = none'), timeout_ms=2000) as session:
            session.do(op='create', resource=f'{SHELL}/cmd', input='stdin', output='stdout')
            assert session.do(op='room', bytes=100000)['err'] == 'TIMEOUT'
            done.set()


# ---- against the lab, which counts bytes ----

@pytest.fixture(scope='module')
def remote(shared_lab):
    return Remote(shared_lab)


LONG = ('Set-OutlookAnywhere', '-Identity', 'EXCAS01\\Rpc (Default Web Site)', '-ExternalHostname', 'x' * 30000 + '.contoso.lab')


@pytest.mark.parametrize('kb', [40, 500])
@pytest.mark.parametrize('url', [HTTP, 'https://{fqdn}:10986/wsman'])
def test_a_long_command_fits(remote, url, kb):
    """Forty kilobytes are less than what the command's text takes in one message."""
    remote.knobs(f'winrm-max-envelope {kb}')
    before = remote.counts()[0]
    done, hosts = remote.run(url=url, cmdlet=LONG)
    after = {k: v - before.get(k, 0) for k, v in remote.counts()[0].items()}
    assert hosts[0]['errors'] and 'outcome is not known' not in str(hosts) and '413' not in str(hosts), hosts
    assert after['Get'] == 1 and after['Send'] == (3 if kb == 40 else 1) and remote.counts()[1] == [], (after, hosts)


@pytest.mark.parametrize('url', [HTTP, 'https://{fqdn}:10986/wsman'])
@pytest.mark.parametrize('knob', ['fault Get 5', 'drop-before Get', 'drop-after Get', 'deny-after Get'])
def test_an_answer_that_is_none_holds_nothing_up(remote, knob, url):
    """The command goes as it would have gone without the question, once."""
    remote.knobs(f'winrm-{knob}')
    before = remote.counts()[0]
    done, hosts = remote.run(url=url, cmdlet=LONG)
    after = {k: v - before.get(k, 0) for k, v in remote.counts()[0].items()}
    assert hosts[0]['exit_code'] is not None and 'outcome is not known' not in str(hosts), hosts
    assert after['Command'] == after['Send'] == 1 and after.get('Get', 0) <= 2 and remote.counts()[1] == [], after


def test_a_short_one_asks_nothing(remote):
    for via in ('winrm', 'psrp'):
        before = remote.counts()[0].get('Get', 0)
        done, hosts = remote.run(via=via)
        assert done.code == 0 and remote.counts()[0].get('Get', 0) == before, hosts


def test_exchange_does_not_tell(remote):
    """/PowerShell/ is not /wsman: the question is refused, the command goes as usual."""
    remote.knobs()
    before = remote.counts()[0].get('Get', 0)
    done, hosts = remote.run(via='psrp', cmdlet=LONG)
    assert remote.counts()[0]['Get'] == before + 1 and hosts[0]['errors'][0]['id'] not in ('REMOTE', 'UNREACHABLE', 'PROTOCOL'), hosts
    assert 'catalog' not in str(hosts)
