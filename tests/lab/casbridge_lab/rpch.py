"""The RPC proxy's side of RPC over HTTP v2 (MS-RPCH): echo, virtual connections of an IN and an OUT
channel, and a small RPC server behind them that accepts the Exchange interfaces' binds and answers
every request with its own stub.
"""
import asyncio
import collections
import re

from . import rpcpdu as p
from .http import Response

PORTS = (6001, 6002, 6004)
TIMEOUT_MS = 120000  # ConnectionTimeout
WINDOW = 65536  # our receive window on the IN channel
BACKLOG = 64 << 20  # bytes that may wait for a client's window
HALF_OPEN = 60.0  # seconds a channel waits for its other half
ECHO_LIMIT = 0x10
LENGTH = str(1 << 30)
ACCESS_DENIED, SERVER_UNAVAILABLE = '5', '6ba'
TARGET = re.compile(r'([A-Za-z0-9_.@{}-]{1,255}):([0-9]{1,5})')


class Session:
    """A virtual connection: what the two channels share. Lives on the event loop only."""

    def __init__(self, cookie):
        self.cookie = cookie
        self.out = self.out_cookie = self.in_cookie = None
        self.in_open = self.opened = self.closed = False
        self.ready = asyncio.Event()  # both halves are there
        self.gone = asyncio.Event()
        self.ping_every = TIMEOUT_MS / 2000
        self.window = self.available = 0  # the client's, for the OUT channel
        self.sent = self.acknowledged = 0
        self.waiting, self.waiting_bytes = (
            collections.deque(),
            0,
        )  # RPC PDUs for which the client's window has no room yet
        self.changed = asyncio.Event()  # the ping timer is another now
        self.largest = 4280
        self.received = self.acked_at = 0  # on the IN channel, RPC PDUs only
        self.fragments = {}
        self.recycle_asked = False

    async def write(self, data, counts=False):
        """To the client. RPC PDUs wait in a queue for the client's window, so that we go on reading its
        acknowledgements; RTS PDUs do not.
        """
        if not counts:
            await self._send(data)
            return
        self.waiting.append(data)
        self.waiting_bytes += len(data)
        if self.waiting_bytes > BACKLOG:
            self.close()
        await self.pump()

    async def _send(self, data):
        if self.out is not None and not self.closed:
            self.out.write(data)
            await self.out.drain()

    async def pump(self):
        """Sends what the window has room for."""
        while self.waiting and (
            not self.window or self.sent - self.acknowledged + len(self.waiting[0]) <= self.available
        ):
            data = self.waiting.popleft()
            self.waiting_bytes -= len(data)
            self.sent += len(data)
            await self._send(data)

    def close(self):
        self.closed = True
        self.ready.set()
        self.gone.set()


