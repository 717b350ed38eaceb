"""RPC and RTS PDUs, as far as a responder needs them: MS-RPCH 2.2.3 and C706 chapter 12. Little-endian."""
import struct
import uuid
from typing import NamedTuple

REQUEST, RESPONSE, FAULT, BIND, BIND_ACK, AUTH3, ALTER, ALTER_RESP, RTS = 0, 2, 3, 11, 12, 16, 14, 15, 20
PING, OTHER_CMD, RECYCLE, IN_CHANNEL, OUT_CHANNEL, EOF, ECHO = 1, 2, 4, 8, 0x10, 0x20, 0x40
WINDOW, ACK, TIMEOUT, COOKIE, LIFETIME, KEEPALIVE, VERSION, EMPTY, PADDING, NEGATIVE_ANCE, ANCE = range(11)
CLIENT_ADDRESS, GROUP, DESTINATION, PING_SENT = 11, 12, 13, 14
_SIZES = {
    WINDOW: 4,
    ACK: 24,
    TIMEOUT: 4,
    COOKIE: 16,
    LIFETIME: 4,
    KEEPALIVE: 4,
    VERSION: 4,
    EMPTY: 0,
    NEGATIVE_ANCE: 0,
    ANCE: 0,
    GROUP: 16,
    DESTINATION: 4,
    PING_SENT: 4,
}
HEADER, RTS_HEADER, LARGEST = 16, 20, 65535
NDR = uuid.UUID('8a885d04-1ceb-11c9-9fe8-08002b104860').bytes_le + struct.pack('<I', 2)
MANAGEMENT = 'afa8bd80-7d8a-11c9-bef4-08002b102989'
INTERFACES = {
    'a4f1db00-ca47-1067-b31f-00dd010662da': (6001,),
    '5261574a-4572-206e-b268-6b199213b4e4': (6001,),
    '1544f5e0-613c-11d1-93df-00c04fd7bd09': (6002, 6004),
    'f5cc5a18-4264-101a-8c59-08002b2f8426': (6002, 6004),
    MANAGEMENT: (6001, 6002, 6004),
}
FAULT_OP_RANGE = 0x1C010002
HIGHEST_OPNUM = 63
NTLM_AUTH = 10


class Malformed(Exception):
    pass


class Pdu(NamedTuple):
    kind: int
    flags: int
    call: int
    auth_length: int
    data: bytes


def may_be_pdu(head):
    """Whether these first bytes can begin a PDU: nobody waits for the rest of something that cannot."""
    return (
        head[:2] == b'\5\0' and head[4:8] == b'\x10\0\0\0' and int.from_bytes(head[8:10], 'little') >= HEADER
    )


def parse(data):
    """One whole PDU."""
    version, minor, kind, flags, drep, length, auth, call = struct.unpack_from('<BBBBIHHI', data)
    if (
        (version, minor) != (5, 0)
        or drep != 0x10
        or length != len(data)
        or length < HEADER
        or auth + HEADER > length
    ):
        raise Malformed('not an RPC PDU')
    return Pdu(kind, flags, call, auth, data)


def rts(flags, *commands):
    """commands: (number, payload as bytes or u32)."""
    body = b''.join(
        struct.pack('<I', n) + (p if isinstance(p, bytes) else struct.pack('<I', p)) for n, p in commands
    )
    return (
        struct.pack('<BBBBIHHIHH', 5, 0, RTS, 3, 0x10, RTS_HEADER + len(body), 0, 0, flags, len(commands))
        + body
    )


def commands(pdu):
    """(RTS flags, [(number, payload)])"""
    if pdu.kind != RTS or len(pdu.data) < RTS_HEADER:
        raise Malformed('RTS PDU expected')
    flags, count = struct.unpack_from('<HH', pdu.data, 16)
    at, out = RTS_HEADER, []
    for _ in range(count):
        if at + 4 > len(pdu.data):
            raise Malformed('RTS command cut')
        number = struct.unpack_from('<I', pdu.data, at)[0]
        at += 4
        if number == PADDING:
            size = 4 + struct.unpack_from('<I', pdu.data.ljust(at + 4, b'\0'), at)[0]
        elif number == CLIENT_ADDRESS:
            size = (
                4 + {0: 4, 1: 16}.get(struct.unpack_from('<I', pdu.data.ljust(at + 4, b'\0'), at)[0], 4) + 12
            )
        elif number in _SIZES:
            size = _SIZES[number]
        else:
            raise Malformed(f'RTS command {number}')
        if at + size > len(pdu.data):
            raise Malformed('RTS command cut')
        out.append((number, pdu.data[at : at + size]))
        at += size
    if at != len(pdu.data):
        raise Malformed('RTS PDU longer than its commands')
    return flags, out


def u32(payload):
    return struct.unpack('<I', payload)[0]


