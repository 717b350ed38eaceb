"""POP3 and IMAP4 of the lab, as Python's own clients see them."""
import imaplib
import poplib
import ssl

import pytest
from conftest import PASSWORD


@pytest.fixture
def trust(lab):
    return ssl.create_default_context(cafile=lab.config['trust'])


class Pop(poplib.POP3):
    """A certificate is checked for the name, whatever address the name stands for."""

    def stls_as(self, context, name):
        assert self._shortcmd('STLS').startswith(b'+OK')
        self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.file = self.sock.makefile('rb')


def test_pop(lab, trust):
    name = 'ex10ntlm.contoso.lab'
    pop = Pop(lab.hosts[name], 10110, timeout=10)
    assert b'Microsoft Exchange POP3' in pop.getwelcome()
    assert 'STLS' in pop.capa() and 'USER' not in pop.capa()
    with pytest.raises(poplib.error_proto, match='not valid in this state'):
        pop.user('alice')
    pop.stls_as(trust, name)
    assert pop.capa()['SASL'] == ['PLAIN', 'NTLM', 'GSSAPI'] and 'STLS' not in pop.capa()
    pop.user('alice')
    with pytest.raises(poplib.error_proto, match='Logon failure'):
        pop.pass_('wrong')
    pop.user('alice')
    assert pop.pass_(PASSWORD).startswith(b'+OK')
    pop.quit()


def test_imap(lab, trust):
    trust.check_hostname = False  # imaplib checks for what it connected to, which is an address here
    imap = imaplib.IMAP4(lab.hosts['ex13cas01.contoso.lab'], 10143, timeout=10)
    assert 'LOGINDISABLED' in imap.capabilities and 'STARTTLS' in imap.capabilities
    with pytest.raises(imaplib.IMAP4.error):
        imap.login('alice', PASSWORD)
    imap.starttls(trust)
    assert 'LOGINDISABLED' not in imap.capabilities and 'AUTH=NTLM' in imap.capabilities
    with pytest.raises(imaplib.IMAP4.error, match='Logon failure'):
        imap.login('alice', 'wrong')
    assert imap.login('alice@contoso.lab', PASSWORD)[0] == 'OK'
    imap.logout()


def test_tls_from_the_start_and_services_that_are_off(lab, trust):
    trust.check_hostname = False
    imaplib.IMAP4_SSL(lab.hosts['ex10ntlm.contoso.lab'], 10993, ssl_context=trust, timeout=10).logout()
    poplib.POP3_SSL(lab.hosts['ex13cas01.contoso.lab'], 10995, context=trust, timeout=10).quit()
    with pytest.raises(ConnectionRefusedError):
        poplib.POP3(lab.hosts['excas01.contoso.lab'], 10110, timeout=10)
