"""PSRP as others recorded it, read a second time: fragments, messages, CLIXML, and what each means. Nothing of the client is shared."""
import base64
import math
import re
import struct
import xml.etree.ElementTree as ET

import pytest

from conftest import SHARED
from wsman_replay import A, OPS, W, head, understood

WINDOWS = SHARED / 'fixtures/winrm/pypsrp-responses'
TYPES = {
    0x10002: 'SESSION_CAPABILITY', 0x10004: 'INIT_RUNSPACEPOOL', 0x10005: 'PUBLIC_KEY', 0x10006: 'ENCRYPTED_SESSION_KEY',
    0x10007: 'PUBLIC_KEY_REQUEST', 0x10008: 'CONNECT_RUNSPACEPOOL', 0x2100B: 'RUNSPACEPOOL_INIT_DATA', 0x2100C: 'RESET_RUNSPACE_STATE',
    0x21002: 'SET_MAX_RUNSPACES', 0x21003: 'SET_MIN_RUNSPACES', 0x21004: 'RUNSPACE_AVAILABILITY', 0x21005: 'RUNSPACEPOOL_STATE',
    0x21006: 'CREATE_PIPELINE', 0x21007: 'GET_AVAILABLE_RUNSPACES', 0x21009: 'APPLICATION_PRIVATE_DATA', 0x2100A: 'GET_COMMAND_METADATA',
    0x41002: 'PIPELINE_INPUT', 0x41003: 'END_OF_PIPELINE_INPUT', 0x41004: 'PIPELINE_OUTPUT', 0x41005: 'ERROR_RECORD', 0x41006: 'PIPELINE_STATE',
    0x41007: 'DEBUG_RECORD', 0x41008: 'VERBOSE_RECORD', 0x41009: 'WARNING_RECORD', 0x41010: 'PROGRESS_RECORD', 0x41011: 'INFORMATION_RECORD',
    0x41100: 'PIPELINE_HOST_CALL', 0x41101: 'PIPELINE_HOST_RESPONSE',
}
STATES = {'3': 'Stopped', '4': 'Completed', '5': 'Failed'}


# ---- framing ----


def split(blob, open_objects):
    """(type's name, pipeline, CLIXML) of each message that ends in blob."""
    while blob:
        number, _, flags, size = struct.unpack('>QQBI', blob[:21])
        open_objects[number] = open_objects.get(number, b'') + blob[21:21 + size]
        blob = blob[21 + size:]
        if flags & 2:
            message = open_objects.pop(number)
            yield TYPES[struct.unpack('<I', message[4:8])[0]], message[24:40], message[40:].decode('utf-8-sig')


def rename(blob, pipeline):
    """The same fragments, those of a pipeline as that one's."""
    out = b''
    while blob:
        size = struct.unpack('>I', blob[17:21])[0]
        one, blob = blob[:21 + size], blob[21 + size:]
        if one[16] & 1 and one[45:61] != bytes(16):
            one = one[:45] + pipeline + one[61:]
        out += one
    return out


def frame(number, kind, pipeline, text):
    """A server's message in one fragment."""
    code = next(code for code, name in TYPES.items() if name == kind)
    message = struct.pack('<II', 1, code) + bytes(16) + pipeline + text.encode()
    return struct.pack('>QQBI', number, 0, 3, len(message)) + message


def guid(raw):
    a, b, c = struct.unpack('<IHH', raw[:8])
    return f'{a:08x}-{b:04x}-{c:04x}-{raw[8:10].hex()}-{raw[10:].hex()}'


def line_of(direction, element, pid, data=None):
    """A line of the out-of-process carrier, as `psrp replay` reads it."""
    return f"{direction} <{element} PSGuid='{guid(pid)}'" + (f">{base64.b64encode(data).decode()}</{element}>" if data else ' />')


STREAMS = r'(<(?:\w+:)?(?:Stream|creationXml|connectXml|connectResponseXml|Arguments)\b[^>]*(?<!/)>)([^<]*)(?=<)'


def blobs(xml):
    """What an envelope carries of PSRP."""
    return [base64.b64decode(data) for _, data in re.findall(STREAMS, xml or '') if data.strip()]


# ---- CLIXML ----


def unescape(text):
    raw = re.sub('_x([0-9A-Fa-f]{4})_', lambda m: chr(int(m.group(1), 16)), text or '')
    return raw.encode('utf-16-le', 'surrogatepass').decode('utf-16-le', 'replace')


