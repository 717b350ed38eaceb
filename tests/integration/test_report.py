"""Snapshot, diff, report and accepted findings against the lab: what is seen offline is what was seen live."""
import gzip
import html.parser
import io
import json
import re
import tarfile
import xml.etree.ElementTree as ElementTree

from conftest import ORG, casbridge, wait_for

import pytest


def without(document, *keys):
    """The same without what says when and where it was read."""
    if isinstance(document, dict):
        return {k: without(v, *keys) for k, v in document.items() if k not in keys}
    if isinstance(document, list):
        return [without(v, *keys) for v in document]
    return document


def snapshot(lab, name, *args):
    path = lab.dir / name
    done = lab.run('snapshot', '-o', path, *args)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope='module')
def taken(shared_lab):
    return snapshot(shared_lab, 'first.snap', '--probe')


def offline(*args):
    """Without a configuration file: a snapshot is enough."""
    return casbridge('--config', '/dev/null', *args)


def test_offline_is_what_was_live(shared_lab, taken):
    live = shared_lab.json('check', '--probe')
    done = offline('--source', f'snapshot:{taken}', '--format', 'json', 'check')
    assert done.code == 1
    assert 'as of' in done.err
    assert without(done.json(), 'at') == without(live, 'at')
    inventory = offline('--source', f'snapshot:{taken}', '--format', 'json', 'inventory').json()
    assert without(inventory, 'source', 'taken_at') == without(shared_lab.json('inventory'), 'source', 'taken_at')
    plan = offline('--source', f'snapshot:{taken}', '--format', 'json', 'plan').json()
    known = ('id', 'made_at', 'made_by')
    assert without(plan, *known) == without(shared_lab.json('plan', '--probe'), *known)
    route = ('--format', 'json', 'route', '--mailbox-version', '2010', '--mailbox-site', 'Barcelona', '--protocol', 'oa', '--arrive', 'EX13CAS01')
    assert offline('--source', f'snapshot:{taken}', *route).json() == shared_lab.run(*route, '--probe').json()


def host_evidence(observations):
    return sorted((o['server'], o['step']) for o in observations if o['source'] == 'host')


def test_what_only_servers_know_is_kept(shared_lab):
    """--remote of snapshot and report is that of check."""
    live = shared_lab.json('check', '--remote')
    answered = {'version-floor', 'kb3140410', 'extended-protection'}
    assert {r['id'] for r in live['passed']} >= answered
    path = snapshot(shared_lab, 'remote.snap', '--remote')
    offered = offline('--source', f'snapshot:{path}', '--format', 'json', 'check').json()
    assert without(offered, 'at') == without(live, 'at')
    done = shared_lab.run('--format', 'json', 'report', '-o', '-', '--remote')
    assert done.code == 0, done.err
    asked = host_evidence(done.json()['evidence']['observations'])
    assert asked and {step for _, step in asked} >= {'build', 'kb3140410', 'iis-file'}
    with tarfile.open(path) as archive:
        kept = [json.loads(line) for line in archive.extractfile('evidence.jsonl')]
    assert host_evidence(o for o in kept if 'source' in o) == asked
    plain = shared_lab.run('--format', 'json', 'report', '-o', '-').json()
    assert host_evidence(plain['evidence']['observations']) == []
    for command in ('snapshot', 'report'):
        done = shared_lab.run(command, '-o', shared_lab.dir / 'no', '--via', 'ssh')
        assert done.code == 2 and 'add --remote' in done.err and not (shared_lab.dir / 'no').exists()


def test_what_a_snapshot_holds(taken):
    assert taken.stat().st_mode & 0o777 == 0o600
    with tarfile.open(taken) as archive:
        assert archive.getnames() == ['manifest.json', 'organization.ldif', 'evidence.jsonl']
        manifest = json.load(archive.extractfile('manifest.json'))
        text = b''.join(archive.extractfile(n).read() for n in archive.getnames())
        lines = archive.extractfile('evidence.jsonl').read().splitlines()
    assert manifest['format'] == 1 and manifest['organization'] == ORG
    assert len(lines) > 20 and all(json.loads(line)['kind'] for line in lines)
    for secret in (b'assword', b'alice', b'userPassword', b'Authorization'):
        assert secret not in text


def test_nothing_is_changed_from_a_snapshot(shared_lab, taken):
    plan = shared_lab.dir / 'plan.json'
    assert shared_lab.run('--source', f'snapshot:{taken}', 'plan', '-o', plan).code == 1
    refused = shared_lab.run('--source', f'snapshot:{taken}', 'apply', plan, '--yes', ORG)
    assert refused.code == 7 and '--source ldap://' in refused.err
    user = shared_lab.run('--source', f'snapshot:{taken}', 'route', '--user', 'alice@contoso.lab', '--protocol', 'oa', '--arrive', 'EX13CAS01')
    assert user.code == 3 and '--mailbox-version' in user.err
    again = shared_lab.run('--source', f'snapshot:{taken}', 'snapshot', '-o', shared_lab.dir / 'again.snap')
    assert again.code == 2
    assert shared_lab.run('snapshot').code == 2


