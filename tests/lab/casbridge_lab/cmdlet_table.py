"""Which Exchange cmdlets exist in which version, and which parameters they take.

One table; both readers of PowerShell use it. A row: cmdlet, the first and last generation that has it, then
Parameter:type[!][@first[-last]], where `!` is mandatory. Types: text, texts, id, server, bool, switch,
method, methods, uri, host, int, token, flags. Parameters the lab does not model are left out: using one is
an error here though Exchange knows it.
"""
import re
from typing import NamedTuple

_COMMON_SET = 'DomainController:text'
_EP = (
    'ExtendedProtectionTokenChecking:token@2010 ExtendedProtectionFlags:flags@2010 '
    'ExtendedProtectionSPNList:texts@2010'
)
_URLS = 'InternalUrl:uri ExternalUrl:uri'
_AUTH = 'BasicAuthentication:bool DigestAuthentication:bool WindowsAuthentication:bool'
_GET = f'Identity:id Server:server {_COMMON_SET} ADPropertiesOnly:switch@2010'

TABLE = f'''
Get-OutlookAnywhere 2007 2013
    {_GET} ShowMailboxVirtualDirectories:switch@2013
Set-OutlookAnywhere 2007 2013
    Identity:id! ClientAuthenticationMethod:method@2007-2010 DefaultAuthenticationMethod:method
    ExternalHostname:host IISAuthenticationMethods:methods SSLOffloading:bool
    ExternalClientAuthenticationMethod:method@2013 ExternalClientsRequireSsl:bool@2013
    InternalClientAuthenticationMethod:method@2013 InternalClientsRequireSsl:bool@2013
    InternalHostname:host@2013 {_EP} {_COMMON_SET}
Enable-OutlookAnywhere 2007 2010
    Server:server ClientAuthenticationMethod:method DefaultAuthenticationMethod:method
    ExternalHostname:host! SSLOffloading:bool! IISAuthenticationMethods:methods {_EP} {_COMMON_SET}
Disable-OutlookAnywhere 2007 2010
    Identity:id Server:server {_COMMON_SET}
Get-ExchangeServer 2007 2013
    Identity:server Domain:text Status:switch {_COMMON_SET}
Get-ClientAccessServer 2007 2013
    Identity:server {_COMMON_SET}
Set-ClientAccessServer 2007 2013
    Identity:server! AutoDiscoverServiceInternalUri:uri AutoDiscoverSiteScope:texts {_COMMON_SET}
Get-RpcClientAccess 2010 2013
    Server:server {_COMMON_SET}
Set-RpcClientAccess 2010 2013
    Server:server! EncryptionRequired:bool MaximumConnections:int BlockedClientVersions:text {_COMMON_SET}
Get-OwaVirtualDirectory 2007 2013
    {_GET}
Set-OwaVirtualDirectory 2007 2013
    Identity:id! {_URLS} {_AUTH} FormsAuthentication:bool ExternalAuthenticationMethods:methods@2010 {_EP}
    {_COMMON_SET}
Get-EcpVirtualDirectory 2010 2013
    {_GET}
Set-EcpVirtualDirectory 2010 2013
    Identity:id! {_URLS} {_AUTH} FormsAuthentication:bool ExternalAuthenticationMethods:methods {_EP}
    {_COMMON_SET}
Get-WebServicesVirtualDirectory 2007 2013
    {_GET}
Set-WebServicesVirtualDirectory 2007 2013
    Identity:id! {_URLS} InternalNLBBypassUrl:uri {_AUTH} WSSecurityAuthentication:bool@2010
    OAuthAuthentication:bool@2013 CertificateAuthentication:bool@2010 {_EP} {_COMMON_SET}
Get-ActiveSyncVirtualDirectory 2007 2013
    {_GET}
Set-ActiveSyncVirtualDirectory 2007 2013
    Identity:id! {_URLS} BasicAuthEnabled:bool WindowsAuthEnabled:bool InternalAuthenticationMethods:methods
    ExternalAuthenticationMethods:methods {_EP} {_COMMON_SET}
Get-OabVirtualDirectory 2007 2013
    {_GET}
Set-OabVirtualDirectory 2007 2013
    Identity:id! {_URLS} BasicAuthentication:bool WindowsAuthentication:bool {_EP} {_COMMON_SET}
Get-AutodiscoverVirtualDirectory 2007 2013
    {_GET}
Set-AutodiscoverVirtualDirectory 2007 2013
    Identity:id! InternalUrl:uri@2007-2010 ExternalUrl:uri@2007-2010 {_AUTH}
    WSSecurityAuthentication:bool@2010 OAuthAuthentication:bool@2013 {_EP} {_COMMON_SET}
Restart-Service 2007 2013
    Name:text! Force:switch
Get-MapiVirtualDirectory 2013 2013
    {_GET}
Set-MapiVirtualDirectory 2013 2013
    Identity:id! {_URLS} IISAuthenticationMethods:methods {_EP} {_COMMON_SET}
Get-ItemProperty 2007 2013
    LiteralPath:text! Name:text
Get-HotFix 2007 2013
    Id:text!
Get-Service 2007 2013
    Name:text!
Get-Content 2007 2013
    LiteralPath:text!
'''
GENERATIONS = (2007, 2010, 2013)
# no confirmation can be given to a shell without a terminal: the caller says -Confirm:$false
ASKS = ('Disable-OutlookAnywhere',)
ALLOWED = {
    'token': ('None', 'Allow', 'Require'),
    'flags': ('None', 'AllowDotlessSPN', 'NoServiceNameCheck', 'Proxy', 'ProxyCoHosting'),
}
METHODS = {2007: ('Basic', 'Digest', 'Ntlm', 'Fba', 'WindowsIntegrated', 'Misconfigured')}
METHODS[2010] = METHODS[2007][:-1] + (
    'LiveIdFba',
    'LiveIdBasic',
    'WSSecurity',
    'Certificate',
    'NegoEx',
    'Misconfigured',
)
METHODS[2013] = METHODS[2010][:-1] + (
    'OAuth',
    'Adfs',
    'Kerberos',
    'Negotiate',
    'LiveIdNegotiate',
    'Misconfigured',
)

