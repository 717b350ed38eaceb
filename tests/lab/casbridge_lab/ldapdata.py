"""The organisation as LDIF for slapadd: the naming contexts of a new domain, Exchange's configuration, accounts, mailboxes."""
import base64
import time
import uuid

from . import org
from .layout import ARRAY, AUTODISCOVER, BASE_DN, DC_FQDN, DC_NAME, DOMAIN, LEGACY, NAMESPACE

CONFIG = f'CN=Configuration,{BASE_DN}'
SCHEMA = f'CN=Schema,{CONFIG}'
ORG = f'CN={org.ORGANIZATION},CN=Microsoft Exchange,CN=Services,{CONFIG}'
GROUP = f'CN={org.ADMIN_GROUP},CN=Administrative Groups,{ORG}'
LEGACY_ROOT = f'/o={org.ORGANIZATION}/ou={org.ADMIN_GROUP}'
OAB = f'CN=Default Offline Address Book,CN=Offline Address Lists,CN=Address Lists Container,{ORG}'
SECURITY_GROUPS = f'OU=Microsoft Exchange Security Groups,{BASE_DN}'
URL_SCP = '77378F46-2C66-4aa9-A6A6-3E7A48B19596'       # keyword of an Autodiscover SCP that carries a URL
SCHEMA_VERSION, ORG_VERSION = 15312, 16133             # rangeUpper and objectVersion of 2013 CU23
AES_AND_RC4 = 28                                       # msDS-SupportedEncryptionTypes
OBJECT_NAME_RPC = f'Rpc ({org.FRONT})'
AGE_DAYS = 30                                          # the organisation has not been touched for a month
FIRST_USN = 8193
_CATEGORY = {
    'msExchExchangeServer': 'ms-Exch-Exchange-Server', 'msExchClientAccessArray': 'ms-Exch-Client-Access-Array',
    'serviceConnectionPoint': 'Service-Connection-Point', 'user': 'Person', 'computer': 'Computer', 'group': 'Group',
    'site': 'Site', 'subnet': 'Subnet', 'siteLink': 'Site-Link', 'server': 'Server', 'container': 'Container',
    'msExchRpcHttpVirtualDirectory': 'ms-Exch-Rpc-Http-Virtual-Directory', 'msExchPrivateMDB': 'ms-Exch-Private-MDB',
    'msExchOWAVirtualDirectory': 'ms-Exch-OWA-Virtual-Directory', 'msExchECPVirtualDirectory': 'ms-Exch-ECP-Virtual-Directory',
    'msExchWebServicesVirtualDirectory': 'ms-Exch-Web-Services-Virtual-Directory',
    'msExchMobileVirtualDirectory': 'ms-Exch-Mobile-Virtual-Directory', 'msExchOABVirtualDirectory': 'ms-Exch-OAB-Virtual-Directory',
    'msExchAutoDiscoverVirtualDirectory': 'ms-Exch-Auto-Discover-Virtual-Directory', 'msExchMapiVirtualDirectory': 'ms-Exch-Mapi-Virtual-Directory',
    'msExchPowerShellVirtualDirectory': 'ms-Exch-PowerShell-Virtual-Directory',
    'msExchOrganizationContainer': 'ms-Exch-Organization-Container', 'msExchAdminGroup': 'ms-Exch-Admin-Group',
}


def guid(text):
    """The same object has the same GUID in every lab."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f'casbridge-lab {text.lower()}').bytes_le


def category(object_class):
    """objectCategory of objects of that class, None where AD's is not modelled."""
    name = _CATEGORY.get(object_class)
    return name and f'CN={name},{SCHEMA}'


def server_dn(name):
    return f'CN={name},CN=Servers,{GROUP}'


def server_legacy_dn(name):
    return f'{LEGACY_ROOT}/cn=Configuration/cn=Servers/cn={name}'


