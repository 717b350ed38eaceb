"""How objects are named: DNs, legacy DNs, GUIDs, object categories, AD's times."""
import time
import uuid

from . import org
from .layout import BASE_DN

CONFIG = f'CN=Configuration,{BASE_DN}'
SCHEMA = f'CN=Schema,{CONFIG}'
ORG = f'CN={org.ORGANIZATION},CN=Microsoft Exchange,CN=Services,{CONFIG}'
GROUP = f'CN={org.ADMIN_GROUP},CN=Administrative Groups,{ORG}'
LEGACY_ROOT = f'/o={org.ORGANIZATION}/ou={org.ADMIN_GROUP}'
SECURITY_GROUPS = f'OU=Microsoft Exchange Security Groups,{BASE_DN}'
OBJECT_NAME_RPC = f'Rpc ({org.FRONT})'
_CATEGORY = {
    'msExchExchangeServer': 'ms-Exch-Exchange-Server',
    'msExchClientAccessArray': 'ms-Exch-Client-Access-Array',
    'serviceConnectionPoint': 'Service-Connection-Point',
    'user': 'Person',
    'computer': 'Computer',
    'group': 'Group',
    'site': 'Site',
    'subnet': 'Subnet',
    'siteLink': 'Site-Link',
    'server': 'Server',
    'container': 'Container',
    'msExchRpcHttpVirtualDirectory': 'ms-Exch-Rpc-Http-Virtual-Directory',
    'msExchPrivateMDB': 'ms-Exch-Private-MDB',
    'msExchOWAVirtualDirectory': 'ms-Exch-OWA-Virtual-Directory',
    'msExchECPVirtualDirectory': 'ms-Exch-ECP-Virtual-Directory',
    'msExchWebServicesVirtualDirectory': 'ms-Exch-Web-Services-Virtual-Directory',
    'msExchMobileVirtualDirectory': 'ms-Exch-Mobile-Virtual-Directory',
    'msExchOABVirtualDirectory': 'ms-Exch-OAB-Virtual-Directory',
    'msExchAutoDiscoverVirtualDirectory': 'ms-Exch-Auto-Discover-Virtual-Directory',
    'msExchMapiVirtualDirectory': 'ms-Exch-Mapi-Virtual-Directory',
    'msExchPowerShellVirtualDirectory': 'ms-Exch-PowerShell-Virtual-Directory',
    'msExchOrganizationContainer': 'ms-Exch-Organization-Container',
    'msExchAdminGroup': 'ms-Exch-Admin-Group',
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


def ad_time(seconds):
    return time.strftime('%Y%m%d%H%M%S.0Z', time.gmtime(seconds))
