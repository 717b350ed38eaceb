"""HTTP/1.1 of one connection: heads read strictly, bodies on demand, answers in IIS's manner. No HTTP/2."""
import asyncio
import re
import time

HEAD_LIMIT = 65536
DRAIN_LIMIT = 65536  # a rest of a body up to this is read away to keep the connection
LINGER = 0.3  # seconds we go on reading what a client still sends after a final answer
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) ([!-~]{1,16384}) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
REASONS = {
    100: 'Continue',
    200: 'OK',
    204: 'No Content',
    301: 'Moved Permanently',
    302: 'Found',
    400: 'Bad Request',
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'Not Found',
    405: 'Method Not Allowed',
    411: 'Length Required',
    413: 'Request Entity Too Large',
    307: 'Temporary Redirect',
    440: 'Login Timeout',
    449: 'Retry after sending a PROVISION command',
    451: 'Redirect',
    500: 'Internal Server Error',
    501: 'Not Implemented',
    503: 'Service Unavailable',
    505: 'HTTP Version Not Supported',
}


class BadRequest(Exception):
    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Request:
    def __init__(self, connection, method, target, minor, fields):
        self.connection, self.method, self.target, self.minor, self.fields = (
            connection,
            method,
            target,
            minor,
            fields,
        )
        self.path, _, self.query = target.partition('?')
        self.remaining = 0  # bytes of a body of known length still on the wire
        self.chunked = False
        self.awaits_100 = False  # the client holds the body back until told to go on
        self._check()

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def get(self, name, default=None):
        return next((v for n, v in self.fields if n == name), default)

    def _check(self):
        lengths = set(self.all('content-length'))
        codings = self.all('transfer-encoding')
        if len(lengths) > 1 or (lengths and codings):
            raise BadRequest(400, 'Invalid Header')
        if codings:
            if [c.lower() for c in codings] != ['chunked']:
                raise BadRequest(501, 'Not Implemented')
            self.chunked = True
        elif lengths:
            text = lengths.pop()
            if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) >= 1 << 63:
                raise BadRequest(400, 'Invalid Header')
            self.remaining = int(text)
        if self.minor == 1 and len(self.all('host')) != 1:
            raise BadRequest(400, 'Invalid Hostname')
        self.awaits_100 = (
            self.minor == 1
            and self.get('expect', '').lower() == '100-continue'
            and (self.chunked or self.remaining > 0)
        )

    @property
    def keep_alive(self):
        words = {w.strip().lower() for v in self.all('connection') for w in v.split(',')}
        return 'close' not in words if self.minor == 1 else 'keep-alive' in words

    async def go_on(self):
        """Tells a waiting client to send its body."""
        if self.awaits_100:
            self.awaits_100 = False
            self.connection.writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
            await self.connection.writer.drain()

    async def read_some(self, limit=65536):
        """Some bytes of a body of known length; b'' at its end or when the client went away."""
        await self.go_on()
        if not self.remaining:
            return b''
        data = await self.connection.reader.read(min(limit, self.remaining))
        self.remaining = self.remaining - len(data) if data else 0
        return data

    async def body(self, limit=4 << 20):
        """The whole body. Raises BadRequest 413 beyond the limit."""
        await self.go_on()
        if self.chunked:
            return await self._chunks(limit)
        if self.remaining > limit:
            raise BadRequest(413, 'Request Entity Too Large')
        data = await self.connection.reader.readexactly(self.remaining)
        self.remaining = 0
        return data

    async def _chunks(self, limit):
        reader, out = self.connection.reader, bytearray()
        while True:
            line = (await reader.readuntil(b'\r\n'))[:-2].partition(b';')[0].strip()
            if not re.fullmatch(rb'[0-9A-Fa-f]{1,8}', line):
                raise BadRequest(400, 'Invalid chunk')
            size = int(line, 16)
            if len(out) + size > limit:
                raise BadRequest(413, 'Request Entity Too Large')
            if size == 0:
                while (await reader.readuntil(b'\r\n')) != b'\r\n':
                    pass
                self.chunked = False
                return bytes(out)
            out += await reader.readexactly(size)
            if await reader.readexactly(2) != b'\r\n':
                raise BadRequest(400, 'Invalid chunk')


