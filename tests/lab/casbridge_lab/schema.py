"""The part of the AD and Exchange schema that the lab's directory holds, as one table, written out for slapd.

Attribute and class OIDs lie below 1.2.840.113556.1.8000.2554, the arc Microsoft leaves to anyone: LDAP
clients use names only. It replaces core.schema too, because AD's person needs no surname and its
containers are classes of its own.
"""
from .cmdlet_table import table_rows

ARC = '1.2.840.113556.1.8000.2554.51042.7331.1809.20447.33902.9482117.5520'

_SYNTAX = '1.3.6.1.4.1.1466.115.121.1.'
KINDS = {
    'dn': ('EQUALITY distinguishedNameMatch', '12'),
    'text': ('EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch', '15'),
    'int': ('EQUALITY integerMatch ORDERING integerOrderingMatch', '27'),
    'bool': ('EQUALITY booleanMatch', '7'),
    'octets': ('EQUALITY octetStringMatch', '40'),
    'time': ('EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch', '24'),
    'oid': ('EQUALITY objectIdentifierMatch', '38'),
}

# kind: names; a name ending in * holds several values
ATTRIBUTES = {
    'dn': '''
        objectCategory siteObject siteList* serverReference member* memberOf* msExchServerSite homeMDB
        homeMDBBL* msExchOwningServer msExchHomePublicMDB msExchUseOAB msExchHostServerLink
        msExchMDBAvailabilityGroupLink msExchMasterServerOrAvailabilityGroup msExchOABDefault
        offLineABServer offLineABContainers* publicDelegates* defaultNamingContext
        configurationNamingContext schemaNamingContext rootDomainNamingContext dsServiceName serverName
        nCName
    ''',
    'text': '''
        sn givenName displayName adminDisplayName initials title department company l dc ou* mail*
        sAMAccountName userPrincipalName legacyExchangeDN proxyAddresses* networkAddress* serialNumber
        dNSHostName servicePrincipalName* keywords* serviceBindingInformation* serviceClassName
        serviceDNSName serviceDNSNameType url* location lDAPDisplayName operatingSystem
        operatingSystemVersion operatingSystemServicePack msExchHomeServerName mailNickname msExchProductID
        msExchInstallPath msExchDataPath msExchComponentStates* msExchInternalHostName
        msExchExternalHostName msExchInternalNLBBypassHostName msExchMetabasePath msExch2003Url
        msExchBlockedClientVersions msExchEDBFile msExchAcceptedDomainName msExchSchemaVersionPt
        ldapServiceName isGlobalCatalogReady isSynchronized nETBIOSName dnsRoot
    ''',
    'int': '''
        userAccountControl versionNumber objectVersion rangeUpper cost systemFlags instanceType uSNCreated
        uSNChanged lockoutThreshold lockoutDuration lockOutObservationWindow maxPwdAge pwdLastSet
        msDS-SupportedEncryptionTypes msDS-KeyVersionNumber badPwdCount lockoutTime primaryGroupID
        sAMAccountType groupType msExchVersion msExchRecipientDisplayType msExchRecipientTypeDetails
        msExchCurrentServerRoles msExchMinAdminVersion serverRole type msExchInternalAuthenticationMethods
        msExchExternalAuthenticationMethods msExchManagementSettings msExchRpcHttpFlags
        msExchMaxIncomingConnections msExchAcceptedDomainFlags msExchCost msExchLegacyRedirectType
        msExchOWASettings msExchDatabaseCreated domainFunctionality forestFunctionality
        domainControllerFunctionality
    ''',
    'bool': 'showInAdvancedViewOnly msExchEncryptionRequired mDBUseDefaults',
    'octets': 'objectGUID objectSid msExchMailboxGuid msExchServerInternalTLSCert',
    'time': 'whenCreated whenChanged',
    'oid': 'supportedCapabilities*',
}

