"""What a pipeline says and should not: fragments that are none, states cut short, floods, more than can be shown. Nothing hangs, and nothing that
could not be read counts as success."""
import json
import subprocess
import threading
import time
import uuid

import pytest

from conftest import PROGRAM, clean_env
from psrp_listener import CALL, COMPLETED, ERROR, OUTPUT, STATE, Server, fragment, host_call, member, run
from wsman_replay import Listener, write_config


def stream(make):
    """A server whose pipeline says that instead."""
    class Says(Server):
        def started(self):
            for data in make(self):
                self.waiting[True].append(data)
    return Says()


def whole(server, kind, clixml, number=100):
    return fragment(number, 0, 3, server.message(kind, clixml, True))
BAD = {
    'begins in the middle': lambda s: [fragment(9, 1, 2, s.message(STATE, COMPLETED, True))],
    'out of order': lambda s: [fragment(9, 0, 1, s.message(OUTPUT, '<S>', True)), fragment(9, 2, 2, b'x</S>')],
    'twice': lambda s: [fragment(9, 0, 1, s.message(OUTPUT, '<S>', True)), fragment(9, 0, 1, s.message(OUTPUT, '<S>', True))],
    'absurd length': lambda s: [fragment(9, 0, 3, b'', 0xffffffff)],
    'absurd length, not the last': lambda s: [fragment(9, 0, 1, b'', 0x7fffffff)],
    'unknown flags': lambda s: [fragment(9, 0, 7, s.message(STATE, COMPLETED, True))],
    'shorter than its header': lambda s: [fragment(9, 0, 3, b'\x01')],
    'empty object': lambda s: [fragment(9, 0, 3, b'')],
    'seventeen begun': lambda s: [fragment(200 + i, 0, 1, b'x') for i in range(17)],
    'a state that is none': lambda s: [whole(s, STATE, '<Obj><MS><S N="PipelineState">done</S></MS></Obj>')],
    'a state cut short': lambda s: [whole(s, STATE, COMPLETED[:-9])],
    'a host call without number': lambda s: [whole(s, CALL, '<Obj><MS /></Obj>')],
    'a hundred host calls': lambda s: [whole(s, CALL, host_call(i), 100 + i) for i in range(100)],
}


@pytest.mark.parametrize('case', list(BAD))
def test_bad_streams(case, tmp_path):
    server = stream(BAD[case])
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['err'] in ('PROTOCOL', 'LIMIT') and got['sent'] and got['outcome_unknown'] and not got['ok'], got
    assert 'its outcome is not known' in got['what'] and server.operations.count('command') == 1
    assert server.deleted == [server.shell_id]


def test_done_without_completed(tmp_path):
    class Ends(Server):
        def started(self):
            self.say(OUTPUT, '<S>half</S>', True)

        def received(self, data, of_pipeline, state='Done'):
            return super().received(data, of_pipeline, state)
    server = Ends()
    got = run(server, tmp_path, timeout_ms=30000)
    assert got['err'] == 'PROTOCOL' and got['outcome_unknown'] and 'did not say how it ended' in got['what'] and got['objects'] == ['half'], got
    assert server.deleted == [server.shell_id]


def test_an_error_that_cannot_be_read_is_one(tmp_path):
    server = stream(lambda s: [whole(s, ERROR, '<Obj RefId="0"><NewKind /></Obj>'), whole(s, STATE, COMPLETED, 101)])
    got = run(server, tmp_path)
    assert got['err'] == 'OK' and not got['ok'] and 'could not be read' in got['errors'][0]['message'], got


def test_numbers_that_fit_nowhere(tmp_path):
    server = stream(lambda s: [whole(s, OUTPUT, '<D>79228162514264337593543950335</D>'),
                               whole(s, OUTPUT, '<Obj><MS><S N="a_x0000_b">c</S></MS></Obj>', 101), whole(s, STATE, COMPLETED, 102)])
    got = run(server, tmp_path)
    assert got['ok'] and got['objects'] == ['79228162514264337593543950335', {'a\ufffdb': 'c'}], got


