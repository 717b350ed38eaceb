"""POX Autodiscover: for the posted address, what the mailbox's own version would tell Outlook, taken from
the directory.
"""
import time
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from . import org
from .directory import number, text
from .http import Response
from .layout import DOMAIN

REQUEST_NS = '{http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006}'
MOBILE_REQUEST_NS = '{http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006}'
MOBILE_NS = 'http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006'
RESPONSE_NS = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a'
ERROR_NS = 'http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006'
METHODS = {org.BASIC: 'Basic', org.NTLM: 'Ntlm', org.NEGOTIATE: 'Negotiate', org.NEGOEX: 'NegoEx'}


def _error(code, words):
    now = time.strftime('%H:%M:%S', time.gmtime()) + '.0000000'
    return Response(
        200,
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{ERROR_NS}"><Response><Error '
        f'Time="{now}" Id="1">'
        f'<ErrorCode>{code}</ErrorCode><Message>{escape(words)}</Message><DebugData/></Error></Response></'
        'Autodiscover>',
        'text/xml; charset=utf-8',
    )


def _elements(rows):
    return ''.join(f'<{name}>{escape(str(value))}</{name}>' for name, value in rows if value)


def _urls(vdirs, which):
    """{kind: URL} of one server's virtual directories."""
    attribute = {'internal': 'msExchInternalHostName', 'external': 'msExchExternalHostName'}[which]
    out = {}
    for _, kind, _, _, entry in vdirs:
        value = text(entry, attribute)
        if value and kind:
            out.setdefault(kind, value)
    return out


def _bare_host(value):
    value = value.partition('://')[2] or value
    return value.partition('/')[0]


def _site_server(database_owner):
    """The client access server that serves the mailbox: of its site and version, else of its site."""
    mine = [s for s in org.SERVERS if s.front_end and s.site == database_owner.site]
    return next((s for s in mine if s.generation == database_owner.generation), mine[0])


def _protocols(site, user, owner):
    """(EXCH, EXPR, WEB) elements."""
    cas = _site_server(owner)
    vdirs = site.vdir_rows(cas.name)
    inner, outer = _urls(vdirs, 'internal'), _urls(vdirs, 'external')
    guid = uuid.UUID(bytes_le=user['msExchMailboxGuid'][0])
    database = site.database(text(user, 'homeMDB'))
    endpoint = (
        f'{guid}@{DOMAIN}'
        if owner.generation >= 2013
        else text(database, 'legacyExchangeDN').partition('/cn=Servers/cn=')[2].partition('/')[0]
    )
    server_dn = text(database, 'legacyExchangeDN').rpartition('/cn=Microsoft Private MDB')[0]
    version = f'{0x70000000 | owner.version[0] << 22 | owner.version[1] << 16 | 0x8000 | owner.version[2]:X}'

    def services(urls):
        asx, oab = urls.get('WebServices'), urls.get('OAB')
        return [
            ('ASUrl', asx),
            ('OOFUrl', asx),
            ('OABUrl', oab and oab.rstrip('/') + '/casbridge-lab/'),
            ('EwsUrl', asx),
            ('EcpUrl', urls.get('ECP') if owner.generation >= 2010 else None),
        ]

    exch = _elements(
        [
            ('Type', 'EXCH'),
            ('Server', endpoint),
            ('ServerDN', server_dn),
            ('ServerVersion', version),
            ('MdbDN', server_dn + '/cn=Microsoft Private MDB'),
            ('PublicFolderServer', None),
            ('AD', 'dc1.' + DOMAIN),
        ]
        + services(inner)
    )
    protocols = [exch]
    rpc = next((entry for _, kind, _, _, entry in vdirs if kind == 'RpcHttp'), None)
    if rpc is not None and text(rpc, 'msExchExternalHostName'):
        package = METHODS.get(number(rpc, 'msExchExternalAuthenticationMethods', 0), 'Basic')
        protocols.append(
            _elements(
                [
                    ('Type', 'EXPR'),
                    ('Server', _bare_host(text(rpc, 'msExchExternalHostName'))),
                    ('SSL', 'On'),
                    ('AuthPackage', package),
                ]
                + services(outer)
            )
        )
    web = '<Type>WEB</Type>'
    for where, urls, provider in (('Internal', inner, exch), ('External', outer, None)):
        if urls.get('OWA'):
            methods = 'Fba' if where == 'External' else 'Basic, Fba'
            web += (
                f'<{where}><OWAUrl AuthenticationMethod="{methods}">{escape(urls["OWA"])}</OWAUrl><Protocol>'
                f'<Type>{"EXCH" if provider else "EXPR"}</Type>'
                f'<ASUrl>{escape(urls.get("WebServices", ""))}</ASUrl></Protocol></{where}>'
            )
    return protocols + [web]


