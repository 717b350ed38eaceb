"""A server of PSRP over WS-Man in a few lines, for tests that want it to be wrong: any of its answers can be done otherwise."""
import base64
import json
import re
import signal
import struct
import subprocess
import threading
import time
import uuid
import xml.etree.ElementTree as ET

from conftest import clean_env
from psrp_support import PUSH, build
from wsman_replay import A, OPS, RSP, SHELL, Listener, head, write_config

SOAP = 'application/soap+xml;charset=UTF-8'
PS = 'http://schemas.microsoft.com/powershell'
CAPABILITY, POOL_STATE, POOL_CALL, POOL_ANSWER, CREATE = 0x10002, 0x21005, 0x21100, 0x21101, 0x21006
KEY, KEY_REQUEST = 0x10005, 0x10007
OUTPUT, ERROR, STATE, CALL = 0x41004, 0x41005, 0x41006, 0x41100
NAMES = ('xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
         'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" '
         f'xmlns:rsp="{SHELL}"')
TIMED_OUT = ('<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:TimedOut</s:Value></s:Subcode></s:Code><s:Reason><s:Text>t'
             '</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="2150858793"/>'
             '</s:Detail></s:Fault>')


def member(name, number):
    return f'<Obj RefId="0"><MS><I32 N="{name}">{number}</I32></MS></Obj>'


def host_call(number=1, method=11):
    return f'<Obj RefId="0"><MS><I64 N="ci">{number}</I64><I32 N="mi">{method}</I32></MS></Obj>'


def fragment(number, part, flags, data, length=None):
    return struct.pack('>QQBI', number, part, flags, len(data) if length is None else length) + data