def test_other_pipelines_and_duplicates_say_nothing(tmp_path):
    def make(server):
        other = server.message(STATE, member('PipelineState', 5), True)
        other = other[:24] + uuid.uuid4().bytes_le + other[40:]
        return [fragment(300, 0, 3, other), whole(server, OUTPUT, '<S>one</S>'), whole(server, STATE, COMPLETED, 101),
                whole(server, STATE, member('PipelineState', 5), 102), whole(server, STATE, COMPLETED, 103)]
    got = run(stream(make), tmp_path)
    assert got['ok'] and got['objects'] == ['one'] and not got['errors'], got


def test_a_flood_is_left_at_the_deadline(tmp_path):
    """Output without end: at the deadline it is told to stop, and what came is kept."""
    class Floods(Server):
        stopped = False

        def started(self):
            def flood():
                until = time.monotonic() + 60
                while not self.stopped and time.monotonic() < until:
                    self.say(OUTPUT, f'<S>{"x" * 1000}</S>', True)
                    time.sleep(0.001)
                self.say(STATE, member('PipelineState', 3), True)
            threading.Thread(target=flood, daemon=True).start()

        def signal(self, root):
            self.stopped = True
            return super().signal(root)
    server = Floods()
    begun = time.monotonic()
    got = run(server, tmp_path, timeout_ms=5000)
    assert got['err'] == 'TIMEOUT' and got['outcome_unknown'] and len(got['objects']) > 10, str(got)[:500]
    assert time.monotonic() - begun < 40 and server.signals[0] == 'ctrl_c' and server.deleted == [server.shell_id]


COUNT = (1 << 18) + 1  # of an array's places jansson doubles


def test_output_that_cannot_be_shown_is_no_success(shared_lab, tmp_path):
    """A quarter of a million numbers, and no memory for their list: exec says so, and not that there was nothing."""
    class Counts(Server):
        left = COUNT

        def started(self):
            self.more()

        def more(self):
            for _ in range(min(self.left, 8000)):
                self.say(OUTPUT, '<I32>1</I32>', True)
                self.left -= 1
            if not self.left:
                self.say(STATE, COMPLETED, True)

        def receive(self, root):
            if self.pipeline and not self.waiting[True]:
                self.more()
            return super().receive(root)
    ldif = tmp_path / 'organisation.ldif'
    shared_lab.do('export', ldif)

    def show(form, enough):
        with Listener(Counts()) as listener:
            config = write_config(tmp_path, 'http://x/', 'winrm_auth = none', f'psrp_url = http://{{fqdn}}:{listener.port}/PowerShell/')
            env = clean_env()
            if not enough:  # the list wants four megabytes at once, nothing before it as much
                env['ASAN_OPTIONS'] += ':allocator_may_return_null=1:max_allocation_size_mb=3'
            return subprocess.run([str(PROGRAM), '--config', str(config), '--profile', 'test', '--source', f'ldif:{ldif}', '--format', form, 'exec',
                                   '--on', 'EXCAS01', '--via', 'psrp', '--', 'Get-Any', '-Name', 'x'], capture_output=True, text=True, env=env,
                                  stdin=subprocess.DEVNULL, timeout=120)
    done = show('text', True)
    assert done.returncode == 0 and done.stdout.count('1\n') == COUNT, done.stderr[-500:]
    if 'asan' not in PROGRAM.parts:
        pytest.skip('only this build can be given too little memory')
    done = show('json', False)
    assert done.returncode == 6, (done.stdout[:500], done.stderr[-500:])
    host, = json.loads(done.stdout)
    assert not host['ok'] and host['output'] == [] and 'cannot be shown' in host['errors'][0]['message'] and host['errors'][0]['id'] == 'NOMEM', host
    done = show('text', False)
    assert done.returncode == 6 and 'FAILED' in done.stdout and 'cannot be shown' in done.stdout, done.stdout[:500]