def database_dn(database):
    owner = org.database_owner(database)
    if owner.generation == 2007:
        return f'CN={database},CN={org.STORAGE_GROUP},CN=InformationStore,{server_dn(owner.name)}'
    return f'CN={database},CN=Databases,{GROUP}'


def version_number(version):
    """versionNumber: four bits of format (7), six of major, six of minor, one set bit, fifteen of build."""
    return 0x70000000 | version[0] << 22 | version[1] << 16 | 0x8000 | version[2]


def ad_time(seconds):
    return time.strftime('%Y%m%d%H%M%S.0Z', time.gmtime(seconds))


class Writer:
    def __init__(self, now):
        self.lines, self.usn, self.when = [], FIRST_USN - 1, ad_time(now - AGE_DAYS * 86400)

    def add(self, dn, classes, **attributes):
        """One entry. Values are texts, numbers, bytes or lists of these; None is left out."""
        self.usn += 1
        leaf = classes.split()[-1]
        self._line('dn', dn)
        for name in classes.split() + ['adObject']:
            self._line('objectClass', name)
        common = dict(objectGUID=guid(dn), objectCategory=category(leaf), instanceType=4,
                      whenCreated=self.when, whenChanged=self.when, uSNCreated=self.usn, uSNChanged=self.usn)
        rdn, _, value = dn.partition(',')[0].partition('=')
        common[rdn.lower()] = value
        for name, values in {**common, **attributes}.items():
            for item in values if isinstance(values, (list, tuple)) else [values]:
                if item is not None:
                    self._line(name.replace('__', '-'), item)
        self.lines.append('')

    def _line(self, name, value):
        if not isinstance(value, bytes):
            value = str(value)
            if value.isascii() and value.isprintable() and not value.startswith((' ', ':', '<')) and not value.endswith(' '):
                self.lines.append(f'{name}: {value}')
                return
            value = value.encode()
        self.lines.append(f'{name}:: {base64.b64encode(value).decode()}')

    def text(self):
        return '\n'.join(self.lines) + '\n'


def ldif(now=None, extra_users=0):
    """(LDIF text, highest uSN used)."""
    w = Writer(time.time() if now is None else now)
    _naming_contexts(w)
    _sites(w)
    _organisation(w)
    for s in org.SERVERS:
        _server(w, s)
    _array(w)
    _accounts(w)
    _people(w, extra_users)
    return w.text(), w.usn


def _naming_contexts(w):
    w.add(BASE_DN, 'top domain domainDNS', lockoutThreshold=10, lockoutDuration=-18000000000,
          lockOutObservationWindow=-18000000000, maxPwdAge=-36288000000000)
    w.add(CONFIG, 'top configuration')
    w.add(SCHEMA, 'top container')
    w.add(f'CN=ms-Exch-Schema-Version-Pt,{SCHEMA}', 'top attributeSchema', lDAPDisplayName='msExchSchemaVersionPt', rangeUpper=SCHEMA_VERSION)
    w.add(f'CN=Services,{CONFIG}', 'top container')
    w.add(f'CN=Computers,{BASE_DN}', 'top container')
    w.add(f'CN=Users,{BASE_DN}', 'top container')
    w.add(f'OU=Domain Controllers,{BASE_DN}', 'top organizationalUnit')
    w.add(SECURITY_GROUPS, 'top organizationalUnit')


def _site_dn(name):
    return f'CN={name},CN=Sites,{CONFIG}'


def _sites(w):
    sites = f'CN=Sites,{CONFIG}'
    transports = f'CN=Inter-Site Transports,{sites}'
    w.add(sites, 'top sitesContainer')
    w.add(f'CN=Subnets,{sites}', 'top subnetContainer')
    w.add(transports, 'top interSiteTransportContainer')
    w.add(f'CN=IP,{transports}', 'top interSiteTransport')
    for s in org.SITES:
        w.add(_site_dn(s.name), 'top site')
        w.add(f'CN=Servers,{_site_dn(s.name)}', 'top serversContainer')
        w.add(f'CN={s.subnet},CN=Subnets,{sites}', 'top subnet', siteObject=_site_dn(s.name))
    for name, members, cost in org.SITE_LINKS:
        w.add(f'CN={name},CN=IP,{transports}', 'top siteLink', siteList=[_site_dn(m) for m in members], cost=cost)
    dc = f'CN={DC_NAME.upper()},CN=Servers,{_site_dn("Barcelona")}'
    w.add(dc, 'top server', dNSHostName=DC_FQDN, serverReference=f'CN={DC_NAME.upper()},OU=Domain Controllers,{BASE_DN}')
    w.add(f'CN=NTDS Settings,{dc}', 'top nTDSDSA')


