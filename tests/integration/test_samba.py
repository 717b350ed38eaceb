"""A second directory: Samba's AD domain controller holds the lab's organisation. It seals and refuses as AD does, links and answers as
AD does, and was written by others; what casbridge reads there must be what it reads from the lab's own LDIF."""
import os

import ldap
import pytest

import samba
from conftest import casbridge, clean_env

pytestmark = pytest.mark.skipif(samba.why_not() is not None, reason=str(samba.why_not()))

INI = '''[ad]
source = ldap://dc1.contoso.lab
host.dc1.contoso.lab = {address}:{port}
krb5_config = {dir}/krb5.conf
krb5_ccache = FILE:{dir}/cc.{user}
namespace = mail.contoso.lab
trust = {dir}/domain/private/tls/ca.pem
store = sqlite:{dir}/store.db
{more}
'''

# Cyrus SASL's GSSAPI plugin forgets a credential of each bind that has no layer of its own; to be seen as its fault the stack must be whole.
LIBRARY_LEAK = {'ASAN_OPTIONS': 'abort_on_error=0:detect_leaks=1:fast_unwind_on_malloc=0'}


class Domain:
    """The controller, and casbridge as somebody's session on it."""

    def __init__(self, controller):
        self.controller, self.dir = controller, controller.dir
        self.suppressions = self.dir / 'suppressions'
        self.suppressions.write_text('leak:libgssapiv2.so\n')

    def run(self, *args, user='admin', port=389, more='', env=None):
        if not (self.dir / f'cc.{user}').exists() and 'ldap_user' not in more:
            assert self.controller.kinit(user), f'no ticket for {user}'
        config = self.dir / f'{user}.{port}.ini'
        config.write_text(INI.format(address=self.controller.address, dir=self.dir, user=user, port=port, more=more))
        config.chmod(0o600)
        if port == 636:
            env = {**LIBRARY_LEAK, 'LSAN_OPTIONS': f'suppressions={self.suppressions}:print_suppressions=0', **(env or {})}
        return casbridge('--config', config, '--profile', 'ad', *args, env={**clean_env(), **(env or {})})

    def simple(self, user, password, *args, port=636, source='ldaps://dc1.contoso.lab'):
        return self.run('--source', source, *args, user=user, port=port, env={'PW': password},
                        more=f'ldap_user = {user}@contoso.lab\nldap_password = env:PW')


@pytest.fixture(scope='module')
def domain(tmp_path_factory):
    controller = samba.Controller(tmp_path_factory.mktemp('samba'), samba.free_address())
    controller.provision()
    try:
        controller.start()
        controller.load()
        yield Domain(controller)
    finally:
        controller.stop()


@pytest.fixture(scope='module')
def export(tmp_path_factory):
    """The same organisation as a file."""
    path = tmp_path_factory.mktemp('export') / 'org.ldif'
    path.write_text(samba.ldif()[0])
    return path


def of_exchange(document):
    """An inventory without what is the source's own: its name, the time, and the site that each domain begins with."""
    kept = {k: v for k, v in document.items() if k in ('organization', 'domain', 'servers', 'databases', 'autodiscover', 'arrays')}
    kept['sites'] = [s for s in document['sites'] if s['name'] != 'Default-First-Site-Name']
    return kept


def test_the_controller_and_the_file_show_the_same_organisation(domain, export):
    live = domain.run('--format', 'json', 'inventory')
    assert live.code == 0, live.err
    file = casbridge('--source', f'ldif:{export}', '--format', 'json', 'inventory')
    assert of_exchange(live.json()) == of_exchange(file.json())
    assert len(live.json()['servers']) == len(samba.org.SERVERS)


def test_the_same_findings_with_the_same_fixes(domain, export):
    live = domain.run('--format', 'json', 'check').json()
    file = casbridge('--source', f'ldif:{export}', '--format', 'json', 'check', env={**clean_env(), 'XDG_STATE_HOME': str(export.parent)}).json()

    def of(document):
        return sorted((f['id'], f['server'] or '', (f['fix'] or {}).get('cmdlet', '')) for f in document['findings'] if f['id'] != 'oa-external-hostname')

    assert of(live) == of(file) and of(live)
    assert {('oa-iis-auth', 'EXCAS01'), ('oa-enabled', 'EXCAS02'), ('oa-iis-auth', 'E2K7CAS01')} <= {f[:2] for f in of(live)}


def test_an_ordinary_account_reads_the_organisation_too(domain):
    as_alice = domain.run('--format', 'json', 'inventory', user='alice')
    assert as_alice.code == 0, as_alice.err
    assert of_exchange(as_alice.json()) == of_exchange(domain.run('--format', 'json', 'inventory').json())


