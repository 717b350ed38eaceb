"""One server's web service: the listener, and the way of a request through virtual directory,
authentication and application.
"""
import asyncio
import ssl
import time
import traceback

from . import appfaults, apps, org
from .auth import Authenticator, Challenge
from .faults import Faults
from .http import HEAD_LIMIT, BadRequest, Connection, Response
from .iis import Iis, Switches
from .layout import ARRAY, DOMAIN, HTTP_PORT, HTTPS_PORT
from .mail import MailServices
from .rpch import RpcProxy

IDLE = 120.0  # seconds an idle connection is kept, as http.sys does
SERVER_HEADER = {2007: 'Microsoft-IIS/7.0', 2010: 'Microsoft-IIS/7.5', 2013: 'Microsoft-IIS/8.5'}
NTLM = 'TlRMTVNTUA'  # how its messages begin, in base 64
DENIED = (
    '<!DOCTYPE html><html><head><title>401 - Unauthorized: Access is denied.</title></head>'
    '<body><h2>401 - Unauthorized</h2></body></html>'
)


class WebSite:
    def __init__(self, lab, server, basic, directory_call):
        self.lab, self.server, self.directory_call = lab, server, directory_call
        self.address = lab.server_address(org.server_index(server.name))
        self.iis = Iis(server)
        self.faults = Faults(lab, server.name)
        self.authenticator = Authenticator(lab, server, basic)
        self.mail = MailServices(lab, server, self.address, basic)
        self.rpc = RpcProxy(server, self._valid_rpc_target, lambda: self.faults.number('rpc-recycle'))
        self.rows = {}  # all servers' virtual directories, as last read
        self.databases = {}
        self.mailbox_guids = set()
        self.listener = self.plain_listener = None
        self.tasks = set()
        self.common = [
            ('Server', SERVER_HEADER[server.generation]),
            ('X-Powered-By', 'ASP.NET'),
            ('X-Lab', 'stand-in'),
        ]
        if server.generation >= 2013:
            self.common.append(('X-FEServer' if server.front_end else 'X-BEServer', server.name))
        self.log_file = lab.path('cas', f'{server.name}.log')

    # ---- life

    def _tls(self):
        """Read at each start: the certificate may have been replaced since."""
        name = self.server.name.lower()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.faults.has('old-tls'):
            context.set_ciphers('ALL:@SECLEVEL=0')
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.load_cert_chain(self.lab.path('pki', f'{name}.pem'), self.lab.path('pki', f'{name}.key'))
        return context

    async def start(self):
        if self.listener is None:
            self.listener = await asyncio.start_server(
                self._client, self.address, HTTPS_PORT, ssl=self._tls(), limit=HEAD_LIMIT + 4, backlog=512
            )
            self.plain_listener = await asyncio.start_server(
                self._plain_client, self.address, HTTP_PORT, limit=HEAD_LIMIT + 4, backlog=64
            )
        await self.mail.start()

    async def stop(self):
        """Stops listening and drops what is open, as a stopped service does."""
        if self.listener is not None:
            self.listener.close()
            await self.listener.wait_closed()
            self.plain_listener.close()
            await self.plain_listener.wait_closed()
            self.listener = self.plain_listener = None
        await self.mail.stop()
        self.rpc.close_all()
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=2)

    async def _plain_client(self, reader, writer):
        await self._client(reader, writer, plain=True)

    async def _client(self, reader, writer, plain=False):
        task = asyncio.current_task()
        self.tasks.add(task)
        connection = Connection(reader, writer, self.common)
        connection.plain = plain
        linger = True
        try:
            linger = await self._conversation(connection)
        except (
            ConnectionError,
            asyncio.TimeoutError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ssl.SSLError,
        ):
            linger = False
        except asyncio.CancelledError:
            linger = False
        except Exception:  # a fault of the lab itself: said in DIR/log/cas.out, and the others go on
            print(f'{self.server.name}: {traceback.format_exc()}', flush=True)
            linger = False
        finally:
            self.tasks.discard(task)
            try:
                await connection.close(linger)
            except asyncio.CancelledError:
                writer.transport.abort()

    async def _conversation(self, connection):
        while True:
            try:
                request = await connection.read_head(IDLE)
                if request is None:
                    return False
                response = await self._respond(connection, request)
            except BadRequest as e:
                self._log(connection, '-', '-', '-', e.status)
                await connection.send(Response(e.status, f'<h2>Bad Request - {e}</h2>', close=True))
                return True
            except asyncio.TimeoutError:
                return False
            if response is None:
                return False
            if not await connection.send(response, request):
                return True

    def _log(self, connection, method, target, user, status):
        stamp = time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())
        with open(self.log_file, 'a', encoding='utf-8') as f:
            f.write(f'{stamp} {connection.peer} {method} {target.replace(" ", "%20")} {user} {status}\n')

    # ---- one request

    async def _respond(self, connection, request):
        user, status = '-', None
        try:
            await self._misbehave(connection)
            user, response = await self._route(connection, request)
        except Challenge as challenge:
            user = challenge.user
            response = Response(401, DENIED, headers=[('WWW-Authenticate', v) for v in challenge.values])
        if response is not None:
            status = response.status
        self._log(connection, request.method, request.target, user or '-', status or 'channel')
        return response

    async def _misbehave(self, connection):
        """Faults asked for by a file: see faults.py."""
        delay = self.faults.number('http-delay')
        if delay:
            await asyncio.sleep(delay)
        if self.faults.has('http-silent'):
            await asyncio.sleep(3600)
        if self.faults.has('http-drop'):
            connection.writer.transport.abort()
            raise ConnectionResetError

    async def _route(self, connection, request):
        """(user for the log, Response or None)"""
        if self.faults.has('http-503'):
            return '-', Response(503, 'Service Unavailable', close=True)
        vdir = self.iis.find(request.path)
        if connection.plain:
            return '-', self._plain(vdir, request)
        if request.path == '/':
            return '-', Response(
                403 if self.server.generation < 2013 else 302,
                headers=[('Location', '/owa/')] if self.server.generation >= 2013 else [],
            )
        if vdir is None:
            return '-', Response(404)
        if self.server.generation >= 2013 and request.path.lower().endswith('/healthcheck.htm'):
            return '-', Response(200, apps.HEALTH.format(self.server.fqdn))
        if vdir.kind == 'PowerShell':
            return await self._shell(connection, request)
        bent = vdir.forms and await appfaults.bend(self, vdir, request, '-')
        if bent:
            return '-', bent
        if vdir.forms and not request.get('authorization') and not connection.user:
            user, response = await apps.forms_user(self, vdir, request)
            if response is not None:
                return '-', response
            return user, await apps.APPLICATIONS[vdir.kind](self, request, user)
        if (
            vdir.kind == 'WebServices'
            and vdir.switches.anonymous
            and request.path.lower().endswith('/wssecurity')
        ):
            return '-', await self._ws_security(request)
        if vdir.switches.anonymous and vdir.kind == 'RpcHttp' and not request.get('authorization'):
            user, headers = 'anonymous', []
        else:
            user, headers = await self.authenticator.identify(connection, request, vdir.switches)
        response = await (
            self._rpc(connection, request, user, headers)
            if vdir.kind == 'RpcHttp'
            else self._application(vdir, request, user)
        )
        if response is not None:
            response.headers.extend(headers)
        return user, response

    async def _application(self, vdir, request, user):
        bent = await appfaults.bend(self, vdir, request, user)
        return bent or await apps.APPLICATIONS[vdir.kind](self, request, user)

    def _plain(self, vdir, request):
        """Without TLS everything wants TLS, but the shell: PowerShell seals its messages itself."""
        what, _, value = (self.faults.text('plain') or '').partition(' ')
        if what == 'redirect':
            return Response(302, headers=[('Location', value)])
        if what == 'page':
            return Response(200, '<html><body>Welcome to our web site</body></html>')
        if vdir is not None and vdir.kind == 'PowerShell' and what != 'ssl':
            raise Challenge(['Negotiate', 'Kerberos'])
        return Response(403, '<h2>403.4 - Forbidden: SSL is required to view this resource.</h2>')

    async def _shell(self, connection, request):
        """Kerberos alone, by WinRM's own module and not by a switch of IIS; what is behind it takes POST."""
        scheme, _, value = (request.get('authorization') or '').partition(' ')
        if scheme.lower() != 'negotiate' or value.strip().startswith(NTLM):
            raise Challenge(['Negotiate', 'Kerberos'])
        try:
            user, headers = await self.authenticator.identify(connection, request, Switches(windows=True))
        except Challenge:
            raise Challenge(['Negotiate', 'Kerberos']) from None
        return user, Response(405, headers=[*headers, ('Allow', 'POST')])

    async def _ws_security(self, request):
        await request.body()
        return Response(
            500,
            '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            '<s:Fault>'
            '<faultcode>s:InvalidSecurity</faultcode><faultstring>An error occurred when verifying security '
            'for the message.</faultstring>'
            '</s:Fault></s:Body></s:Envelope>',
            'text/xml; charset=utf-8',
        )

    async def _rpc(self, connection, request, user, headers):
        self._log(connection, request.method, request.target, user, 'begin')
        connection.common = self.common + headers  # a channel's head is written by the channel itself
        try:
            response = await self.rpc.serve(connection, request)
        finally:
            connection.common = self.common
        return response

    def _valid_rpc_target(self, host):
        """ValidPorts: this server, the mailbox servers and arrays; from 2013 on also a mailbox by its
        GUID.
        """
        left, at, domain = host.lower().partition('@')
        if at:
            return self.server.generation >= 2013 and domain == DOMAIN and left in self.mailbox_guids
        if left == ARRAY:
            return True
        target = org.server(left)
        return target is not None and (
            target.name == self.server.name
            or bool(target.roles & org.MAILBOX)
            or self.server.generation >= 2013
        )

    # ---- what the applications ask

    async def mailbox(self, address):
        return await self.directory_call('mailbox', address)

    def vdir_rows(self, server_name):
        return self.rows.get(server_name, [])

    def database(self, dn):
        return self.databases.get(dn.lower(), {})