class Server:
    """Opens a pool, runs any pipeline with one object; the methods are there to be done otherwise."""

    protocol = '2.1'

    def __init__(self):
        self.operations, self.heard, self.parts = [], [], {}  # heard: (operation, stream, message type)
        self.pool, self.pipeline, self.number = uuid.uuid4(), None, 0
        self.shell_id, self.deleted, self.signals, self.asked = None, [], [], 0
        self.addressees = []  # of what was sent: a pipeline's id; None, the pool
        self.waiting = {False: [], True: []}  # of the pool, of the pipeline
        self.came, self.tidied = threading.Event(), threading.Event()  # what a test waits for; a Signal or Delete that frees who hangs

    # what it says

    def message(self, kind, clixml, pipeline=False):
        pid = self.pipeline.bytes_le if pipeline else bytes(16)
        return struct.pack('<II', 1, kind) + self.pool.bytes_le + pid + b'\xef\xbb\xbf' + clixml.encode()

    def say(self, kind, clixml, pipeline=False):
        self.number += 1
        self.waiting[pipeline].append(fragment(self.number, 0, 3, self.message(kind, clixml, pipeline)))

    def created(self):
        self.say(CAPABILITY, f'<Obj RefId="0"><MS><Version N="protocolversion">{self.protocol}</Version></MS></Obj>')
        self.opened()

    def opened(self):
        self.say(POOL_STATE, member('RunspaceState', 2))

    def started(self):
        self.say(OUTPUT, '<S>done</S>', True)
        self.say(STATE, member('PipelineState', 4), True)

    def answered(self):
        """A host call was."""

    def unlocked(self, clixml):
        """It got a key."""

    # what it hears

    def take(self, operation, stream, data):
        at = 0
        while at < len(data):
            number, part, flags, length = struct.unpack_from('>QQBI', data, at)
            blob, at = data[at + 21:at + 21 + length], at + 21 + length
            assert part == (self.parts.get(number, (0, b''))[0] if not flags & 1 else 0)
            self.parts[number] = (part + 1, self.parts.pop(number, (0, b''))[1] + blob)
            if flags & 2:
                self.got(operation, stream, self.parts.pop(number)[1])

    def got(self, operation, stream, message):
        kind = struct.unpack_from('<I', message, 4)[0]
        self.heard.append((operation, stream, kind))
        if kind == CREATE:
            self.pipeline = uuid.UUID(bytes_le=message[24:40])
            self.started()
        elif kind in (POOL_ANSWER, 0x41101):
            self.answered()
        elif kind == KEY:
            self.unlocked(message[40:].decode())

    # operations

    def __call__(self, request, n):
        root = ET.fromstring(request)
        action = head(root, A + 'Action')
        self.operations.append(OPS[action])
        told = getattr(self, OPS[action])(root)
        if told is None or isinstance(told, tuple):
            return told
        text = (f'<s:Envelope {NAMES}><s:Header><a:Action>{action}Response</a:Action><a:RelatesTo>{head(root, A + "MessageID")}</a:RelatesTo>'
                f'</s:Header><s:Body>{told}</s:Body></s:Envelope>')
        return 500 if told.startswith('<s:Fault') else 200, SOAP, text.encode()

    def create(self, root):
        self.shell_id = root.find(f'.//{RSP}Shell').get('ShellId')
        self.pool = uuid.UUID(self.shell_id)
        self.take('create', '', base64.b64decode(root.findtext(f'.//{{{PS}}}creationXml')))
        self.created()
        return (f'<x:ResourceCreated><a:ReferenceParameters><w:ResourceURI>{PS}/Microsoft.Exchange</w:ResourceURI><w:SelectorSet><w:Selector '
                f'Name="ShellId">{self.shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>')

    def command(self, root):
        self.id = root.find(f'.//{RSP}CommandLine').get('CommandId')
        self.take('command', '', base64.b64decode(root.findtext(f'.//{RSP}Arguments')))
        return f'<rsp:CommandResponse><rsp:CommandId>{self.id}</rsp:CommandId></rsp:CommandResponse>'

    def receive(self, root):
        self.asked += 1
        of_pipeline = root.find(f'.//{RSP}DesiredStream').get('CommandId') is not None
        until = time.monotonic() + 0.3
        while not self.waiting[of_pipeline]:
            if time.monotonic() > until:
                return TIMED_OUT
            time.sleep(0.01)
        data = b''.join(self.waiting[of_pipeline])
        self.waiting[of_pipeline] = []
        return self.received(data, of_pipeline)

    def received(self, data, of_pipeline, state='Running'):
        mark = f' CommandId="{self.id}"' if of_pipeline else ''
        ended = f'<rsp:CommandState{mark} State="{SHELL}/CommandState/{state}"/>' if of_pipeline else ''
        return f'<rsp:ReceiveResponse><rsp:Stream Name="stdout"{mark}>{base64.b64encode(data).decode()}</rsp:Stream>{ended}</rsp:ReceiveResponse>'

    def send(self, root):
        stream = root.find(f'.//{RSP}Stream')
        self.addressees.append(stream.get('CommandId'))
        self.take('send', stream.get('Name'), base64.b64decode(stream.text))
        return '<rsp:SendResponse/>'

    def signal(self, root):
        self.signals.append(root.findtext(f'.//{RSP}Code').rsplit('/', 1)[-1])
        return '<rsp:SignalResponse/>'

    def delete(self, root):
        self.deleted.append(re.search(r'Name="ShellId">([^<]*)<', ET.tostring(root).decode()).group(1))
        return ''


def run(server, tmp_path, timeout_ms=20000, params=(['Identity', 'string', 'x'],), interrupted=False):
    """What the client makes of that server; interrupted: as soon as the server's `came` is set."""
    build(PUSH)
    with Listener(server) as listener:
        config = write_config(tmp_path, 'http://x/', 'winrm_auth = none', f'psrp_url = http://{{fqdn}}:{listener.port}/PowerShell/')
        case = {'server': 'EXCAS01', 'fqdn': 'excas01.contoso.lab', 'generation': '2010', 'timeout_ms': timeout_ms, 'cmdlet': 'Set-X',
                'params': list(params)}
        with subprocess.Popen([str(PUSH), str(config), 'psrp'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=clean_env()) as process:
            try:
                process.stdin.write(json.dumps(case) + '\n')
                process.stdin.flush()
                if interrupted:
                    assert server.came.wait(60), server.operations
                    process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=90)
            finally:
                process.kill()
    assert process.returncode == 0 and 'Sanitizer' not in err and 'runtime error' not in err, err
    return json.loads(out)


COMPLETED = member('PipelineState', 4)
