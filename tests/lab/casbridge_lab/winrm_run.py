"""Programs that shells start, in children of a small process forked early from the daemon.

That process has loaded the stand-in powershell already, so that a child costs a fork and not a start of Python. A child
is a process group of its own that can be killed, and runs one command at a time; one that came to its end without help
gets the next.
"""
import asyncio
import gc
import json
import os
import select
import signal
import socket
import sys
import time

from . import engine, org
from .faults import Faults

MESSAGE_LIMIT = 180_000
UNKNOWN_COMMAND = 1
IDLE_WORKERS = 4  # children kept for commands to come
COMMANDS_EACH = 200
READ_SIZE = 65536


class TooLong(Exception):
    """A request that no child can be handed."""


# ---- in the child


def _say(text):
    sys.stdout.buffer.write(text.encode('utf-8') + b'\r\n')
    sys.stdout.buffer.flush()


def _cmd(lab, server, line, request):
    """A little of cmd.exe: what shows that streams, exit codes and endings work."""
    words = line.split()
    name = words[0].lower().rpartition('\\')[2].removesuffix('.exe') if words else ''
    rest = line.strip()[len(words[0]) :].strip() if words else ''
    if name == 'cmd' and words[1:2] and words[1].lower() == '/c':
        return _cmd(lab, server, rest[2:].strip(), request)
    if name == 'powershell':
        if lab.engine:
            time.sleep(Faults(lab, server.name).number('winrm-delay'))
            engine.run(lab, server, words[1:])
        from . import pshost

        line = 'powershell ' + rest
        return pshost.serve(lab, server, line, 'winrm-delay', 'utf-8' if request['codepage'] == 65001 else None)
    if name == 'echo':
        _say(rest)
    elif name == 'hostname':
        _say(server.name)
    elif name == 'set':
        for variable, value in sorted(request['environment'].items()):
            _say(f'{variable}={value}')
    elif name == 'more':
        sys.stdout.buffer.write(sys.stdin.buffer.read())
        sys.stdout.buffer.flush()
    elif name == 'ping':
        for i in range(int(words[2]) if words[1:2] == ['-n'] else 4):
            _say(f'Reply from 127.0.0.1: time<1ms ({i + 1})')
            time.sleep(1)
    elif name == 'exit':
        return int(words[-1]) & 0xFF if len(words) > 1 else 0
    else:
        sys.stderr.write(
            f"'{words[0] if words else ''}' is not recognized as an internal or external command,\r\n"
            'operable program or batch file.\r\n'
        )
        return UNKNOWN_COMMAND
    return 0


def _child(lab, request):
    """Exit code of one command."""
    server = org.server(request['server'])
    if request['kind'] == 'invoke':
        from . import pshost

        time.sleep(Faults(lab, server.name).number('winrm-delay'))
        return pshost.invoke_from_standard_input(lab, server)
    if request['kind'] == 'engine':
        engine.run(lab, server, request['arguments'])
    return _cmd(lab, server, request['line'], request)


def _run(lab, request, fds, null):
    """One command with its pipes as standard streams. Nothing of it is left for the next one."""
    code = 120
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    sys.stdin = open(0, encoding='utf-8', errors='surrogateescape', closefd=False)
    sys.stdout = open(1, 'w', encoding='utf-8', errors='surrogateescape', closefd=False)
    sys.stderr = open(2, 'w', encoding='utf-8', errors='backslashreplace', closefd=False)
    try:
        code = _child(lab, request)
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException as e:  # of the lab itself: the command's standard error says so
        try:
            sys.stderr.write(f'lab: {type(e).__name__}: {e}\r\n')
            sys.stderr.flush()
        except OSError:
            pass
    for target in range(len(fds)):
        os.dup2(null, target)
    sys.stdin = sys.stdout = sys.stderr = None  # what nobody read goes nowhere
    return code & 0xFF


def _work(lab, channel_fd):
    """A child: command after command, until the daemon closes the channel."""
    code = 120  # of a command that never ran
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if channel_fd != 3:
            os.dup2(channel_fd, 3)
        os.set_inheritable(3, False)
        os.closerange(4, 256)
        channel, null = socket.socket(fileno=3), os.open(os.devnull, os.O_RDWR)
        while True:
            data, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, 3)
            if not data:
                code = 0
                break
            channel.send(b'%d' % _run(lab, json.loads(data), fds, null))
    except ConnectionError:
        code = 0
    finally:
        os._exit(code)


