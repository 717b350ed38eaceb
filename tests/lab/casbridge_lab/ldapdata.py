"""The organisation as LDIF: the naming contexts of a new domain and Exchange's configuration."""
import time

from . import org
from .accounts import accounts, people
from .layout import AUTODISCOVER, BASE_DN, DC_FQDN, DC_NAME, DOMAIN, NETBIOS
from .ldif import Writer
from .naming import CONFIG, GROUP, LEGACY_ROOT, OBJECT_NAME_RPC, ORG, SCHEMA, SECURITY_GROUPS
from .naming import database_dn, server_dn, server_legacy_dn

OAB = f'CN=Default Offline Address Book,CN=Offline Address Lists,CN=Address Lists Container,{ORG}'
URL_SCP = '77378F46-2C66-4aa9-A6A6-3E7A48B19596'  # keyword of an Autodiscover SCP that carries a URL
SCHEMA_VERSION, ORG_VERSION = 15312, 16133  # rangeUpper and objectVersion of 2013 CU23


def version_number(version):
    """versionNumber: four bits of format (7), six of major, six of minor, one set bit, fifteen of build."""
    return 0x70000000 | version[0] << 22 | version[1] << 16 | 0x8000 | version[2]


def ldif(now=None, extra_users=0):
    """(LDIF text, highest uSN used)."""
    w = Writer(time.time() if now is None else now)
    _naming_contexts(w)
    _sites(w)
    _organisation(w)
    for s in org.SERVERS:
        _server(w, s)
    _array(w)
    accounts(w)
    people(w, extra_users)
    return w.text(), w.usn


def _naming_contexts(w):
    w.add(
        BASE_DN,
        'top domain domainDNS',
        lockoutThreshold=10,
        lockoutDuration=-18000000000,
        lockOutObservationWindow=-18000000000,
        maxPwdAge=-36288000000000,
    )
    w.add(CONFIG, 'top configuration')
    w.add(SCHEMA, 'top container')
    w.add(
        f'CN=ms-Exch-Schema-Version-Pt,{SCHEMA}',
        'top attributeSchema',
        lDAPDisplayName='msExchSchemaVersionPt',
        rangeUpper=SCHEMA_VERSION,
    )
    partitions = f'CN=Partitions,{CONFIG}'
    w.add(partitions, 'top crossRefContainer')
    # one domain: the controller knows every account of the forest
    w.add(
        f'CN={NETBIOS},{partitions}',
        'top crossRef',
        nCName=BASE_DN,
        nETBIOSName=NETBIOS,
        dnsRoot=DOMAIN,
        systemFlags=3,
    )
    w.add(
        f'CN=Enterprise Configuration,{partitions}', 'top crossRef', nCName=CONFIG, dnsRoot=DOMAIN, systemFlags=1
    )
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
        w.add(
            f'CN={name},CN=IP,{transports}',
            'top siteLink',
            siteList=[_site_dn(m) for m in members],
            cost=cost,
        )
    dc = f'CN={DC_NAME.upper()},CN=Servers,{_site_dn("Barcelona")}'
    w.add(
        dc,
        'top server',
        dNSHostName=DC_FQDN,
        serverReference=f'CN={DC_NAME.upper()},OU=Domain Controllers,{BASE_DN}',
    )
    w.add(f'CN=NTDS Settings,{dc}', 'top nTDSDSA')


def _organisation(w):
    w.add(f'CN=Microsoft Exchange,CN=Services,{CONFIG}', 'top container msExchConfigurationContainer')
    w.add(
        ORG,
        'top container msExchOrganizationContainer',
        objectVersion=ORG_VERSION,
        legacyExchangeDN=f'/o={org.ORGANIZATION}',
        msExchVersion=org.OBJECT_VERSION[2007],
    )
    w.add(f'CN=Administrative Groups,{ORG}', 'top container msExchAdminGroupContainer')
    w.add(GROUP, 'top container msExchAdminGroup', legacyExchangeDN=LEGACY_ROOT)
    w.add(f'CN=Servers,{GROUP}', 'top container msExchServersContainer')
    w.add(f'CN=Databases,{GROUP}', 'top container msExchMDBContainer')
    w.add(f'CN=Arrays,{GROUP}', 'top container')
    lists = f'CN=Address Lists Container,{ORG}'
    w.add(lists, 'top container msExchAddressListsContainer')
    w.add(f'CN=Offline Address Lists,{lists}', 'top container')
    w.add(
        OAB, 'top msExchOAB', offLineABServer=server_dn('E2K7MBX01'), msExchVersion=org.OBJECT_VERSION[2007]
    )
    w.add(f'CN=Transport Settings,{ORG}', 'top container msExchTransportSettings')
    domains = f'CN=Accepted Domains,CN=Transport Settings,{ORG}'
    w.add(domains, 'top container')
    w.add(
        f'CN={DOMAIN},{domains}',
        'top msExchAcceptedDomain',
        msExchAcceptedDomainName=DOMAIN,
        msExchAcceptedDomainFlags=4,
        msExchVersion=org.OBJECT_VERSION[2007],
    )


