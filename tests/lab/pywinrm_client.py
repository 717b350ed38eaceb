"""python3-winrm as a client, in a process of its own: what to do as JSON on standard input, what came of it as JSON.

A process of its own because OPENSSL_CONF and Kerberos' environment are read once, and because names are looked up in
the lab's table here.
"""
import base64
import json
import socket
import sys

request = json.load(sys.stdin)
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve(request['hosts'].get(host, host), *rest, **more)

from winrm.exceptions import InvalidCredentialsError, WinRMError, WinRMTransportError  # noqa: E402
from winrm.protocol import Protocol  # noqa: E402

out = []
try:
    p = Protocol(request['url'], **request['options'])
    shell = p.open_shell(**request.get('shell', {'codepage': 65001}))
    try:
        for line in request['commands']:
            command = p.run_command(shell, line['command'], line.get('arguments', []), **line.get('how', {}))
            if 'input' in line:
                raise WinRMError('this pywinrm sends no input')
            got_out, got_err, code = p.get_command_output(shell, command)
            p.cleanup_command(shell, command)
            out.append(
                {
                    'code': code,
                    'out': base64.b64encode(got_out).decode(),
                    'err': base64.b64encode(got_err).decode(),
                }
            )
    finally:
        p.close_shell(shell)
    print(json.dumps({'results': out}))
except (WinRMError, InvalidCredentialsError, WinRMTransportError) as e:
    print(json.dumps({'error': type(e).__name__, 'text': str(e), 'results': out}))
