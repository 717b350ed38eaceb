"""What a server's own Windows says: a file's version, an update, a service, IIS's configuration file."""
from . import control, org
from .pserror import CmdletError

# Build of ExSetup.exe: the rollup that the directory does not show. 2007 SP3 RU23, 2010 SP3 RU32.
BUILDS = {2007: (8, 3, 517, 0), 2010: (14, 3, 513, 0), 2013: (15, 0, 1497, 2)}
FOLDERS = {2007: '', 2010: '\\V14', 2013: '\\V15'}
ROOT = 'C:\\Program Files\\Microsoft\\Exchange Server'
IIS_FILE = 'C:\\Windows\\System32\\inetsrv\\config\\applicationHost.config'
HOTFIX = 'KB3140410'
SERVICE = 'MSExchangeServiceHost'


def _missing(path, cmdlet):
    return CmdletError(
        f"Cannot find path '{path}' because it does not exist.",
        f'PathNotFound,Microsoft.PowerShell.Commands.{cmdlet}Command',
        'ObjectNotFound',
        path,
        'String',
        'ItemNotFoundException',
    )


class WindowsCmdlets:
    """Needs server, lab and faults of the shell."""

    def get_itemproperty(self, cmdlet, values):
        path = f'{ROOT}{FOLDERS[self.server.generation]}\\bin\\ExSetup.exe'
        if values['LiteralPath'].lower() != path.lower():
            raise _missing(values['LiteralPath'], 'GetItemProperty')
        told = self.faults.text('build')
        build = [int(n) for n in told.split('.')] if told else BUILDS[self.server.generation]
        version = '{:02}.{:02}.{:04}.{:03}'.format(*build)
        return [
            {
                'VersionInfo': f'File:             {path}\n'
                'InternalName:     ExSetup.exe\n'
                f'FileVersion:      {version}\n'
                'FileDescription:  Microsoft® Exchange Setup\n'
                f'ProductVersion:   {version}\n'
                'Debug:            False',
                'PSPath': f'Microsoft.PowerShell.Core\\FileSystem::{path}',
                'PSChildName': 'ExSetup.exe',
            }
        ]

    def get_hotfix(self, cmdlet, values):
        r2 = self.server.generation == 2010
        if values['Id'].upper() != HOTFIX or not r2 or self.faults.has('no-hotfix'):
            raise CmdletError(
                "Cannot find the requested hotfix on the 'localhost' computer. Verify the input and run the command again.",
                'GetHotFixNoEntriesFound,Microsoft.PowerShell.Commands.GetHotFixCommand',
                'ObjectNotFound',
                exception='ArgumentException',
            )
        return [
            {
                'Source': self.server.name,
                'Description': 'Hotfix',
                'HotFixID': HOTFIX,
                'InstalledBy': 'NT AUTHORITY\\SYSTEM',
            }
        ]

    def get_service(self, cmdlet, values):
        if values['Name'].lower() != SERVICE.lower():
            raise CmdletError(
                f"Cannot find any service with service name '{values['Name']}'.",
                'NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.GetServiceCommand',
                'ObjectNotFound',
                values['Name'],
                'String',
                'ServiceCommandException',
            )
        status = 'Stopped' if self.faults.has('no-service') else 'Running'
        return [{'Status': status, 'Name': SERVICE, 'DisplayName': 'Microsoft Exchange Service Host'}]

    def get_content(self, cmdlet, values):
        if values['LiteralPath'].lower() != IIS_FILE.lower() or not self.server.web:
            raise _missing(values['LiteralPath'], 'GetContent')
        answer = control.ask(self.lab, command='iis', server=self.server.name)
        return apphost(answer['vdirs'], self.faults.text('extended-protection')).splitlines()


def _switch(on):
    return 'true' if on else 'false'


def apphost(vdirs, protected=None):
    """applicationHost.config with what IIS has now. protected: a virtual directory whose Extended Protection is Require."""
    applications = '\n'.join(f'        <application path="/{name}" applicationPool="MSExchange" />' for name, *_ in vdirs)
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<configuration>',
        '  <system.applicationHost>',
        '    <sites>',
        f'      <site name="{org.FRONT}" id="1">',
        '        <application path="/" />',
        applications,
        '      </site>',
        '    </sites>',
        '  </system.applicationHost>',
    ]
    for name, anonymous, basic, windows in vdirs:
        token = 'Require' if protected and name.lower() == protected.lower() else 'None'
        out += [
            f'  <location path="{org.FRONT}/{name}">',
            '    <system.webServer>',
            '      <security>',
            '        <access sslFlags="Ssl, Ssl128" />',
            '        <authentication>',
            f'          <anonymousAuthentication enabled="{_switch(anonymous)}" />',
            f'          <basicAuthentication enabled="{_switch(basic)}" />',
            f'          <windowsAuthentication enabled="{_switch(windows)}">',
            '            <providers><clear /><add value="Negotiate" /><add value="NTLM" /></providers>',
            f'            <extendedProtection tokenChecking="{token}" />',
            '          </windowsAuthentication>',
            '        </authentication>',
            '      </security>',
            '    </system.webServer>',
            '  </location>',
        ]
    return '\n'.join(out + ['</configuration>'])
