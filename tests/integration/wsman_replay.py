"""A WS-Management listener that says what real ones were recorded to say, and judges what it hears.

Nothing of the client is shared: envelopes are read with ElementTree and compared by meaning (action, resource, options, selectors,
limits, body), never as text."""
import base64
import http.server
import json
import pathlib
import subprocess
import threading
import uuid
import xml.etree.ElementTree as ET

from conftest import ROOT, PROGRAM, clean_env

HELPER = PROGRAM.parent / 'tests/integration/wsman'
S = '{http://www.w3.org/2003/05/soap-envelope}'
A = '{http://schemas.xmlsoap.org/ws/2004/08/addressing}'
W = '{http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd}'
P = '{http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd}'
RSP = '{http://schemas.microsoft.com/wbem/wsman/1/windows/shell}'
X = '{http://schemas.xmlsoap.org/ws/2004/09/transfer}'
F = '{http://schemas.microsoft.com/wbem/wsman/1/wsmanfault}'
CONFIG = '{http://schemas.microsoft.com/wbem/wsman/1/config}'
PS = '{http://schemas.microsoft.com/powershell}'
SHELL = RSP[1:-1]
OPS = {X[1:-1] + '/Create': 'create', SHELL + '/Command': 'command', SHELL + '/Receive': 'receive', SHELL + '/Send': 'send',
       SHELL + '/Signal': 'signal', X[1:-1] + '/Delete': 'delete', X[1:-1] + '/Get': 'get'}
SIGNALS = [SHELL + '/signal/terminate', SHELL + '/signal/ctrl_c', SHELL + '/signal/ctrl_break', 'powershell/signal/ctrl_c']


def head(root, tag):
    return (root.findtext(f'{S}Header/{tag}') or '').strip()


def options(root):
    return [[o.get('Name'), o.text or '', o.get('MustComply') in ('true', 'True', '1')] for o in root.iter(W + 'Option')]


def plain(element):
    """An element as nested tuples: names, attributes, text; white space around text is none. Signals are spelt terminate and Terminate, times
    PT7200S and PT7200.000S."""
    text = (element.text or '').strip()
    if element.tag == RSP + 'Code':
        text = text.lower()
    elif element.tag == RSP + 'IdleTimeOut':
        text = float(text[2:-1])
    return (element.tag, tuple(sorted(element.attrib.items())), text, tuple(plain(c) for c in element))


def meaning(xml):
    """What a request says, apart from its own identity and the order of headers."""
    root = ET.fromstring(xml)
    return {'action': head(root, A + 'Action'), 'resource': head(root, W + 'ResourceURI'), 'to': head(root, A + 'To').rsplit('/', 1)[-1],
            'reply_to': head(root, f'{A}ReplyTo/{A}Address'), 'envelope': head(root, W + 'MaxEnvelopeSize'),
            'timeout': head(root, W + 'OperationTimeout'), 'options': sorted(options(root)),
            'selectors': sorted((s.get('Name'), s.text) for s in root.iter(W + 'Selector')),
            'locale': [e.get('{http://www.w3.org/XML/1998/namespace}lang') for e in root.iter(W + 'Locale')],
            'data_locale': [e.get('{http://www.w3.org/XML/1998/namespace}lang') for e in root.iter(P + 'DataLocale')],
            'body': [plain(c) for c in root.find(S + 'Body')]}


def operation(xml):
    """The recorded request as an operation of the helper; None: one we do not have (Disconnect, Enumerate ...)."""
    root = ET.fromstring(xml)
    op = OPS.get(head(root, A + 'Action'))
    if not op:
        return None
    body, job = root.find(S + 'Body'), {'op': op, 'options': options(root)}
    if op == 'create':
        shell = body.find(RSP + 'Shell')
        job.update(resource=head(root, W + 'ResourceURI'), shell_id=shell.get('ShellId'), name=shell.get('Name'),
                   input=shell.findtext(RSP + 'InputStreams'), output=shell.findtext(RSP + 'OutputStreams'),
                   creation=shell.findtext(PS + 'creationXml'), directory=shell.findtext(RSP + 'WorkingDirectory'),
                   idle_s=int(float((shell.findtext(RSP + 'IdleTimeOut') or 'PT0S')[2:-1])),
                   environment=[[v.get('Name'), v.text] for v in shell.iter(RSP + 'Variable')])
    elif op == 'command':
        line = body.find(RSP + 'CommandLine')
        words = [a.text for a in line.findall(RSP + 'Arguments')]
        job.update(id=line.get('CommandId'), line=line.findtext(RSP + 'Command') or '')
        if job['id'] and len(words) == 1:
            job['raw'] = words[0]
        else:
            job['arguments'] = words
    elif op == 'receive':
        stream = body.find(f'{RSP}Receive/{RSP}DesiredStream')
        job.update(id=stream.get('CommandId'), streams=stream.text)
    elif op == 'send':
        stream = body.find(f'{RSP}Send/{RSP}Stream')
        job.update(id=stream.get('CommandId'), stream=stream.get('Name'), data=stream.text, end=stream.get('End') == 'true')
    elif op == 'get':
        shell = bool(list(root.iter(W + 'Selector')))
        job.update(resource=head(root, W + 'ResourceURI'), of_shell=shell, name='State' if shell else 'MaxEnvelopeSizekb')
    elif op == 'signal':
        signal = body.find(RSP + 'Signal')
        job.update(id=signal.get('CommandId'), signal=SIGNALS.index(signal.findtext(RSP + 'Code').lower()))
    return job


