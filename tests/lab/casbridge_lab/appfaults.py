"""Applications that answer badly on request: the knob `app KIND BEHAVIOUR [ARGUMENT]` of faults.py. Authentication is
done as ever, so that what comes after it can go wrong alone.

    any           status N | html | junk | huge | laughs | away URL | loop
    ews           fault CODE
    eas           sync-status N | moved URL | bare-options
    oab           empty
    mapi          code N
    autodiscover  no-expr | no-package | wrong-url | error N | redirect-url URL | redirect-address ADDRESS
"""
import os
import re

from . import apps
from .autodiscover import ERROR_NS, RESPONSE_NS, autodiscover
from .autodiscover import _error as autodiscover_error
from .http import Response

KINDS = {
    'ews': 'WebServices',
    'eas': 'Mobile',
    'oab': 'OAB',
    'mapi': 'Mapi',
    'autodiscover': 'AutoDiscover',
    'owa': 'OWA',
    'ecp': 'ECP',
}
HUGE = 3 << 20


def _laughs():
    lines = ''.join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY l0 "ha">{lines}]><Autodiscover>&l9;</Autodiscover>'


async def bend(site, vdir, request, user):
    """The Response to give instead of the application's, or None."""
    kind, _, rest = (site.faults.text('app') or '').partition(' ')
    what, _, value = rest.strip().partition(' ')
    if not what or KINDS.get(kind) != vdir.kind:
        return None
    if request.method == 'GET' and kind in ('ews', 'eas', 'autodiscover'):
        return None  # no client's question; whoever only wants to know who he is gets past
    own = {'autodiscover': _autodiscover, 'eas': _activesync}.get(kind)
    response = await own(site, request, user, what, value) if own else None
    if response is None:
        response = _any(site, request, vdir, what, value)
    if response is not None:
        await request.body()
    return response


def _any(site, request, vdir, what, value):
    if what == 'status':
        return Response(int(value))
    if what == 'html':
        return Response(200, '<html><body>Welcome</body></html>')
    if what == 'junk':
        return Response(200, os.urandom(5000), 'application/octet-stream')
    if what == 'huge':
        return Response(200, b'<a>' + b'a' * HUGE, 'text/xml')
    if what == 'laughs':
        return Response(200, _laughs(), 'text/xml')
    if what == 'away':
        return Response(302, headers=[('Location', value)])
    if what == 'loop':
        other = '/b' if request.path.endswith('/a') else '/a'
        return Response(302, headers=[('Location', f'https://{site.server.fqdn}/{vdir.name}{other}')])
    if what == 'fault':
        return apps._soap_fault(site, value, 'Asked for by a fault.')
    if what == 'empty':
        return Response(200, '<?xml version="1.0"?><OAB><OAL name="empty"/></OAB>', 'text/xml')
    if what == 'code':
        return Response(200, headers=[('X-ResponseCode', value), ('X-RequestType', 'PING')])
    return None


async def _activesync(site, request, user, what, value):
    if request.method == 'OPTIONS':
        return Response(200, headers=[('Allow', 'OPTIONS,POST')]) if what == 'bare-options' else await apps.activesync(site, request, user)
    if what == 'sync-status':
        body = b'\x03\x01\x6a\x00\x00\x07\x56\x4c\x03' + value.encode() + b'\0\x01\x01'
        return Response(200, body, 'application/vnd.ms-sync.wbxml')
    if what == 'moved':
        return Response(451, headers=[('X-MS-Location', value)])
    return None


async def _autodiscover(site, request, user, what, value):
    def redirect(action, element):
        return Response(
            200,
            f'<?xml version="1.0"?><Autodiscover xmlns="{ERROR_NS}"><Response xmlns="{RESPONSE_NS}"><Account>'
            f'<Action>{action}</Action><{element}>{value}</{element}></Account></Response></Autodiscover>',
            'text/xml',
        )

    if what == 'error':
        return autodiscover_error(int(value), 'Asked for by a fault.')
    if what == 'redirect-url':
        return redirect('redirectUrl', 'RedirectUrl')
    if what == 'redirect-address':
        return redirect('redirectAddr', 'RedirectAddr')
    change = {
        'no-expr': (r'<Protocol><Type>EXPR</Type><Server>.*?</Protocol>', ''),
        'no-package': (r'<AuthPackage>.*?</AuthPackage>', ''),
        'wrong-url': (r'<ASUrl>https://[^/]*', '<ASUrl>https://gone.contoso.lab'),
    }.get(what)
    if change is None:
        return None
    response = await autodiscover(site, request, user)
    response.body = re.sub(change[0], change[1], response.body.decode(), count=1).encode()
    return response
