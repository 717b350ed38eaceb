"""PowerShell remoting's fragments and messages, and as much of CLIXML as one cmdlet needs."""
import re
import struct
import uuid
from xml.etree import ElementTree

from .pserror import escape

NS = '{http://schemas.microsoft.com/powershell/2004/04}'
SESSION_CAPABILITY, INIT_RUNSPACEPOOL = 0x00010002, 0x00010004
RUNSPACEPOOL_STATE, CREATE_PIPELINE, PRIVATE_DATA = 0x00021005, 0x00021006, 0x00021009
OUTPUT, ERROR_RECORD, PIPELINE_STATE, WARNING = 0x00041004, 0x00041005, 0x00041006, 0x00041009
OPENED, CLOSED = 2, 3
STOPPED, COMPLETED, FAILED = 3, 4, 5
FRAGMENT = 32768
OBJECT_LIMIT = 16 << 20
_STATE = re.compile(rb'<I32 N="PipelineState">([0-9]+)</I32>')
CATEGORIES = (
    'NotSpecified OpenError CloseError DeviceError DeadlockDetected InvalidArgument InvalidData '
    'InvalidOperation InvalidResult InvalidType MetadataError NotImplemented NotInstalled ObjectNotFound '
    'OperationStopped OperationTimeout SyntaxError ParserError PermissionDenied ResourceBusy ResourceExists '
    'ResourceUnavailable ReadError WriteError FromStdErr SecurityError'
).split()


class Malformed(Exception):
    pass


class Joiner:
    """Fragments in, messages (type, pool, pipeline, data) out."""

    def __init__(self, limit=OBJECT_LIMIT):
        self.limit, self.parts = limit, {}  # object id: (next fragment, bytes)

    def feed(self, data):
        out, at = [], 0
        while at < len(data):
            if len(data) - at < 21:
                raise Malformed('a fragment is cut')
            number, fragment, flags, length = struct.unpack_from('>QQBI', data, at)
            at += 21
            if length > len(data) - at or flags > 3:
                raise Malformed('a fragment says more than it has')
            blob, at = data[at : at + length], at + length
            expected, had = self.parts.pop(number, None) or (0, bytearray())
            if fragment != expected or bool(flags & 1) != (fragment == 0):
                raise Malformed('fragments out of order')
            had += blob
            if len(had) > self.limit:
                raise Malformed('an object without end')
            if flags & 2:
                out.append(_message(bytes(had)))
            else:
                self.parts[number] = (expected + 1, had)
        return out


def _message(data):
    if len(data) < 40:
        raise Malformed('a message is cut')
    _, kind = struct.unpack_from('<II', data)
    pool, pipeline = (uuid.UUID(bytes_le=data[i : i + 16]) for i in (8, 24))
    return kind, pool, pipeline, data[40:].removeprefix(b'\xef\xbb\xbf')


def finished_state(kind, data):
    """The state a PIPELINE_STATE message ends a pipeline with, else None."""
    match = _STATE.search(data) if kind == PIPELINE_STATE else None
    state = int(match[1]) if match else None
    return state if state in (STOPPED, COMPLETED, FAILED) else None


class Splitter:
    """Messages to the client, numbered."""

    def __init__(self, pool):
        self.pool, self.number = pool, 0

    def pack(self, kind, clixml, pipeline=None):
        """[bytes], a fragment each."""
        self.number += 1
        pid = pipeline.bytes_le if pipeline else bytes(16)
        data = struct.pack('<II', 1, kind) + self.pool.bytes_le + pid + b'\xef\xbb\xbf' + clixml.encode()
        pieces = [data[i : i + FRAGMENT] for i in range(0, len(data), FRAGMENT)]
        return [
            struct.pack('>QQBI', self.number, i, (i == 0) | (i == len(pieces) - 1) << 1, len(piece)) + piece
            for i, piece in enumerate(pieces)
        ]


# ---- CLIXML


def unescape(text):
    text = re.sub('_x([0-9A-Fa-f]{4})_', lambda m: chr(int(m[1], 16)), text)
    return text.encode('utf-16-le', 'surrogatepass').decode('utf-16-le', 'replace')