def _pdu(kind, call, body, flags=3, auth=b''):
    length = HEADER + len(body) + len(auth)
    return (
        struct.pack('<BBBBIHHI', 5, 0, kind, flags, 0x10, length, max(0, len(auth) - 8), call) + body + auth
    )


def bind_ack(pdu, port, any_port):
    """Accepts every context whose interface lives behind the port (with any_port: 6001 has them all), with
    NDR.

    Returns (PDU, whether one was accepted, largest fragment the client takes).
    """
    d = pdu.data
    if len(d) < 28:
        raise Malformed('bind cut')
    max_xmit, max_recv, group, contexts = struct.unpack_from('<HHIB', d, HEADER)
    results, at, accepted = [], 28, False
    for _ in range(contexts):
        if at + 24 > len(d):
            raise Malformed('bind cut')
        transfers = d[at + 2]
        interface = str(uuid.UUID(bytes_le=d[at + 4 : at + 20]))
        at += 24
        if at + 20 * transfers > len(d):
            raise Malformed('bind cut')
        offered = [d[at + 20 * i : at + 20 * i + 20] for i in range(transfers)]
        at += 20 * transfers
        if port not in INTERFACES.get(interface, ()) and not (
            any_port and port == 6001 and interface in INTERFACES
        ):
            results.append(struct.pack('<HH', 2, 1) + b'\0' * 20)
        elif NDR not in offered:
            results.append(struct.pack('<HH', 2, 2) + b'\0' * 20)
        else:
            accepted = True
            results.append(struct.pack('<HH', 0, 0) + NDR)
    address = f'{port}\0'.encode()
    body = (
        struct.pack('<HHI', min(max_recv, 4280), min(max_xmit, 4280), group or 0x1234)
        + struct.pack('<H', len(address))
        + address
    )
    body += b'\0' * (-(HEADER + len(body)) % 4) + struct.pack('<BBH', len(results), 0, 0) + b''.join(results)
    auth = b''
    if pdu.auth_length:
        trailer = d[-pdu.auth_length - 8 : -pdu.auth_length]
        if trailer[0] == NTLM_AUTH:
            body += b'\0' * (-(HEADER + len(body)) % 4)
            auth = trailer[:2] + b'\0\0' + trailer[4:] + ntlm_challenge()
    return (
        _pdu(ALTER_RESP if pdu.kind == ALTER else BIND_ACK, pdu.call, body, auth=auth),
        accepted,
        max(1432, min(max_recv, 4280)),
    )


def ntlm_challenge():
    """An NTLM type 2 message: enough for a client to go on. What it then proves is not checked (README)."""
    target = 'CONTOSO'.encode('utf-16-le')
    info = struct.pack('<HH', 2, len(target)) + target + struct.pack('<HH', 0, 0)
    flags = 0xE28A8235 & ~0x40000000
    head = (
        b'NTLMSSP\0'
        + struct.pack('<IHHII', 2, len(target), len(target), 56, flags)
        + b'\x11\x22\x33\x44\x55\x66\x77\x88'
        + b'\0' * 8
    )
    return (
        head
        + struct.pack('<HHI', len(info), len(info), 56 + len(target))
        + b'\x06\x03\x80\x25\0\0\0\x0f'
        + target
        + info
    )


def request_parts(pdu):
    """(context, opnum, stub) of a request."""
    if len(pdu.data) < 24:
        raise Malformed('request cut')
    _, context, opnum = struct.unpack_from('<IHH', pdu.data, HEADER)
    start = 24 + (16 if pdu.flags & 0x80 else 0)
    end = len(pdu.data)
    if pdu.auth_length:
        trailer = end - pdu.auth_length - 8
        if trailer < start:
            raise Malformed('request cut')
        end = trailer - pdu.data[trailer + 2]
    return context, opnum, pdu.data[start : max(start, end)]


def responses(call, context, stub, largest):
    """The stub as response PDUs, each at most `largest` bytes."""
    room = (largest - 24) // 8 * 8
    pieces = [stub[i : i + room] for i in range(0, len(stub), room)] or [b'']
    left = len(stub)
    for i, piece in enumerate(pieces):
        flags = (1 if i == 0 else 0) | (2 if i == len(pieces) - 1 else 0)
        yield _pdu(RESPONSE, call, struct.pack('<IHBB', left, context, 0, 0) + piece, flags)
        left -= len(piece)


def fault(call, context, status):
    return _pdu(FAULT, call, struct.pack('<IHBBI', 32, context, 0, 0, status) + b'\0' * 4)


def echo():
    return rts(ECHO)


def a3(timeout):
    return rts(0, (TIMEOUT, timeout))


def c2(window, timeout):
    return rts(0, (VERSION, 1), (WINDOW, window), (TIMEOUT, timeout))


def flow_ack(received, window, cookie):
    """From server to client, for the IN channel."""
    return rts(OTHER_CMD, (DESTINATION, 0), (ACK, struct.pack('<II', received, window) + cookie))