class Response:
    def __init__(self, status=200, body=b'', content_type='text/html', headers=(), reason=None, close=False):
        self.status, self.reason = status, reason or REASONS.get(status, 'Unknown')
        self.body = body.encode() if isinstance(body, str) else body
        self.content_type, self.headers, self.close = content_type, list(headers), close


class Connection:
    """One client. After authentication `user` stays for the connection, as IIS binds it."""

    def __init__(self, reader, writer, common_headers):
        self.reader, self.writer, self.common = reader, writer, common_headers
        self.peer = (writer.get_extra_info('peername') or ('?', 0))[0]
        self.user = None  # authenticated by Negotiate or NTLM
        self.context = None  # a handshake under way
        self.plain = False  # without TLS

    @property
    def gone(self):
        """The client does not wait any longer."""
        return self.reader.at_eof() or self.reader.exception() is not None

    async def read_head(self, idle):
        """The next request, or None when the client is done. Raises BadRequest, asyncio.TimeoutError."""
        try:
            async with asyncio.timeout(idle):
                head = await self.reader.readuntil(b'\r\n\r\n')
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.LimitOverrunError:
            raise BadRequest(400, 'Request Too Long') from None
        if len(head) > HEAD_LIMIT:
            raise BadRequest(400, 'Request Too Long')
        lines = head[:-4].split(b'\r\n')
        while lines and not lines[0]:
            lines.pop(0)  # an empty line or two before a request is tolerated
        match = _LINE.fullmatch(lines[0]) if lines else None
        if match is None:
            raise BadRequest(400, 'Invalid Verb')
        fields = []
        for line in lines[1:]:
            field = _FIELD.fullmatch(line)
            if field is None:
                raise BadRequest(400, 'Invalid Header')
            fields.append((field[1].decode().lower(), field[2].decode('latin-1').strip()))
        return Request(self, match[1].decode(), match[2].decode(), int(match[3]), fields)

    def head(self, status, reason, headers):
        lines = (
            [f'HTTP/1.1 {status} {reason}']
            + [f'{n}: {v}' for n, v in headers]
            + [f'{n}: {v}' for n, v in self.common]
        )
        lines.append('Date: ' + time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime()))
        return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1', 'replace')

    async def send(self, response, request=None):
        """Writes a whole answer. Returns whether the connection may be used again."""
        keep = request is not None and request.keep_alive and not response.close
        if (
            request is not None
            and not request.awaits_100
            and (request.chunked or request.remaining > DRAIN_LIMIT)
        ):
            keep = False
        headers = [('Content-Type', response.content_type)] if response.body else []
        headers += [('Content-Length', str(len(response.body)))] + response.headers
        if not keep:
            headers.append(('Connection', 'close'))
        elif request.minor == 0:
            headers.append(('Connection', 'keep-alive'))
        body = b'' if request is not None and request.method == 'HEAD' else response.body
        self.writer.write(self.head(response.status, response.reason, headers) + body)
        await self.writer.drain()
        if keep and request.remaining and not request.awaits_100:
            await asyncio.wait_for(self.reader.readexactly(request.remaining), 30)
        return keep

    async def close(self, linger=True):
        """Ends the connection; goes on reading for a moment so that the answer is not lost to a reset."""
        try:
            if linger:
                deadline = time.monotonic() + LINGER
                if self.writer.can_write_eof():
                    self.writer.write_eof()
                while time.monotonic() < deadline:
                    if not await asyncio.wait_for(
                        self.reader.read(65536), max(0.01, deadline - time.monotonic())
                    ):
                        break
        except (OSError, asyncio.TimeoutError, RuntimeError):
            pass
        try:
            self.writer.close()
            await asyncio.wait_for(self.writer.wait_closed(), 2)
        except (OSError, asyncio.TimeoutError, RuntimeError):
            pass
