"""The `lab` command: brings the organisation up, takes it down, and lets a person or a test interfere with
it.
"""
import argparse
import fcntl
import json
import os
import shlex
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from . import config, control, keys, org, prereq
from .faults import Faults
from .kdc import Kdc
from .layout import DEFAULT_POLL, Lab, LabError, default_dir
from .processes import Processes
from .slapd import Slapd
from .sshd import Sshd, write_known_hosts

OURS = (
    'cas',
    'faults',
    'kdc',
    'keytabs',
    'log',
    'pki',
    'run',
    'slapd',
    'ssh',
    'winrm',
    'ca.pem',
    'config.ini',
    'krb5.conf',
    'lab.json',
    'krb5cc',
    f'krb5cc_{os.geteuid()}',
)
KEPT = ('lock', 'pycache', 'engine.psm1')  # and store.db with its companions: these survive a lab
CAS, WINRM = 'cas', 'winrm'
# of plant.PLANTS, which takes a while to load
KINDS = (
    'unknown-version',
    'old-service-pack',
    'no-outlook-anywhere',
    'basic-only',
    'wrong-oa-name',
    'edited-iis',
    'duplicate-spn',
    'foreign-spn',
    'no-ticket',
    'old-certificate',
    'wrong-name-certificate',
    'legacy-url',
    'no-internal-url',
    'no-bypass-url',
    'basic-web-services',
    'no-forms',
    'server-name-url',
    'wrong-scp',
    'no-rpc-encryption',
    'old-tls',
    'ssl-offloading',
    'moved-server',
    'old-rollup',
    'no-hotfix',
    'stopped-service',
    'extended-protection',
)
LEGACY_METHODS = ('basic', 'ntlm', 'negotiate', 'windows', 'anonymous', 'none')


def wipe(lab):
    """Removes what a lab makes, and nothing else: the console's store and the compiled code stay."""
    for name in OURS:
        path = lab.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    if lab.run != lab.path('run'):
        shutil.rmtree(lab.run, ignore_errors=True)