def _organisation(w):
    w.add(f'CN=Microsoft Exchange,CN=Services,{CONFIG}', 'top container msExchConfigurationContainer')
    w.add(ORG, 'top container msExchOrganizationContainer', objectVersion=ORG_VERSION, legacyExchangeDN=f'/o={org.ORGANIZATION}',
          msExchVersion=org.OBJECT_VERSION[2007])
    w.add(f'CN=Administrative Groups,{ORG}', 'top container msExchAdminGroupContainer')
    w.add(GROUP, 'top container msExchAdminGroup', legacyExchangeDN=LEGACY_ROOT)
    w.add(f'CN=Servers,{GROUP}', 'top container msExchServersContainer')
    w.add(f'CN=Databases,{GROUP}', 'top container msExchMDBContainer')
    w.add(f'CN=Arrays,{GROUP}', 'top container')
    lists = f'CN=Address Lists Container,{ORG}'
    w.add(lists, 'top container msExchAddressListsContainer')
    w.add(f'CN=Offline Address Lists,{lists}', 'top container')
    w.add(OAB, 'top msExchOAB', offLineABServer=server_dn('E2K7MBX01'), msExchVersion=org.OBJECT_VERSION[2007])
    w.add(f'CN=Transport Settings,{ORG}', 'top container msExchTransportSettings')
    domains = f'CN=Accepted Domains,CN=Transport Settings,{ORG}'
    w.add(domains, 'top container')
    w.add(f'CN={DOMAIN},{domains}', 'top msExchAcceptedDomain', msExchAcceptedDomainName=DOMAIN, msExchAcceptedDomainFlags=4,
          msExchVersion=org.OBJECT_VERSION[2007])


def rpc_vdir(s, external, client, iis, internal=None, ssl_offloading=False):
    """Attributes of a server's Outlook Anywhere object; also what Enable-OutlookAnywhere makes."""
    attributes = dict(msExchExternalHostName=external, msExchExternalAuthenticationMethods=client,
                      msExchInternalAuthenticationMethods=iis, msExchRpcHttpFlags=org.SSL_OFFLOADING if ssl_offloading else 0,
                      msExchMetabasePath=f'IIS://{s.fqdn}/W3SVC/1/ROOT/Rpc', msExchVersion=org.OBJECT_VERSION[min(s.generation, 2010)])
    if s.generation >= 2013:
        attributes.update(msExchInternalHostName=internal, msExchManagementSettings=org.METHOD_ORDINALS['Ntlm'])
    return attributes


