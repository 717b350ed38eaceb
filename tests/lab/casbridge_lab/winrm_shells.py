"""Shells and what is done with them: Create, Command, Receive, Send, Signal, Delete; Get of winrm/config. One table a server."""
import asyncio
import base64
import binascii
import re
import time
import uuid
from xml.sax.saxutils import escape

from . import winrm_soap as soap
from .psrp_message import Joiner, Malformed, finished_state
from .psrp_pool import EngineDied, EnginePool, OwnPool
from .winrm_run import TooLong
from .winrm_soap import RSP, Fault

CMD_LIMIT, PROCESS_LIMIT = 8191, 32767
SHELLS = {2007: 5, 2010: 5, 2013: 30}  # MaxShellsPerUser
EXCHANGE_SHELLS = 18  # PowerShellMaxConcurrency
COMMANDS = 15  # MaxConcurrentCommandsPerShell
ENVELOPE_KB = 500  # MaxEnvelopeSizekb of WinRM 3
READERS = ('admin',)  # of winrm/config
EXCHANGE, POWERSHELL = f'{soap.PS}/Microsoft.Exchange', f'{soap.PS}/Microsoft.PowerShell'
TERMINATE = f'{RSP}/signal/terminate'
INTERRUPTS = (
    f'{RSP}/signal/ctrl_c',
    f'{RSP}/signal/ctrl_break',
    'powershell/signal/ctrl_c',
    f'{RSP}/powershell/signal/ctrl_c',
)
GATHER = 0.02  # seconds that output waits for more: a short command's comes in one answer with its end, as recorded
SLICE = 0.25  # seconds between looks whether a waiting client is still there
_GUID = re.compile('[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}')


class Dropped(Exception):
    """The connection ends without an answer."""