SNAPINS = {
    2007: ('Microsoft.Exchange.Management.PowerShell.Admin',),
    2010: ('Microsoft.Exchange.Management.PowerShell.E2010',),
    2013: (
        'Microsoft.Exchange.Management.PowerShell.SnapIn',
        'Microsoft.Exchange.Management.PowerShell.E2010',
    ),
}


def table_rows(text):
    """The rows of a table; a line that begins with blanks continues the one before."""
    return re.sub(r'\n[ \t]+', ' ', text.strip()).splitlines()


class Parameter(NamedTuple):
    name: str
    kind: str
    mandatory: bool


class Cmdlet(NamedTuple):
    name: str
    parameters: dict  # lower-case name: Parameter

    @property
    def changes(self):
        return not self.name.startswith('Get-')

    @property
    def asks(self):
        return self.name in ASKS


def _parameter(text, generation):
    name, _, rest = text.partition(':')
    kind, _, span = rest.partition('@')
    first, _, last = span.partition('-')
    if (first and generation < int(first)) or (last and generation > int(last)):
        return None
    return Parameter(name, kind.rstrip('!'), kind.endswith('!'))


def cmdlets(generation):
    """{lower-case name: Cmdlet} of that version."""
    out = {}
    for line in table_rows(TABLE):
        name, first, last, *parameters = line.split()
        if not int(first) <= generation <= int(last):
            continue
        known = [p for p in (_parameter(text, generation) for text in parameters) if p]
        if not name.startswith('Get-'):
            known += [Parameter('WhatIf', 'switch', False), Parameter('Confirm', 'switch', False)]
        out[name.lower()] = Cmdlet(name, {p.name.lower(): p for p in known})
    return out
