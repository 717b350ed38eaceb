"""Computer accounts with their service names, groups, people and mailboxes."""
import calendar
import time

from . import org
from .layout import ARRAY, AUTODISCOVER, BASE_DN, DC_FQDN, DC_NAME, DOMAIN, LEGACY, NAMESPACE
from .naming import LEGACY_ROOT, SECURITY_GROUPS, database_dn, guid, server_legacy_dn

AES_AND_RC4 = 28  # msDS-SupportedEncryptionTypes


def _computer(
    w, parent, name, fqdn, spns, os_name='Windows Server 2012 R2 Standard', os_version='6.3 (9600)'
):
    w.add(
        f'CN={name},{parent}',
        'top person organizationalPerson user computer',
        sAMAccountName=f'{name}$',
        userAccountControl=4096,
        dNSHostName=fqdn,
        servicePrincipalName=spns,
        msDS__SupportedEncryptionTypes=AES_AND_RC4,
        msDS__KeyVersionNumber=1,
        pwdLastSet=_filetime(w.when),
        sAMAccountType=805306369,
        operatingSystem=os_name,
        operatingSystemVersion=os_version,
    )


def _filetime(when):
    """AD's large integers of time: tenths of microseconds since 1601."""
    seconds = calendar.timegm(time.strptime(when[:14], '%Y%m%d%H%M%S'))
    return (seconds + 11644473600) * 10_000_000


def _both(service, name, fqdn):
    return [f'{service}/{name}', f'{service}/{fqdn}']


def accounts(w):
    _computer(
        w,
        f'OU=Domain Controllers,{BASE_DN}',
        DC_NAME.upper(),
        DC_FQDN,
        _both('HOST', DC_NAME.upper(), DC_FQDN)
        + [f'ldap/{DC_FQDN}', f'ldap/{DC_NAME.upper()}', f'GC/{DC_FQDN}/{DOMAIN}'],
    )
    for s in org.SERVERS:
        spns = _both('HOST', s.name, s.fqdn)
        for service in ('exchangeMDB', 'exchangeRFR', 'exchangeAB'):
            spns += _both(service, s.name, s.fqdn)
        if s.external == LEGACY:
            spns.append(f'HTTP/{LEGACY}')
        new = s.generation >= 2013
        _computer(
            w,
            f'CN=Computers,{BASE_DN}',
            s.name,
            s.fqdn,
            spns,
            *(
                ()
                if new
                else (
                    'Windows Server 2008 SP2 Standard'
                    if s.generation == 2007
                    else 'Windows Server 2008 R2 Enterprise',
                    '6.0 (6002)' if s.generation == 2007 else '6.1 (7601)',
                )
            ),
        )
    _computer(
        w,
        f'CN=Computers,{BASE_DN}',
        org.ASA,
        None,
        [
            f'http/{NAMESPACE}',
            f'http/{AUTODISCOVER}',
            f'exchangeMDB/{ARRAY}',
            f'exchangeRFR/{ARRAY}',
            f'exchangeAB/{ARRAY}',
        ],
    )
    w.add(
        f'CN=Exchange Servers,{SECURITY_GROUPS}',
        'top group',
        sAMAccountName='Exchange Servers',
        groupType=-2147483640,
        member=[f'CN={s.name},CN=Computers,{BASE_DN}' for s in org.SERVERS],
    )
    w.add(
        f'CN=Organization Management,{SECURITY_GROUPS}',
        'top group',
        sAMAccountName='Organization Management',
        groupType=-2147483640,
        member=f'CN={org.ADMIN},CN=Users,{BASE_DN}',
    )


def _user(w, parent, login, shown, **more):
    w.add(
        f'CN={login},{parent}',
        'top person organizationalPerson user',
        sn=shown.split(' ', 1)[-1],
        givenName=shown.split()[0],
        displayName=shown,
        sAMAccountName=login,
        userPrincipalName=f'{login}@{DOMAIN}',
        userAccountControl=512,
        pwdLastSet=_filetime(w.when),
        sAMAccountType=805306368,
        **more,
    )


def _mailbox(login, database):
    owner = org.database_owner(database)
    return dict(
        mail=f'{login}@{DOMAIN}',
        proxyAddresses=[f'SMTP:{login}@{DOMAIN}', f'smtp:{login}@mail.{DOMAIN}'],
        mailNickname=login,
        legacyExchangeDN=f'{LEGACY_ROOT}/cn=Recipients/cn={login}',
        homeMDB=database_dn(database),
        msExchHomeServerName=server_legacy_dn(owner.name),
        msExchMailboxGuid=guid('mailbox ' + login),
        msExchRecipientDisplayType=1073741824,
        msExchRecipientTypeDetails=1,
        mDBUseDefaults='TRUE',
        msExchVersion=org.OBJECT_VERSION[owner.generation],
    )


def people(w, extra_users):
    users = f'CN=Users,{BASE_DN}'
    _user(w, users, org.ADMIN, 'Ada Admin', memberOf=f'CN=Organization Management,{SECURITY_GROUPS}')
    for login, shown, database in org.PEOPLE:
        _user(w, users, login, shown, **_mailbox(login, database))
    if extra_users:
        staff = f'OU=Staff,{BASE_DN}'
        w.add(staff, 'top organizationalUnit')
        databases = [d for s in org.SERVERS for d in s.databases]
        for i in range(extra_users):
            login = f'user{i + 1:06d}'
            _user(w, staff, login, f'Test User{i + 1}', **_mailbox(login, databases[i % len(databases)]))