class Runner:
    def __init__(self, lab):
        self.lab = lab
        self.processes = Processes(lab)
        self.env = self.processes.environment()
        self.slapd, self.kdc = Slapd(lab, self.processes), Kdc(lab, self.processes)
        self.names = [Kdc.NAME, Slapd.NAME, CAS, WINRM, *(f'sshd-{s.name.lower()}' for s in org.SERVERS)]

    def states(self):
        return {name: self.processes.pid(name) for name in self.names}

    def up(self, poll, users, engine):
        lab = self.lab
        if os.path.exists(lab.state_file):
            lab.load()
            if all(self.states().values()):
                print(f'lab is already up in {lab.dir}')
                return
        elif any(name not in KEPT and not name.startswith('store.db') for name in os.listdir(lab.dir)):
            raise LabError(f'{lab.dir} holds things that are not a lab\'s: choose another folder with --dir')
        prereq.check()
        began = time.monotonic()
        self.processes.stop()
        wipe(lab)
        lab.poll, lab.extra_users, lab.engine = poll, users, engine
        for name, mode in (
            ('run', 0o700),
            ('log', 0o755),
            ('cas', 0o755),
            ('winrm', 0o755),
            ('faults', 0o755),
        ):
            os.makedirs(lab.path(name), mode=mode)
        os.makedirs(lab.run, mode=0o700, exist_ok=True)
        try:
            with lab.claim_block(len(org.SERVERS)) as claim:
                lab.save()
                self._bring_up(claim)
        except BaseException:
            self.processes.stop()
            wipe(lab)
            raise
        print(
            f'lab is up in {lab.dir}: {len(org.SERVERS)} servers at {lab.block}.0/24, '
            f'{time.monotonic() - began:.2f} s'
        )
        print(f'profile: {lab.path("config.ini")}, section [lab]')

    def _bring_up(self, claim):
        """Everything that does not wait for something else runs beside it; the slow parts are other
        programs.
        """
        lab, env = self.lab, self.env
        cas = control.Starter(self.processes, CAS, 'casd.py', lab.control_socket, claim)
        winrm = control.Starter(self.processes, WINRM, 'winrmd.py', lab.winrm_socket)
        daemons = [Sshd(lab, self.processes, s) for s in org.SERVERS]
        with ThreadPoolExecutor(4) as pool:
            realm = pool.submit(self.kdc.setup)
            directory = pool.submit(self.slapd.setup)
            keys.make_authority(lab, env)
            certificates = [
                pool.submit(keys.make_certificate, lab, env, name, cn) for name, cn, _ in keys.subjects()
            ]
            Sshd.prepare(lab, env)
            for job in [pool.submit(d.setup, env) for d in daemons]:
                job.result()
            realm.result()
            self.kdc.start()
            for job in [directory, *certificates]:
                job.result()
        self.slapd.start()
        for daemon in daemons:
            daemon.start()
        write_known_hosts(lab, daemons)
        config.write(lab)
        self.kdc.wait()
        self.slapd.wait()
        cas.go()
        winrm.go()
        cas.wait()
        winrm.wait()
        for daemon in daemons:
            self.processes.wait_until(daemon.name, daemon.answers)

    def down(self):
        self.processes.stop()
        if self.lab.run != self.lab.path('run'):
            shutil.rmtree(self.lab.run, ignore_errors=True)
        elif os.path.isdir(self.lab.run):
            for name in os.listdir(self.lab.run):
                os.unlink(os.path.join(self.lab.run, name))
        print(f'lab is down: {self.lab.dir}')

    def reset(self):
        from .plant import undo

        self._must_be_up()
        again = {s.name for s in org.SERVERS if s.web and Faults(self.lab, s.name).has('old-tls')}
        for name in os.listdir(self.lab.path('faults')):
            os.unlink(self.lab.path('faults', name))
        again.update(undo(self.lab, self.processes))
        for name in sorted(again):
            control.ask(self.lab, command='stop', server=name)
        self.processes.stop([Slapd.NAME])
        self.slapd.restore()
        self.slapd.start()
        self.slapd.wait()
        control.ask(self.lab, command='reset')
        control.ask(self.lab, socket_path=self.lab.winrm_socket, command='reset')
        print('the organisation is as first made')

    def status(self):
        states = self.states()
        for name, pid in states.items():
            print(f'{name:16} {"pid " + str(pid) if pid else "down"}')
        if not states[CAS]:
            return 1
        for row in control.ask(self.lab, command='status')['servers']:
            live = ','.join(row['rpc']) if row['rpc'] is not None else 'absent'
            print(
                f'{row["server"]:10} {row["address"]:15} '
                f'{"listening" if row["listening"] else "stopped":10} /rpc {live}'
                + (
                    f'   (edited by hand; the next poll, in {row["next_poll"]:.1f} s, overwrites it)'
                    if row['edited']
                    else ''
                )
            )
        for name in (s.name for s in org.SERVERS):
            unknown = Faults(self.lab, name).unknown()
            if unknown:
                print(f'{name:10} faults: unknown or without a proper value: {" ".join(unknown)}')
        return 0 if all(states.values()) else 1

    def shells(self):
        """Live shells and the operations begun, a server each, as JSON."""
        self._must_be_up()
        answer = control.ask(self.lab, socket_path=self.lab.winrm_socket, command='shells')
        print(json.dumps(answer['servers'], indent=1))

    def export(self, path):
        from .directory import Directory  # its library is slow to load, and only this command needs it

        self._must_be_up()
        try:
            count = Directory(self.lab).export(path)
        except OSError as e:
            raise LabError(f'cannot write {path}: {e.strerror}') from None
        print(f'{count} entries in {path}')

    def plant(self, kinds):
        from .plant import PLANTS, plant

        self._must_be_up()
        for kind in kinds:
            try:
                plant(self.lab, self.processes, kind)
            except Exception as e:  # of the directory, a program or the daemon: a person planted twice, or something is down
                raise LabError(f'{kind} cannot be planted: {e}: run "lab reset"') from None
            print(f'{kind}: {PLANTS[kind].text}')

    def _must_be_up(self):
        down = [name for name, pid in self.states().items() if pid is None]
        if down:
            raise LabError(f'not running: {" ".join(down)}: run "lab up"')

    def tell(self, socket_path=None, **request):
        self._must_be_up()
        answer = control.ask(self.lab, socket_path=socket_path, **request)
        print(answer['text'])


def _methods(text):
    methods = [m.strip().lower() for m in text.split(',') if m.strip()]
    unknown = set(methods) - set(LEGACY_METHODS)
    if unknown or not methods:
        raise argparse.ArgumentTypeError(f'methods are {", ".join(LEGACY_METHODS)}')
    return methods


def _server(text):
    s = org.server(text)
    if s is None:
        raise argparse.ArgumentTypeError(
            f'no server {text}: there are {", ".join(x.name for x in org.SERVERS)}'
        )
    return s.name


