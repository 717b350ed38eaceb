"""Who a WinRM client is, and the sealing of messages: layouts of MS-WSMV 2.2.9.1.

A security context belongs to its connection: what comes on that connection afterwards carries no Authorization
and is sealed.
"""
import base64
import binascii
import re
import struct

import gssapi
from gssapi.raw import IOV, IOVBufferType, unwrap, wrap, wrap_iov

from .auth import KERBEROS, NTLM, TOKEN_LIMIT, ntlm_at_hand
from .layout import DOMAIN

SPNEGO = gssapi.OID.from_int_seq('1.3.6.1.5.5.2')
PROTOCOL = {
    'negotiate': 'application/HTTP-SPNEGO-session-encrypted',
    'kerberos': 'application/HTTP-Kerberos-session-encrypted',
}
NTLM_SIGNATURE = 16
_PARTS = re.compile(
    rb'--[ \t]*Encrypted Boundary\r\n'
    rb'[ \t]*Content-Type: (application/HTTP-(?:SPNEGO|Kerberos)-session-encrypted)\r\n'
    rb'[ \t]*OriginalContent: type=application/soap\+xml;charset=(UTF-8|UTF-16);Length=([0-9]{1,9})\r\n'
    rb'--[ \t]*Encrypted Boundary\r\n'
    rb'[ \t]*Content-Type: application/octet-stream\r\n',
    re.I,
)
_END = re.compile(rb'--[ \t]*Encrypted Boundary--(?:\r\n)?\Z')


class Refused(Exception):
    """Answer 401: with a token where the handshake goes on."""

    def __init__(self, why, values=None):
        super().__init__(why)
        self.values = values


class Unsealable(Exception):
    pass


class Sealer:
    """The finished context of one connection."""

    def __init__(self, context, scheme, lead=b'\t', boundary=b'--Encrypted Boundary'):
        self.context, self.scheme = context, scheme
        self.lead, self.boundary = lead, boundary
        self.kerberos = context.mech == KERBEROS  # of the two only this one can wrap_iov

    def open(self, body):
        """Plain bytes of a multipart/encrypted body."""
        head, end = _PARTS.match(body), _END.search(body[-64:])
        if head is None or end is None:
            raise Unsealable('not the layout of an encrypted message')
        if head[1].decode().lower() != PROTOCOL[self.scheme].lower():
            raise Unsealable(f'{head[1].decode()} on a connection that authenticated by {self.scheme}')
        data = body[head.end() : len(body) - min(64, len(body)) + end.start()]
        if len(data) < 4:
            raise Unsealable('no header length')
        (length,) = struct.unpack('<I', data[:4])
        if length > 256 or 4 + length > len(data):
            raise Unsealable('absurd header length')
        try:
            plain, sealed, _ = unwrap(self.context, data[4:])
        except gssapi.exceptions.GSSError as e:
            raise Unsealable(str(e)) from None
        if not sealed:
            raise Unsealable('signed only')
        if not 0 <= int(head[3]) - len(plain) <= 16:
            raise Unsealable(f'Length says {int(head[3])}, the message has {len(plain)}')
        return plain

    def _wrapped(self, plain, whole):
        """(header, ciphertext, padding)"""
        if self.kerberos and not whole:
            iov = IOV(IOVBufferType.header, plain, IOVBufferType.padding, std_layout=False)
            wrap_iov(self.context, iov, confidential=True, qop=None)
            return iov[0].value, iov[1].value, iov[2].value or b''
        token = wrap(self.context, plain, True, None)[0]
        header = NTLM_SIGNATURE if not self.kerberos or len(token) - len(plain) < 32 else 60
        return token[:header], token[header:], b''

    def seal(self, plain, charset='UTF-8', whole=False, spoil=False):
        """(content type, body). whole: by gss_wrap alone, as others than Windows do; spoil: nobody can open
        it.
        """
        header, data, padding = self._wrapped(plain, whole)
        if spoil:
            data = bytes([data[0] ^ 1]) + data[1:]
        protocol, lead, mark = PROTOCOL[self.scheme].encode(), self.lead, self.boundary
        body = b''.join(
            (
                mark + b'\r\n' + lead + b'Content-Type: ' + protocol + b'\r\n',
                lead + b'OriginalContent: type=application/soap+xml;charset=' + charset.encode(),
                b';Length=%d\r\n' % (len(plain) + len(padding)),
                mark + b'\r\n' + lead + b'Content-Type: application/octet-stream\r\n',
                struct.pack('<I', len(header)) + header + data + padding + mark + b'--\r\n',
            )
        )
        kind = f'multipart/encrypted;protocol="{PROTOCOL[self.scheme]}";boundary="Encrypted Boundary"'
        return kind, body


class Gate:
    """Checks one server's clients."""

    def __init__(self, lab, server, basic):
        self.server, self.basic = server, basic
        self.store = {'keytab': lab.path('keytabs', f'{server.name.lower()}.keytab')}
        self.name = gssapi.Name(f'HTTP@{server.fqdn}', gssapi.NameType.hostbased_service)

    async def plain(self, value):
        try:
            user, colon, password = base64.b64decode(value, validate=True).decode().partition(':')
        except (binascii.Error, UnicodeDecodeError):
            raise Refused('Basic that is none') from None
        account = await self.basic.check(user, password) if colon else None
        if account is None:
            raise Refused(f'wrong password of {user!r}')
        return account

    def _credentials(self, scheme, token, exchange):
        if b'NTLMSSP\0' in token[:128]:
            if scheme == 'kerberos' or exchange:
                raise Refused('NTLM is not taken here')
            if not ntlm_at_hand():
                raise Refused('NTLM without gss-ntlmssp')
            return (
                gssapi.Credentials(usage='accept', mechs=[NTLM]) if token.startswith(b'NTLMSSP\0') else None
            )
        mechs = [KERBEROS] if scheme == 'kerberos' else [KERBEROS, SPNEGO]
        return gssapi.Credentials(name=self.name, usage='accept', mechs=mechs, store=self.store)

    def step(self, connection, scheme, value, exchange):
        """One leg of a handshake. Returns (user, token for the answer) when it is complete."""
        word = {'negotiate': 'Negotiate', 'kerberos': 'Kerberos'}[scheme]
        try:
            token = base64.b64decode(value[: TOKEN_LIMIT * 4 // 3], validate=True)
            if connection.context is None:
                credentials = self._credentials(scheme, token, exchange)
                connection.context = gssapi.SecurityContext(creds=credentials, usage='accept')
            context = connection.context
            out = context.step(token)
            complete = context.complete
        except (binascii.Error, gssapi.exceptions.GSSError) as e:
            connection.context = None
            raise Refused(f'{word}: {str(e)[:200]}') from None
        shown = word + (' ' + base64.b64encode(out).decode() if out else '')
        if not complete:
            raise Refused('goes on', [shown])
        connection.context = None
        # gss-ntlmssp counts a NUL to the name
        name = str(context.initiator_name).replace('\0', '')
        user = name.partition('@')[0].rpartition('\\')[2].lower() + '@' + DOMAIN
        boundary = b'-- Encrypted Boundary' if exchange else b'--Encrypted Boundary'
        connection.sealer = Sealer(context, scheme, boundary=boundary)
        return user, shown if out else None


def serves_exchange(server):
    """Exchange's own endpoint is on every 2010 and later server."""
    return server.generation >= 2010