def understood(xml):
    """What the recorded answer means, for comparison with what the helper says."""
    root, u = ET.fromstring(xml), {}
    fault = root.find(f'{S}Body/{S}Fault')
    if fault is not None:
        inner = fault.find(f'{S}Detail/{F}WSManFault')
        sub = fault.findtext(f'{S}Code/{S}Subcode/{S}Value')
        return {'fault': int(inner.get('Code')) if inner is not None else 0, 'subcode': sub.strip().split(':')[-1] if sub else ''}
    created = root.find(f'{S}Body/{X}ResourceCreated')
    if created is not None:
        u['shell_id'] = next(s.text.strip() for s in created.iter(W + 'Selector'))
    command = root.findtext(f'{S}Body/{RSP}CommandResponse/{RSP}CommandId')
    if command:
        u['id'] = command
    for told, name in ((f'{RSP}Shell', 'State'), (f'{CONFIG}Config', 'MaxEnvelopeSizekb')):
        got = root.find(f'{S}Body/{told}')
        if got is not None and head(root, A + 'Action').endswith('/GetResponse'):
            u['value'] = got.findtext(told[:told.index('}') + 1] + name)
    received = root.find(f'{S}Body/{RSP}ReceiveResponse')
    if received is not None:
        u['chunks'] = [{'stream': s.get('Name'), 'command': s.get('CommandId') or '',
                        'data': base64.b64encode(base64.b64decode(s.text or '')).decode(), 'end': s.get('End') in ('true', '1')}
                       for s in received.findall(RSP + 'Stream')]
        state = received.find(RSP + 'CommandState')
        u['state'] = state.get('State').rsplit('/', 1)[1].lower() if state is not None else 'none'
        code = state.findtext(RSP + 'ExitCode') if state is not None else None
        u['exit_code'] = int(code) & 0xffffffff if code else None
    return u


FAULT = W[1:-5] + '/fault'


def envelope(action, message_id, body):
    """An answer that nobody recorded."""
    names = {'s': S, 'a': A, 'w': W, 'x': X, 'rsp': RSP}
    declared = ' '.join(f'xmlns:{prefix}="{uri[1:-1]}"' for prefix, uri in names.items())
    return (f'<s:Envelope {declared}><s:Header><a:Action>{action}</a:Action><a:RelatesTo>{message_id}</a:RelatesTo></s:Header>'
            f'<s:Body>{body}</s:Body></s:Envelope>').encode()


def fault(code, subcode, text='No.'):
    """Its body, where it is a fault."""
    return (f'<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:{subcode}</s:Value></s:Subcode></s:Code><s:Reason>'
            f'<s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="{F[1:-1]}" Code="{code}"><f:Message>{text}'
            '</f:Message></f:WSManFault></s:Detail></s:Fault>')


def relate(response, message_id):
    """The recorded answer as one to our request."""
    start = response.find('RelatesTo>')
    if start < 0:
        return response
    start += len('RelatesTo>')
    return response[:start] + message_id + response[response.index('<', start):]


class Listener:
    """HTTP/1.1 on loopback. answer(xml, n) -> (status, content type, bytes), or None: the connection is dropped without a word."""

    def __init__(self, answer, address='127.0.0.1'):
        listener = self
        self.requests, self.connections, self.headers = [], 0, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            timeout = 30

            def setup(self):
                super().setup()
                listener.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                listener.requests.append(body.decode())
                listener.headers.append(dict(self.headers))
                told = answer(body.decode(), len(listener.requests) - 1)
                if told is None:
                    self.close_connection = True
                    return
                status, content_type, data, *more = told
                self.send_response(status)
                if content_type:
                    self.send_header('Content-Type', content_type)
                for name, value in more[0].items() if more else ():
                    self.send_header(name, value)
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server((address, 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    def actions(self):
        return [OPS.get(head(ET.fromstring(r), A + 'Action')) for r in self.requests]


def write_config(folder, url, *lines):
    path = pathlib.Path(folder) / f'wsman-{uuid.uuid4().hex}.ini'
    path.write_text('\n'.join(['[test]', f'winrm_url = {url}', 'host.excas01.contoso.lab = 127.0.0.1', *lines, '']))
    path.chmod(0o600)
    return path


class Session:
    """The helper: one session of the client."""

    def __init__(self, config, timeout_ms=20000, env=None):
        self.process = subprocess.Popen([str(HELPER), str(config), str(timeout_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=env or clean_env(), cwd=ROOT)

    def do(self, **job):
        self.process.stdin.write(json.dumps(job) + '\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def close(self):
        """Ends the session; returns what it wrote to standard error."""
        _, err = self.process.communicate(timeout=30)
        assert 'Sanitizer' not in err and 'runtime error' not in err, err
        return err

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.close()
