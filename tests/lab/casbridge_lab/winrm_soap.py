"""WS-Management's envelopes: requests read strictly, answers and faults in Windows' words.

Texts and codes are those of recordings of Windows Server 2008 R2 and later; where none was at hand the table says
`assumed`.
"""
import re
import uuid
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from typing import NamedTuple

S = 'http://www.w3.org/2003/05/soap-envelope'
A = 'http://schemas.xmlsoap.org/ws/2004/08/addressing'
W = 'http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd'
P = 'http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd'
X = 'http://schemas.xmlsoap.org/ws/2004/09/transfer'
RSP = 'http://schemas.microsoft.com/wbem/wsman/1/windows/shell'
WSMID = 'http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd'
PS = 'http://schemas.microsoft.com/powershell'
ANONYMOUS = f'{A}/role/anonymous'
CMD_URI = f'{RSP}/cmd'
CONFIG = 'http://schemas.microsoft.com/wbem/wsman/1/config'
SHELL_ENVELOPE_LIMIT = 512000
DEFAULT_ENVELOPE = 153600
MIN_ENVELOPE = 8192

ACTIONS = {
    f'{X}/Create': 'Create',
    f'{X}/Delete': 'Delete',
    f'{X}/Get': 'Get',
    f'{RSP}/Command': 'Command',
    f'{RSP}/Receive': 'Receive',
    f'{RSP}/Send': 'Send',
    f'{RSP}/Signal': 'Signal',
}
OPERATIONS = tuple(ACTIONS.values())
_UNDERSTOOD = {
    f'{{{ns}}}{name}'
    for ns, names in (
        (A, 'Action MessageID To ReplyTo'),
        (W, 'ResourceURI MaxEnvelopeSize OperationTimeout Locale OptionSet SelectorSet'),
        (P, 'DataLocale SessionId OperationID SequenceId CompressionType'),
    )
    for name in names.split()
}
_DURATION = re.compile(r'P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?')


class FaultText(NamedTuple):
    subcode: str
    code: int
    text: str
    provider: str = ''  # the part of Windows that said so


FAULTS = {
    'timed-out': FaultText(
        'w:TimedOut',
        2150858793,
        'The WS-Management service cannot complete the operation within the time specified in '
        'OperationTimeout.  ',
    ),
    'no-shell': FaultText(
        'w:InvalidSelectors',
        2150858843,
        'The WS-Management service cannot process the request because the request contained invalid selectors '
        'for the resource. ',
        'Shell provider',
    ),
    'no-command': FaultText(
        'w:InvalidSelectors',
        2150858843,
        'The Windows Remote Shell received a request to perform an operation on a command identifier that does '
        'not exist. Either the command has completed execution or the client specified an invalid command '
        'identifier. ',
    ),
    'no-resource': FaultText(
        'a:DestinationUnreachable',
        2150858811,
        'The WS-Management service cannot process the request. The resource URI ({}) was not found in the '
        'WS-Management catalog. The catalog contains the metadata that describes resources, or logical '
        'endpoints. ',
    ),
    'bad-timeout': FaultText(
        'w:InvalidParameter',
        2150858767,
        'The WS-Management service cannot process the request. The XML contains an invalid timeout field in the '
        'SOAP header: {}. ',
    ),
    'no-file': FaultText(
        's:Receiver', 2147942402, 'The system cannot find the file specified. ', 'Shell cmd plugin'
    ),
    'too-long': FaultText(
        's:Receiver', 2147942606, 'The filename or extension is too long. ', 'Shell cmd plugin'
    ),
    'too-many-commands': FaultText(
        'w:QuotaLimit',
        2150859174,
        'The WS-Management service cannot process the request. The maximum number of concurrent commands per '
        'shell has been exceeded. ',
    ),
    # the number is assumed; the words are WinRM's
    'too-many-shells': FaultText(
        'w:QuotaLimit',
        2150859173,
        'The WS-Management service cannot process the request. This user is allowed a maximum number of {} '
        'concurrent shells, which has been exceeded. Close existing shells or raise the quota for this user. ',
    ),
    # Exchange's own words, its number assumed
    'exchange-shells': FaultText(
        'w:QuotaLimit',
        2150859173,
        'The WS-Management service cannot process the request. This user is allowed a maximum of {} concurrent '
        'shells, which has been exceeded. Close existing shells or raise the quota for this user. ',
    ),
    'throttled': FaultText(
        'w:QuotaLimit',
        2150859173,
        'The WS-Management service cannot process the request. The user load quota of 500 requests per 2 '
        'seconds has been exceeded. Send future requests at a slower rate or raise the quota for this user. '
        'The next request from this user will not be approved for at least {} milliseconds. ',
    ),
    'redirect': FaultText(
        'w:InternalError',
        2150859161,
        'The WS-Management service cannot complete the request: the request needs to be sent to a different '
        'machine. Redirect location reported: {}. ',
    ),
    'envelope-limit': FaultText(
        'w:EncodingLimit',
        2150858747,
        'The WS-Management service cannot process the request. The requested maximum envelope size is too '
        'small. ',
    ),
    'bad-action': FaultText(
        'a:ActionNotSupported',
        2150858752,
        'The WS-Management service cannot process the request because the action {} is not supported here. ',
    ),
    'not-understood': FaultText(
        's:MustUnderstand',
        2150858764,
        'The WS-Management service cannot process the request: it does not understand the header {}. ',
    ),
    'bad-request': FaultText(
        'w:SchemaValidationError',
        2150858769,
        'The SOAP XML in the message does not match the corresponding XML schema definition: {}. ',
    ),
    'version': FaultText(
        'w:InvalidOptions',
        2150858776,
        'PSProtocolVersionError: the protocol version {} that the client asked for is not one this server '
        'speaks. ',
    ),
    'denied': FaultText('w:AccessDenied', 5, 'Access is denied. '),
    'aborted': FaultText(
        's:Receiver',
        995,
        'The I/O operation has been aborted because of either a thread exit or an application request. ',
    ),
}
_BY_CODE = {}
for _name, _fault in FAULTS.items():
    _BY_CODE.setdefault(_fault.code, _name)


