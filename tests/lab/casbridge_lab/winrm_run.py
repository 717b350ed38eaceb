"""Programs that shells start, as children of a small process forked early from the daemon.

That process has loaded the stand-in powershell already, so that a command costs a fork and not a start of Python;
and each command is a process group of its own that can be killed.
"""
import asyncio
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


def _become(lab, request, fds):
    code = 120
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.closerange(3, 256)
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
    finally:
        os._exit(code)


def _serve(lab, channel):
    from . import pshost  # noqa: F401  loaded once, for all children

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
            data, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, 3)
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
                channel.close()
                _become(lab, request, fds)
            for fd in fds:
                os.close(fd)
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


class Process:
    """A running command: standard input as a writer, output as readers, `code` a future of its exit code."""

    def __init__(self, number, loop):
        self.number, self.code = number, loop.create_future()
        self.stdin = self.stdout = self.stderr = None


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
        self.processes, self.number = {}, 0

    def attach(self, loop):
        loop.add_reader(self.channel.fileno(), self._ended)

    def _ended(self):
        while True:
            try:
                data = self.channel.recv(MESSAGE_LIMIT)
            except BlockingIOError:
                return
            if not data:
                raise SystemExit('the starter of commands is gone')
            answer = json.loads(data)
            process = self.processes.pop(answer['n'], None)
            if process is not None and not process.code.done():
                process.code.set_result(answer['code'])

    async def start(self, **request):
        loop = asyncio.get_running_loop()
        self.number += 1
        process = Process(self.number, loop)
        pipes = [os.pipe() for _ in range(3)]
        theirs, ours = (pipes[0][0], pipes[1][1], pipes[2][1]), (pipes[0][1], pipes[1][0], pipes[2][0])
        data = json.dumps({'n': process.number, **request}).encode()
        try:
            socket.send_fds(self.channel, [data], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        self.processes[process.number] = process
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(ours[0], 'wb', 0)
        )
        process.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        for name, fd in (('stdout', ours[1]), ('stderr', ours[2])):
            reader = asyncio.StreamReader(limit=1 << 26)
            await loop.connect_read_pipe(
                lambda r=reader: asyncio.StreamReaderProtocol(r), os.fdopen(fd, 'rb', 0)
            )
            setattr(process, name, reader)
        return process

    def kill(self, process):
        if process.number in self.processes:
            self.channel.send(json.dumps({'kill': process.number}).encode())

    async def run(self, text, **request):
        """(exit code, output) of a command that reads text."""
        process = await self.start(**request)
        try:
            process.stdin.write(text)
            process.stdin.close()
            out = await process.stdout.read()
            return await process.code, out
        finally:
            self.kill(process)