# name, parent, attributes; a line that begins with blanks continues the one before.
# Every object also takes the auxiliary class adObject.
CLASSES = '''
container                            top                      cn
configuration                        top                      cn
domain                               top                      dc ou
domainDNS                            domain
    lockoutThreshold lockoutDuration lockOutObservationWindow maxPwdAge objectVersion
organizationalUnit                   top                      ou
attributeSchema                      top                      cn lDAPDisplayName rangeUpper
sitesContainer                       top                      cn
site                                 top                      cn location
subnetContainer                      top                      cn
subnet                               top                      cn siteObject location
interSiteTransportContainer          top                      cn
interSiteTransport                   top                      cn
siteLink                             top                      cn siteList cost msExchCost
crossRefContainer                    top                      cn
crossRef                             top                      cn nCName nETBIOSName dnsRoot
serversContainer                     top                      cn
server                               top                      cn dNSHostName serverReference serialNumber
nTDSDSA                              top                      cn
leaf                                 top                      cn
connectionPoint                      leaf                     keywords
serviceConnectionPoint               connectionPoint
    serviceBindingInformation serviceClassName serviceDNSName serviceDNSNameType
group                                top                      cn sAMAccountName member groupType
person                               top                      cn sn
organizationalPerson                 person
    givenName displayName initials title department company l mail ou
user                                 organizationalPerson
    sAMAccountName userPrincipalName proxyAddresses legacyExchangeDN userAccountControl servicePrincipalName
    pwdLastSet lockoutTime badPwdCount primaryGroupID sAMAccountType memberOf homeMDB msExchHomeServerName
    msExchMailboxGuid mailNickname msExchRecipientDisplayType msExchRecipientTypeDetails mDBUseDefaults
    publicDelegates msDS-SupportedEncryptionTypes msDS-KeyVersionNumber
computer                             user
    dNSHostName operatingSystem operatingSystemVersion operatingSystemServicePack location
msExchConfigurationContainer         container                -
msExchOrganizationContainer          container                msExchProductID legacyExchangeDN objectVersion
msExchAdminGroupContainer            container                -
msExchAdminGroup                     container                legacyExchangeDN
msExchServersContainer               container                -
msExchExchangeServer                 server
    versionNumber msExchCurrentServerRoles msExchServerSite networkAddress legacyExchangeDN msExchProductID
    type serverRole msExchMinAdminVersion msExchInstallPath msExchDataPath msExchComponentStates
    msExchServerInternalTLSCert msExchMDBAvailabilityGroupLink
msExchClientAccessArray              msExchExchangeServer     -
msExchTransportSettings              container                -
msExchAcceptedDomain                 top
    cn msExchAcceptedDomainName msExchAcceptedDomainFlags
protocolCfgShared                    top                      cn
protocolCfgSharedServer              protocolCfgShared        -
msExchProtocolCfgHTTPContainer       container                -
msExchProtocolCfgExchangeRpcService  top
    cn msExchEncryptionRequired msExchMaxIncomingConnections msExchBlockedClientVersions
msExchVirtualDirectory               top
    cn msExchInternalHostName msExchExternalHostName msExchInternalAuthenticationMethods
    msExchExternalAuthenticationMethods msExchMetabasePath url
msExchRpcHttpVirtualDirectory        msExchVirtualDirectory   msExchRpcHttpFlags msExchManagementSettings
msExchOWAVirtualDirectory            msExchVirtualDirectory
    msExch2003Url msExchLegacyRedirectType msExchOWASettings
msExchECPVirtualDirectory            msExchVirtualDirectory   -
msExchWebServicesVirtualDirectory    msExchVirtualDirectory   msExchInternalNLBBypassHostName
msExchOABVirtualDirectory            msExchVirtualDirectory   -
msExchMobileVirtualDirectory         msExchVirtualDirectory   -
msExchAutoDiscoverVirtualDirectory   msExchVirtualDirectory   -
msExchPowerShellVirtualDirectory     msExchVirtualDirectory   -
msExchMapiVirtualDirectory           msExchVirtualDirectory   -
msExchPushNotificationsVirtualDirectory msExchVirtualDirectory   -
msExchAddressListsContainer          container                -
msExchOAB                            top
    cn offLineABServer offLineABContainers msExchOABDefault
msExchInformationStore               container                -
msExchStorageGroup                   container                -
msExchMDBContainer                   container                -
msExchMDB                            top
    cn msExchOwningServer msExchHomePublicMDB msExchUseOAB msExchEDBFile
    msExchMasterServerOrAvailabilityGroup homeMDBBL legacyExchangeDN msExchDatabaseCreated
msExchPrivateMDB                     msExchMDB                -
msExchPublicMDB                      msExchMDB                -
msExchMDBCopy                        top                      cn msExchHostServerLink
'''
AD_OBJECT = '''
    objectGUID objectSid objectCategory instanceType whenCreated whenChanged uSNCreated uSNChanged
    showInAdvancedViewOnly systemFlags adminDisplayName description msExchVersion
'''
AD_ROOT_DSE = '''
    defaultNamingContext configurationNamingContext schemaNamingContext rootDomainNamingContext dNSHostName
    ldapServiceName serverName dsServiceName isGlobalCatalogReady isSynchronized supportedCapabilities
    domainFunctionality forestFunctionality domainControllerFunctionality
'''


def slapd_schema():
    """The table in slapd's syntax."""
    out, number = [], 0
    for kind, names in ATTRIBUTES.items():
        rules, syntax = KINDS[kind]
        for name in names.split():
            number += 1
            single = '' if name.endswith('*') else ' SINGLE-VALUE'
            out.append(
                f"attributetype ( {ARC}.1.{number} NAME '{name.rstrip('*')}' {rules} "
                f"SYNTAX {_SYNTAX}{syntax}{single} )"
            )
    number = 0
    for name, attributes in (('adObject', AD_OBJECT), ('adRootDSE', AD_ROOT_DSE)):
        number += 1
        out.append(
            f"objectclass ( {ARC}.2.{number} NAME '{name}' SUP top AUXILIARY "
            f"MAY ( {' $ '.join(attributes.split())} ) )"
        )
    for line in table_rows(CLASSES):
        name, parent, *may = line.split()
        number += 1
        allowed = '' if may == ['-'] else f" MAY ( {' $ '.join(may)} )"
        out.append(f"objectclass ( {ARC}.2.{number} NAME '{name}' SUP {parent} STRUCTURAL{allowed} )")
    return '\n'.join(out) + '\n'