class Reader:
    def __init__(self, data):
        if b'<!' in data:
            raise Malformed('a document type declaration')
        try:
            self.root = ElementTree.fromstring(data)
        except ElementTree.ParseError as e:
            raise Malformed(str(e)) from None
        self.seen = {}

    def read(self):
        return self._value(self.root)

    def _value(self, e):
        tag = e.tag.removeprefix(NS)
        if tag == 'Nil':
            return None
        if tag == 'B':
            return (e.text or '').strip().lower() == 'true'
        if tag in ('I16', 'I32', 'I64', 'U16', 'U32', 'U64', 'By', 'SB'):
            return int(e.text)
        if tag == 'Ref':
            return self.seen.get(e.get('RefId'))
        if tag != 'Obj':
            return unescape(e.text or '')
        value = self._object(e)
        self.seen[e.get('RefId')] = value
        return value

    def _object(self, e):
        named, listed, shown = None, None, None
        for child in e:
            tag = child.tag.removeprefix(NS)
            if tag in ('MS', 'Props'):
                named = {**(named or {}), **{c.get('N'): self._value(c) for c in child}}
            elif tag in ('LST', 'IE', 'STK', 'QUE'):
                listed = [self._value(c) for c in child]
            elif tag == 'ToString':
                shown = unescape(child.text or '')
            elif tag not in ('TN', 'TNRef', 'DCT'):
                shown = self._value(child) if shown is None else shown
        return listed if listed is not None else shown if shown is not None else named


def text_of(value, name=None, lists=None):
    """One value with its name, as PowerShell writes what the lab's cmdlets give. lists: how many lists the object
    had before; they share one description of their type.
    """
    attribute = f' N="{escape(name)}"' if name else ''
    if value is None:
        return f'<Nil{attribute} />'
    if isinstance(value, bool):
        return f'<B{attribute}>{str(value).lower()}</B>'
    if isinstance(value, (list, tuple)):
        lists.append(name)
        types = '<T>System.String[]</T><T>System.Array</T><T>System.Object</T>'
        shape = f'<TN RefId="1">{types}</TN>' if len(lists) == 1 else '<TNRef RefId="1" />'
        inner = ''.join(text_of(str(v)) for v in value)
        return f'<Obj{attribute} RefId="{len(lists)}">{shape}<LST>{inner}</LST></Obj>'
    return f'<S{attribute}>{escape(str(value))}</S>'


def object_of(item):
    """A cmdlet's object."""
    lists = []
    return (
        '<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN>'
        f'<MS>{"".join(text_of(v, k, lists) for k, v in item.items())}</MS></Obj>'
    )


def warning_of(words):
    return (
        '<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.WarningRecord</T><T>System.Management.'
        f'Automation.InformationalRecord</T><T>System.Object</T></TN><ToString>{escape(words)}</ToString><MS>'
        f'<S N="InformationalRecord_Message">{escape(words)}</S>'
        '<B N="InformationalRecord_SerializeInvocationInfo">false</B></MS></Obj>'
    )


def error_of(error, command, name='', ref=0):
    """An error record of a CmdletError; name: as a member of another object."""
    kind, words = escape(error.exception), escape(error.text)
    attribute = f' N="{name}"' if name else ''
    category = CATEGORIES.index(error.category) if error.category in CATEGORIES else 0
    reason = f'{error.category}: ({escape(error.target)}:{escape(error.kind)}) [{escape(command)}], {kind}'
    return (
        f'<Obj{attribute} RefId="{ref}"><TN RefId="0"><T>System.Management.Automation.ErrorRecord</T>'
        f'<T>System.Object</T></TN><ToString>{words}</ToString><MS><Obj N="Exception" RefId="{ref + 1}">'
        f'<TN RefId="1"><T>{kind}</T><T>System.Exception</T><T>System.Object</T></TN><ToString>{words}</ToString>'
        f'<Props><S N="Message">{words}</S></Props></Obj>{text_of(error.target or None, "TargetObject")}'
        f'<S N="FullyQualifiedErrorId">{escape(error.identifier)}</S><Nil N="InvocationInfo" />'
        f'<I32 N="ErrorCategory_Category">{category}</I32><S N="ErrorCategory_Activity">{escape(command)}</S>'
        f'<S N="ErrorCategory_Reason">{kind}</S><S N="ErrorCategory_TargetName">{escape(error.target)}</S>'
        f'<S N="ErrorCategory_TargetType">{escape(error.kind)}</S><S N="ErrorCategory_Message">{reason}</S>'
        '<B N="SerializeExtendedInfo">false</B></MS></Obj>'
    )


def state_of(state, error=None, command='', member='PipelineState'):
    inner = error_of(error, command, 'ExceptionAsErrorRecord', 1) if error else ''
    return f'<Obj RefId="0"><MS><I32 N="{member}">{state}</I32>{inner}</MS></Obj>'


def capability(version):
    return (
        f'<Obj RefId="0"><MS><Version N="protocolversion">{version}</Version><Version N="PSVersion">2.0</Version>'
        '<Version N="SerializationVersion">1.1.0.1</Version></MS></Obj>'
    )


PRIVATE = (
    '<Obj RefId="0"><MS><Obj N="ApplicationPrivateData" RefId="1"><TN RefId="0"><T>System.Management.Automation.'
    'PSPrimitiveDictionary</T><T>System.Collections.Hashtable</T><T>System.Object</T></TN><DCT><En>'
    '<S N="Key">SupportedVersions</S><S N="Value">14.3.123.4</S></En></DCT></Obj></MS></Obj>'
)
