"""What Exchange's web applications say behind /owa, /ecp, /EWS, /OAB, ActiveSync and /mapi: little, but
well formed.

Every application gets (site, request, user) and returns a Response. `site` is a website.WebSite: its server,
IIS state, directory.
"""
import html
import secrets
import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, quote, unquote

from .autodiscover import autodiscover
from .http import Response
from .windows import BUILDS

T = 'http://schemas.microsoft.com/exchange/services/2006/types'
M = 'http://schemas.microsoft.com/exchange/services/2006/messages'
SOAP = 'http://schemas.xmlsoap.org/soap/envelope/'
EWS_VERSION = {2007: 'Exchange2007_SP1', 2010: 'Exchange2010_SP2', 2013: 'Exchange2013_SP1'}
EAS_VERSIONS = {
    2007: '1.0,2.0,2.1,2.5,12.0,12.1',
    2010: '2.0,2.1,2.5,12.0,12.1,14.0,14.1',
    2013: '2.0,2.1,2.5,12.0,12.1,14.0,14.1',
}
EAS_COMMANDS = (
    'Sync,SendMail,SmartForward,SmartReply,GetAttachment,FolderSync,FolderCreate,FolderDelete,FolderUpdate,'
    'MoveItems,'
    'GetItemEstimate,MeetingResponse,Search,Settings,Ping,ItemOperations,Provision,ResolveRecipients,'
    'ValidateCert'
)
SESSIONS = {}  # forms cookie: user; shared by the servers, as their keys are not
SESSION_LIMIT = 1000


def version_of(site):
    """What is installed, rollups and all: the directory does not show them."""
    told = site.faults.text('build')
    return tuple(int(n) for n in told.split('.')) if told else BUILDS[site.server.generation]


def build(site):
    return '.'.join(map(str, version_of(site)))


def themes(site):
    """Where the logon page's pictures lie: a folder of OWA's own version, as each generation names it."""
    folder = f'auth/{build(site).rpartition(".")[0]}' if site.server.generation >= 2013 else build(site)
    return f'/owa/{folder}/themes/resources'


# ---- OWA and ECP


def _page(title, body):
    return f'<!DOCTYPE html><html><head><title>{html.escape(title)}</title></head><body>{body}</body></html>'


def _forms_cookie(request):
    for part in (request.get('cookie') or '').split(';'):
        name, _, value = part.strip().partition('=')
        if name == 'cadata':
            return SESSIONS.get(value)
    return None


async def forms_user(site, vdir, request):
    """(user or None, Response or None) for a virtual directory with forms authentication and no
    credentials in the request.
    """
    lower = request.path.lower()
    logon = '/owa/auth/logon.aspx'
    if lower == logon and request.method in ('GET', 'HEAD'):
        target = parse_qs(request.query).get('url', [f'https://{site.server.fqdn}/owa/'])[0]
        action = '/owa/auth.owa' if site.server.generation >= 2013 else '/owa/auth/owaauth.dll'
        return None, Response(
            200,
            _page(
                'Outlook Web App',
                f'<link rel="shortcut icon" href="{themes(site)}/favicon.ico">'
                f'<form action="{action}" method="POST" name="logonForm">'
                f'<input type="hidden" name="destination" value="{html.escape(target)}"><input '
                'type="hidden" name="flags" value="0">'
                '<input name="username"><input name="password" type="password"><input type="submit" '
                'value="Sign in"></form>',
            ),
        )
    if lower in ('/owa/auth.owa', '/owa/auth/owaauth.dll') and request.method == 'POST':
        form = parse_qs((await request.body(65536)).decode('latin-1'))
        user = await site.authenticator.basic.check(
            form.get('username', [''])[0], form.get('password', [''])[0]
        )
        destination = form.get('destination', ['/owa/'])[0]
        if any(ord(c) < 33 or ord(c) > 126 for c in destination):
            destination = '/owa/'
        if user is None:
            return None, Response(
                302, headers=[('Location', f'{logon}?url={quote(destination, safe="")}&reason=2')]
            )
        cookie = secrets.token_hex(16)
        if len(SESSIONS) >= SESSION_LIMIT:
            SESSIONS.pop(next(iter(SESSIONS)))
        SESSIONS[cookie] = user
        return None, Response(
            302,
            headers=[('Location', destination), ('Set-Cookie', f'cadata={cookie}; path=/; secure; HttpOnly')],
        )
    user = _forms_cookie(request)
    if user:
        return user, None
    here = quote(f'https://{request.get("host", site.server.fqdn)}{request.target}', safe='')
    return None, Response(
        302,
        headers=[('Location', f'https://{request.get("host", site.server.fqdn)}{logon}?url={here}&reason=0')],
    )


