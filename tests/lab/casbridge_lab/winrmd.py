"""The daemon that plays every server's WinRM service and Exchange's PowerShell virtual directory. Started by
`lab up`, spoken to over DIR/run/winrm.
"""
import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
import time
import traceback


def _arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('--dir', required=True)
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = _arguments()
    sys.pycache_prefix = os.path.join(ARGS.dir, 'pycache')
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from casbridge_lab import auth, org, winrm_soap as soap  # noqa: E402
from casbridge_lab.faults import Faults  # noqa: E402
from casbridge_lab.http import HEAD_LIMIT, BadRequest, Connection, Response  # noqa: E402
from casbridge_lab.layout import EXCHANGE_PORT, WINRM_PORT, WINRMS_PORT, Lab  # noqa: E402
from casbridge_lab.winrm_run import Spawner  # noqa: E402
from casbridge_lab.winrm_seal import Gate, Refused, Unsealable, serves_exchange  # noqa: E402
from casbridge_lab.winrm_shells import Dropped, Shells  # noqa: E402

IDLE = 120.0  # as http.sys
BODY_LIMIT = 4 << 20
SOAP_TYPE = 'application/soap+xml;charset={}'
COMMON = [('Server', 'Microsoft-HTTPAPI/2.0'), ('X-Lab', 'stand-in')]
ANYBODY = 'anonymous@' + org.DOMAIN


