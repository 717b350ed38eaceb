"""Runspace pools behind the WS-Man endpoint: the same fragments, handed to PowerShell's own engine where it is at
hand, else to a small server of the lab's own that knows Exchange's cmdlets and nothing else.

Both take data(pid, stream, bytes), command(pid), signal(pid), close(pid) and call out(pid, bytes); pid None is the
pool.
"""
import asyncio
import base64
import json
import re

from . import cmdlet_table, engine, psrp_message as m
from .psbind import bind
from .pserror import CmdletError, CommandNotFound
from .psread import Argument

ZERO = '00000000-0000-0000-0000-000000000000'
STREAMS = {'stdin': 'Default', 'pr': 'PromptResponse'}
_ELEMENT = re.compile(
    rb"<(Data|DataAck|CommandAck|SignalAck|CloseAck|Close)(?: Stream='[A-Za-z]+')? PSGuid='([0-9a-fA-F-]{36})'\s*"
    rb"(?:/>|>([^<]*)</Data>)\s*"
)
ACK_SECONDS = 20.0
VERSION = {2010: '2.1', 2013: '2.2'}
NO_LANGUAGE = (
    'The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode.'
)


class EngineDied(Exception):
    pass


class EnginePool:
    """Between WS-Man and `pwsh -s`, element by element."""

    def __init__(self, spawner, lab, server, no_language, out):
        self.spawner, self.lab, self.server, self.out = spawner, lab, server, out
        self.no_language, self.process, self.reader = no_language, None, None
        self.waiting = {}  # (element, guid): [future]
        self.pipelines = set()
        self.dead = asyncio.Event()

    async def start(self):
        arguments = ['-s', '-NoLogo', '-InitialScript', engine.initial_script(self.lab)]
        arguments += ['-LanguageMode', 'NoLanguage'] if self.no_language else []
        self.process = self.spawner.start(kind='engine', server=self.server.name, arguments=arguments)
        await self.process.streams()
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self):
        try:
            while True:
                line = await self.process.stdout.readline()
                if not line:
                    break
                match = _ELEMENT.fullmatch(line)
                if match is None:
                    continue  # what a program printed
                element, guid = match[1].decode(), match[2].decode().lower()
                if element == 'Data':
                    self.out(None if guid == ZERO else guid, base64.b64decode(match[3]))
                for future in self.waiting.pop((element, guid), [])[:1]:
                    if not future.done():
                        future.set_result(None)
        finally:
            self.dead.set()
            for futures in self.waiting.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(EngineDied())

    async def _say(self, text, acknowledged, guid):
        if self.dead.is_set():
            raise EngineDied()
        future = asyncio.get_running_loop().create_future()
        self.waiting.setdefault((acknowledged, guid), []).append(future)
        self.process.stdin.write(text.encode() + b'\n')
        try:
            await asyncio.wait_for(future, ACK_SECONDS)
        except asyncio.TimeoutError:
            raise EngineDied() from None

    async def data(self, pid, stream, data):
        guid = (pid or ZERO).lower()
        words = f"<Data Stream='{STREAMS[stream]}' PSGuid='{guid}'>{base64.b64encode(data).decode()}</Data>"
        await self._say(words, 'DataAck', guid)

    async def command(self, pid):
        self.pipelines.add(pid.lower())
        await self._say(f"<Command PSGuid='{pid.lower()}' />", 'CommandAck', pid.lower())

    async def signal(self, pid):
        await self._say(f"<Signal PSGuid='{pid.lower()}' />", 'SignalAck', pid.lower())

    async def close(self, pid):
        try:
            if pid is not None and pid.lower() in self.pipelines:
                self.pipelines.discard(pid.lower())
                await self._say(f"<Close PSGuid='{pid.lower()}' />", 'CloseAck', pid.lower())
        except EngineDied:
            pass

    async def _farewell(self):
        for pid in list(self.pipelines):
            await self.close(pid)
        await self._say(f"<Close PSGuid='{ZERO}' />", 'CloseAck', ZERO)

    async def end(self):
        """Politely, then by force: a pipeline may hold on for as long as it likes."""
        if self.process is None:
            return
        try:
            await asyncio.wait_for(self._farewell(), 2)
        except (EngineDied, asyncio.TimeoutError, ConnectionError):
            pass
        self.spawner.kill(self.process)
        await self.process.code
        await asyncio.wait([self.reader])


