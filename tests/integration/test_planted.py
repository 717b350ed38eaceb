"""check --probe names every planted fault, and nothing else; on the repaired organisation it is silent."""
import subprocess
import sys

import pytest
from conftest import LAB, ORG

sys.path.insert(0, str(LAB.parent))
from casbridge_lab.cli import KINDS  # noqa: E402
from casbridge_lab.plant import PLANTS  # noqa: E402

# those of one group break different things and are planted together
GROUPS = [
    ['basic-only', 'duplicate-spn', 'foreign-spn', 'wrong-scp', 'legacy-url', 'no-forms', 'old-service-pack', 'unknown-version',
     'old-certificate', 'no-internal-url', 'no-bypass-url', 'basic-web-services', 'server-name-url', 'no-rpc-encryption'],
    ['edited-iis', 'no-ticket', 'wrong-name-certificate', 'ssl-offloading'],
    ['no-outlook-anywhere', 'old-tls'],
    ['wrong-oa-name'],
    ['moved-server'],
    ['old-rollup', 'no-hotfix', 'stopped-service', 'extended-protection'],
]
REMOTE = GROUPS[-1]  # what only the servers themselves can tell


def findings(lab, remote):
    done = lab.run('--format', 'json', 'check', '--probe', *(['--remote'] if remote else []))
    assert done.code == 1, done.err
    return {(f['id'], f['server']): f for f in done.json()['findings']}


def test_every_kind_is_in_a_group():
    assert sorted(KINDS) == sorted(PLANTS) == sorted(kind for group in GROUPS for kind in group)


@pytest.mark.parametrize('kinds', GROUPS, ids=lambda g: '+'.join(g)[:60])
def test_planted_faults_are_named(shared_lab, kinds):
    remote = kinds is REMOTE
    before = findings(shared_lab, remote)
    try:
        shared_lab.do('plant', *kinds)
        after = findings(shared_lab, remote)
        wanted = {rule for kind in kinds for rule in PLANTS[kind].rules}
        assert set(after) - set(before) == wanted
        assert set(before) <= set(after)
        for key in wanted:
            assert after[key]['summary'] and after[key]['evidence']
    finally:
        shared_lab.do('reset')
    assert set(findings(shared_lab, remote)) == set(before), 'reset takes all of them back'


def test_the_repaired_organisation_is_silent(lab, tmp_path):
    plan = tmp_path / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    assert lab.run('apply', plan, '--yes', ORG).code == 0
    lab.do('poll')
    done = lab.run('--format', 'json', 'check', '--probe', '--remote')
    assert done.code == 0, done.out
    assert done.json()['findings'] == [] and done.json()['unknown'] == []
    assert done.json()['verdict'] == 'ready'
    probed = lab.run('--format', 'json', 'check', '--probe').json()
    assert probed['findings'] == [] and {u['id'] for u in probed['unknown']} == {'version-floor', 'kb3140410', 'extended-protection'}


def test_servers_that_cannot_be_asked_are_unknown_with_the_reason(shared_lab):
    via = shared_lab.run('--format', 'json', 'check', '--remote', '--via', 'nonsense')
    assert via.code == 2 and 'transport' in via.err
    assert shared_lab.run('check', '--via', 'ssh').code == 2
    gone = shared_lab.run('--host', 'excas01.contoso.lab=127.0.0.1:1', '--format', 'json', 'check', '--remote').json()
    reasons = {u['server']: u['why'] for u in gone['unknown'] if u['id'] == 'kb3140410'}
    assert set(reasons) == {'EXCAS01'}


def test_lab_refuses_unknown_kinds(shared_lab):
    with pytest.raises(subprocess.CalledProcessError):
        shared_lab.do('plant', 'nonsense')
