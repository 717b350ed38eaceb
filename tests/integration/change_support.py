"""What the tests of plan, apply and rollback against the lab share."""
import json
import re
import subprocess

from conftest import PROGRAM, clean_env

LEGACY = ('E2K7CAS01', 'EXCAS01', 'EXCAS02')
MOVING = re.compile(r'^(whenChanged|uSNChanged|entryCSN|modifyTimestamp|modifiersName|entryUUID|createTimestamp|creatorsName|structuralObjectClass|'
                    r'contextCSN|objectGUID|msExchVersion|whenCreated|uSNCreated|name|objectCategory|distinguishedName)::? ', re.I)


def directory(lab, tmp_path):
    """DN -> its attributes, without what every write moves."""
    file = tmp_path / 'export.ldif'
    lab.do('export', str(file))
    text = re.sub(r'\n ', '', file.read_text())
    entries = [e.split('\n') for e in re.split(r'\n\n+', text) if e.startswith('dn: ')]
    return {e[0]: sorted(line for line in e[1:] if line and not MOVING.match(line)) for e in entries}


def lines_of(done):
    return [json.loads(line) for line in done.out.splitlines()]


def plan_of(lab, tmp_path, *args, name='plan.json'):
    file = tmp_path / name
    done = lab.run('plan', '-o', file, *args)
    assert done.code == 1, (done.code, done.err)
    return file, json.loads(file.read_text())


class Running:
    """apply in the background, its progress line by line."""

    def __init__(self, lab, *args):
        self.process = subprocess.Popen([str(PROGRAM), '--config', str(lab.config), '--profile', 'lab', '--format', 'json', *map(str, args)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env())
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def comes_to(self, phase):
        """False: it ended before."""
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1]['phase'] == phase:
                return True
        return False

    def until(self, phase):
        if self.comes_to(phase):
            return self.lines[-1]
        raise AssertionError((phase, self.lines, self.process.stderr.read()))

    def end(self):
        out, err = self.process.communicate(timeout=120)
        self.lines += [json.loads(line) for line in out.splitlines()]
        assert 'Sanitizer' not in err and 'runtime error' not in err, err
        return self.process.returncode, err


def slow(lab, *servers, seconds=3):
    folder = lab.dir / 'faults'
    folder.mkdir(exist_ok=True)
    for s in servers:
        (folder / s).write_text(f'ssh-delay {seconds}\n')
