"""RPC over HTTP: impacket's transport opens virtual connections, and raw sockets look at the bytes."""
import base64
import os
import re
import socket
import ssl
import struct
import time
import uuid

import pytest
from conftest import PASSWORD

ECHO = bytes.fromhex('0500140310000000140000000000000040000000')
EMSMDB, NSPI = 'a4f1db00-ca47-1067-b31f-00dd010662da', 'f5cc5a18-4264-101a-8c59-08002b2f8426'


class Wire:
    """A TLS connection to a server, read with a deadline."""

    def __init__(self, lab, server):
        context = ssl.create_default_context(cafile=lab.config['trust'])
        self.host = f'{server}.contoso.lab'
        self.s = context.wrap_socket(
            socket.create_connection((lab.hosts[self.host], 10443), timeout=5), server_hostname=self.host
        )
        self.buffer = b''

    def head(self, method, length, query, user='alice', extra=''):
        authorization = (
            ''
            if user is None
            else 'Authorization: Basic ' + base64.b64encode(f'{user}:{PASSWORD}'.encode()).decode() + '\r\n'
        )
        self.s.sendall(
            f'{method} /rpc/rpcproxy.dll?{query} HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: '
            'MSRPC\r\nAccept: application/rpc\r\n'
            f'Content-Length: {length}\r\n{authorization}{extra}\r\n'.encode()
        )

    def read(self, count):
        while len(self.buffer) < count:
            data = self.s.recv(65536)
            assert data, f'closed after {self.buffer!r}'
            self.buffer += data
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def read_head(self):
        while b'\r\n\r\n' not in self.buffer:
            data = self.s.recv(65536)
            assert data, f'closed after {self.buffer!r}'
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b'\r\n\r\n')
        return head.decode('latin-1')

    def pdu(self):
        start = self.read(16)
        return start + self.read(struct.unpack_from('<H', start, 8)[0] - 16)

    def at_end(self):
        self.s.settimeout(5)
        while True:
            data = self.s.recv(65536)
            if not data:
                return True


def rts(flags, *commands):
    body = b''.join(
        struct.pack('<I', n) + (p if isinstance(p, bytes) else struct.pack('<I', p)) for n, p in commands
    )
    return struct.pack('<BBBBIHHIHH', 5, 0, 20, 3, 0x10, 20 + len(body), 0, 0, flags, len(commands)) + body


def a1(vc, out, window=65536):
    return rts(0, (6, 1), (3, vc), (3, out), (0, window))


def b1(vc, inn):
    return rts(0, (6, 1), (3, vc), (3, inn), (4, 1 << 30), (5, 300000), (12, os.urandom(16)))


def bind(call=1, interface=EMSMDB):
    ndr = uuid.UUID('8a885d04-1ceb-11c9-9fe8-08002b104860').bytes_le + struct.pack('<I', 2)
    body = (
        struct.pack('<HHIBBHHBB', 4280, 4280, 0, 1, 0, 0, 0, 1, 0)
        + uuid.UUID(interface).bytes_le
        + struct.pack('<I', 0x510000)
        + ndr
    )
    return struct.pack('<BBBBIHHI', 5, 0, 11, 3, 0x10, 16 + len(body), 0, call) + body


def request(call, opnum, stub, flags=3):
    return (
        struct.pack('<BBBBIHHIIHH', 5, 0, 0, flags, 0x10, 24 + len(stub), 0, call, len(stub), 0, opnum) + stub
    )


class Tunnel:
    """Both channels of a virtual connection."""

    def __init__(self, lab, server, query, window=65536, out_first=True, settle=0.0):
        self.vc, self.out_cookie, self.in_cookie = os.urandom(16), os.urandom(16), os.urandom(16)
        self.out, self.inn = Wire(lab, server), Wire(lab, server)

        def open_out():
            self.out.head('RPC_OUT_DATA', 76, query)
            self.out.s.sendall(a1(self.vc, self.out_cookie, window))

        def open_in():
            self.inn.head('RPC_IN_DATA', 1 << 30, query)
            self.inn.s.sendall(b1(self.vc, self.in_cookie))

        for step in (open_out, open_in) if out_first else (open_in, open_out):
            step()
            time.sleep(settle)
        head = self.out.read_head()
        assert (
            head.startswith('HTTP/1.1 200 Success\r\n')
            and 'Content-Type: application/rpc' in head
            and 'Content-Length: 1073741824' in head
        )
        assert self.out.pdu() == rts(0, (2, 120000))
        c2 = self.out.pdu()
        assert len(c2) == 44 and c2[16:20] == b'\0\0\3\0'

    def send(self, data):
        self.inn.s.sendall(data)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('server,user', [('excas01', 'alice'), ('e2k7cas01', 'carol'), ('ex13cas01', 'dave')])