class OwnPool:
    """Strict and small: one known cmdlet with parameters a pipeline, as Exchange's endpoint in no-language mode."""

    def __init__(self, spawner, lab, server, no_language, out):
        self.spawner, self.lab, self.server, self.out = spawner, lab, server, out
        self.cmdlets = cmdlet_table.cmdlets(server.generation)
        self.joiner, self.splitter = m.Joiner(), None
        self.tasks = {}  # pipeline: task
        self.dead = asyncio.Event()
        assert no_language

    async def start(self):
        pass

    def _send(self, kind, clixml, pipeline=None):
        for piece in self.splitter.pack(kind, clixml, pipeline):
            self.out(str(pipeline) if pipeline else None, piece)

    async def data(self, pid, stream, data):
        try:
            for kind, pool, pipeline, clixml in self.joiner.feed(data):
                self._message(kind, pool, pipeline, clixml)
        except (m.Malformed, KeyError, TypeError, ValueError, AttributeError):
            self.dead.set()
            raise EngineDied() from None

    def _message(self, kind, pool, pipeline, clixml):
        if kind == m.SESSION_CAPABILITY:
            self.splitter = m.Splitter(pool)
            self._send(m.SESSION_CAPABILITY, m.capability(VERSION[min(self.server.generation, 2013)]))
        elif self.splitter is None:
            raise m.Malformed('no capabilities first')
        elif kind == m.INIT_RUNSPACEPOOL:
            m.Reader(clixml).read()['MinRunspaces']
            self._send(m.PRIVATE_DATA, m.PRIVATE)
            self._send(m.RUNSPACEPOOL_STATE, m.state_of(m.OPENED, member='RunspaceState'))
        elif kind == m.CREATE_PIPELINE:
            shell = m.Reader(clixml).read()['PowerShell']
            self.tasks[str(pipeline)] = asyncio.ensure_future(self._run(pipeline, shell))

    async def command(self, pid):
        pass

    async def _run(self, pipeline, shell):
        name = ''
        try:
            commands = shell['Cmds']
            name = commands[0]['Cmd']
            if len(commands) != 1 or commands[0]['IsScript'] or shell.get('ExtraCmds'):
                raise CmdletError(
                    NO_LANGUAGE, 'ScriptsNotAllowed', 'ParserError', name, 'String',
                    'System.Management.Automation.ParseException',
                )  # fmt: skip
            cmdlet = self.cmdlets.get(name.lower())
            if cmdlet is None:
                raise CommandNotFound(name)
            values = bind(cmdlet, [_argument(a) for a in commands[0]['Args']], self.server.generation)
            answer = await self._invoke(cmdlet.name, values)
            for words in answer.get('warnings', []):
                if not words.startswith('What if:'):
                    self._send(m.WARNING, m.warning_of(words), pipeline)
            error = answer.get('error')
            if error:
                raise CmdletError(
                    error['message'], error['id'], error['category'], error.get('target') or '',
                    exception=error.get('exception', 'Exception'),
                )  # fmt: skip
            for item in answer.get('objects', []):
                self._send(m.OUTPUT, m.object_of(item), pipeline)
            self._send(m.PIPELINE_STATE, m.state_of(m.COMPLETED), pipeline)
        except CmdletError as e:
            self._send(m.PIPELINE_STATE, m.state_of(m.FAILED, e, name), pipeline)
        except asyncio.CancelledError:
            self._send(m.PIPELINE_STATE, m.state_of(m.STOPPED), pipeline)

    async def _invoke(self, name, values):
        text = base64.b64encode(json.dumps({'name': name, 'values': values}).encode())
        code, out = await self.spawner.run(text, kind='invoke', server=self.server.name)
        if code < 0:
            self.dead.set()  # a fault on request: the session is gone with it
            await asyncio.sleep(3600)
        try:
            return json.loads(out)
        except ValueError:
            raise CmdletError('the lab failed', 'Lab,Invoke', 'NotSpecified') from None

    async def signal(self, pid):
        task = self.tasks.get(pid.lower())
        if task is not None:
            task.cancel()

    async def close(self, pid):
        task = self.tasks.pop(pid.lower(), None) if pid else None
        if task is not None:
            task.cancel()

    async def end(self):
        for task in self.tasks.values():
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks.values())


def _argument(row):
    value = row['V']
    value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return Argument(row['N'].removeprefix('-').rstrip(':') if row['N'] else None, value, colon=True)