class Endpoint:
    """One server: its listeners, and what comes in on them."""

    def __init__(self, lab, server, basic, spawner):
        self.lab, self.server = lab, server
        self.address = lab.server_address(org.server_index(server.name))
        self.faults = Faults(lab, server.name)
        self.gate = Gate(lab, server, basic)
        self.shells = Shells(lab, server, spawner, self.faults)
        self.listeners, self.tasks = [], set()
        self.log_file = lab.path('winrm', f'{server.name}.log')

    # ---- life

    def _tls(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.lab.path('pki', f'{name}.pem'), self.lab.path('pki', f'{name}.key'))
        return context

    def _own_tls(self):
        """Another server's certificate is shown while the knob says so."""
        mine = self._tls(self.server.name.lower())
        other = next(s.name.lower() for s in org.SERVERS if s.web and s.name != self.server.name)
        foreign = self._tls(other)

        def choose(tls, name, context):
            self.faults.look()
            tls.context = foreign if self.faults.has('winrm-identity-change') else mine

        mine.sni_callback = choose
        return mine

    async def start(self):
        if self.listeners:
            return
        ports = [(WINRM_PORT, None, False)]
        ports += [(WINRMS_PORT, self._own_tls(), False)] if self.server.web else []  # who has a certificate
        ports += [(EXCHANGE_PORT, None, True)] if serves_exchange(self.server) else []
        for port, tls, exchange in ports:

            def client(reader, writer, port=port, tls=tls, exchange=exchange):
                return self._client(reader, writer, port, tls is not None, exchange)

            self.listeners.append(
                await asyncio.start_server(
                    client, self.address, port, ssl=tls, limit=HEAD_LIMIT + 4, backlog=512
                )
            )

    async def stop(self):
        for listener in self.listeners:
            listener.close()
            await listener.wait_closed()
        self.listeners = []
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=2)
        await self.forget()

    async def forget(self):
        for number in list(self.shells.table):
            await self.shells.discard(number)
        self.shells.until.clear()
        self.shells.counts.clear()

    def log(self, connection, operation, *words):
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())
        rest = ' '.join(str(w) for w in words)
        line = f'{stamp} {connection.peer} {connection.kind} {connection.user or "-"} {operation} {rest}\n'
        fd = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.write(fd, line.encode())
        os.close(fd)

    # ---- connections

    async def _client(self, reader, writer, port, tls, exchange):
        task = asyncio.current_task()
        self.tasks.add(task)
        connection = Connection(reader, writer, COMMON)
        connection.sealer, connection.ends = None, False
        connection.kind = 'exchange' if exchange else 'https' if tls else 'http'
        linger = False
        try:
            linger = await self._conversation(connection, port, tls, exchange)
        except Dropped:
            writer.transport.abort()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass
        except Exception:  # a fault of the lab itself: said in DIR/log/winrm.out, and the others go on
            print(f'{self.server.name}: {traceback.format_exc()}', flush=True)
        finally:
            self.tasks.discard(task)
            try:
                await connection.close(linger)
            except asyncio.CancelledError:
                writer.transport.abort()

    async def _conversation(self, connection, port, tls, exchange):
        answered = 0
        while True:
            self.faults.look()
            try:
                request = await connection.read_head(self.faults.number('winrm-idle-close') or IDLE)
                if request is None:
                    return False
                response = await self._respond(connection, request, port, tls, exchange)
            except BadRequest as e:
                self.log(connection, '-', e.status)
                await connection.send(Response(e.status, f'<h2>Bad Request - {e}</h2>', close=True))
                return True
            if not await connection.send(response, request):
                return True
            answered += 1
            if connection.ends or 0 < self.faults.number('winrm-close-after') <= answered:
                return False

    def _offers(self, tls, exchange):
        open_ = self.faults.has('winrm-allow-unencrypted')
        basic = ['Basic realm="WSMAN"'] if (tls or open_) and not exchange else []
        return [('WWW-Authenticate', word) for word in ['Negotiate', 'Kerberos', *basic]]

    async def _respond(self, connection, request, port, tls, exchange):
        self.faults.look()
        path = request.path.lower().rstrip('/')
        if path != ('/powershell' if exchange else '/wsman'):
            return Response(404, '')
        if request.method != 'POST':
            return Response(405, '', headers=[('Allow', 'POST')])
        redirect = self.faults.text('winrm-redirect')
        if exchange and redirect and redirect.startswith('http-'):
            return Response(302, '', headers=[('Location', redirect[5:])])
        body = await request.body(BODY_LIMIT)
        identify = request.get('wsmanidentify', '').lower() == 'unauthenticated'
        try:
            headers, sealed = await self._who(connection, request, tls, exchange, identify)
        except Refused as e:
            self.log(connection, '-', 401, '' if e.values else e)
            more = [('WWW-Authenticate', v) for v in e.values] if e.values else self._offers(tls, exchange)
            return Response(401, '', headers=more)
        if not body:
            return Response(200, '', headers=headers)
        unsealed_is_fine = tls or identify or self.faults.has('winrm-allow-unencrypted')
        if request.get('content-type', '').lower().startswith('multipart/encrypted'):
            if not sealed:
                self.log(connection, '-', 401, 'sealed without a context')
                return Response(401, '', headers=self._offers(tls, exchange))
            try:
                body = connection.sealer.open(body)
            except Unsealable as e:
                self.log(connection, '-', 400, e)
                return Response(400, '', close=True)
        elif unsealed_is_fine or connection.user == ANYBODY:
            sealed = False
        else:  # Windows says no more than this
            self.log(connection, '-', 500, 'not encrypted')
            return Response(500, '')
        try:
            return await self._soap(connection, request, body, headers, sealed, exchange, identify)
        except Refused:  # by a knob
            return Response(401, '', headers=self._offers(tls, exchange))

    async def _who(self, connection, request, tls, exchange, identify):
        """(headers for the answer, whether messages are sealed). Sets connection.user; raises Refused."""
        scheme, _, value = (request.get('authorization') or '').partition(' ')
        scheme, value = scheme.lower(), value.strip()
        if scheme in ('negotiate', 'kerberos'):
            connection.sealer, connection.user = None, None
            connection.user, token = self.gate.step(connection, scheme, value, exchange)
            self.log(connection, 'Login', scheme)
            return ([('WWW-Authenticate', token)] if token else []), True
        if scheme == 'basic':
            connection.sealer, connection.user = None, None
            if exchange or not (tls or self.faults.has('winrm-allow-unencrypted')):
                raise Refused('Basic without TLS')
            connection.user = await self.gate.plain(value)
            return [], False
        if scheme:
            raise Refused(f'{scheme} is not offered')
        if connection.sealer is not None:
            return [], True
        if self.faults.has('winrm-no-auth') or identify:
            connection.user = ANYBODY
            return [], False
        raise Refused('no credentials')

    async def _soap(self, connection, request, body, headers, sealed, exchange, identify):
        message, shell = None, '-'
        if len(body) > self.shells.envelope_kb() * 1024:
            self.log(connection, '-', shell, '413')
            return Response(413, b'', 'text/html', headers)
        try:
            message = soap.Message(body)
            if message.identify:
                status, text = 200, soap.identity('OS: 6.1.7601 SP: 1.0 Stack: 2.0')
                return self._answer(connection, status, text, headers, sealed)
            if identify:
                raise soap.Fault('denied')
            shell = message.shell_id or '-'
            text = await self._operation(connection, request, message, exchange)
            status = 200
        except soap.Fault as e:
            text, status = soap.fault(e, self.server.fqdn, message), 500
            operation = getattr(message, 'operation', None) or '-'
            self.log(connection, operation, shell, f'fault {e.fault.code}')
        return self._answer(connection, status, text, headers, sealed)

    async def _operation(self, connection, request, message, exchange):
        operation = message.operation

        def struck(knob):
            return (self.faults.text(knob) or '').split(' ')[0].lower() == operation.lower()

        await asyncio.sleep(self.faults.number('winrm-slow'))
        if struck('winrm-drop-before'):
            self.log(connection, operation, message.shell_id or '-', 'dropped before')
            raise Dropped()
        if struck('winrm-fault'):
            raise soap.Fault.of_code(int(self.faults.text('winrm-fault').split(' ')[1]))
        redirect = self.faults.text('winrm-redirect')
        if exchange and redirect:
            raise soap.Fault('redirect', redirect)
        address = f'{"https" if connection.kind == "https" else "http"}://{request.get("host")}{request.path}'
        try:
            body = await self.shells.handle(message, connection.user, connection, address, exchange)
        except Dropped:
            self.log(connection, operation, message.shell_id or '-', 'dropped')
            raise
        self.faults.look()
        if struck('winrm-drop-after'):
            self.log(connection, operation, message.shell_id or '-', 'done, dropped after')
            raise Dropped()
        if struck('winrm-deny-after'):
            self.log(connection, operation, message.shell_id or '-', 'done, denied after')
            raise Refused('as if nothing had happened')
        connection.ends = struck('winrm-close-on')
        self.log(connection, operation, message.shell_id or '-', 'done')
        return soap.answer(message, body)

    def _answer(self, connection, status, text, headers, sealed):
        charset = 'UTF-16' if self.faults.has('winrm-utf16') else 'UTF-8'
        data = text.encode(charset)
        if not sealed:
            return Response(status, data, SOAP_TYPE.format(charset), headers)
        sealer = connection.sealer
        sealer.lead = b'' if self.faults.has('winrm-plain-wrap') else b'\t'
        kind, data = sealer.seal(
            data,
            charset,
            whole=self.faults.has('winrm-plain-wrap'),
            spoil=self.faults.has('winrm-identity-change'),
        )
        return Response(status, data, kind, headers)


