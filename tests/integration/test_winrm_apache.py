"""Our logins judged by Apache and mod_auth_gssapi: Negotiate with Kerberos and NTLM, Kerberos only, raw NTLM, over http and https.

Apache knows nothing of WS-Man: a request that got past the login is answered with a file, which is no answer to us. Its log says who each request was from, which
for the second one, sent without any header, is what the connection was logged in as."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from conftest import clean_env
from wsman_replay import SHELL, Session, write_config

MODULES = pathlib.Path('/usr/lib/apache2/modules')
APACHE = shutil.which('apache2') or '/usr/sbin/apache2'
CREATE = dict(op='create', resource=SHELL + '/cmd', input='stdin', output='stdout stderr')
HOST = 'excas01.contoso.lab'

pytestmark = [pytest.mark.skipif(not (MODULES / 'mod_auth_gssapi.so').exists(), reason='apache2 and libapache2-mod-auth-gssapi are not installed'),
              pytest.mark.skipif(os.geteuid() != 0, reason='Apache gives up its privileges only when it has some')]

CONF = """ServerRoot {dir}
PidFile {dir}/pid
ServerName localhost
Listen 127.0.0.1:{http}
Listen 127.0.0.1:{https}
User www-data
Group www-data
KeepAlive On
MaxKeepAliveRequests 0
DocumentRoot {dir}/htdocs
ErrorLog {dir}/error.log
LogFormat "%u %>s %{{GSS_NAME}}e %{{c}}a %{{remote}}p" who
CustomLog {dir}/access.log who
StartServers 1
ServerLimit 1
{modules}
<Directory {dir}/htdocs>
  Require all granted
</Directory>
<VirtualHost 127.0.0.1:{https}>
  SSLEngine on
  SSLCertificateFile {lab}/pki/excas01.pem
  SSLCertificateKeyFile {lab}/pki/excas01.key
</VirtualHost>
{locations}
"""
LOCATION = """<Location /{name}>
  AuthType GSSAPI
  AuthName "judge"
  GssapiCredStore keytab:{dir}/keytab
  GssapiAcceptorName HTTP@excas01.contoso.lab
  {mechs}
  GssapiConnectionBound On
  GssapiPublishMech On
  Require valid-user
