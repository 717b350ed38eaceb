"""PowerShell's own engine in place of the stand-in, where `lab up --engine` was given it."""
import os

from . import org
from .faults import Faults
from .sshd import SUBSYSTEM

SOCKET_FOLDER_MAX = 60  # the engine adds 45 bytes of name to the 108 that a socket's path may have
SNAPINS = ('Admin', 'E2010', 'SnapIn')


def environment(lab, server):
    """What makes the lab's cmdlets the engine's."""
    return {
        **os.environ,
        'PWSH_STDERR': 'clixml',
        'PWSH_SNAPINS': ':'.join(f'Microsoft.Exchange.Management.PowerShell.{name}' for name in SNAPINS),
        'PWSH_IMPORT': ':'.join(lab.engine_modules()),
        'LAB_DIR': lab.dir,
        'LAB_SERVER': server.name,
        'HOME': lab.dir,
        'DOTNET_EnableDiagnostics': '0',  # its sockets would stay in the temporary folder, and one that cannot be turned off:
        **({'TMPDIR': lab.run} if len(lab.run) <= SOCKET_FOLDER_MAX else {}),
        '__SuppressAnsiEscapeSequences': '1',
    }


def initial_script(lab):
    """For sessions: a file that imports the lab's cmdlets."""
    path = lab.path('winrm', 'engine.ps1')
    text = ''.join("Import-Module '{}'\n".format(m.replace("'", "''")) for m in lab.engine_modules())
    try:
        with open(path, encoding='utf-8') as f:
            if f.read() == text:
                return path
    except OSError:
        pass
    with open(f'{path}.{os.getpid()}', 'w', encoding='utf-8') as f:
        f.write(text)
    os.replace(f'{path}.{os.getpid()}', path)
    return path


def run(lab, server, arguments):
    """Becomes the engine."""
    os.execve(lab.engine, ['pwsh', *arguments], environment(lab, server))


def take_over(lab, server, line):
    """Runs a command line that came by SSH; returns where it is not one for PowerShell."""
    assert org.server(server.name) is server
    Faults(lab, server.name).wait('ssh-delay')
    if line == SUBSYSTEM:
        run(lab, server, ['-sshs', '-NoLogo', '-InitialScript', initial_script(lab)])
    words = line.split()  # base64 and switches: nothing of it is quoted
    if words[0].lower().removesuffix('.exe') == 'powershell':
        run(lab, server, words[1:])