class Command:
    def __init__(self, number):
        self.id = number
        self.chunks, self.ended = [], []  # (stream, bytes); streams that ended and were not yet reported so
        self.open, self.code, self.process = set(), None, None
        self.joiner = Joiner(256 << 20)  # what a server says is as long as it likes
        self.changed = asyncio.Event()
        self.reported = False  # Done was said
        self.died = False  # by a fault on request: nobody is told

    def add(self, stream, data):
        self.chunks.append((stream, data))
        self.changed.set()

    def end(self, stream):
        self.open.discard(stream)
        self.ended.append(stream)
        self.changed.set()

    @property
    def finished(self):
        return self.code is not None and not self.open

    @property
    def has_news(self):
        return bool(self.chunks or self.ended or self.finished)

    @property
    def goes_on(self):
        """A program that may say more at any moment."""
        return self.process is not None and not self.finished and not self.died

    @property
    def size(self):
        return sum(len(data) for _, data in self.chunks)

    def take(self, room):
        """What there is, as long as its base64 fits."""
        out = []
        while self.chunks:
            stream, data = self.chunks[0]
            size = max(0, room // 4 * 3)
            if len(data) <= size:
                self.chunks.pop(0)
            elif self.process is not None and size > 1024:  # output of a program may be cut anywhere
                self.chunks[0] = (stream, data[size:])
                data = data[:size]
            elif out:
                break
            else:
                self.chunks.pop(0)
            out.append((stream, data))
            room -= len(data) * 4 // 3 + 160
        return out


class Shell:
    inputs, outputs = 'stdin', 'stdout stderr'

    def __init__(self, number, resource, user, peer):
        self.id, self.resource, self.user, self.peer = number, resource, user, peer
        self.commands = {}
        self.pool = None  # of a PowerShell shell
        self.own = Command(None)  # what comes without a command
        self.environment, self.codepage = {}, 437

    def command(self, number):
        if not number and self.pool is not None:
            return self.own
        if number.upper() not in self.commands:
            raise Fault('no-command')
        return self.commands[number.upper()]


def _flag(message, name, otherwise):
    return message.options.get(name, str(otherwise)).lower() in ('true', '1')


class Shells:
    def __init__(self, lab, server, spawner, faults):
        self.lab, self.server, self.spawner, self.faults = lab, server, spawner, faults
        self.table = {}
        self.until = {}  # user: when the throttled may ask again
        self.counts = {}  # operation: how often it was begun

    def shell(self, message, user):
        shell = self.table.get(message.shell_id)
        if shell is None or shell.resource != message.resource:
            raise Fault('no-shell')
        if shell.user != user:
            raise Fault('denied')
        return shell

    async def handle(self, message, user, connection, address, exchange):
        """The body of the answer's envelope. Raises Fault, Dropped."""
        self.counts[message.operation] = self.counts.get(message.operation, 0) + 1
        try:
            return await getattr(self, '_' + message.operation.lower())(
                message, user, connection, address, exchange
            )
        except EngineDied:
            await self.discard(message.shell_id)
            raise Fault('aborted') from None

    # ---- the service's own settings

    def envelope_kb(self):
        return int(self.faults.number('winrm-max-envelope')) or ENVELOPE_KB

    async def _get(self, message, user, connection, address, exchange):
        if exchange or message.resource != soap.CONFIG:
            raise Fault('no-resource', message.resource)
        if user.split('@')[0].split('\\')[-1].lower() not in READERS:
            raise Fault('denied')
        return soap.configuration(self.envelope_kb())

    # ---- shells

    def _admit(self, user, exchange):
        wait = self.faults.number('winrm-throttle')
        if wait:
            now = time.monotonic()
            until = self.until.setdefault(user, now + wait / 1000)
            if now < until:
                raise Fault('throttled', max(1, round((until - now) * 1000)))
        standard = EXCHANGE_SHELLS if exchange else SHELLS[min(self.server.generation, 2013)]
        limit = int(self.faults.number('winrm-max-shells')) if self.faults.has('winrm-max-shells') else standard
        mine = [s for s in self.table.values() if s.user == user and (s.resource == EXCHANGE) == exchange]
        if len(mine) >= limit:
            raise Fault('exchange-shells' if exchange else 'too-many-shells', limit)

    async def _create(self, message, user, connection, address, exchange):
        wanted = message.need('Shell')
        known = (EXCHANGE,) if exchange else (soap.CMD_URI, POWERSHELL)
        if message.resource not in known or (message.resource == POWERSHELL and not self.lab.engine):
            raise Fault('no-resource', message.resource)
        self._admit(user, exchange)
        proposed = wanted.get('ShellId') if self.server.generation >= 2013 else None  # WinRM 2.0 names them itself
        number = (proposed or str(uuid.uuid4())).upper()
        if not _GUID.fullmatch(number) or number in self.table:
            raise Fault('no-shell')
        shell = Shell(number, message.resource, user, connection.peer)
        if message.resource == soap.CMD_URI:
            shell.codepage = int(message.options.get('WINRS_CODEPAGE') or 437)
            for variable in wanted.iter(f'{{{RSP}}}Variable'):
                shell.environment[variable.get('Name', '')] = variable.text or ''
            self.table[number] = shell
        else:
            self.table[number] = shell
            try:
                await self._open_pool(shell, message, wanted)
            except BaseException:
                await self.discard(number)
                raise
        return soap.created(message, shell, address)

    async def _open_pool(self, shell, message, wanted):
        version = message.options.get('protocolversion', '')
        if not re.fullmatch(r'2\.[0-9]{1,2}', version):
            raise Fault('version', version or '(none)')
        data = _base64(wanted.findtext(f'{{{soap.PS}}}creationXml', ''))
        shell.inputs, shell.outputs = 'stdin pr', 'stdout'
        kind = EnginePool if self.lab.engine else OwnPool

        def out(pid, data):
            command = shell.commands.get(pid.upper()) if pid else shell.own
            if command is None:
                return
            command.add('stdout', data)
            if pid:
                try:
                    for found, _, _, clixml in command.joiner.feed(data):
                        if finished_state(found, clixml):
                            command.code = 0
                except Malformed:
                    command.code = 0
                if command.code is not None:
                    command.end('stdout')

        shell.pool = kind(self.spawner, self.lab, self.server, message.resource == EXCHANGE, out)
        await shell.pool.start()
        await shell.pool.data(None, 'stdin', data)

    async def discard(self, number):
        shell = self.table.pop(number, None)
        if shell is None:
            return
        for command in shell.commands.values():
            if command.process is not None:
                self.spawner.kill(command.process)
        if shell.pool is not None:
            await shell.pool.end()

    async def _delete(self, message, user, connection, address, exchange):
        await self.discard(self.shell(message, user).id)
        return ''

    # ---- commands

    async def _command(self, message, user, connection, address, exchange):
        shell, line = self.shell(message, user), message.need('CommandLine')
        limit = int(self.faults.number('winrm-max-commands')) if self.faults.has('winrm-max-commands') else COMMANDS
        if len(shell.commands) >= limit:
            raise Fault('too-many-commands')
        number = (line.get('CommandId') or str(uuid.uuid4())).upper()
        if not _GUID.fullmatch(number) or number in shell.commands:
            raise Fault('no-command')
        name = line.findtext(f'{{{RSP}}}Command') or ''
        arguments = [e.text or '' for e in line.findall(f'{{{RSP}}}Arguments')]
        command = Command(number)
        if shell.pool is not None:
            command.open = {'stdout'}
            shell.commands[number] = command
            await shell.pool.command(number)
            await shell.pool.data(number, 'stdin', _base64(''.join(arguments)))
        else:
            self._run(shell, command, message, ' '.join([name, *arguments]).strip())
        return f'<rsp:CommandResponse><rsp:CommandId>{number}</rsp:CommandId></rsp:CommandResponse>'

    def _run(self, shell, command, message, line):
        skip = _flag(message, 'WINRS_SKIP_CMD_SHELL', False)
        if len(line) > (PROCESS_LIMIT if skip else CMD_LIMIT):
            raise Fault('too-long')
        if skip and '\\' not in line.split(' ', 1)[0] and not line.startswith('%'):
            raise Fault('no-file')
        try:
            command.process = self.spawner.start(
                kind='cmd',
                server=self.server.name,
                line=line,
                codepage=shell.codepage,
                environment=shell.environment,
            )
        except TooLong:
            raise Fault('too-long') from None
        command.open = {'stdout', 'stderr'}
        shell.commands[command.id] = command
        command.process.listen(command.add, command.end)
        command.process.code.add_done_callback(lambda code: self._ended(shell, command, code.result()))

    def _ended(self, shell, command, code):
        command.code = code if code >= 0 else 0xC000013A
        if code == -9 and command.id in shell.commands:  # not by us: a fault on request
            self.table.pop(shell.id, None)
            command.code = None
            command.died = True
        command.changed.set()

    async def _receive(self, message, user, connection, address, exchange):
        shell, wanted = self.shell(message, user), message.need('Receive')
        desired = wanted.find(f'{{{RSP}}}DesiredStream')
        if desired is None:
            raise Fault('bad-request', 'DesiredStream expected')
        command = shell.command(desired.get('CommandId', ''))
        if command.reported:
            raise Fault('no-command')
        room = min(message.envelope, soap.SHELL_ENVELOPE_LIMIT) - 4096
        until = time.monotonic() + message.timeout
        while not command.has_news:
            await self._wait(shell, command, connection, until)
        gathered = min(until, time.monotonic() + GATHER)
        while command.goes_on and command.size < room and time.monotonic() < gathered:
            await self._wait(shell, command, connection, gathered)
        return self._received(command, room)

    async def _wait(self, shell, command, connection, until):
        """For anything that may be of interest, or a moment."""
        dead = shell.pool.dead if shell.pool is not None else None
        if command.died or (dead is not None and dead.is_set()):
            await self.discard(shell.id)
            raise Dropped()
        if self.table.get(shell.id) is not shell:
            raise Fault('aborted')
        left = until - time.monotonic()
        if left <= 0 and not command.has_news:
            raise Fault('timed-out')
        if connection.gone:
            raise Dropped()
        command.changed.clear()
        try:
            async with asyncio.timeout(max(0, min(SLICE, left))):
                await command.changed.wait()
        except TimeoutError:
            pass

    @staticmethod
    def _received(command, room):
        mark = f' CommandId="{command.id}"' if command.id else ''
        out = [
            f'<rsp:Stream Name="{stream}"{mark}>{base64.b64encode(data).decode()}</rsp:Stream>'
            for stream, data in command.take(room)
        ]
        if not command.chunks:
            out += [f'<rsp:Stream Name="{s}"{mark} End="true"></rsp:Stream>' for s in command.ended]
            command.ended = []
        state = ''
        if command.id:
            done = command.finished and not command.chunks
            command.reported = done
            code = f'<rsp:ExitCode>{command.code}</rsp:ExitCode>' if done and command.process else ''
            state = (
                f'<rsp:CommandState{mark} State="{RSP}/CommandState/{"Done" if done else "Running"}">'
                f'{code}</rsp:CommandState>'
            )
        return f'<rsp:ReceiveResponse>{"".join(out)}{state}</rsp:ReceiveResponse>'

    async def _send(self, message, user, connection, address, exchange):
        shell = self.shell(message, user)
        for stream in message.need('Send').findall(f'{{{RSP}}}Stream'):
            command, name = shell.command(stream.get('CommandId', '')), stream.get('Name', '')
            if name not in shell.inputs.split():
                raise Fault('bad-request', f'no stream {escape(name)}')
            data = _base64(stream.text or '')
            if shell.pool is not None:
                await shell.pool.data(command.id, name, data)
                continue
            await command.process.feed(data, stream.get('End', '').lower() == 'true')
        return '<rsp:SendResponse/>'

    async def _signal(self, message, user, connection, address, exchange):
        shell, signal = self.shell(message, user), message.need('Signal')
        command = shell.command(signal.get('CommandId', ''))
        code = (signal.findtext(f'{{{RSP}}}Code') or '').strip()
        ends = code == TERMINATE
        if not ends and code not in INTERRUPTS:
            raise Fault('bad-request', f'no signal {escape(code)}')
        if shell.pool is not None and command.id:
            await (shell.pool.close if ends and command.code is not None else shell.pool.signal)(command.id)
            if ends:
                await shell.pool.close(command.id)
        elif command.process is not None:
            shell.commands.pop(command.id)
            self.spawner.kill(command.process)
        if ends:
            shell.commands.pop(command.id, None)
        return '<rsp:SignalResponse/>'


def _base64(text):
    try:
        return base64.b64decode(''.join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Fault('bad-request', 'base64 that is none') from None