</Location>
"""


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


class Apache:
    def __init__(self, lab):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='casbridge-apache-'))
        self.dir.chmod(0o755)
        self.http, self.https = free_port(), free_port()
        (self.dir / 'htdocs').mkdir()
        for name in ('both', 'krb', 'ntlm'):
            (self.dir / 'htdocs' / name).write_text('here')
        shutil.copy(lab.dir / 'keytabs/excas01.keytab', self.dir / 'keytab')
        shutil.chown(self.dir / 'keytab', 'www-data')
        (self.dir / 'users').write_text('CONTOSO:admin:Passw0rd!lab\n')
        for path in ('htdocs', 'users', 'htdocs/both', 'htdocs/krb', 'htdocs/ntlm'):
            (self.dir / path).chmod(0o755)
        modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_gssapi', 'ssl']
        mechs = {'both': 'GssapiAllowedMech krb5\n  GssapiAllowedMech ntlmssp', 'krb': 'GssapiAllowedMech krb5', 'ntlm': 'GssapiAllowedMech ntlmssp'}
        (self.dir / 'conf').write_text(CONF.format(
            dir=self.dir, http=self.http, https=self.https, lab=lab.dir,
            modules='\n'.join(f'LoadModule {m}_module {MODULES}/mod_{m}.so' for m in modules),
            locations=''.join(LOCATION.format(name=n, dir=self.dir, mechs=m) for n, m in mechs.items())))
        env = dict(os.environ, KRB5_CONFIG=str(lab.dir / 'krb5.conf'), NTLM_USER_FILE=str(self.dir / 'users'), KRB5RCACHETYPE='none')
        self.conf = self.dir / 'krb5.conf'
        shutil.copy(lab.dir / 'krb5.conf', self.conf) # the lab's folder is not www-data's to read
        self.conf.chmod(0o644)
        env['KRB5_CONFIG'] = str(self.conf)
        self.process = subprocess.Popen([APACHE, '-X', '-f', str(self.dir / 'conf')], env=env, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', self.https)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(self.process.stdout.read())

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self, after=0):
        path = self.dir / 'access.log'
        return path.read_text().splitlines()[after:] if path.exists() else []


@pytest.fixture(scope='module')
def apache(shared_lab):
    made = Apache(shared_lab)
    made.lab = shared_lab
    yield made
    made.stop()


@pytest.mark.parametrize('tls', [False, True])
@pytest.mark.parametrize('place,auth,user,who', [
    ('both', 'kerberos', None, 'admin@CONTOSO.LAB'), ('both', 'negotiate', 'admin@CONTOSO.LAB', 'admin@CONTOSO.LAB'),
    ('krb', 'kerberos', None, 'admin@CONTOSO.LAB'), ('both', 'ntlm', 'CONTOSO\\admin', 'admin'),
    ('ntlm', 'ntlm', 'CONTOSO\\admin', 'admin')])
def test_login(apache, tmp_path, place, auth, user, who, tls):
    port = apache.https if tls else apache.http
    lab, secret = apache.lab, tmp_path / 'secret'
    secret.write_text('Passw0rd!lab')
    secret.chmod(0o600)
    lines = [f'host.{HOST}/{port} = 127.0.0.1:{port}', f'winrm_auth = {auth}', f'trust = {lab.dir}/ca.pem', f'krb5_config = {lab.dir}/krb5.conf',
             'krb5_principal = admin@CONTOSO.LAB', f'krb5_keytab = {lab.dir}/keytabs/admin.keytab']
    lines += [f'winrm_user = {user}', f'winrm_password = file:{secret}'] if user else []
    config = write_config(tmp_path, f'{"https" if tls else "http"}://{{fqdn}}:{port}/{place}', *lines)
    text = config.read_text().replace(f'host.{HOST} = 127.0.0.1\n', '')
    config.write_text(text)
    env = clean_env()
    env['ASAN_OPTIONS'] = env['ASAN_OPTIONS'].replace('detect_leaks=1', 'detect_leaks=0') # gss-ntlmssp's own
    before = len(apache.log())
    with Session(config, env=env) as session:
        result = session.do(**CREATE)
    log = apache.log(before)
    # past the login, and what came then is not believed: not encrypted over http, no envelope over https
    assert result['err'] == 'PROTOCOL' and ('no content' if tls else 'not encrypted') in result['what'], (result, log)
    assert log[-1].split()[1] == '200' and who.lower() in log[-1].lower(), log
    assert len({l.split()[-1] for l in log}) == 1, log # all legs and the request on one connection
    assert 'Passw0rd' not in str(log) + str(result)


@pytest.mark.parametrize('place,auth,user,password', [
    ('both', 'ntlm', 'CONTOSO\\admin', 'wrong'), ('krb', 'ntlm', 'CONTOSO\\admin', 'Passw0rd!lab'), ('ntlm', 'kerberos', None, None)])
def test_refused(apache, tmp_path, place, auth, user, password):
    lab, secret = apache.lab, tmp_path / 'secret'
    lines = [f'host.{HOST}/{apache.http} = 127.0.0.1:{apache.http}', f'winrm_auth = {auth}', f'krb5_config = {lab.dir}/krb5.conf',
             'krb5_principal = admin@CONTOSO.LAB', f'krb5_keytab = {lab.dir}/keytabs/admin.keytab']
    if user:
        secret.write_text(password)
        secret.chmod(0o600)
        lines += [f'winrm_user = {user}', f'winrm_password = file:{secret}']
    config = write_config(tmp_path, f'http://{{fqdn}}:{apache.http}/{place}', *lines)
    env = clean_env()
    env['ASAN_OPTIONS'] = env['ASAN_OPTIONS'].replace('detect_leaks=1', 'detect_leaks=0')
    with Session(config, env=env) as session:
        result = session.do(**CREATE)
        assert result['err'] == 'AUTH' and result['hint'], result
        if user:
            again = session.do(**CREATE)
            # a server that takes no NTLM never saw the password: nothing is wrong with it
            assert again['err'] == 'AUTH' and ('not tried' in again['what']) == (place == 'both'), again
