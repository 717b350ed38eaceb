"""Where the benches run: a folder of one's own with a KDC and a slapd that hold the large organisation, started as the lab does it,
and the environment that lets programs log in there. Everything ends with the `with` block."""
import contextlib
import glob
import os
import shutil
import subprocess
import tempfile

import organization
from casbridge_lab import keys, prereq
from casbridge_lab.kdc import Kdc
from casbridge_lab.layout import DC_FQDN, LDAP_PORT, NAMESPACE, REALM, Lab
from casbridge_lab.org import ADMIN
from casbridge_lab.processes import Processes, run
from casbridge_lab.slapd import Slapd

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
URI = f'ldap://{DC_FQDN}:{LDAP_PORT}'


def built(*parts):
    """Something that `make` leaves; CONFIG's folder comes from the environment."""
    return os.path.join(ROOT, os.environ.get('BENCH_BUILD', 'build/release'), *parts)


class Ground:
    def __init__(self):
        prereq.check()
        self.dir = tempfile.mkdtemp(prefix='casbridge-bench-')
        self.lab = Lab(self.dir)
        self.processes = Processes(self.lab)
        self.claim = None  # a listening socket: the addresses are ours while it is open
        self.kdc, self.slapd = Kdc(self.lab, self.processes), Slapd(self.lab, self.processes)

    def __enter__(self):
        try:
            for name in ('run', 'log'):
                os.makedirs(self.lab.path(name), mode=0o700)
            os.makedirs(self.lab.run, mode=0o700, exist_ok=True)
            self.claim = self.lab.claim_block(0)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            with contextlib.suppress(FileNotFoundError):
                self.processes.stop()
        finally:
            if self.claim:
                self.claim.close()
            shutil.rmtree(self.lab.run, ignore_errors=True)
            shutil.rmtree(self.dir, ignore_errors=True)

    def _start(self):
        env = self.processes.environment()
        self.kdc.setup()  # before the organisation grows: nobody here asks for tickets to 500 servers
        self.kdc.start()
        keys.make_authority(self.lab, env)
        keys.make_certificate(self.lab, env, 'dc1', DC_FQDN)
        organization.install()
        self.slapd.setup()
        self.slapd.start()
        self.write_config()
        with open(self.path('hosts'), 'w', encoding='ascii') as f:
            f.write(f'{self.lab.dc_address} {DC_FQDN}\n')
        self.kdc.wait()
        self.slapd.wait()
        run(['kinit', '-k', '-t', self.path('keytabs', 'admin.keytab'), f'{ADMIN}@{REALM}'], env=self.environment(), what='kinit')

    def make_certificate(self, name, common_name):
        with open(self.path('pki', 'openssl.cnf'), 'a', encoding='utf-8') as f:
            f.write(keys._section(name, common_name, []))
        keys.make_certificate(self.lab, self.processes.environment(), name, common_name)

    def path(self, *parts):
        return self.lab.path(*parts)

    def write_config(self, name='config.ini', **settings):
        """A profile named lab; what settings do not say is as for the large organisation."""
        lines = {
            'source': f'ldap://{DC_FQDN}',
            'target': '2013',
            f'host.{DC_FQDN}': f'{self.lab.dc_address}:{LDAP_PORT}',
            'namespace': NAMESPACE,
            'krb5_config': self.path('krb5.conf'),
            'store': f'sqlite:{self.path("store.db")}',
            **settings,
        }
        text = '[lab]\n' + ''.join(f'{key} = {value}\n' for key, value in lines.items())
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='ascii') as f:
            f.write(text)

    def casbridge(self, *words, config='config.ini'):
        return [built('casbridge'), '--config', self.path(config), '--profile', 'lab', *words]

    def environment(self, **more):
        """Nothing of the caller's Kerberos, configuration or locale."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(('KRB5', 'XDG_', 'LDAP'))}
        env.update(
            LC_ALL='C.UTF-8',
            HOME=self.dir,
            KRB5_CONFIG=self.path('krb5.conf'),
            KRB5CCNAME=f'FILE:{self.path("ccache")}',
            PATH=self.processes.environment()['PATH'],
        )
        env.update(more)
        return env

    def named(self):
        """The same for programs that have no option to say where a host is: a hosts file for one process."""
        wrapper = glob.glob('/usr/lib/*/libnss_wrapper.so')
        return self.environment(LD_PRELOAD=wrapper[0], NSS_WRAPPER_HOSTS=self.path('hosts'))