def _server(w, s):
    dn = server_dn(s.name)
    version = s.version
    w.add(dn, 'top server msExchExchangeServer', serialNumber=f'Version {version[0]}.{version[1]} (Build {30000 + version[2]}.{version[3]})',
          versionNumber=version_number(version), msExchCurrentServerRoles=s.roles, msExchServerSite=_site_dn(s.site),
          networkAddress=[f'ncacn_vns_spp:{s.name}', f'netbios:{s.name}', f'ncacn_np:{s.name}', f'ncacn_spx:{s.name}', f'ncacn_ip_tcp:{s.fqdn}'],
          legacyExchangeDN=server_legacy_dn(s.name), msExchMinAdminVersion=-2147453113, msExchVersion=org.OBJECT_VERSION[2007],
          msExchInstallPath='C:\\Program Files\\Microsoft\\Exchange Server' + {2007: '', 2010: '\\V14', 2013: '\\V15'}[s.generation])
    w.add(f'CN=Protocols,{dn}', 'top protocolCfgShared protocolCfgSharedServer')
    if s.web:
        http = f'CN=HTTP,CN=Protocols,{dn}'
        w.add(http, 'top container msExchProtocolCfgHTTPContainer')
        for cn, kind, inner, outer, internal, external, metabase in org.vdir_rows(s):
            bypass = None
            if kind == 'WebServices' and (s.generation == 2010 or org.BACK in cn):
                bypass = f'https://{s.fqdn}{":444" if org.BACK in cn else ""}/ews/exchange.asmx'
            w.add(f'CN={cn},{http}', f'top msExchVirtualDirectory msExch{kind}VirtualDirectory', msExchInternalHostName=inner,
                  msExchExternalHostName=outer, msExchInternalAuthenticationMethods=internal,
                  msExchExternalAuthenticationMethods=external, msExchMetabasePath=metabase,
                  msExchInternalNLBBypassHostName=bypass, msExchVersion=org.OBJECT_VERSION[min(s.generation, 2010)])
        if s.outlook_anywhere:
            w.add(f'CN={OBJECT_NAME_RPC},{http}', 'top msExchVirtualDirectory msExchRpcHttpVirtualDirectory', **rpc_vdir(s, **s.outlook_anywhere))
    if s.front_end:
        w.add(f'CN=Autodiscover,CN=Protocols,{dn}', 'top container')
        w.add(f'CN={s.name},CN=Autodiscover,CN=Protocols,{dn}', 'top leaf connectionPoint serviceConnectionPoint',
              keywords=[URL_SCP, f'Site={s.site}'], serviceClassName='ms-Exchange-AutoDiscover-Service', serviceDNSName=s.name,
              serviceBindingInformation=f'https://{AUTODISCOVER}/Autodiscover/Autodiscover.xml')
    if s.web and s.generation >= 2010:
        w.add(f'CN=RpcClientAccess,CN=Protocols,{dn}', 'top msExchProtocolCfgExchangeRpcService', msExchEncryptionRequired='TRUE',
              msExchMaxIncomingConnections=65536, msExchVersion=org.OBJECT_VERSION[2010])
    if s.databases:
        _databases(w, s, dn)


def _databases(w, s, dn):
    if s.generation == 2007:
        w.add(f'CN=InformationStore,{dn}', 'top container msExchInformationStore')
        w.add(f'CN={org.STORAGE_GROUP},CN=InformationStore,{dn}', 'top container msExchStorageGroup')
    for database in s.databases:
        w.add(database_dn(database), 'top msExchMDB msExchPrivateMDB', msExchOwningServer=dn, msExchUseOAB=OAB,
              msExchEDBFile=f'D:\\{database}\\{database}.edb', msExchVersion=org.OBJECT_VERSION[s.generation],
              legacyExchangeDN=server_legacy_dn(org.RPC_ENDPOINT.get(s.name, s.name)) + '/cn=Microsoft Private MDB',
              msExchMasterServerOrAvailabilityGroup=dn if s.generation >= 2010 else None)
        if s.generation >= 2010:
            w.add(f'CN={s.name},{database_dn(database)}', 'top msExchMDBCopy', msExchHostServerLink=dn, msExchVersion=org.OBJECT_VERSION[2010])


def _array(w):
    """A client access array is a server too, by its classes; its version is its members'."""
    name, site = org.CLIENT_ACCESS_ARRAY
    w.add(f'CN={name},CN=Arrays,{GROUP}', 'top server msExchExchangeServer msExchClientAccessArray', msExchServerSite=_site_dn(site),
          networkAddress=f'ncacn_ip_tcp:{name}', versionNumber=version_number(org.V2010), legacyExchangeDN=server_legacy_dn(name),
          msExchVersion=org.OBJECT_VERSION[2010])