class Fault(Exception):
    def __init__(self, name, *values):
        self.fault = FAULTS[name]
        super().__init__(self.fault.text.format(*values))

    @staticmethod
    def of_code(code):
        """A fault by number, for knobs; an unknown number gets no more than its text."""
        if code in _BY_CODE:
            return Fault(_BY_CODE[code], *['-'] * FAULTS[_BY_CODE[code]].text.count('{}'))
        fault = Fault('denied')
        fault.fault = FaultText('s:Receiver', code, 'The operation failed. ')
        fault.args = (fault.fault.text,)
        return fault


def seconds(text):
    """Of an XML duration; None where it is none, or not more than nothing."""
    match = _DURATION.fullmatch(text)
    if match is None or text in ('P', 'PT'):
        return None
    days, hours, minutes, rest = (float(v or 0) for v in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


class Message:
    """A request. Raises Fault where it is not what the service takes."""

    def __init__(self, data):
        self.message_id = None
        if b'<!' in data[:4096] or b'<!\0' in data[:4096]:
            raise Fault('bad-request', 'a document type declaration')
        try:
            root = ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError) as e:
            raise Fault('bad-request', str(e)) from None
        header, body = root.find(f'{{{S}}}Header'), root.find(f'{{{S}}}Body')
        if root.tag != f'{{{S}}}Envelope' or body is None:
            raise Fault('bad-request', 'no envelope')
        self.body = next(iter(body), None)
        self.identify = self.body is not None and self.body.tag == f'{{{WSMID}}}Identify'
        self.headers = {} if header is None else {e.tag: e for e in header}
        if self.identify:
            return
        self.message_id = self._text(A, 'MessageID')
        for tag, element in self.headers.items():
            if (
                element.get(f'{{{S}}}mustUnderstand', 'false').lower() in ('true', '1')
                and tag not in _UNDERSTOOD
            ):
                raise Fault('not-understood', tag)
        reply = self.headers.get(f'{{{A}}}ReplyTo')
        address = None if reply is None else reply.findtext(f'{{{A}}}Address', '').strip()
        if address != ANONYMOUS or not self._text(A, 'To') or not self.message_id:
            raise Fault('bad-request', 'To, ReplyTo and MessageID are needed')
        self.action, self.resource = self._text(A, 'Action'), self._text(W, 'ResourceURI')
        self.operation = ACTIONS.get(self.action)
        if self.operation is None:
            raise Fault('bad-action', self.action)
        self.envelope = self._number(W, 'MaxEnvelopeSize', DEFAULT_ENVELOPE)
        if self.envelope < MIN_ENVELOPE:
            raise Fault('envelope-limit')
        text = self._text(W, 'OperationTimeout') or 'PT60S'
        self.timeout = seconds(text)
        if not self.timeout:
            raise Fault('bad-timeout', text)
        self.timeout = min(self.timeout, 60.0)  # MaxTimeoutms
        self.session = self._text(P, 'SessionId')
        self.options = self._named('OptionSet', 'Option')
        self.shell_id = self._named('SelectorSet', 'Selector').get('ShellId', '').upper()

    def _text(self, namespace, name):
        element = self.headers.get(f'{{{namespace}}}{name}')
        return '' if element is None else (element.text or '').strip()

    def _number(self, namespace, name, otherwise):
        text = self._text(namespace, name)
        if not text:
            return otherwise
        if not re.fullmatch('[0-9]{1,9}', text):
            raise Fault('bad-request', f'{name} is not a number')
        return int(text)

    def _named(self, group, item):
        element = self.headers.get(f'{{{W}}}{group}')
        rows = [] if element is None else element.findall(f'{{{W}}}{item}')
        return {row.get('Name', ''): (row.text or '').strip() for row in rows}

    def option(self, name):
        return self.options.get(name, '').lower() == 'true'

    def need(self, name):
        """The body's element of that name, which must be the one there is."""
        if self.body is None or self.body.tag != f'{{{RSP}}}{name}':
            raise Fault('bad-request', f'{name} expected')
        return self.body


