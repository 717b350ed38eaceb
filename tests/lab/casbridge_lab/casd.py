"""The daemon that plays every web server of the organisation. Started by `lab up`, spoken to over
DIR/run/control.
"""
import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import time
import traceback
import uuid

import ldap


def _arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('--dir', required=True)
    parser.add_argument(
        '--claim', type=int, required=True, help='listening socket that holds the block of addresses'
    )
    return parser.parse_args()


if __name__ == '__main__':
    ARGS = _arguments()
    sys.pycache_prefix = os.path.join(ARGS.dir, 'pycache')
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from casbridge_lab import auth, iis, org  # noqa: E402
from casbridge_lab.control import LIMIT  # noqa: E402
from casbridge_lab.directory import Directory  # noqa: E402
from casbridge_lab.layout import Lab  # noqa: E402
from casbridge_lab.website import WebSite  # noqa: E402


class Daemon:
    def __init__(self, lab):
        self.lab = lab
        self.directory = Directory(lab)
        self.lock = asyncio.Lock()  # one question at a time on the directory's connection
        basic = auth.BasicChecker()
        self.sites = {s.name: WebSite(lab, s, basic, self.ask_directory) for s in org.SERVERS if s.web}
        self.next_poll = {}
        self.ended = asyncio.Event()
        self.wake = asyncio.Event()

    async def ask_directory(self, method, *args):
        async with self.lock:
            return await asyncio.get_running_loop().run_in_executor(
                None, getattr(self.directory, method), *args
            )

    async def refresh(self, poll=()):
        """Reads the directory; the named servers' /rpc follows it, everything else always does. Returns
        lines of what changed.
        """
        rows = iis.by_server(await self.ask_directory('vdirs'))
        databases = {
            dn.lower(): entry
            for dn, entry in await self.ask_directory(
                'search', self.directory.group, '(objectClass=msExchMDB)'
            )
        }
        changed = []
        for name, site in self.sites.items():
            stuck = site.faults.has('no-poll')
            if site.iis.apply(rows.get(name, []), name in poll and not stuck):
                changed.append(f'{name}: /rpc {self._shown(site)}')
            site.rows, site.databases = rows, databases
        return changed

    async def read_mailboxes(self):
        found = await self.ask_directory(
            'search', self.directory.domain, '(msExchMailboxGuid=*)', ['msExchMailboxGuid']
        )
        guids = {str(uuid.UUID(bytes_le=entry['msExchMailboxGuid'][0])) for _, entry in found}
        for site in self.sites.values():
            site.mailbox_guids = guids

    @staticmethod
    def _shown(site):
        rpc = site.iis.vdirs.get('rpc')
        return 'absent' if rpc is None else 'offers ' + (', '.join(rpc.switches.names()) or 'nothing')

    async def poller(self):
        """Each server's configurator has its own clock of a fixed step; an edit by hand starts the step
        anew, so that it lives that long.
        """
        while not self.ended.is_set():
            now = time.monotonic()
            due = [name for name, at in self.next_poll.items() if at <= now]
            if due:
                for name in due:
                    while self.next_poll[name] <= now:
                        self.next_poll[name] += self.lab.poll
                try:
                    await self.refresh(due)
                except ldap.SERVER_DOWN:
                    pass  # a directory that is away is asked again at the next step
                except Exception:
                    print(f'poll: {traceback.format_exc()}', flush=True)
            self.wake.clear()
            try:
                await asyncio.wait_for(
                    self.wake.wait(), max(0.02, min(self.next_poll.values()) - time.monotonic())
                )
            except asyncio.TimeoutError:
                pass

    # ---- requests of the command line

    async def control(self, reader, writer):
        try:
            line = await asyncio.wait_for(reader.readuntil(b'\n'), 10)
            request = json.loads(line)
            answer = await getattr(self, 'do_' + str(request.pop('command')).replace('-', '_'))(**request)
        except (AttributeError, TypeError, ValueError, KeyError) as e:
            answer = {'error': str(e)}
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError):
            answer = {'error': 'request cut'}
        except Exception as e:
            answer = {'error': f'{type(e).__name__}: {e}'}
        try:
            writer.write(json.dumps(answer).encode() + b'\n')
            await writer.drain()
            writer.close()
        except ConnectionError:
            pass

    def _site(self, name):
        if name not in self.sites:
            raise ValueError(f'{name} is a mailbox server: it has no web service')
        return self.sites[name]

    async def do_status(self):
        now = time.monotonic()
        rows = []
        for name, site in self.sites.items():
            rpc = site.iis.vdirs.get('rpc')
            rows.append(
                {
                    'server': name,
                    'address': site.address,
                    'listening': site.listener is not None,
                    'edited': site.iis.edited,
                    'rpc': None if rpc is None else rpc.switches.names(),
                    'next_poll': max(0.0, self.next_poll[name] - now),
                }
            )
        return {'servers': rows}

    async def do_iis(self, server):
        """All that its IIS would have configured."""
        vdirs = self._site(server).iis.vdirs.values()
        return {'vdirs': [[v.name, v.switches.anonymous, v.switches.basic, v.switches.windows] for v in vdirs]}

    async def do_edit(self, server, methods):
        site = self._site(server)
        site.iis.edit(methods)
        self.next_poll[server] = time.monotonic() + self.lab.poll
        self.wake.set()
        return {
            'text': f'{server}: /rpc {self._shown(site)}, by hand; the next poll, in {self.lab.poll:g} s, '
            'takes the directory\'s settings again'
        }

    async def do_poll(self, server=None):
        names = [self._site(server).server.name] if server else list(self.sites)
        changed = await self.refresh(names)
        return {'text': '\n'.join(changed) or 'nothing changed', 'changed': changed}

    async def do_refresh(self):
        """After a cmdlet that writes IIS itself, as all but Outlook Anywhere's do."""
        await self.refresh()
        return {'text': 'done'}

    async def do_stop(self, server):
        await self._site(server).stop()
        return {'text': f'{server}: web service stopped'}

    async def do_start(self, server):
        await self._site(server).start()
        return {'text': f'{server}: web service started'}

    async def do_reset(self):
        for site in self.sites.values():
            await site.start()
        await self.refresh(list(self.sites))
        await self.read_mailboxes()
        return {'text': 'done'}

    # ---- life

    async def run(self):
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self.ended.set)
        auth.write_ntlm_users(self.lab)
        await self.refresh(list(self.sites))
        await self.read_mailboxes()
        began = time.monotonic()
        self.next_poll = {name: began + self.lab.poll for name in self.sites}
        for site in self.sites.values():
            await site.start()
        server = await asyncio.start_unix_server(self.control, self.lab.control_socket + '.new', limit=LIMIT)
        os.chmod(self.lab.control_socket + '.new', 0o600)
        os.rename(self.lab.control_socket + '.new', self.lab.control_socket)
        poller = asyncio.ensure_future(self.poller())
        await self.ended.wait()
        server.close()
        poller.cancel()
        for site in self.sites.values():
            await site.stop()


def main():
    claim = socket.socket(fileno=ARGS.claim)
    if sys.stdin.readline() != 'go\n':
        return 1  # whoever started us gave up
    lab = Lab(ARGS.dir).load()
    asyncio.run(_run(lab))
    claim.close()
    return 0


async def _run(lab):
    await Daemon(lab).run()


if __name__ == '__main__':
    sys.exit(main())
