#!/usr/bin/python3 -B
"""Carries PowerShell remoting from standard input and output to a WS-Man endpoint, so that PowerShell's own client
(`pwsh client`), which speaks over pipes, can be put in front of the lab's /PowerShell/.

usage: psrp_bridge.py RECORD URL CONFIGURATION [USER:PASSWORD CA HOSTNAME]   RECORD is what `pwsh client` gives, unused;
without a user the endpoint must ask for none
"""
import base64
import http.client
import re
import ssl
import sys
import threading
import urllib.parse
import uuid
from xml.etree import ElementTree

ZERO = '00000000-0000-0000-0000-000000000000'
S, RSP = 'http://www.w3.org/2003/05/soap-envelope', 'http://schemas.microsoft.com/wbem/wsman/1/windows/shell'
X = 'http://schemas.xmlsoap.org/ws/2004/09/transfer'
ELEMENT = re.compile(
    r"<(Data|Command|Signal|Close)(?: Stream='([A-Za-z]+)')? PSGuid='([0-9a-fA-F-]{36})' ?(?:/>|>([^<]*)</Data>)"
)


class Fault(Exception):
    pass


class Bridge:
    def __init__(self, url, configuration, credentials=None, ca=None, hostname=None):
        self.url = urllib.parse.urlsplit(url)
        self.resource = f'http://schemas.microsoft.com/powershell/{configuration}'
        self.shell, self.session = None, uuid.uuid4()
        self.authorization = credentials and 'Basic ' + base64.b64encode(credentials.encode()).decode()
        self.ca, self.hostname = ca, hostname
        self.opened, self.ended = threading.Event(), set()
        self.lock = threading.Lock()
        self.first = b''  # what came before the shell is there
        self.failed = None

    def connect(self):
        if self.url.scheme == 'http':
            return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = False
        return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=60, context=context)

    def post(self, connection, action, body, options=''):
        selector = (
            f'<w:SelectorSet><w:Selector Name="ShellId">{self.shell}</w:Selector></w:SelectorSet>'
            if self.shell
            else ''
        )
        text = (
            f'<s:Envelope xmlns:s="{S}" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
            'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
            'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" '
            f'xmlns:rsp="{RSP}"><s:Header><a:To>{self.url.geturl()}</a:To><a:Action s:mustUnderstand="true">{action}'
            f'</a:Action><a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:ReplyTo><a:Address>'
            'http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>'
            f'<w:ResourceURI s:mustUnderstand="true">{self.resource}</w:ResourceURI><w:MaxEnvelopeSize>512000'
            '</w:MaxEnvelopeSize><w:OperationTimeout>PT5S</w:OperationTimeout>'
            f'<p:SessionId>uuid:{self.session}</p:SessionId>{options}{selector}</s:Header><s:Body>{body}</s:Body>'
            '</s:Envelope>'
        )
        headers = {'Content-Type': 'application/soap+xml;charset=UTF-8'}
        if self.authorization:
            headers['Authorization'] = self.authorization
        if self.hostname:
            headers['Host'] = self.hostname
        connection.request('POST', self.url.path, text.encode(), headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise Fault(f'{answer.status} {data.decode(errors="replace")}')
        return ElementTree.fromstring(data)

    def say(self, element, guid, data=None):
        with self.lock:
            text = f"<{element} PSGuid='{guid}' />"
            if data is not None:
                text = f"<Data Stream='Default' PSGuid='{guid}'>{data}</Data>"
            sys.stdout.write(text + '\n')
            sys.stdout.flush()

    def receive(self, guid):
        """Until the pipeline is done, or the shell gone."""
        connection = self.connect()
        mark = '' if guid == ZERO else f' CommandId="{guid.upper()}"'
        while guid not in self.ended:
            try:
                root = self.post(
                    connection,
                    f'{RSP}/Receive',
                    f'<rsp:Receive><rsp:DesiredStream{mark}>stdout</rsp:DesiredStream></rsp:Receive>',
                )
            except Fault as e:
                if '2150858793' in str(e):
                    continue
                if guid not in self.ended and self.shell:
                    sys.stderr.write(f'{e}\n')
                return
            for stream in root.iter(f'{{{RSP}}}Stream'):
                if stream.text:
                    self.say('Data', guid, stream.text)
            if any(e.get('State', '').endswith('/Done') for e in root.iter(f'{{{RSP}}}CommandState')):
                return

    def start(self, guid):
        threading.Thread(target=self.receive, args=(guid,), daemon=True).start()

    def run(self):
        connection = self.connect()
        commands = set()  # announced, their first data not yet there
        for line in sys.stdin:
            match = ELEMENT.match(line.strip())
            if match is None:
                continue
            element, stream, guid, data = match.groups()
            upper = guid.upper()
            if element == 'Data' and not self.shell:
                root = self.post(
                    connection,
                    f'{X}/Create',
                    f'<rsp:Shell ShellId="{uuid.uuid4()}"><rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout'
                    '</rsp:OutputStreams><creationXml xmlns="http://schemas.microsoft.com/powershell">'
                    f'{data}</creationXml></rsp:Shell>',
                    '<w:OptionSet s:mustUnderstand="true"><w:Option Name="protocolversion" MustComply="true">2.3'
                    '</w:Option></w:OptionSet>',
                )
                self.shell = next(e.text for e in root.iter() if e.get('Name') == 'ShellId')
                self.say('DataAck', guid)
                self.start(guid)
            elif element == 'Command':
                commands.add(guid)
                self.say('CommandAck', guid)
            elif element == 'Data' and guid in commands:
                commands.discard(guid)
                self.post(
                    connection,
                    f'{RSP}/Command',
                    f'<rsp:CommandLine CommandId="{upper}"><rsp:Command/><rsp:Arguments>{data}</rsp:Arguments>'
                    '</rsp:CommandLine>',
                )
                self.say('DataAck', guid)
                self.start(guid)
            elif element == 'Data':
                name = 'stdin' if stream == 'Default' else 'pr'
                mark = '' if guid == ZERO else f' CommandId="{upper}"'
                body = f'<rsp:Send><rsp:Stream Name="{name}"{mark}>{data}</rsp:Stream></rsp:Send>'
                self.post(connection, f'{RSP}/Send', body)
                self.say('DataAck', guid)
            elif element == 'Signal':
                code = f'{RSP}/powershell/signal/ctrl_c'
                self.post(connection, f'{RSP}/Signal', f'<rsp:Signal CommandId="{upper}"><rsp:Code>{code}</rsp:Code></rsp:Signal>')
                self.say('SignalAck', guid)
            elif element == 'Close' and guid != ZERO:
                self.ended.add(guid)
                code = f'{RSP}/signal/terminate'
                try:
                    self.post(connection, f'{RSP}/Signal', f'<rsp:Signal CommandId="{upper}"><rsp:Code>{code}</rsp:Code></rsp:Signal>')
                except Fault:
                    pass
                self.say('CloseAck', guid)
            elif element == 'Close':
                break
        if self.shell:
            self.ended.add(ZERO)
            self.post(connection, f'{X}/Delete', '')
            self.shell = None
        self.say('CloseAck', ZERO)
        sys.stdin.read()  # the client ends it: an exit it sees before that line is a broken session


if __name__ == '__main__':
    try:
        Bridge(*sys.argv[2:]).run()
    except Fault as fault:  # the client shows the first line
        code, text = (re.search(p, str(fault)) for p in ('WSManFault[^>]* Code="([0-9]+)"', '<s:Text[^>]*>([^<]*)<'))
        sys.exit(f'fault {code and code[1]}: {text[1] if text else fault}')