# ---- answers


def _unique():
    return f'uuid:{str(uuid.uuid4()).upper()}'


def envelope(action, relates_to, body):
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{S}" xmlns:a="{A}" xmlns:x="{X}" xmlns:w="{W}" '
        f'xmlns:rsp="{RSP}" xmlns:p="{P}"><s:Header><a:Action>{action}</a:Action>'
        f'<a:MessageID>{_unique()}</a:MessageID><a:To>{ANONYMOUS}</a:To>'
        + (f'<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>' if relates_to else '')
        + f'</s:Header><s:Body>{body}</s:Body></s:Envelope>'
    )


def answer(message, body):
    return envelope(f'{message.action}Response', message.message_id, body)


def fault(error, machine, message):
    """The envelope of a Fault."""
    f, text = error.fault, escape(str(error))
    sender = 's:Receiver' if f.subcode == 's:Receiver' or f.code == 2150858793 else 's:Sender'
    subcode = (
        '' if f.subcode == 's:Receiver' else f'<s:Subcode><s:Value>{f.subcode}</s:Value></s:Subcode>'
    )
    words = text
    if f.provider:
        words = (
            f'<f:ProviderFault provider={quoteattr(f.provider)} path="%systemroot%\\system32\\WsmSvc.dll">'
            f'{text}</f:ProviderFault>'
        )
    return envelope(
        'http://schemas.dmtf.org/wbem/wsman/1/wsman/fault',
        message.message_id if message else None,
        f'<s:Fault><s:Code><s:Value>{sender}</s:Value>{subcode}</s:Code><s:Reason><s:Text xml:lang="en-US">'
        f'{text}</s:Text></s:Reason><s:Detail><f:WSManFault '
        f'xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{f.code}" Machine="{machine}">'
        f'<f:Message>{words}</f:Message></f:WSManFault></s:Detail></s:Fault>',
    )


def identity(version):
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{S}"><s:Header/><s:Body><wsmid:IdentifyResponse '
        f'xmlns:wsmid="{WSMID}"><wsmid:ProtocolVersion>{W}</wsmid:ProtocolVersion><wsmid:ProductVendor>'
        f'Microsoft Corporation</wsmid:ProductVendor><wsmid:ProductVersion>{version}</wsmid:ProductVersion>'
        '</wsmid:IdentifyResponse></s:Body></s:Envelope>'
    )


def configuration(kb):
    """The body that answers Get of winrm/config: what says how much is taken at once."""
    return (
        f'<cfg:Config xmlns:cfg="{CONFIG}"><cfg:MaxEnvelopeSizekb>{kb}</cfg:MaxEnvelopeSizekb>'
        '<cfg:MaxTimeoutms>60000</cfg:MaxTimeoutms><cfg:MaxBatchItems>32000</cfg:MaxBatchItems></cfg:Config>'
    )


def created(message, shell, address):
    """The body that answers Create."""
    return (
        f'<x:ResourceCreated><a:Address>{escape(address)}</a:Address><a:ReferenceParameters><w:ResourceURI>'
        f'{escape(message.resource)}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell.id}'
        f'</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated><rsp:Shell xmlns:rsp="{RSP}">'
        f'<rsp:ShellId>{shell.id}</rsp:ShellId><rsp:ResourceUri>{escape(message.resource)}</rsp:ResourceUri>'
        f'<rsp:Owner>{escape(shell.user)}</rsp:Owner><rsp:ClientIP>{shell.peer}</rsp:ClientIP>'
        f'<rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut><rsp:InputStreams>{shell.inputs}</rsp:InputStreams>'
        f'<rsp:OutputStreams>{shell.outputs}</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S'
        '</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>'
    )