async def owa(site, request, user):
    await request.body()
    kind = 'Exchange Control Panel' if request.path.lower().startswith('/ecp') else 'Outlook Web App'
    return Response(
        200,
        _page(
            kind,
            f'<h1>{kind}</h1><p>{html.escape(user)} on {site.server.name}, a stand-in for Exchange '
            f'{site.server.generation}.</p>',
        ),
        headers=[('X-OWA-Version', build(site))],
    )


# ---- EWS


def _soap(site, body, status=200):
    version = version_of(site)
    head = (
        f'<h:ServerVersionInfo MajorVersion="{version[0]}" MinorVersion="{version[1]}" '
        f'MajorBuildNumber="{version[2]}" '
        f'MinorBuildNumber="{version[3]}" Version="{EWS_VERSION[site.server.generation]}" xmlns:h="{T}"/>'
    )
    return Response(
        status,
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}"><s:Header>{head}</s:Header>'
        f'<s:Body>{body}</s:Body></s:Envelope>',
        'text/xml; charset=utf-8',
    )


def _soap_fault(site, code, text):
    return _soap(
        site,
        f'<s:Fault><faultcode xmlns:a="{T}">a:{code}</faultcode><faultstring xml:lang="en-US">'
        f'{html.escape(text)}</faultstring>'
        '<detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">'
        f'{code}</e:ResponseCode></detail></s:Fault>',
        500,
    )


FOLDERS = {
    'inbox': ('Inbox', 2),
    'sentitems': ('Sent Items', 0),
    'drafts': ('Drafts', 0),
    'calendar': ('Calendar', 0),
    'contacts': ('Contacts', 0),
    'deleteditems': ('Deleted Items', 0),
    'msgfolderroot': ('Top of Information Store', 0),
    'root': ('', 0),
}


def _get_folder(request):
    out = ''
    for wanted in request.iter(f'{{{T}}}DistinguishedFolderId'):
        name, count = FOLDERS.get(wanted.get('Id', ''), (None, 0))
        if name is None:
            out += (
                '<m:GetFolderResponseMessage ResponseClass="Error"><m:MessageText>The specified folder '
                'could not be found in the store.'
                '</m:MessageText><m:ResponseCode>ErrorFolderNotFound</m:ResponseCode><m:Folders/></'
                'm:GetFolderResponseMessage>'
            )
            continue
        out += (
            '<m:GetFolderResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
            '<m:Folders><t:Folder>'
            f'<t:FolderId Id="{wanted.get("Id")}" ChangeKey="AQAAAA=="/><t:DisplayName>{name}</'
            f't:DisplayName><t:TotalCount>{count}</t:TotalCount>'
            '<t:ChildFolderCount>0</t:ChildFolderCount><t:UnreadCount>0</t:UnreadCount></t:Folder></'
            'm:Folders></m:GetFolderResponseMessage>'
        )
    return out


def _find_item(_):
    items = ''.join(
        f'<t:Message><t:ItemId Id="item{i}" ChangeKey="CQAAAA=="/><t:Subject>Message {i}</t:Subject></'
        't:Message>'
        for i in (1, 2)
    )
    return (
        '<m:FindItemResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        '<m:RootFolder IndexedPagingOffset="2" TotalItemsInView="2" IncludesLastItemInRange="true">'
        f'<t:Items>{items}</t:Items>'
        '</m:RootFolder></m:FindItemResponseMessage>'
    )


EWS_OPERATIONS = {'GetFolder': _get_folder, 'FindItem': _find_item}


async def ews(site, request, user):
    if request.method == 'GET':
        return Response(302, headers=[('Location', f'https://{site.server.fqdn}/EWS/Services.wsdl')])
    if request.method != 'POST':
        return Response(405, headers=[('Allow', 'GET, POST')])
    body = await request.body()
    try:
        operation = next(iter(ET.fromstring(body).find(f'{{{SOAP}}}Body')))
    except (ET.ParseError, TypeError, StopIteration):
        return _soap_fault(site, 'ErrorSchemaValidation', 'The request failed schema validation.')
    name = operation.tag.rpartition('}')[2]
    if '$' not in user and await site.mailbox(user) is None:  # another server asks for somebody else
        return _soap_fault(site, 'ErrorNonExistentMailbox', 'No mailbox with such guid.')
    if name not in EWS_OPERATIONS or not operation.tag.startswith(f'{{{M}}}'):
        return _soap_fault(site, 'ErrorInvalidOperation', f'The stand-in has no operation {name}.')
    answer = EWS_OPERATIONS[name](operation)
    return _soap(
        site,
        f'<m:{name}Response xmlns:m="{M}" xmlns:t="{T}"><m:ResponseMessages>{answer}</m:ResponseMessages></'
        f'm:{name}Response>',
    )


# ---- ActiveSync