class Daemon:
    def __init__(self, lab, spawner):
        self.lab, self.spawner = lab, spawner
        basic = auth.BasicChecker()
        self.endpoints = {s.name: Endpoint(lab, s, basic, spawner) for s in org.SERVERS}
        self.ended = asyncio.Event()

    async def control(self, reader, writer):
        try:
            request = json.loads(await asyncio.wait_for(reader.readuntil(b'\n'), 10))
            answer = await getattr(self, 'do_' + str(request.pop('command')))(**request)
        except Exception as e:
            answer = {'error': f'{type(e).__name__}: {e}'}
        try:
            writer.write(json.dumps(answer).encode() + b'\n')
            await writer.drain()
            writer.close()
        except ConnectionError:
            pass

    async def do_shells(self):
        return {
            'servers': {
                name: {
                    'shells': [
                        {'id': s.id, 'resource': s.resource, 'user': s.user, 'commands': len(s.commands)}
                        for s in e.shells.table.values()
                    ],
                    'operations': e.shells.counts,
                    'running': self.spawner.running,
                }
                for name, e in self.endpoints.items()
            }
        }

    async def do_reset(self):
        for e in self.endpoints.values():
            await e.forget()
            await e.start()
        return {'text': 'done'}

    async def do_stop(self, server):
        await self.endpoints[server].stop()
        return {'text': f'{server}: WinRM stopped'}

    async def do_start(self, server):
        await self.endpoints[server].start()
        return {'text': f'{server}: WinRM started'}

    async def run(self):
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self.ended.set)
        self.spawner.attach(loop)
        for e in self.endpoints.values():
            await e.start()
        path = self.lab.winrm_socket
        server = await asyncio.start_unix_server(self.control, path + '.new')
        os.chmod(path + '.new', 0o600)
        os.rename(path + '.new', path)
        await self.ended.wait()
        server.close()
        for e in self.endpoints.values():
            await e.stop()


async def _run(lab, spawner):
    await Daemon(lab, spawner).run()


def main():
    if sys.stdin.readline() != 'go\n':
        return 1  # whoever started us gave up
    lab = Lab(ARGS.dir).load()
    asyncio.run(_run(lab, Spawner(lab)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