def test_impacket_opens_a_connection_and_binds(lab, server, user):
    pytest.importorskip('impacket')
    from impacket.dcerpc.v5 import transport
    from impacket.http import AUTH_BASIC
    from impacket.uuid import uuidtup_to_bin

    rpc = transport.DCERPCTransportFactory(f'ncacn_http:{server}.contoso.lab[6001,RpcProxy=x:443]')
    rpc.set_rpc_proxy_url(f'https://{lab.hosts[server + ".contoso.lab"]}:10443/rpc/rpcproxy.dll')
    rpc.set_credentials(user, PASSWORD, 'CONTOSO')
    rpc.set_auth_type(AUTH_BASIC)
    dce = rpc.get_dce_rpc()
    dce.connect()
    dce.bind(uuidtup_to_bin((EMSMDB, '0.81')))
    dce.call(5, b'a stub that comes back')
    assert dce.recv() == b'a stub that comes back'
    dce.disconnect()


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_impacket_is_refused_with_a_wrong_password(lab):
    pytest.importorskip('impacket')
    from impacket.dcerpc.v5 import transport
    from impacket.http import AUTH_BASIC

    rpc = transport.DCERPCTransportFactory('ncacn_http:excas01.contoso.lab[6001,RpcProxy=x:443]')
    rpc.set_rpc_proxy_url(f'https://{lab.hosts["excas01.contoso.lab"]}:10443/rpc/rpcproxy.dll')
    rpc.set_credentials('alice', 'wrong', 'CONTOSO')
    rpc.set_auth_type(AUTH_BASIC)
    with pytest.raises(Exception, match='401'):
        rpc.get_dce_rpc().connect()


@pytest.mark.parametrize('method', ['RPC_IN_DATA', 'RPC_OUT_DATA'])
@pytest.mark.parametrize('length', [0, 4, 16])
def test_echo_is_twenty_bytes_and_keeps_the_connection(lab, method, length):
    w = Wire(lab, 'excas01')
    for _ in range(2):
        w.head(method, length, 'excas01:6001')
        w.s.sendall(b'\xff' * length)
        head = w.read_head()
        assert head.startswith('HTTP/1.1 200 Success\r\n') and 'Content-Length: 20' in head
        assert w.read(20) == ECHO


def test_echo_as_recorded_elsewhere(lab, shared):
    """The same request as in the recording of another server gets the same PDU."""
    with open(os.path.join(shared, 'fixtures', 'rpch', '07a-echo-in-len4.rec'), encoding='ascii') as f:
        blocks = re.split('(?m)^@ ', f.read())[1:]
    recorded = bytes.fromhex(''.join(next(b for b in blocks if 'S>C' in b.splitlines()[0]).splitlines()[1:]))
    w = Wire(lab, 'excas01')
    w.head('RPC_IN_DATA', 4, 'excas01:6001')
    w.s.sendall(b'ABCD')
    assert w.read_head().splitlines()[0] == recorded.decode('latin-1').splitlines()[0]
    assert w.read(20) == recorded[-20:]


@pytest.mark.parametrize('out_first', [True, False])
def test_virtual_connection(lab, out_first):
    t = Tunnel(lab, 'excas01', 'EXMBX01:6001', out_first=out_first, settle=0.05)
    t.send(rts(1) + bind()[:20])  # a ping, and a PDU in two pieces
    time.sleep(0.05)
    t.send(bind()[20:])
    ack = t.out.pdu()
    assert ack[2] == 12 and ack[12:16] == struct.pack('<I', 1) and b'6001\0' in ack
    t.send(request(2, 3, b'stub' * 100))
    answer = t.out.pdu()
    assert answer[2] == 2 and answer[24:] == b'stub' * 100
    t.send(request(3, 999, b''))
    assert t.out.pdu()[2] == 3
    t.send(request(4, 1, b'A' * 1000, 1) + request(4, 1, b'B' * 1000, 2))
    assert t.out.pdu()[24:] == b'A' * 1000 + b'B' * 1000
    t.inn.s.close()
    assert t.out.at_end()


