"""10 MB of output through PSRP and CLIXML to JSON: how fast, and that no more is held than one object takes."""
import json

from bench import BUILD, Ratio, row, run

MB, MORE = 10, 40
REACH_MB_S = 50


def measured(mb):
    return json.loads(run([BUILD / 'tests/bench/psrp', mb, '--json']).out)


@row('psrp', f'{MB} MB of output through PSRP and CLIXML to JSON, the slowest of three kinds', f'{REACH_MB_S} MB/s, and {MORE} MB of the same')
def psrp():
    some, more = measured(MB), measured(MORE)
    ratios = [Ratio('speed', min(k['mb_s'] for k in some), REACH_MB_S, 1.0, 'MB/s', more=True)]
    # what four times as much holds in memory: no more, as the largest object is the same
    a, b = (max(k['held'] for k in side) for side in (more, some))
    ratios.append(Ratio('memory', a / 1024, b / 1024, 1.05, 'KB'))
    return ratios, '; '.join(f'{k["kind"]}: {k["mb_s"]:.0f} MB/s, peak memory {k["held"] / 1024:.1f} KB for a largest object of '
                             f'{k["largest"] / 1024:.1f} KB' for k in some)
