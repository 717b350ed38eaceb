"""What IIS does about credentials: a challenge for each method, Basic and Negotiate checked for real
against the lab's realm.

Negotiate and NTLM authenticate the connection, not the request. NTLM needs the package gss-ntlmssp; without
it an NTLM token is refused.
"""
import asyncio
import base64
import binascii
import hashlib
import os
import time

import gssapi
from gssapi.raw import acquire_cred_with_password

from . import org
from .layout import DOMAIN, NETBIOS, PASSWORD, REALM

BASIC_CACHE_SECONDS = 5.0
TOKEN_LIMIT = 65536
NTLM = gssapi.OID.from_int_seq('1.3.6.1.4.1.311.2.2.10')
KERBEROS = gssapi.MechType.kerberos


class Challenge(Exception):
    """Answer 401 with these WWW-Authenticate values."""

    def __init__(self, values, user='-'):
        super().__init__(', '.join(values))
        self.values, self.user = values, user


def write_ntlm_users(lab):
    """Passwords for gss-ntlmssp."""
    with open(
        os.open(lab.path('cas', 'ntlm.users'), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        'w',
        encoding='utf-8',
    ) as f:
        for login in (org.ADMIN, *(p[0] for p in org.PEOPLE)):
            f.write(f'{NETBIOS}:{login}:{PASSWORD}\n{DOMAIN}:{login}:{PASSWORD}\n')


def ntlm_at_hand():
    return NTLM in gssapi.raw.indicate_mechs()


def split_user(text):
    """Account name of DOMAIN\\user, user@domain or user; None for a domain that is not ours."""
    domain, backslash, user = text.rpartition('\\')
    if backslash:
        return user if domain.upper() in (NETBIOS, DOMAIN.upper()) and user else None
    user, at, domain = text.rpartition('@')
    if at:
        return user if domain.upper() == DOMAIN.upper() and user else None
    return text or None


class BasicChecker:
    """Asks the KDC whether a password is right; a right one is remembered for a few seconds, by its hash."""

    def __init__(self):
        self.known = {}
        self.salt = os.urandom(16)

    async def check(self, user, password):
        """The authenticated account, or None."""
        account = split_user(user)
        if account is None or '\0' in user + password or not password:
            return None
        key = hashlib.sha256(self.salt + f'{account.lower()}\0{password}'.encode()).digest()
        now = time.monotonic()
        if self.known.get(key, 0) > now:
            return f'{account.lower()}@{DOMAIN}'
        if not await asyncio.get_running_loop().run_in_executor(None, _password_is_right, account, password):
            return None
        self.known = {k: until for k, until in self.known.items() if until > now}
        self.known[key] = now + BASIC_CACHE_SECONDS
        return f'{account.lower()}@{DOMAIN}'


def _password_is_right(account, password):
    try:
        name = gssapi.Name(f'{account.lower()}@{REALM}', gssapi.NameType.kerberos_principal)
        got = acquire_cred_with_password(name, password.encode(), mechs=[KERBEROS], usage='initiate')
        return (
            gssapi.Credentials(got.creds).lifetime > 0
        )  # asking for the lifetime makes the library go to the KDC
    except gssapi.exceptions.GSSError:
        return False


class Authenticator:
    """For one server."""

    def __init__(self, lab, server, basic):
        self.server, self.basic = server, basic
        self.store = {'keytab': lab.path('keytabs', f'{server.name.lower()}.keytab')}
        # a front end that also answers for common names has these in its keytab and takes any of them
        common_names = server.name == org.ARRIVING or server.generation == 2007
        self.name = (
            None if common_names else gssapi.Name(f'HTTP@{server.fqdn}', gssapi.NameType.hostbased_service)
        )

    def offers(self, switches):
        values = ['Negotiate', 'NTLM'] if switches.windows else []
        return values + ([f'Basic realm="{self.server.fqdn}"'] if switches.basic else [])

    async def identify(self, connection, request, switches):
        """(user, headers for the answer). Raises Challenge. The caller decides what anonymous may do."""
        scheme, _, value = (request.get('authorization') or '').partition(' ')
        scheme, value = scheme.lower(), value.strip()
        if not scheme:
            if connection.user and switches.windows:
                return connection.user, []
            raise Challenge(self.offers(switches))
        connection.user = None
        if scheme == 'basic' and switches.basic:
            return await self._basic(value, switches), []
        if scheme in ('negotiate', 'ntlm') and switches.windows:
            return self._handshake(connection, scheme, value, switches)
        raise Challenge(self.offers(switches))

    async def _basic(self, value, switches):
        try:
            user, colon, password = base64.b64decode(value, validate=True).decode().partition(':')
        except (binascii.Error, UnicodeDecodeError):
            raise Challenge(self.offers(switches)) from None
        account = await self.basic.check(user, password) if colon else None
        if account is None:
            raise Challenge(self.offers(switches))
        return account

    def _handshake(self, connection, scheme, value, switches):
        word = 'Negotiate' if scheme == 'negotiate' else 'NTLM'
        try:
            token = base64.b64decode(value[: TOKEN_LIMIT * 4 // 3], validate=True)
            if connection.context is None:
                connection.context = gssapi.SecurityContext(creds=self._credentials(token), usage='accept')
            context = connection.context
            answer = context.step(token)
            complete = context.complete  # an error that came with a token is raised only here
        except (binascii.Error, gssapi.exceptions.GSSError, RuntimeError) as e:
            connection.context = None
            if os.environ.get('LAB_DEBUG'):
                print(f'{self.server.name}: {word}: {e}', flush=True)
            raise Challenge(self.offers(switches)) from None
        shown = base64.b64encode(answer).decode() if answer else ''
        if not complete:
            raise Challenge([f'{word} {shown}'])
        connection.context = None
        connection.user = (
            str(context.initiator_name).partition('@')[0].rpartition('\\')[2].lower() + '@' + DOMAIN
        )
        headers = [('WWW-Authenticate', f'{word} {shown}')] if shown else []
        return connection.user, headers + [('Persistent-Auth', 'true')]

    def _credentials(self, token):
        if b'NTLMSSP\0' in token[:64]:
            if not ntlm_at_hand():
                raise RuntimeError('NTLM without gss-ntlmssp')
            return (
                gssapi.Credentials(usage='accept', mechs=[NTLM]) if token.startswith(b'NTLMSSP\0') else None
            )
        return gssapi.Credentials(
            name=self.name,
            usage='accept',
            mechs=[KERBEROS, gssapi.OID.from_int_seq('1.3.6.1.5.5.2')],
            store=self.store,
        )