def _computer(w, parent, name, fqdn, spns, os_name='Windows Server 2012 R2 Standard', os_version='6.3 (9600)'):
    w.add(f'CN={name},{parent}', 'top person organizationalPerson user computer', sAMAccountName=f'{name}$', userAccountControl=4096,
          dNSHostName=fqdn, servicePrincipalName=spns, msDS__SupportedEncryptionTypes=AES_AND_RC4, msDS__KeyVersionNumber=1,
          pwdLastSet=_filetime(w.when), sAMAccountType=805306369, operatingSystem=os_name, operatingSystemVersion=os_version)


def _filetime(when):
    """AD's large integers of time: tenths of microseconds since 1601."""
    seconds = time.mktime(time.strptime(when[:14], '%Y%m%d%H%M%S')) - time.timezone
    return int((seconds + 11644473600) * 10_000_000)


def _both(service, name, fqdn):
    return [f'{service}/{name}', f'{service}/{fqdn}']


def _accounts(w):
    _computer(w, f'OU=Domain Controllers,{BASE_DN}', DC_NAME.upper(), DC_FQDN,
              _both('HOST', DC_NAME.upper(), DC_FQDN) + [f'ldap/{DC_FQDN}', f'ldap/{DC_NAME.upper()}', f'GC/{DC_FQDN}/{DOMAIN}'])
    for s in org.SERVERS:
        spns = _both('HOST', s.name, s.fqdn)
        for service in ('exchangeMDB', 'exchangeRFR', 'exchangeAB'):
            spns += _both(service, s.name, s.fqdn)
        if s.external == LEGACY:
            spns.append(f'HTTP/{LEGACY}')
        new = s.generation >= 2013
        _computer(w, f'CN=Computers,{BASE_DN}', s.name, s.fqdn, spns,
                  *(() if new else ('Windows Server 2008 SP2 Standard' if s.generation == 2007 else 'Windows Server 2008 R2 Enterprise',
                                    '6.0 (6002)' if s.generation == 2007 else '6.1 (7601)')))
    _computer(w, f'CN=Computers,{BASE_DN}', org.ASA, None, [f'http/{NAMESPACE}', f'http/{AUTODISCOVER}', f'exchangeMDB/{ARRAY}',
                                                          f'exchangeRFR/{ARRAY}', f'exchangeAB/{ARRAY}'])
    w.add(f'CN=Exchange Servers,{SECURITY_GROUPS}', 'top group', sAMAccountName='Exchange Servers', groupType=-2147483640,
          member=[f'CN={s.name},CN=Computers,{BASE_DN}' for s in org.SERVERS])
    w.add(f'CN=Organization Management,{SECURITY_GROUPS}', 'top group', sAMAccountName='Organization Management', groupType=-2147483640,
          member=f'CN={org.ADMIN},CN=Users,{BASE_DN}')


def _user(w, parent, login, shown, **more):
    w.add(f'CN={login},{parent}', 'top person organizationalPerson user', sn=shown.split(' ', 1)[-1], givenName=shown.split()[0],
          displayName=shown, sAMAccountName=login, userPrincipalName=f'{login}@{DOMAIN}', userAccountControl=512,
          pwdLastSet=_filetime(w.when), sAMAccountType=805306368, **more)


def _mailbox(login, database):
    owner = org.database_owner(database)
    return dict(mail=f'{login}@{DOMAIN}', proxyAddresses=[f'SMTP:{login}@{DOMAIN}', f'smtp:{login}@mail.{DOMAIN}'], mailNickname=login,
                legacyExchangeDN=f'{LEGACY_ROOT}/cn=Recipients/cn={login}', homeMDB=database_dn(database),
                msExchHomeServerName=server_legacy_dn(owner.name), msExchMailboxGuid=guid('mailbox ' + login),
                msExchRecipientDisplayType=1073741824, msExchRecipientTypeDetails=1, mDBUseDefaults='TRUE',
                msExchVersion=org.OBJECT_VERSION[owner.generation])


def _people(w, extra_users):
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