def test_broken_snapshots(shared_lab, taken):
    whole = taken.read_bytes()
    plain = gzip.decompress(whole)
    broken = {
        'cut': (whole[:len(whole) // 2], 'too early'),
        'empty': (b'', 'no snapshot'),
        'text': (b'hello\n' * 1000, 'no snapshot'),
        'newer': (gzip.compress(plain.replace(b'"format": 1', b'"format": 2')), 'newer casbridge'),
        'altered': (gzip.compress(plain.replace(b'mail.contoso.lab', b'mail.contoso.bad')), 'not'),
        'bomb': (gzip.compress(b'\0' * (64 << 20)), 'manifest.json'),
    }
    for name, (content, says) in broken.items():
        path = shared_lab.dir / f'{name}.snap'
        path.write_bytes(content)
        done = offline('--source', f'snapshot:{path}', 'check')
        assert done.code == 3, (name, done.err)
        assert says in done.err, (name, done.err)
    assert offline('--source', 'snapshot:/proc/nonexistent', 'check').code == 3


def test_diff_of_a_repair(lab):
    before = snapshot(lab, 'before.snap', '--probe')
    same = lab.run('diff', before, before)
    assert same.code == 0 and 'Nothing moved.' in same.out
    plan = lab.dir / 'plan.json'
    assert lab.run('plan', '-o', plan).code == 1
    assert lab.run('apply', plan, '--yes', ORG).code == 0
    after = lab.dir / 'after.snap'

    def settled():
        snapshot(lab, 'after.snap', '--probe')
        changes = lab.run('--format', 'json', 'diff', before, after).json()['changes']
        return [c for c in changes if c['area'] == 'wire' and c['subject'].startswith('EXCAS01')] and changes

    changes = wait_for(settled)
    assert changes
    found = {(c['area'], c['subject'], c['property']): (c['before'], c['after']) for c in changes}
    assert found['virtual_directory', 'EXCAS01\\Rpc (Default Web Site)', 'IIS methods'] == ('basic', 'basic, ntlm')
    assert found['virtual_directory', 'EXCAS02\\Rpc (Default Web Site)', None] == (None, 'Outlook Anywhere')
    assert found['finding', 'oa-iis-auth EXCAS01', None][1] == 'passed'
    assert found['wire', 'EXCAS01 oa as excas01.contoso.lab', 'offers'][0] == 'basic'
    assert not [c for c in changes if c['area'] in ('server', 'database', 'certificate')]
    text = lab.run('diff', before, after)
    assert text.code == 0 and 'IIS methods: basic  ->  basic, ntlm' in text.out
    csv = lab.run('--format', 'csv', 'diff', before, after).out
    assert csv.splitlines()[0] == 'area,subject,property,before,after'
    live = lab.run('--format', 'json', 'diff', after, 'live').json()['changes']
    assert not [c for c in live if c['area'] == 'virtual_directory']
    assert lab.run('diff', before).code == 2
    assert lab.run('diff', before, lab.dir / 'none').code == 3


class Page(html.parser.HTMLParser):
    """Elements that are opened are closed, in order; the text is kept."""
    EMPTY = {'meta', 'br', 'rect', 'line', 'path', 'wbr'}

    def __init__(self):
        super().__init__()
        self.open, self.text, self.tags, self.ids, self.links = [], [], set(), set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attrs = dict(attrs)
        if 'id' in attrs:
            assert attrs['id'] not in self.ids
            self.ids.add(attrs['id'])
        if 'href' in attrs:
            self.links.add(attrs['href'])
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_report_html(shared_lab, taken):
    path = shared_lab.dir / 'report.html'
    done = offline('--source', f'snapshot:{taken}', 'report', '-o', path)
    assert done.code == 0 and done.out == '', done.err
    page = Page()
    page.feed(path.read_text())
    assert page.open == []
    assert not page.tags & {'script', 'img', 'link', 'iframe', 'object'}
    assert all(link.startswith('#') and link[1:] in page.ids for link in page.links)
    text = ' '.join(page.text)
    for wanted in ('Not ready', 'What blocks', 'What is unknown', 'Readiness by protocol', 'Before and after', 'Certificates', 'The plan',
                   'Evidence', 'EXCAS02', 'Enable-OutlookAnywhere'):
        assert wanted in text, wanted
    assert {'svg', 'title', 'desc', 'details', 'th'} <= page.tags
    for picture in re.findall(r'<svg.*?</svg>', path.read_text(), re.S):
        ElementTree.fromstring(picture.replace('&hellip;', '').replace('&ndash;', ''))


def test_report_for_tools(shared_lab, taken):
    source = ('--source', f'snapshot:{taken}')
    out = {}
    for ending in ('json', 'csv', 'xml'):
        path = shared_lab.dir / f'report.{ending}'
        assert offline(*source, 'report', '-o', path).code == 0
        out[ending] = path.read_text()
    report = json.loads(out['json'])
    assert report['check'] == offline(*source, '--format', 'json', 'check').json()
    assert report['inventory']['organization'] == ORG and len(report['routes']) > 20 and report['plan']['steps']
    assert out['csv'].startswith('section,state,severity,')
    root = ElementTree.parse(io.StringIO(out['xml'])).getroot()
    attributes = ['status', 'errorid', 'contentUrl', 'testdescription', 'resultdescription', 'additionaldetails', 'elapsedMilliseconds']
    results = list(root.iter('testresult'))
    assert root.tag == 'testresult' and root.get('status') == 'Error' and len(results) > 40
    for result in results:
        assert list(result.attrib) == attributes
        assert [child.tag for child in result] == ['children']
        assert result.get('status') in ('Success', 'SuccessWithWarnings', 'Error')
        assert re.fullmatch(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', result.get('errorid'))
        assert (result.get('errorid') == '00000000-0000-0000-0000-000000000000') == (result.get('status') == 'Success')
        assert int(result.get('elapsedMilliseconds')) >= 0
    to_stdout = offline(*source, 'report', '-o', '-', '--format', 'csv')
    assert to_stdout.out.splitlines() == out['csv'].splitlines()
    assert offline(*source, 'report').code == 2
    assert offline(*source, '--format', 'text', 'report', '-o', '-').code == 2


def test_report_redacted(shared_lab, taken):
    inventory = shared_lab.json('inventory')
    names = {ORG, 'contoso', 'alice', 'admin@'}
    names |= {s['name'] for s in inventory['sites']} | {s['name'] for s in inventory['servers']}
    names |= {s['fqdn'] for s in inventory['servers']} | {d['name'] for d in inventory['databases']}
    names |= {a['fqdn'] for a in inventory['arrays']} | {n for s in inventory['sites'] for n in s['subnets']}
    names |= {shared_lab.address('excas01')[0], str(shared_lab.dir)}
    for ending in ('html', 'json', 'csv', 'xml'):
        path = shared_lab.dir / f'redacted.{ending}'
        assert offline('--source', f'snapshot:{taken}', 'report', '--redact', '-o', path).code == 0
        text = path.read_text().lower()
        assert [n for n in names if n.lower() in text] == []
        assert 'server-0' in text


def test_accepted_findings(lab):
    before = lab.json('check', '--probe')
    assert lab.run('accept', 'no-such-rule', '--reason', 'x').code == 2
    assert lab.run('accept', 'oa-wire').code == 2
    assert lab.run('accept', 'oa-wire', '--server', 'NOBODY', '--reason', 'x').code == 2
    assert lab.run('accept', 'oa-wire', '--reason', 'x', '--until', 'soon').code == 2
    assert lab.run('--read-only', 'accept', 'oa-wire', '--reason', 'x').code == 7
    assert lab.json('accept', 'list') == []
    made = lab.json('accept', 'oa-iis-auth', '--server', 'excas01', '--reason', 'it goes in March', '--until', '2099-03-31')
    assert made['n'] == 1 and made['server'] == 'EXCAS01'
    after = lab.json('check', '--probe')
    accepted = [f for f in after['findings'] if f['accepted']]
    assert [(f['id'], f['server']) for f in accepted] == [('oa-iis-auth', 'EXCAS01')]
    assert accepted[0]['accepted']['reason'] == 'it goes in March' and accepted[0]['accepted']['until'] == '2099-03-31T23:59:59Z'
    assert len(after['findings']) == len(before['findings'])
    # it travels with a snapshot, and a plan leaves it alone
    taken = snapshot(lab, 'accepted.snap', '--probe')
    there = offline('--source', f'snapshot:{taken}', '--format', 'json', 'check').json()
    assert [f['id'] for f in there['findings'] if f['accepted']] == ['oa-iis-auth']
    for rule in {f['id'] for f in after['findings'] if f['severity'] in ('error', 'blocker')}:
        assert lab.run('accept', rule, '--reason', 'all of it').code == 0
    quiet = lab.run('--format', 'json', 'check', '--probe')
    assert quiet.code == 0 and quiet.json()['verdict'] in ('ready', 'unknown')
    assert lab.run('accept', 'remove', '1').code == 0
    assert lab.run('accept', 'remove', '1').code == 3
    assert lab.run('journal', 'verify').code == 0