def timespan(text):
    sign, days, hours, minutes, seconds = re.fullmatch(r'(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?', text).groups()
    whole, _, part = (seconds or '0').partition('.')
    return (sign + (f'{days}.' if days and int(days) else '') + f'{int(hours or 0):02}:{int(minutes or 0):02}:{int(whole):02}' +
            (f'.{part}' if part else ''))


def number(tag, text):
    if tag in ('Sg', 'Db'):
        value = float(text.replace('INF', 'inf'))
        return value if math.isfinite(value) else {'inf': 'Infinity', '-inf': '-Infinity', 'nan': 'NaN'}[str(value)]
    return int(text) if int(text) < 2**63 else text


class Reader:
    """CLIXML as the values that psjson.h promises, and as leaves for comparison."""

    def __init__(self, text):
        self.root = ET.fromstring(re.sub(r' xmlns="[^"]*"', '', text)) if text else None
        self.types, self.objects = {}, {}
        if self.root is not None:
            for element in self.root.iter():
                if element.tag == 'TN':
                    self.types[element.get('RefId')] = [t.text for t in element]
                elif element.tag == 'Obj':
                    self.objects[element.get('RefId')] = element

    def types_of(self, e):
        named, ref = e.find('TN'), e.find('TNRef')
        return self.types[(named if named is not None else ref).get('RefId')] if named is not None or ref is not None else []

    def value(self, e=None):
        e = self.root if e is None else e
        if e is None or e.tag == 'Nil':
            return None
        if e.tag == 'Ref':
            return self.value(self.objects[e.get('RefId')])
        if e.tag == 'Obj':
            return self.object(e)
        text = e.text or ''
        if e.tag == 'B':
            return text == 'true'
        if e.tag in ('By', 'SB', 'I16', 'U16', 'I32', 'U32', 'I64', 'U64', 'Sg', 'Db', 'D'):
            return text if e.tag == 'D' else number(e.tag, text)
        if e.tag == 'C':
            return chr(int(text))
        if e.tag == 'SS':
            return '(SecureString, refused)'
        return timespan(text) if e.tag == 'TS' else unescape(text)

    def base(self, e):
        """(is there one, the value an object is besides its properties)"""
        for part in e:
            if part.tag in ('LST', 'IE', 'QUE', 'STK'):
                return True, [self.value(one) for one in part]
            if part.tag == 'DCT':
                return True, {str(self.value(en.find('*[@N="Key"]'))): self.value(en.find('*[@N="Value"]')) for en in part}
            if part.tag not in ('TN', 'TNRef', 'ToString', 'Props', 'MS'):
                return True, self.value(part)
        return False, None

    def object(self, e):
        text, properties = e.find('ToString'), {}
        for part in (e.find('Props'), e.find('MS')):
            for one in part if part is not None else ():
                properties[unescape(one.get('N'))] = self.value(one)
        there, base = self.base(e)
        if 'System.Enum' in self.types_of(e):
            return {'text': unescape(text.text), 'value': base}
        if there and e.find('Obj') is not None and isinstance(base, dict): # one that wraps another
            return {**base, **properties}
        if there:
            return {'value': base, **properties} if properties else base
        if properties or text is None:
            return properties
        return unescape(text.text)

    def leaves(self, e=None, path=''):
        """{path: what stands there}, for comparison: an enum is its name, number and type."""
        e = self.root if e is None else e
        out = {}
        if e.tag != 'Obj':
            return {path: f'{e.tag} {unescape(e.text)}'.strip()}
        types, text = self.types_of(e), e.find('ToString')
        if types and 'System.Enum' in types:
            return {path: f'{text.text} {e.findtext("I32")} {types[0]}'}
        if types:
            out[path + ':type'] = re.sub(r', Version=[^]]*', '', types[0])
        for part in e:
            if part.tag == 'MS':
                for one in part:
                    out.update(self.leaves(one, f'{path}.{one.get("N")}'.lstrip('.')))
            elif part.tag == 'LST':
                out[path + ':length'] = len(part)
                for i, one in enumerate(part):
                    out.update(self.leaves(one, f'{path}[{i}]'))
            elif part.tag == 'DCT':
                out[path + ':keys'] = ' '.join(sorted(unescape(en.findtext('*[@N="Key"]')) for en in part))
        return out


def value_of(text):
    return Reader(text).value()


def values_in(document):
    """Of a document, what stands in it one after the other."""
    reader = Reader(document)
    return [reader.value(e) for e in reader.root]


