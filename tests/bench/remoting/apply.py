"""Applying a plan to 200 hosts with verification: the schedule beside the best one that there could be."""
import json
import math
import pathlib
import shutil
import statistics
import tempfile

from bench import BUILD, ROOT, ROUNDS, Ratio, row, run

HOSTS, PARALLEL, DELAY_MS = 200, 8, 200


@row('apply', f'apply to {HOSTS} hosts with verification, {DELAY_MS} ms each', 'the ideal schedule')
def apply():
    walls = []
    for _ in range(ROUNDS):
        # where the program's own files are built: a journal in memory would cost nothing
        folder = pathlib.Path(tempfile.mkdtemp(prefix='journal-', dir=ROOT / 'build'))
        try:
            used = run([BUILD / 'tests/bench/remoting/schedule', f'sqlite:{folder}/store.db', HOSTS, PARALLEL, DELAY_MS])
        finally:
            shutil.rmtree(folder)
        done = json.loads(used.out)
        assert done['done'] == done['pushes'] == HOSTS, done
        walls.append(done['wall_ms'] / 1000)
    # one canary, then always as many as are allowed; nothing but the servers takes time
    ideal = (1 + math.ceil((HOSTS - 1) / PARALLEL)) * DELAY_MS / 1000
    return [Ratio('wall', statistics.median(walls), ideal, 1.15)], \
        f'canary 1, {PARALLEL} at once, {done["cpu_ms"]} ms of CPU; six durable journal records a host, {done["record_ms"]:.1f} ms each on this disk'
