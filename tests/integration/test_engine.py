"""Every web protocol of every kind of mailbox through the engine that arrives as EX13CAS01."""
import json

import pytest
from conftest import Proxy

USERS = {'alice': 'EXCAS01', 'bob': 'EXCAS02', 'carol': 'E2K7CAS01', 'dave': 'EX13MBX01', 'erin': 'EX10NTLM'}
GET, OPTIONS, POST = (), ('-X', 'OPTIONS'), ('-X', 'POST', '-d', '')
# path, how, status by user ("*": the others), action by user
REQUESTS = [
    ('/Microsoft-Server-ActiveSync', OPTIONS, {'*': 200}, {'*': 'proxy'}),
    ('/EWS/Exchange.asmx', GET, {'*': 302}, {'*': 'proxy', 'carol': 'redirect'}),
    ('/owa/', GET, {'*': 200}, {'*': 'proxy', 'carol': 'redirect'}),        # 2007: a page that posts itself to the legacy name
    ('/ecp/', GET, {'*': 200}, {'*': 'proxy'}),
    ('/Autodiscover/Autodiscover.xml', GET, {'*': 200}, {'*': 'proxy'}),
    ('/mapi/emsmdb', POST, {'*': 404, 'dave': 400}, {'*': 'refuse', 'dave': 'proxy'}),
]


@pytest.fixture(scope='module')
def traffic(shared_lab, tmp_path_factory):
    """What came back and the event of it, by (user, path)."""
    events, seen = tmp_path_factory.mktemp('events') / 'events.jsonl', {}
    with Proxy(shared_lab, '--arrive', 'EX13CAS01', '--events', events) as proxy:
        for user in USERS:
            for path, how, *_ in REQUESTS:
                seen[user, path] = proxy.curl(path, '--basic', '-u', f'{user}@contoso.lab:Passw0rd!lab', *how)
        seen['health'] = proxy.curl('/owa/healthcheck.htm')
        seen['anonymous'] = proxy.curl('/EWS/Exchange.asmx', '-i')
    assert proxy.code == 0
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    return seen, {(r['user'].partition('@')[0], r['path'].partition('?')[0]): r for r in rows if r['user']}, events.read_text()


@pytest.mark.parametrize('user', USERS)
@pytest.mark.parametrize('path, how, status, action', REQUESTS, ids=[r[0] for r in REQUESTS])
def test_request(traffic, user, path, how, status, action):
    seen, rows, _ = traffic
    assert seen[user, path][0] == status.get(user, status['*'])
    row = rows[user, path]
    assert row['action'] == action.get(user, action['*']) and row['status'] == seen[user, path][0]
    if row['action'] == 'proxy':
        assert 'kerberos' in row['auth'] and row['target']
        if user != 'carol' or path in ('/EWS/Exchange.asmx',):
            assert row['target'] == USERS[user]
        else:                                  # 2013 mailbox servers answer ActiveSync, Autodiscover and ECP for 2007
            assert row['target'] == 'EX13MBX01'
    if user == 'carol' and row['action'] == 'redirect':
        assert 'legacy.contoso.lab' in seen[user, path][1] or row['status'] == 302


def test_health_and_challenge(traffic):
    seen, _, text = traffic
    assert seen['health'][0] == 200
    status, answer = seen['anonymous']
    assert status == 401 and 'www-authenticate: basic' in answer.lower()
    assert 'Passw0rd' not in text and 'Negotiate YII' not in text