@pytest.mark.parametrize('name', ['alice', 'alice@contoso.lab', 'alice@mail.contoso.lab', 'CONTOSO\\alice'])
def test_a_mailbox_is_found_by_every_name_it_has(domain, name):
    route = domain.run('--format', 'json', 'route', '--user', name, '--protocol', 'ews', '--arrive', 'EX13CAS01')
    assert route.code in (0, 1), route.err
    assert route.json()['mailbox'] == {'generation': '2010', 'site': 'Barcelona', 'database': 'DB10-BCN01'}


@pytest.mark.parametrize('name, why', [('nobody(*', 'nobody(*'), ('OTHER\\alice', 'no domain other')])
def test_nobody_of_that_name(domain, name, why):
    route = domain.run('route', '--user', name, '--protocol', 'ews', '--arrive', 'EX13CAS01')
    assert route.code == 3 and why in route.err


def test_a_real_ticket_for_each_service_name(domain):
    audit = domain.run('--format', 'json', 'spn')
    assert audit.code in (0, 1), audit.err
    text = domain.run('spn').out
    for name in ('mail.contoso.lab', 'excas01.contoso.lab', 'e2k7cas01.contoso.lab'):
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert 'aes256' in line and 'kvno' in line, line


def test_a_service_name_of_two_accounts_is_found_with_both_owners(domain):
    system = domain.controller.system()
    dn = f'CN=bob,CN=Users,{samba.BASE}'
    system.modify_s(dn, [(ldap.MOD_ADD, 'servicePrincipalName', [b'http/excas01.contoso.lab'])])
    try:
        found = domain.run('spn')
        assert found.code == 1, found.err
        assert 'bob' in found.out.split('excas01.contoso.lab', 1)[1].split('\n\n')[0]
    finally:
        system.modify_s(dn, [(ldap.MOD_DELETE, 'servicePrincipalName', None)])
        system.unbind_s()


def test_plain_ldap_takes_no_password(domain):
    refused = domain.simple('alice', samba.PASSWORD, 'inventory', port=389, source='ldap://dc1.contoso.lab')
    assert refused.code == 5 and 'Transport encryption required' in refused.err and 'ldaps://' in refused.err


def test_a_password_over_tls(domain):
    assert domain.simple('alice', samba.PASSWORD, 'inventory').code == 0


def test_the_cause_of_a_refused_password_is_named(domain):
    wrong = domain.simple('carol', 'wrong', 'inventory')
    assert wrong.code == 5 and 'wrong password' in wrong.err
    system = domain.controller.system()
    system.modify_s(f'CN=dave,CN=Users,{samba.BASE}', [(ldap.MOD_REPLACE, 'userAccountControl', [b'514'])])
    try:
        disabled = domain.simple('dave', samba.PASSWORD, 'inventory')
        assert disabled.code == 5 and 'disabled' in disabled.err, disabled.err
    finally:
        system.modify_s(f'CN=dave,CN=Users,{samba.BASE}', [(ldap.MOD_REPLACE, 'userAccountControl', [b'512'])])
        system.unbind_s()


def test_an_unknown_authority_is_not_trusted(domain):
    refused = domain.run('--source', 'ldaps://dc1.contoso.lab', 'inventory', port=636, more='trust = /etc/ssl/certs/ca-certificates.crt')
    assert refused.code == 4 and 'its authority is not known here' in refused.err, refused.err


def test_kerberos_inside_tls_is_refused_with_the_way_out(domain):
    refused = domain.run('--source', 'ldaps://dc1.contoso.lab', 'inventory', port=636)
    assert refused.code == 5 and 'Sign or Seal are required' in refused.err and 'ldap://' in refused.err


def test_kerberos_inside_tls_where_the_controller_allows_it(domain):
    domain.controller.stop()
    domain.controller.start(ldap_server_require_strong_auth='allow_sasl_over_tls')
    try:
        assert domain.run('--source', 'ldaps://dc1.contoso.lab', 'inventory', port=636).code == 0
        assert domain.run('inventory').code == 0
    finally:
        domain.controller.stop()
        domain.controller.start()


def test_no_ticket_no_reading(domain):
    nobody = domain.run('inventory', more=f'krb5_ccache = FILE:{domain.dir}/absent')
    assert nobody.code == 5 and 'no Kerberos ticket' in nobody.err and 'kinit' in nobody.err, nobody.err


def test_nothing_of_it_is_left_in_the_system():
    assert not os.path.exists('/var/lib/samba/private/sam.ldb.d')