def error_of(record):
    """An ErrorRecord, the category by its words and not by its number."""
    if record.get('ErrorDetails_Message'):
        message = record['ErrorDetails_Message']
    else:
        message = record['Exception']['Message']
    return {'message': message, 'id': record['FullyQualifiedErrorId'] or None,
            'category': re.match(r'(\w+):', record['ErrorCategory_Message']).group(1), 'target': record.get('ErrorCategory_TargetName') or None}


def said(messages):
    """What a pipeline's server messages, (type, CLIXML) each, tell its client."""
    out = {'output': [], 'errors': [], 'warnings': [], 'verbose': [], 'debug': [], 'information': [], 'progress': [], 'host_calls': [], 'state': None}
    for kind, text in messages:
        v = value_of(text)
        if kind == 'PIPELINE_OUTPUT':
            out['output'].append(v)
        elif kind == 'ERROR_RECORD':
            out['errors'].append(error_of(v))
        elif kind in ('WARNING_RECORD', 'VERBOSE_RECORD', 'DEBUG_RECORD'):
            out[{'W': 'warnings', 'V': 'verbose', 'D': 'debug'}[kind[0]]].append(v['InformationalRecord_Message'])
        elif kind == 'INFORMATION_RECORD':
            out['information'].append(v['MessageData'])
        elif kind == 'PROGRESS_RECORD':
            out['progress'].append(f'{v["Activity"]} {v["PercentComplete"]}')
        elif kind == 'PIPELINE_HOST_CALL':
            out['host_calls'].append((v['ci'], v['mi']['text'], v['mi']['value']))
        elif kind == 'PIPELINE_STATE':
            out['state'] = STATES.get(str(v['PipelineState']), out['state'])
            if v.get('ExceptionAsErrorRecord'):
                out['errors'].append(error_of(v['ExceptionAsErrorRecord']))
    return out


# ---- recordings of Windows ----


class Pipeline:
    def __init__(self, message):
        self.command, self.receives, self.sends, self.signal = message, [], [], None
        self.id = understood(message['response'])['id']
        (self.kind, self.pid, self.text), = (m for b in blobs(message['request']) for m in split(b, {}))

    def messages(self):
        objects = {}
        return [(kind, text) for m in self.receives for b in blobs(m['response']) for kind, pid, text in split(b, objects) if pid == self.pid]

    def responses(self):
        """What the recorded client answered to host calls."""
        return [text for m in self.sends for b in blobs(m['request']) for kind, _, text in split(b, {}) if kind == 'PIPELINE_HOST_RESPONSE']


class Pool:
    def __init__(self, message):
        self.create, self.opening, self.later, self.pipelines, self.delete, self.others = message, [], [], [], None, []
        self.opened = False

    def take(self, op, root, m):
        name = next((e.get('CommandId') for e in root.iter() if e.get('CommandId')), None)
        kinds = [kind for b in blobs(m['request']) for kind, _, _ in split(b, {})]
        if op == 'command':
            self.pipelines.append(Pipeline(m))
        elif op == 'receive' and not name:
            (self.later if self.opened else self.opening).append(m)
            self.opened = self.opened or any(kind == 'RUNSPACEPOOL_STATE' for b in blobs(m['response']) for kind, _, _ in split(b, {}))
        elif op == 'delete':
            self.delete = m
        elif op in ('receive', 'signal') or (op == 'send' and (name or 'PIPELINE_HOST_RESPONSE' in kinds)):
            pipeline = [p for p in self.pipelines if name in (None, p.id)][-1]
            if op == 'signal':
                pipeline.signal = m
            else:
                (pipeline.receives if op == 'receive' else pipeline.sends).append(m)
        else:
            self.others.append((op or head(root, A + 'Action').rsplit('/', 1)[-1].lower(), kinds, m))


def load(name):
    yaml = pytest.importorskip('yaml', reason='python3-yaml is not installed')
    return yaml.load((WINDOWS / f'{name}.yml').read_text(), Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))['messages']


def pools(name):
    """The recording by pool and pipeline, in the order of their beginning; and what belongs to no pool (Enumerate)."""
    found, nobodys = {}, []
    for m in load(name):
        root = ET.fromstring(m['request'])
        op = OPS.get(head(root, A + 'Action'))
        if op == 'create':
            found[understood(m['response'])['shell_id']] = Pool(m)
            continue
        shell = next((e.text for e in root.iter(W + 'Selector')), None)
        if shell in found:
            found[shell].take(op, root, m)
        else:
            nobodys.append(m)
    return list(found.values()), nobodys


def names():
    return sorted(p.stem for p in WINDOWS.glob('test_psrp_*.yml'))