def test_interfaces_live_behind_their_ports(lab):
    t = Tunnel(lab, 'excas01', 'excas01:6004')
    t.send(bind(interface=NSPI))
    assert struct.unpack_from('<H', t.out.pdu(), 36)[0] == 0
    t = Tunnel(lab, 'excas01', 'excas01:6004')
    t.send(bind(interface=EMSMDB))
    assert struct.unpack_from('<H', t.out.pdu(), 36)[0] == 2


def test_flow_control_both_ways(lab):
    t = Tunnel(lab, 'excas01', 'excas01:6001', window=8192)
    t.send(bind())
    received = len(t.out.pdu())
    for call in range(2, 10):
        t.send(request(call, 1, b'x' * 4000))
    t.out.s.settimeout(0.4)
    acks, answers = [], 0
    with pytest.raises(OSError):
        while True:
            pdu = t.out.pdu()
            if pdu[2] == 20:
                acks.append(struct.unpack_from('<II', pdu, 32))
            else:
                received, answers = received + len(pdu), answers + 1
    assert answers == 2 and received <= 8192  # the window is full
    t.out.s.settimeout(5)
    t.send(rts(2, (13, 3), (1, struct.pack('<II', received, 1 << 20) + t.out_cookie)))
    while answers < 8:
        pdu = t.out.pdu()
        if pdu[2] == 20:
            acks.append(struct.unpack_from('<II', pdu, 32))
        else:
            answers += 1
    for call in range(10, 20):
        t.send(request(call, 1, b'x' * 4000))
    while len(acks) < 1:
        pdu = t.out.pdu()
        if pdu[2] == 20:
            assert pdu[20:24] == struct.pack('<I', 13)
            acks.append(struct.unpack_from('<II', pdu, 32))
    assert acks[0][0] > 32768 and acks[0][1] == 65536


def test_pings_follow_the_keep_alive(lab):
    t = Tunnel(lab, 'excas01', 'excas01:6001')
    t.send(rts(2, (5, 200)))
    for _ in range(3):
        assert t.out.pdu() == rts(1)


def test_recycling_of_both_channels(fresh):
    with open(f'{fresh.dir}/faults/EXCAS01', 'w', encoding='utf-8') as f:
        f.write('rpc-recycle 500\n')
    t = Tunnel(fresh, 'excas01', 'excas01:6001')
    t.send(bind())
    assert t.out.pdu()[2] == 12
    t.send(request(2, 1, b'y' * 600))
    assert t.out.pdu()[2] == 2
    assert t.out.pdu() == rts(4, (13, 0))  # OUT_R1/A2
    new = Wire(fresh, 'excas01')
    successor = os.urandom(16)
    new.head('RPC_OUT_DATA', 120, 'excas01:6001')
    new.s.sendall(rts(4, (6, 1), (3, t.vc), (3, t.out_cookie), (3, successor), (0, 65536)) + rts(1, (7, b'')))
    assert new.read_head().startswith('HTTP/1.1 200 Success')
    assert len(new.pdu()) == 32  # OUT_R2/A6
    assert t.out.pdu() == rts(0x20, (10, b''))  # OUT_R2/B3
    assert t.out.at_end()
    t.send(request(3, 1, b'on the new one'))
    assert new.pdu()[24:] == b'on the new one'
    inn = Wire(fresh, 'excas01')
    inn.head('RPC_IN_DATA', 1 << 30, 'excas01:6001')
    inn.s.sendall(rts(4, (6, 1), (3, t.vc), (3, t.in_cookie), (3, os.urandom(16))))
    pdu = new.pdu()
    while pdu == rts(4, (13, 0)):
        pdu = new.pdu()
    assert pdu == rts(0, (13, 0))  # IN_R2/A4
    t.inn.s.close()
    inn.s.sendall(request(4, 1, b'through the new IN'))
    assert new.pdu()[24:] == b'through the new IN'


@pytest.mark.parametrize(
    'query', ['EXMBX09:6001', 'excas01:593', 'excas01', 'ex13mbx01@contoso.lab:6001', '']
)
def test_targets_outside_valid_ports_are_refused(lab, query):
    w = Wire(lab, 'excas01')
    w.head('RPC_OUT_DATA', 76, query)
    assert w.read_head().startswith('HTTP/1.1 503 RPC Error: 5\r\n')