def rpc_vdir(s, external, client, iis, internal=None, ssl_offloading=False):
    """Attributes of a server's Outlook Anywhere object; also what Enable-OutlookAnywhere makes."""
    attributes = dict(
        msExchExternalHostName=external,
        msExchExternalAuthenticationMethods=client,
        msExchInternalAuthenticationMethods=iis,
        msExchRpcHttpFlags=org.SSL_OFFLOADING if ssl_offloading else 0,
        msExchMetabasePath=f'IIS://{s.fqdn}/W3SVC/1/ROOT/Rpc',
        msExchVersion=org.OBJECT_VERSION[min(s.generation, 2010)],
    )
    if s.generation >= 2013:
        attributes.update(
            msExchInternalHostName=internal, msExchManagementSettings=org.METHOD_ORDINALS['Ntlm']
        )
    return attributes


def _server(w, s):
    dn = server_dn(s.name)
    version = s.version
    w.add(
        dn,
        'top server msExchExchangeServer',
        serialNumber=f'Version {version[0]}.{version[1]} (Build {30000 + version[2]}.{version[3]})',
        versionNumber=version_number(version),
        msExchCurrentServerRoles=s.roles,
        msExchServerSite=_site_dn(s.site),
        networkAddress=[
            f'ncacn_vns_spp:{s.name}',
            f'netbios:{s.name}',
            f'ncacn_np:{s.name}',
            f'ncacn_spx:{s.name}',
            f'ncacn_ip_tcp:{s.fqdn}',
        ],
        legacyExchangeDN=server_legacy_dn(s.name),
        msExchMinAdminVersion=-2147453113,
        msExchVersion=org.OBJECT_VERSION[2007],
        msExchInstallPath='C:\\Program Files\\Microsoft\\Exchange Server'
        + {2007: '', 2010: '\\V14', 2013: '\\V15'}[s.generation],
    )
    w.add(f'CN=Protocols,{dn}', 'top protocolCfgShared protocolCfgSharedServer')
    if s.web:
        http = f'CN=HTTP,CN=Protocols,{dn}'
        w.add(http, 'top container msExchProtocolCfgHTTPContainer')
        for cn, kind, inner, outer, internal, external, metabase in org.vdir_rows(s):
            bypass = None
            if kind == 'WebServices' and (s.generation == 2010 or org.BACK in cn):
                bypass = f'https://{s.fqdn}{":444" if org.BACK in cn else ""}/ews/exchange.asmx'
            w.add(
                f'CN={cn},{http}',
                f'top msExchVirtualDirectory msExch{kind}VirtualDirectory',
                msExchInternalHostName=inner,
                msExchExternalHostName=outer,
                msExchInternalAuthenticationMethods=internal,
                msExchExternalAuthenticationMethods=external,
                msExchMetabasePath=metabase,
                msExchInternalNLBBypassHostName=bypass,
                msExchVersion=org.OBJECT_VERSION[min(s.generation, 2010)],
            )
        if s.outlook_anywhere:
            w.add(
                f'CN={OBJECT_NAME_RPC},{http}',
                'top msExchVirtualDirectory msExchRpcHttpVirtualDirectory',
                **rpc_vdir(s, **s.outlook_anywhere),
            )
    if s.front_end:
        w.add(f'CN=Autodiscover,CN=Protocols,{dn}', 'top container')
        w.add(
            f'CN={s.name},CN=Autodiscover,CN=Protocols,{dn}',
            'top leaf connectionPoint serviceConnectionPoint',
            keywords=[URL_SCP, f'Site={s.site}'],
            serviceClassName='ms-Exchange-AutoDiscover-Service',
            serviceDNSName=s.name,
            serviceBindingInformation=f'https://{AUTODISCOVER}/Autodiscover/Autodiscover.xml',
        )
    if s.web and s.generation >= 2010:
        w.add(
            f'CN=RpcClientAccess,CN=Protocols,{dn}',
            'top msExchProtocolCfgExchangeRpcService',
            msExchEncryptionRequired='TRUE',
            msExchMaxIncomingConnections=65536,
            msExchVersion=org.OBJECT_VERSION[2010],
        )
    if s.databases:
        _databases(w, s, dn)


def _databases(w, s, dn):
    if s.generation == 2007:
        w.add(f'CN=InformationStore,{dn}', 'top container msExchInformationStore')
        w.add(f'CN={org.STORAGE_GROUP},CN=InformationStore,{dn}', 'top container msExchStorageGroup')
    for database in s.databases:
        w.add(
            database_dn(database),
            'top msExchMDB msExchPrivateMDB',
            msExchOwningServer=dn,
            msExchUseOAB=OAB,
            msExchEDBFile=f'D:\\{database}\\{database}.edb',
            msExchVersion=org.OBJECT_VERSION[s.generation],
            legacyExchangeDN=server_legacy_dn(org.RPC_ENDPOINT.get(s.name, s.name))
            + '/cn=Microsoft Private MDB',
            msExchMasterServerOrAvailabilityGroup=dn if s.generation >= 2010 else None,
        )
        if s.generation >= 2010:
            w.add(
                f'CN={s.name},{database_dn(database)}',
                'top msExchMDBCopy',
                msExchHostServerLink=dn,
                msExchVersion=org.OBJECT_VERSION[2010],
            )


def _array(w):
    """A client access array is a server too, by its classes; its version is its members'."""
    name, site = org.CLIENT_ACCESS_ARRAY
    w.add(
        f'CN={name},CN=Arrays,{GROUP}',
        'top server msExchExchangeServer msExchClientAccessArray',
        msExchServerSite=_site_dn(site),
        networkAddress=f'ncacn_ip_tcp:{name}',
        versionNumber=version_number(org.V2010),
        legacyExchangeDN=server_legacy_dn(name),
        msExchVersion=org.OBJECT_VERSION[2010],
    )