class RpcProxy:
    """For one server. valid_target(host) says whether the proxy may reach that RPC server."""

    def __init__(self, server, valid_target, recycle_after):
        self.server, self.valid_target, self.recycle_after = server, valid_target, recycle_after
        self.sessions = {}

    def close_all(self):
        for session in list(self.sessions.values()):
            session.close()

    async def serve(self, connection, request):
        """Answers an authenticated request. Returns a Response to send, or None when the channel has used
        up the connection.
        """
        if request.method not in ('RPC_IN_DATA', 'RPC_OUT_DATA'):
            return Response(
                405, 'RPC_IN_DATA or RPC_OUT_DATA expected', headers=[('Allow', 'RPC_IN_DATA, RPC_OUT_DATA')]
            )
        if not request.path.lower().endswith('/rpcproxy.dll'):
            return Response(404)
        if not request.chunked and request.remaining <= ECHO_LIMIT:
            await request.body()
            return Response(200, p.echo(), 'application/rpc', reason='Success')
        target = TARGET.fullmatch(request.query)
        if target is None or int(target[2]) not in PORTS or not self.valid_target(target[1]):
            return Response(503, reason=f'RPC Error: {ACCESS_DENIED}', close=True)
        port = int(target[2])
        try:
            if request.method == 'RPC_OUT_DATA':
                return await self._out(connection, request)
            return await self._in(connection, request, port)
        except (p.Malformed, asyncio.IncompleteReadError, ConnectionError, asyncio.TimeoutError):
            return (
                Response(503, reason=f'RPC Error: {SERVER_UNAVAILABLE}', close=True)
                if request.method == 'RPC_IN_DATA'
                else None
            )

    def _session(self, cookie):
        session = self.sessions.get(cookie)
        if session is None or session.closed:
            session = self.sessions[cookie] = Session(cookie)
        return session

    def _forget(self, session):
        session.close()
        if self.sessions.get(session.cookie) is session:
            del self.sessions[session.cookie]

    async def _pdu(self, request, buffer):
        """The next PDU of a request's body; None at its end."""
        while len(buffer) < p.HEADER or len(buffer) < int.from_bytes(buffer[8:10], 'little'):
            if len(buffer) >= p.HEADER and not p.may_be_pdu(buffer):
                raise p.Malformed('not an RPC PDU')
            data = await request.read_some()
            if not data:
                if buffer:
                    raise p.Malformed('PDU cut')
                return None
            buffer += data
        if not p.may_be_pdu(buffer):
            raise p.Malformed('not an RPC PDU')
        length = int.from_bytes(buffer[8:10], 'little')
        pdu = p.parse(bytes(buffer[:length]))
        del buffer[:length]
        return pdu

    # ---- OUT channel

    async def _out(self, connection, request):
        if request.chunked or request.remaining > 4096:
            return Response(503, reason=f'RPC Error: {ACCESS_DENIED}', close=True)
        buffer = bytearray()
        first = await asyncio.wait_for(self._pdu(request, buffer), HALF_OPEN)
        if first is None:
            raise p.Malformed('no CONN/A1')
        flags, commands = p.commands(first)
        cookies = [payload for number, payload in commands if number == p.COOKIE]
        window = next((p.u32(payload) for number, payload in commands if number == p.WINDOW), 0)
        while request.remaining:
            await self._pdu(request, buffer)  # OUT_R2/C1 follows OUT_R1/A3
        if flags & p.RECYCLE and len(cookies) == 3:
            return await self._successor_out(connection, cookies)
        if len(cookies) != 2:
            raise p.Malformed('CONN/A1 expected')
        session = self._session(cookies[0])
        session.out, session.out_cookie, session.window, session.available = (
            connection.writer,
            cookies[1],
            window,
            window,
        )
        await self._answer_out(connection)
        connection.writer.write(p.a3(TIMEOUT_MS))
        await connection.writer.drain()
        try:
            await self._open(session)
            await self._keep_out(session, connection)
        finally:
            if session.out is connection.writer:
                self._forget(session)
        return None

    async def _answer_out(self, connection):
        connection.writer.write(
            connection.head(200, 'Success', [('Content-Type', 'application/rpc'), ('Content-Length', LENGTH)])
        )
        await connection.writer.drain()

    async def _open(self, session):
        """C2 goes out when both halves are there, whichever comes last."""
        if session.out is not None and session.in_open:
            if not session.opened:
                session.opened = True
                await session.write(p.c2(WINDOW, TIMEOUT_MS))
                session.ready.set()
            return
        await asyncio.wait_for(session.ready.wait(), HALF_OPEN)

    async def _keep_out(self, session, connection):
        """Pings until the session ends, the client goes away or a successor takes over."""
        watch = asyncio.ensure_future(connection.reader.read(1))
        gone = asyncio.ensure_future(session.gone.wait())
        changed = asyncio.ensure_future(session.changed.wait())
        try:
            while not session.closed and session.out is connection.writer:
                done, _ = await asyncio.wait(
                    {watch, gone, changed}, timeout=session.ping_every, return_when=asyncio.FIRST_COMPLETED
                )
                if watch in done or gone in done:
                    return
                if changed in done:
                    session.changed.clear()
                    changed = asyncio.ensure_future(session.changed.wait())
                elif session.out is connection.writer:
                    await session.write(p.rts(p.PING))
        finally:
            for task in (watch, gone, changed):
                task.cancel()

    async def _successor_out(self, connection, cookies):
        """OUT channel recycling: the new channel takes the place of the one it names, which ends with
        OUT_R2/B3.
        """
        session = self.sessions.get(cookies[0])
        if session is None or session.closed or session.out_cookie != cookies[1]:
            raise p.Malformed('recycling of an unknown channel')
        old = session.out
        await self._answer_out(connection)
        connection.writer.write(p.rts(0, (p.DESTINATION, 0), (p.ANCE, b'')))  # OUT_R2/A6
        await connection.writer.drain()
        session.out, session.out_cookie, session.recycle_asked = connection.writer, cookies[2], False
        old.write(p.rts(p.EOF, (p.ANCE, b'')))
        await old.drain()
        old.close()
        try:
            await self._keep_out(session, connection)
        finally:
            if session.out is connection.writer:
                self._forget(session)
        return None

    # ---- IN channel

    async def _in(self, connection, request, port):
        buffer = bytearray()
        first = await asyncio.wait_for(self._pdu(request, buffer), HALF_OPEN)
        if first is None:
            raise p.Malformed('no CONN/B1')
        flags, commands = p.commands(first)
        cookies = [payload for number, payload in commands if number == p.COOKIE]
        recycled = bool(flags & p.RECYCLE and len(cookies) == 3)
        if not recycled and len(cookies) != 2:
            raise p.Malformed('CONN/B1 expected')
        session = self._session(cookies[0])
        if recycled:
            if session.in_cookie != cookies[1]:
                raise p.Malformed('recycling of an unknown channel')
            await session.write(p.rts(0, (p.DESTINATION, 0)))  # IN_R2/A4
        session.in_cookie, session.in_open = cookies[-1], True
        mine = session.in_cookie
        try:
            await self._open(session)
            while not session.closed:
                pdu = await self._next_or_gone(session, request, buffer)
                if pdu is None:
                    break
                await self._take(session, pdu, port)
        finally:
            if session.in_cookie == mine:
                self._forget(session)
        return (
            Response(503, reason=f'RPC Error: {SERVER_UNAVAILABLE}', close=True)
            if request.remaining
            else None
        )

    async def _next_or_gone(self, session, request, buffer):
        read = asyncio.ensure_future(self._pdu(request, buffer))
        gone = asyncio.ensure_future(session.gone.wait())
        try:
            await asyncio.wait({read, gone}, return_when=asyncio.FIRST_COMPLETED)
            return read.result() if read.done() else None
        finally:
            for task in (read, gone):
                task.cancel()

    async def _take(self, session, pdu, port):
        if pdu.kind == p.RTS:
            await self._take_rts(session, pdu)
            return
        session.received += len(pdu.data)
        if session.received - session.acked_at > WINDOW // 2:
            session.acked_at = session.received
            await session.write(p.flow_ack(session.received & 0xFFFFFFFF, WINDOW, session.in_cookie))
        if pdu.kind in (p.BIND, p.ALTER):
            answer, _, session.largest = p.bind_ack(pdu, port, self.server.generation >= 2013)
            await session.write(answer, counts=True)
        elif pdu.kind == p.REQUEST:
            await self._request(session, pdu)
        after = self.recycle_after()
        if after and session.sent > after and not session.recycle_asked:
            session.recycle_asked = True
            await session.write(p.rts(p.RECYCLE, (p.DESTINATION, 0)))  # OUT_R1/A2

    async def _request(self, session, pdu):
        context, opnum, stub = p.request_parts(pdu)
        whole = session.fragments.get(pdu.call, b'') + stub
        if len(whole) > 16 << 20 or len(session.fragments) > 64:
            raise p.Malformed('request too large')
        if not pdu.flags & 2:
            session.fragments[pdu.call] = whole
            return
        session.fragments.pop(pdu.call, None)
        if opnum > p.HIGHEST_OPNUM:
            await session.write(p.fault(pdu.call, context, p.FAULT_OP_RANGE), counts=True)
            return
        for answer in p.responses(pdu.call, context, whole, session.largest):
            await session.write(answer, counts=True)

    async def _take_rts(self, session, pdu):
        flags, commands = p.commands(pdu)
        for number, payload in commands:
            if number == p.KEEPALIVE and flags & p.OTHER_CMD and p.u32(payload):
                session.ping_every = max(0.05, min(p.u32(payload), TIMEOUT_MS) / 2000)
                session.changed.set()
            elif number == p.ACK:
                session.acknowledged, session.available = p.u32(payload[:4]), p.u32(payload[4:8])
                await session.pump()
