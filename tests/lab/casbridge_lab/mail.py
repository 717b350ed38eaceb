"""POP3 and IMAP4 of one server, as far as somebody looks from outside: greeting, capabilities, TLS, a logon that
is checked, and nothing behind it. Login type SecureLogin, Exchange's default: no password before TLS.
Greetings and capabilities follow what is published about Exchange 2010 and later; none was recorded.
"""
import asyncio
import base64
import binascii
import ssl

PORTS = {'pop': (10110, 10995), 'imap': (10143, 10993)}
WANTED = {10110: 110, 10995: 995, 10143: 143, 10993: 993}  # where clients look for them
RUNNING = ('EX13CAS01', 'EX10NTLM')  # elsewhere the services are off, as setup leaves them
IDLE = 60.0
LINE = 2048
REFUSED = 'Logon failure: unknown user name or bad password.'


class MailServices:
    def __init__(self, lab, server, address, basic):
        self.server, self.address, self.basic = server, address, basic
        name = server.name.lower()
        self.pem, self.key = lab.path('pki', f'{name}.pem'), lab.path('pki', f'{name}.key')
        self.listeners, self.tasks, self.context = [], set(), None

    async def start(self):
        if self.listeners or self.server.name not in RUNNING:
            return
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.pem, self.key)
        for talk, (plain, secure) in ((Pop, PORTS['pop']), (Imap, PORTS['imap'])):
            for port, tls in ((plain, None), (secure, self.context)):
                self.listeners.append(
                    await asyncio.start_server(
                        lambda r, w, talk=talk, tls=tls: self._client(talk, r, w, tls is not None),
                        self.address,
                        port,
                        ssl=tls,
                        limit=LINE,
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

    async def _client(self, talk, reader, writer, secure):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            await talk(self, reader, writer, secure).run()
        except (ConnectionError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError, ssl.SSLError):
            pass  # gone, silent, a line too long, or no TLS
        except asyncio.CancelledError:
            pass
        finally:
            self.tasks.discard(task)
            writer.close()


class Talk:
    """One connection."""

    def __init__(self, services, reader, writer, secure):
        self.services, self.reader, self.writer, self.secure = services, reader, writer, secure
        self.user = None

    async def line(self):
        data = await asyncio.wait_for(self.reader.readuntil(b'\n'), IDLE)
        return data.decode('utf-8', 'replace').strip('\r\n')

    async def say(self, *lines):
        self.writer.write(''.join(f'{line}\r\n' for line in lines).encode())
        await self.writer.drain()

    async def start_tls(self):
        await self.writer.start_tls(self.services.context)
        self.secure, self.user = True, None

    async def check(self, user, password):
        return await self.services.basic.check(user, password) is not None

    @staticmethod
    def plain(value):
        """User and password of SASL PLAIN (RFC 4616); None when it is no such thing."""
        try:
            parts = base64.b64decode(value, validate=True).decode().split('\0')
        except (binascii.Error, UnicodeDecodeError):
            return None
        return parts[1:] if len(parts) == 3 else None


class Pop(Talk):
    async def run(self):
        await self.say('+OK The Microsoft Exchange POP3 service is ready.')
        while True:
            word, _, rest = (await self.line()).partition(' ')
            word = word.upper()
            if word == 'QUIT':
                await self.say('+OK Microsoft Exchange Server POP3 server signing off.')
                return
            if word == 'CAPA':
                methods = ['USER', 'SASL PLAIN NTLM GSSAPI'] if self.secure else ['STLS']
                await self.say('+OK', 'TOP', 'UIDL', *methods, '.')
            elif word == 'STLS' and not self.secure:
                await self.say('+OK Begin TLS negotiation.')
                await self.start_tls()
            elif word == 'USER' and self.secure:
                self.user = rest
                await self.say('+OK')
            elif word == 'PASS' and self.user:
                good = await self.check(self.user, rest)
                await self.say('+OK User successfully logged on.' if good else f'-ERR {REFUSED}')
            elif word in ('USER', 'PASS', 'AUTH') and not self.secure:
                await self.say('-ERR Command is not valid in this state.')
            else:
                await self.say('-ERR Protocol error. 14')


class Imap(Talk):
    async def run(self):
        await self.say('* OK The Microsoft Exchange IMAP4 service is ready.')
        while True:
            tag, _, rest = (await self.line()).partition(' ')
            word, _, rest = rest.partition(' ')
            word = word.upper()
            if word == 'LOGOUT':
                await self.say('* BYE Microsoft Exchange Server IMAP4 server signing off.',
                               f'{tag} OK LOGOUT completed.')
                return
            if word == 'CAPABILITY':
                methods = 'AUTH=NTLM AUTH=GSSAPI AUTH=PLAIN' if self.secure else 'LOGINDISABLED STARTTLS'
                await self.say(f'* CAPABILITY IMAP4 IMAP4rev1 {methods} UIDPLUS CHILDREN IDLE NAMESPACE LITERAL+',
                               f'{tag} OK CAPABILITY completed.')
            elif word == 'STARTTLS' and not self.secure:
                await self.say(f'{tag} OK Begin TLS negotiation now.')
                await self.start_tls()
            elif word == 'LOGIN' and self.secure:
                user, _, password = rest.partition(' ')
                good = await self.check(user.strip('"'), password.strip('"'))
                await self.say(f'{tag} OK LOGIN completed.' if good else f'{tag} NO {REFUSED}')
            elif word == 'AUTHENTICATE' and self.secure and rest.upper() == 'PLAIN':
                await self.say('+')
                pair = self.plain(await self.line())
                good = pair is not None and await self.check(*pair)
                await self.say(f'{tag} OK AUTHENTICATE completed.' if good else f'{tag} NO {REFUSED}')
            elif word in ('LOGIN', 'AUTHENTICATE'):
                await self.say(f'{tag} BAD Command received in Invalid state.')
            else:
                await self.say(f'{tag or "*"} BAD Command Error. 10')
