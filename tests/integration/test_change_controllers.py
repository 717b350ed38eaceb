"""A change as several domain controllers see it: one is behind, is found in the directory, does not answer."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from change_support import Running, plan_of
from conftest import ORG, wait_for


# ---- a second controller

class SecondController:
    """A copy of the lab's slapd that nobody replicates to."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        first = lab.dir / 'slapd'
        (folder / 'db').mkdir(parents=True)
        conf = (first / 'slapd.conf').read_text().replace(f'{first}/', f'{folder}/')
        (folder / 'slapd.conf').write_text(conf)
        shutil.copy(first / 'ad.schema', folder)
        (folder / 'rootdse.ldif').write_text((first / 'rootdse.ldif').read_text().replace('dc1', 'dc2').replace('DC1', 'DC2'))
        slapd, slapadd = (shutil.which(p, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/lib/openldap') for p in ('slapd', 'slapadd'))
        subprocess.run([slapadd, '-q', '-f', folder / 'slapd.conf', '-b', 'DC=contoso,DC=lab', '-l', first / 'org.ldif'], check=True)
        self.uri = 'ldapi://' + str(folder / 's').replace('/', '%2F')
        self.process = subprocess.Popen([slapd, '-d', '0', '-f', folder / 'slapd.conf', '-h', self.uri], stderr=subprocess.DEVNULL)
        assert wait_for(lambda: (folder / 's').exists())

    def close(self):
        self.process.terminate()
        self.process.wait()

    def follow(self, dn, attribute, value):
        """Replication, at last."""
        change = f'dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n'
        subprocess.run(['ldapmodify', '-Q', '-Y', 'EXTERNAL', '-H', self.uri], input=change, text=True, check=True, capture_output=True)


@pytest.fixture
def second(lab, tmp_path):
    made = SecondController(lab, pathlib.Path(tmp_path / 'dc2'))
    lab.config.write_text(lab.config.read_text() + f'controllers = {made.uri}\n')
    lab.config.chmod(0o600)
    try:
        yield made
    finally:
        made.close()


def test_a_controller_that_is_behind(lab, second, tmp_path):
    file, plan = plan_of(lab, tmp_path, '--server', 'E2K7CAS01', '--server', 'EXCAS01')
    where = {s['server']: s['preconditions'][0]['dn'] for s in plan['steps']}
    with Running(lab, 'apply', file, '--yes', ORG) as apply:
        told = set()
        for line in apply.process.stdout:
            p = json.loads(line)
            apply.lines.append(p)
            if 'waiting for up to' in (p['detail'] or '') and p['server'] not in told:
                assert 'not yet on dc2.contoso.lab (' in p['detail'] and 'iis_auth basic' in p['detail'], p
                told.add(p['server'])
                second.follow(where[p['server']], 'msExchInternalAuthenticationMethods', 3)
        code, err = apply.end()
    assert code == 0 and told == {'E2K7CAS01', 'EXCAS01'}, (err, apply.lines)
    done = {p['server']: p['detail'] for p in apply.lines if p['phase'] == 'done'}
    assert set(done) == told and not any('not yet' in d for d in done.values()), done
    assert any('dc1.contoso.lab' in (p['detail'] or '') for p in apply.lines if p['phase'] == 'reread')
    # the way back, which nobody replicates: stopped while it waits, it is done all the same and says so
    run = apply.lines[0]['run']
    with Running(lab, 'rollback', run, '--server', 'EXCAS01', '--yes', ORG) as back:
        for line in back.process.stdout:
            back.lines.append(json.loads(line))
            if 'waiting for up to' in (back.lines[-1]['detail'] or ''):
                back.process.send_signal(signal.SIGINT)
                break
        code, err = back.end()
    assert code == 0, err
    assert 'not yet on dc2.contoso.lab' in back.lines[-1]['detail'] and back.lines[-1]['phase'] == 'done', back.lines
    journal = lab.json('journal', back.lines[0]['run'])
    assert [r['detail'] for r in journal if r['phase'] == 'done' and 'not yet on dc2' in (r['detail'] or '')]
    # a plan against it now: the difference is said before anything is written
    file, _ = plan_of(lab, tmp_path, '--server', 'EXCAS01')
    second.follow(where['EXCAS01'], 'msExchInternalAuthenticationMethods', 16)
    with Running(lab, 'apply', file, '--yes', ORG) as apply:
        apply.until('intent')
        apply.process.send_signal(signal.SIGINT)
        code, err = apply.end()
    assert 'dc2.contoso.lab says' in err and 'which is not what dc1.contoso.lab says' in err, err


def test_controllers_are_found_in_the_directory(lab, tmp_path):
    """Each names itself below CN=Sites; the one that was read is not asked twice."""
    site = 'CN=Dublin,CN=Sites,CN=Configuration,DC=contoso,DC=lab'
    add = (f'dn: CN=Servers,{site}\nobjectClass: top\nobjectClass: container\n\n'
           f'dn: CN=DC2,CN=Servers,{site}\nobjectClass: top\nobjectClass: server\ndNSHostName: dc2.contoso.lab\n\n'
           f'dn: CN=NTDS Settings,CN=DC2,CN=Servers,{site}\nobjectClass: top\nobjectClass: nTDSDSA\n\n'
           f'dn: CN=OLD,CN=Servers,{site}\nobjectClass: top\nobjectClass: server\ndNSHostName: old.contoso.lab\n')
    uri = 'ldapi://' + str(lab.dir / 'run' / 'ldapi').replace('/', '%2F')
    done = subprocess.run(['ldapadd', '-c', '-Q', '-Y', 'EXTERNAL', '-H', uri], input=add, text=True, capture_output=True)
    assert 'NTDS Settings' in done.stdout, done
    lab.config.write_text(lab.config.read_text() + 'host.dc2.contoso.lab = 127.0.0.1:1\n')
    lab.config.chmod(0o600)
    file, _ = plan_of(lab, tmp_path, '--server', 'EXCAS01')
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
    assert done.code == 0, done.err
    asked = [line for line in done.err.splitlines() if 'is not asked whether it has the changes' in line]
    assert len(asked) == 1 and 'ldap://dc2.contoso.lab' in asked[0] and 'refused' in asked[0], done.err


def test_a_controller_that_does_not_answer(lab, second, tmp_path):
    second.close()
    file, _ = plan_of(lab, tmp_path, '--server', 'EXCAS01')
    done = lab.run('--format', 'json', 'apply', file, '--yes', ORG, timeout=180)
    assert done.code == 0 and 'is not asked whether it has the changes' in done.err, done.err