def _for_devices(site, user, owner):
    """The devices' schema: one server, its outer URL where it has one."""
    vdirs = site.vdir_rows(_site_server(owner).name)
    url = _urls(vdirs, 'external').get('Mobile') or _urls(vdirs, 'internal').get('Mobile')
    return Response(
        200,
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns:autodiscover="{MOBILE_NS}">'
        f'<autodiscover:Response><autodiscover:Culture>en:us</autodiscover:Culture><autodiscover:User>'
        f'<autodiscover:DisplayName>{escape(text(user, "displayName"))}</autodiscover:DisplayName>'
        f'<autodiscover:EMailAddress>{escape(text(user, "mail"))}</autodiscover:EMailAddress></autodiscover:User>'
        f'<autodiscover:Action><autodiscover:Settings><autodiscover:Server><autodiscover:Type>MobileSync'
        f'</autodiscover:Type><autodiscover:Url>{escape(url or "")}</autodiscover:Url><autodiscover:Name>'
        f'{escape(url or "")}</autodiscover:Name></autodiscover:Server></autodiscover:Settings></autodiscover:Action>'
        f'</autodiscover:Response></Autodiscover>',
        'text/xml; charset=utf-8',
    )


async def autodiscover(site, request, user):
    """Answers POST /Autodiscover/Autodiscover.xml; GET of it is error 600, as the product says."""
    if request.path.lower() != '/autodiscover/autodiscover.xml':
        return Response(404)
    body = await request.body(1 << 20)
    if request.method != 'POST':
        return _error(600, 'Invalid Request')
    try:
        document = ET.fromstring(body)
        address = document.findtext(f'{REQUEST_NS}Request/{REQUEST_NS}EMailAddress')
        mobile = document.findtext(f'{MOBILE_REQUEST_NS}Request/{MOBILE_REQUEST_NS}EMailAddress')
    except ET.ParseError:
        address = mobile = None
    address = address or mobile
    if not address or len(address) > 320:
        return _error(600, 'Invalid Request')
    found = await site.mailbox(address.strip())
    if found is None:
        return _error(500, 'The e-mail address cannot be found.')
    owner = org.server(text(found, 'msExchHomeServerName').rpartition('/cn=')[2])
    if owner.generation > site.server.generation:
        return _error(500, f'The mailbox is on a newer version than {site.server.name}.')
    if mobile:
        return _for_devices(site, found, owner)
    account = ''.join(f'<Protocol>{p}</Protocol>' for p in _protocols(site, found, owner))
    head = _elements(
        [
            ('DisplayName', text(found, 'displayName')),
            ('LegacyDN', text(found, 'legacyExchangeDN')),
            ('AutoDiscoverSMTPAddress', text(found, 'mail')),
            ('DeploymentId', '00000000-0000-0000-0000-00000000c0de'),
        ]
    )
    return Response(
        200,
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{ERROR_NS}"><Response '
        f'xmlns="{RESPONSE_NS}">'
        f'<User>{head}</User><Account><AccountType>email</AccountType><Action>settings</Action>{account}</'
        'Account>'
        '</Response></Autodiscover>',
        'text/xml; charset=utf-8',
    )