def test_a_mailbox_by_guid_on_2013(lab):
    done = lab.ldapsearch('-b', 'CN=Users,DC=contoso,DC=lab', '(cn=dave)', 'msExchMailboxGuid')
    guid = uuid.UUID(bytes_le=base64.b64decode(re.search('msExchMailboxGuid:: (.*)', done.stdout)[1]))
    t = Tunnel(lab, 'ex13cas01', f'{guid}@contoso.lab:6001')
    t.send(bind(interface=NSPI))
    assert struct.unpack_from('<H', t.out.pdu(), 36)[0] == 0
    w = Wire(lab, 'ex13cas01')
    w.head('RPC_OUT_DATA', 76, f'{uuid.uuid4()}@contoso.lab:6001')
    assert w.read_head().startswith('HTTP/1.1 503 RPC Error: 5')


def test_a_401_comes_at_once_while_a_gigabyte_is_announced(lab):
    w = Wire(lab, 'excas01')
    began = time.monotonic()
    w.head('RPC_IN_DATA', 1 << 30, 'excas01:6001', user=None)
    w.s.sendall(b1(os.urandom(16), os.urandom(16)))
    head = w.read_head()
    assert head.startswith('HTTP/1.1 401') and 'Connection: close' in head and time.monotonic() - began < 2
    assert w.at_end()
    w = Wire(lab, 'excas01')
    for _ in range(2):
        w.head('RPC_IN_DATA', 4, 'excas01:6001', user=None)
        w.s.sendall(b'ABCD')
        head = w.read_head()
        assert head.startswith('HTTP/1.1 401') and 'Connection: close' not in head
        w.read(int(re.search('Content-Length: ([0-9]+)', head)[1]))


def test_expect_100_continue(lab):
    w = Wire(lab, 'excas01')
    w.head('RPC_IN_DATA', 1 << 30, 'excas01:6001', extra='Expect: 100-continue\r\n')
    assert w.read_head() == 'HTTP/1.1 100 Continue'
    w = Wire(lab, 'excas01')
    w.head('RPC_IN_DATA', 1 << 30, 'excas01:6001', user=None, extra='Expect: 100-continue\r\n')
    head = w.read_head()
    assert head.startswith('HTTP/1.1 401') and 'Connection: close' not in head


@pytest.mark.parametrize(
    'garbage',
    [
        b'\0' * 200,
        b'\xff' * 200,
        rts(0, (99, 1)) * 4,
        b1(os.urandom(16), os.urandom(16))[:50] + b'\0' * 100,
        struct.pack('<BBBBIHHI', 5, 0, 20, 3, 0x10, 3, 0, 0) * 10,
    ],
    ids=['zeros', 'ones', 'command', 'cut', 'length'],
)
def test_garbage_on_the_channels(lab, garbage):
    for method, length in (('RPC_IN_DATA', 1 << 30), ('RPC_OUT_DATA', 76)):
        w = Wire(lab, 'excas01')
        w.head(method, length, 'excas01:6001')
        w.s.sendall(garbage[:length])
        w.at_end()
    with open(f'{lab.dir}/log/cas.out', encoding='utf-8') as f:
        assert 'Traceback' not in f.read()


@pytest.mark.parametrize(
    'head',
    [
        'GET / HTTP/1.1\r\n\r\n',
        'GET  / HTTP/1.1\r\nHost: x\r\n\r\n',
        'GET / HTTP/2.0\r\nHost: x\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
        'GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n',
        'GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n',
        'GET / HTTP/1.1\r\nHost: x\r\nA: ' + 'x' * 70000 + '\r\n\r\n',
    ],
    ids=range(9),
)
def test_heads_no_good_server_takes(lab, head):
    w = Wire(lab, 'excas01')
    w.s.sendall(head.encode())
    assert w.read_head().startswith('HTTP/1.1 400')
    assert w.at_end()


def test_many_connections_at_once(lab):
    tunnels = [Tunnel(lab, 'excas01', 'excas01:6001') for _ in range(20)]
    for i, t in enumerate(tunnels):
        t.send(bind() + request(2, 1, f'tunnel {i}'.encode()))
    for i, t in enumerate(tunnels):
        assert t.out.pdu()[2] == 12
        assert t.out.pdu()[24:] == f'tunnel {i}'.encode()
