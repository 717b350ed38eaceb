"""Standard output that nobody reads to its end: as with any other tool of a pipeline, no word, and the exit code is the command's own."""
import os
import signal
import subprocess
import time

import pytest

from conftest import PROGRAM, clean_env


def start(*args, to):
    return subprocess.Popen([str(PROGRAM), *map(str, args)], stdout=to, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                            env=clean_env())


def follows(process):
    """It has come to where Ctrl-C is an end like any other."""
    until = time.monotonic() + 60
    while True:
        caught = next(line for line in open(f'/proc/{process.pid}/status') if line.startswith('SigCgt:')).split()[1]
        if int(caught, 16) & 1 << signal.SIGINT - 1:
            return
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)


def into_closed_pipe(*args):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = start(*args, to=writer)
        err = process.communicate(timeout=120)[1]
        return process.returncode, err
    finally:
        os.close(writer)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.ini'
    path.write_text(f'[p]\nstore = sqlite:{tmp_path}/store.db\n')
    path.chmod(0o600)
    return path


@pytest.mark.parametrize('args', [('help',), ('help', 'config'), ('version',), ('themes',), ('completion', 'bash'), ('store',), ('journal',),
                                  ('--format', 'json', 'journal'), ('journal', 'verify'), ('accept', 'list'), ('-o', '-', 'journal')])
def test_without_a_directory(config, args):
    assert into_closed_pipe('--config', config, *args) == (0, '')


def test_with_one(shared_lab):
    """check has found something: that nobody reads it does not make it nothing, nor an internal error."""
    for code, args in ((0, ('inventory',)), (1, ('check',)), (1, ('--format', 'json', 'check')), (1, ('plan',)), (0, ('spn',))):
        got, err = into_closed_pipe('--config', shared_lab.config, '--profile', 'lab', *args)
        assert got == code and 'standard output' not in err, (args, got, err)


def test_full_disk_is_an_error(config):
    with open('/dev/full', 'w') as full:
        process = start('--config', config, 'help', to=full)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 70 and 'cannot write to standard output' in err


def test_following(config):
    """journal --follow | head -1: ends with its reader, even when no other record comes."""
    process = start('--config', config, 'journal', '--follow', to=subprocess.PIPE)
    try:
        follows(process)
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ''
    finally:
        process.stderr.close()
        if process.poll() is None:
            process.kill()


def test_following_to_a_file(config, tmp_path):
    """What is no pipe has no reader that could leave."""
    with open(tmp_path / 'out', 'w') as out:
        process = start('--config', config, 'journal', '--follow', to=out)
        follows(process)
        time.sleep(1.5)  # for it to end in, where it should not
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