def _serve(lab, channel):
    from . import pshost  # noqa: F401  loaded once, for all children

    gc.freeze()

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    running = {}  # pid: number
    while True:
        ready, _, _ = select.select([channel, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            for pid in list(running):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    code = os.waitstatus_to_exitcode(status)
                    channel.send(json.dumps({'n': running.pop(pid), 'code': code}).encode())
        if channel in ready:
            data, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, 1)
            if not data:
                break
            request = json.loads(data)
            if 'kill' in request:
                for pid, number in running.items():
                    if number == request['kill']:
                        _kill(pid)
                continue
            pid = os.fork()
            if pid == 0:
                _work(lab, fds[0])
            os.close(fds[0])
            running[pid] = request['n']
    for pid in running:
        _kill(pid)


def _kill(pid):
    for end in (os.killpg, os.kill):  # the group is not there before the child made it
        try:
            end(pid, signal.SIGKILL)
            return
        except ProcessLookupError:
            pass


# ---- in the daemon


class Worker:
    """A child, as the daemon sees it."""

    def __init__(self, number, channel):
        self.number, self.channel = number, channel
        self.process, self.served, self.condemned = None, 0, False


class Process:
    """A running command; `code` is a future of its exit code. Either streams() or listen()."""

    def __init__(self, worker, pipes, loop):
        self.worker, self.loop, self.code = worker, loop, loop.create_future()
        self._input, self._outputs = pipes[0], pipes[1:]
        self.stdin = self.stdout = self.stderr = None
        self.code.add_done_callback(lambda _: self._close_input())

    def _close_input(self):
        if self.stdin is not None:
            self.stdin.close()
        elif self._input is not None:
            os.close(self._input)
            self._input = None

    async def _writer(self):
        if self.stdin is None and self._input is not None:
            pipe, self._input = os.fdopen(self._input, 'wb', 0), None
            transport, protocol = await self.loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
            self.stdin = asyncio.StreamWriter(transport, protocol, None, self.loop)
        return self.stdin

    async def streams(self):
        """Makes stdin a writer, stdout and stderr readers."""
        await self._writer()
        for name, fd in zip(('stdout', 'stderr'), self._outputs):
            reader = asyncio.StreamReader(limit=1 << 26)
            await self.loop.connect_read_pipe(
                lambda r=reader: asyncio.StreamReaderProtocol(r), os.fdopen(fd, 'rb', 0)
            )
            setattr(self, name, reader)

    def listen(self, data, end):
        """Calls data(stream, bytes) for what comes, and end(stream)."""
        for name, fd in zip(('stdout', 'stderr'), self._outputs):
            os.set_blocking(fd, False)
            self.loop.add_reader(fd, self._readable, name, fd, data, end)

    def _readable(self, name, fd, data, end):
        try:
            found = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return
        if found:
            data(name, found)
            return
        self.loop.remove_reader(fd)
        os.close(fd)
        end(name)

    async def feed(self, data, end):
        """Standard input of a command that is listened to."""
        writer = await self._writer()
        if writer is None:
            return  # it has ended
        try:
            writer.write(data)
            await writer.drain()
            if end:
                writer.close()
        except ConnectionError:
            pass  # it reads no more


class Spawner:
    def __init__(self, lab):
        """Forks: to be made before there is a thread or a loop."""
        self.channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _serve(lab, other)
            except (KeyboardInterrupt, BrokenPipeError, ConnectionError):
                pass
            finally:
                os._exit(0)
        other.close()
        self.channel.setblocking(False)
        self.workers, self.idle, self.number, self.loop = {}, [], 0, None

    @property
    def running(self):
        return sum(w.process is not None for w in self.workers.values())

    def attach(self, loop):
        self.loop = loop
        loop.add_reader(self.channel.fileno(), self._died)

    def _died(self):
        while True:
            try:
                data = self.channel.recv(MESSAGE_LIMIT)
            except BlockingIOError:
                return
            if not data:
                raise SystemExit('the starter of commands is gone')
            answer = json.loads(data)
            worker = self.workers[answer['n']]
            self._told(worker)  # its last command may have ended before
            self.loop.remove_reader(worker.channel.fileno())
            worker.channel.close()
            del self.workers[worker.number]
            if worker in self.idle:
                self.idle.remove(worker)
            self._finish(worker, answer['code'])

    @staticmethod
    def _finish(worker, code):
        process, worker.process = worker.process, None
        if process is not None and not process.code.done():
            process.code.set_result(code)

    def _told(self, worker):
        """A worker says what its command came to, or that it is no more."""
        try:
            data = worker.channel.recv(64)
        except (BlockingIOError, ConnectionError):
            return
        if not data:  # dead, or PowerShell's engine by now: its exit code comes from the starter
            self.loop.remove_reader(worker.channel.fileno())
            worker.condemned = True
            return
        self._finish(worker, int(data))
        if worker.condemned:
            return
        if worker.served < COMMANDS_EACH and len(self.idle) < IDLE_WORKERS:
            self.idle.append(worker)
        else:
            worker.condemned = True
            worker.channel.shutdown(socket.SHUT_WR)

    def _hire(self):
        self.number += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self.channel, [json.dumps({'n': self.number}).encode()], [theirs.fileno()])
        ours.setblocking(False)
        worker = self.workers[self.number] = Worker(self.number, ours)
        self.loop.add_reader(ours.fileno(), self._told, worker)
        return worker

    def start(self, **request):
        """A command that runs from now on. Raises TooLong."""
        message = json.dumps(request, ensure_ascii=False).encode()
        if len(message) > MESSAGE_LIMIT:
            raise TooLong
        worker = self.idle.pop() if self.idle else self._hire()
        pipes = [os.pipe() for _ in range(3)]
        theirs, ours = (pipes[0][0], pipes[1][1], pipes[2][1]), (pipes[0][1], pipes[1][0], pipes[2][0])
        try:
            socket.send_fds(worker.channel, [message], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        worker.process = Process(worker, ours, self.loop)
        worker.served += 1
        return worker.process

    def kill(self, process):
        worker = process.worker
        if worker.process is process:
            worker.condemned = True
            self.channel.send(json.dumps({'kill': worker.number}).encode())

    async def run(self, text, **request):
        """(exit code, output) of a command that reads text."""
        process = self.start(**request)
        try:
            await process.streams()
            process.stdin.write(text)
            process.stdin.close()
            out = await process.stdout.read()
            return await process.code, out
        finally:
            self.kill(process)