def parser():
    p = argparse.ArgumentParser(prog='lab', description='A stand-in Exchange organisation on loopback.')
    p.add_argument('--dir', default=argparse.SUPPRESS, help='folder of the lab (default: build/lab)')
    sub = p.add_subparsers(dest='command', required=True, metavar='COMMAND')
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--dir', default=argparse.SUPPRESS, help='folder of the lab (default: build/lab)')

    def command(name, text):
        return sub.add_parser(name, help=text, parents=[common])

    up = command('up', 'start everything')
    up.add_argument(
        '--poll',
        type=float,
        default=float(os.environ.get('LAB_POLL_INTERVAL', DEFAULT_POLL)),
        metavar='SECONDS',
        help='how often IIS takes Outlook Anywhere\'s settings from the directory (default %(default)g; in '
        'life 900)',
    )
    up.add_argument('--users', type=int, default=0, metavar='N', help='that many more mailboxes, in OU=Staff')
    up.add_argument(
        '--engine',
        metavar='PWSH',
        help="PowerShell's own engine (../shared/peers): then it runs what comes by SSH, WinRM and /PowerShell/",
    )
    command('down', 'stop everything')
    command('status', 'what runs, and what each IIS offers on /rpc')
    command('reset', 'the organisation as first made')
    edit = command('iis-edit', 'change the methods of /rpc in IIS by hand; the next poll overwrites it')
    edit.add_argument('server', type=_server)
    edit.add_argument('methods', type=_methods, help=f'comma-separated: {", ".join(LEGACY_METHODS)}')
    for name, text in (('cas-stop', 'stop a server\'s web service'), ('cas-start', 'start it again')):
        command(name, text).add_argument('server', type=_server)
    for name, text in (('winrm-stop', 'stop a server\'s WinRM'), ('winrm-start', 'start it again')):
        command(name, text).add_argument('server', type=_server)
    command('shells', 'live WinRM shells and what was asked for, as JSON')
    command('poll', 'IIS takes the directory\'s settings now').add_argument('server', type=_server, nargs='?')
    command('plant', 'faults on demand; reset takes them back').add_argument(
        'kind', nargs='+', choices=KINDS, metavar='KIND', help=f'any of {", ".join(KINDS)}'
    )
    command('export', 'the directory as an LDIF file').add_argument('file')
    command('env', 'shell exports for trying things by hand')
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    lab = Lab(getattr(args, 'dir', None) or default_dir())
    try:
        return dispatch(lab, args)
    except LabError as e:
        print(f'lab: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('lab: interrupted', file=sys.stderr)
        return 130


def dispatch(lab, args):
    runner = Runner(lab)
    if args.command == 'up':
        if not 0.2 <= args.poll <= 86400 or not 0 <= args.users <= 200000:
            raise LabError('--poll is 0.2 to 86400 seconds, --users 0 to 200000')
        engine = args.engine and os.path.abspath(args.engine)
        if engine and not os.access(engine, os.X_OK):
            raise LabError(f'{engine} is no program')
        os.makedirs(lab.dir, exist_ok=True)
        with _lock(lab):
            runner.up(args.poll, args.users, engine)
        return 0
    if args.command == 'down' and not os.path.exists(lab.state_file):
        print(f'no lab in {lab.dir}')
        return 0
    lab.load()
    if args.command in ('down', 'reset'):
        with _lock(lab):
            getattr(runner, args.command)()
    elif args.command == 'status':
        return runner.status()
    elif args.command == 'env':
        for name, value in config.environment(lab):
            print(f'export {name}={shlex.quote(value)}')
    elif args.command == 'plant':
        with _lock(lab):
            runner.plant(args.kind)
    elif args.command == 'export':
        runner.export(args.file)
    elif args.command == 'iis-edit':
        runner.tell(command='edit', server=args.server, methods=args.methods)
    elif args.command in ('cas-stop', 'cas-start'):
        runner.tell(command=args.command[4:], server=args.server)
    elif args.command in ('winrm-stop', 'winrm-start'):
        runner.tell(socket_path=lab.winrm_socket, command=args.command[6:], server=args.server)
    elif args.command == 'shells':
        runner.shells()
    elif args.command == 'poll':
        runner.tell(command='poll', server=args.server)
    return 0


def _lock(lab):
    """One `up`, `down` or `reset` at a time in one folder; waits for another to finish."""
    f = open(lab.path('lock'), 'w', encoding='utf-8')
    fcntl.flock(f, fcntl.LOCK_EX)
    return f