def _wbxml_folders(key):
    """FolderSync answer: one inbox. Code page 7, inline strings."""

    def tag(token, *content):
        return bytes([token | 0x40]) + b''.join(content) + b'\x01'

    def text(token, value):
        return tag(token, b'\x03' + value.encode() + b'\0')

    add = tag(0x0F, text(0x08, '1'), text(0x09, '0'), text(0x07, 'Inbox'), text(0x0A, '2'))
    changes = tag(0x0E, text(0x17, '1'), add) if key in (None, '0') else tag(0x0E, text(0x17, '0'))
    return b'\x03\x01\x6a\x00\x00\x07' + tag(0x16, text(0x0C, '1'), text(0x12, '1'), changes)


async def activesync(site, request, user):
    generation = site.server.generation
    headers = [('MS-Server-ActiveSync', f'{site.server.version[0]}.{site.server.version[1]}')]
    body = await request.body()
    if request.method == 'OPTIONS':
        return Response(
            200,
            headers=headers
            + [
                ('MS-ASProtocolVersions', EAS_VERSIONS[generation]),
                ('MS-ASProtocolCommands', EAS_COMMANDS),
                ('Public', 'OPTIONS,POST'),
                ('Allow', 'OPTIONS,POST'),
            ],
        )
    if request.method != 'POST':
        return Response(501, headers=headers)
    query = parse_qs(request.query)
    command = query.get('Cmd', [''])[0]
    if not command or not query.get('DeviceId') or not query.get('DeviceType'):
        return Response(400, headers=headers)
    if command == 'FolderSync':
        key = '0' if b'\x03' + b'0\0' in body else '1'
        return Response(200, _wbxml_folders(key), 'application/vnd.ms-sync.wbxml', headers)
    if command in ('Ping', 'Sync'):
        return Response(200, b'', 'application/vnd.ms-sync.wbxml', headers)
    return Response(501, f'the stand-in has no command {html.escape(command)}', headers=headers)


# ---- OAB, MAPI/HTTP, the rest


async def oab(site, request, user):
    await request.body()
    parts = [x for x in unquote(request.path).split('/') if x]
    if len(parts) == 3 and parts[2].lower() == 'oab.xml':
        return Response(
            200,
            '<?xml version="1.0" encoding="UTF-8"?><OAB><OAL id="casbridge-lab" dn="/" name="\\Global '
            'Address List">'
            '<Full seq="1" ver="32" size="1964" uncompressedsize="4711" '
            'SHA="0000000000000000000000000000000000000000">'
            'data.lzx</Full></OAL></OAB>',
            'text/xml',
        )
    return Response(403 if len(parts) < 2 else 404)


async def mapi(site, request, user):
    body = await request.body()
    kind = request.get('x-requesttype')
    if request.method == 'GET' and kind is None:
        return Response(
            200,
            _page(
                'Exchange MAPI/HTTP Connectivity Endpoint',
                f'<h1>Exchange MAPI/HTTP Connectivity Endpoint</h1><p>Version: {build(site)}</p><p>'
                f'User: {html.escape(user)}</p>',
            ),
        )
    if kind is None or request.method != 'POST':
        return Response(400)
    headers = [
        ('X-RequestType', kind if kind.isalnum() else 'Unknown'),
        ('X-ServerApplication', f'Exchange/{_padded(version_of(site))}'),
        ('X-RequestId', request.get('x-requestid', '{00000000-0000-0000-0000-000000000000}:1')),
    ]
    if kind == 'PING':
        return Response(200, headers=headers + [('X-ResponseCode', '0')])
    if kind not in ('Connect', 'Bind', 'Disconnect', 'Unbind', 'Execute'):
        return Response(200, headers=headers + [('X-ResponseCode', '5')])
    answer = (
        b'PROCESSING\r\nDONE\r\nX-ElapsedTime: 1\r\nX-StartTime: Thu, 01 Jan 2015 00:00:00 GMT\r\n\r\n'
        + b'\0' * 8
        + body[:0]
    )
    if kind in ('Connect', 'Bind'):
        headers.append(('Set-Cookie', f'MapiContext={secrets.token_hex(16)}; path=/mapi; secure; HttpOnly'))
    return Response(200, answer, 'application/mapi-http', headers + [('X-ResponseCode', '0')])


def _padded(version):
    return f'{version[0]:02d}.{version[1]:02d}.{version[2]:04d}.{version[3]:03d}'


async def nothing(site, request, user):
    return Response(501, 'the stand-in has nothing here')


APPLICATIONS = {
    'OWA': owa,
    'ECP': owa,
    'WebServices': ews,
    'Mobile': activesync,
    'OAB': oab,
    'Mapi': mapi,
    'AutoDiscover': autodiscover,
    'PowerShell': nothing,
    'PushNotifications': nothing,
}
HEALTH = '200 OK<br/>{}'
