"""Faults on demand, one of a kind: what is wrong, and which rule of cli.md ought to say so. `reset` takes all of them back.

Each plant breaks one thing in an organisation that is otherwise in order, in the directory, the realm, the certificates or IIS, so that
a check can be asked to name it and nothing else.
"""
import os
import shutil
from typing import Callable, NamedTuple

from . import control, keys, org
from .layout import AUTODISCOVER, BASE_DN, DOMAIN, NAMESPACE, REALM, LabError
from .naming import OBJECT_NAME_RPC, server_dn
from .ldapdata import version_number
from .prereq import program
from .processes import run

OTHERS = ('WEB01', 'WEB02')  # web servers that have nothing to do with Exchange
SAVED = '.first'  # of a file that a plant replaced


class Plant(NamedTuple):
    rules: tuple  # (rule, server or None for the organisation) that must be found
    text: str
    do: Callable


class Gardener:
    """What a plant may use."""

    def __init__(self, lab, processes):
        from .directory import Directory  # its library is slow to load, and only this command needs it

        self.lab, self.processes, self.directory = lab, processes, Directory(lab)

    def set(self, dn, **changes):
        self.directory.modify(dn, {name: None if v is None else [v] for name, v in changes.items()})

    def vdir(self, server, name, **changes):
        self.set(f'CN={name} ({org.FRONT}),CN=HTTP,CN=Protocols,{server_dn(server)}', **changes)

    def account(self, name, *spns):
        self.directory.add(
            f'CN={name},CN=Computers,{BASE_DN}',
            ['top', 'person', 'organizationalPerson', 'user', 'computer'],
            {
                'sAMAccountName': f'{name}$',
                'userAccountControl': 4096,
                'dNSHostName': f'{name.lower()}.{DOMAIN}',
                'servicePrincipalName': [f'HOST/{name.lower()}.{DOMAIN}', *spns],
                'msDS-SupportedEncryptionTypes': 28,
            },
        )

    def version(self, server, *version):
        self.set(
            server_dn(server),
            serialNumber=f'Version {version[0]}.{version[1]} (Build {30000 + version[2]}.{version[3]})',
            versionNumber=version_number(version),
        )

    def fault(self, server, knob):
        with open(self.lab.fault_file(server), 'a', encoding='utf-8') as f:
            f.write(knob + '\n')

    def restart(self, server):
        control.ask(self.lab, command='stop', server=server)
        control.ask(self.lab, command='start', server=server)

    def certificate(self, server, **how):
        env = self.processes.environment()
        for end in ('pem', 'key'):
            path = self.lab.path('pki', f'{server.lower()}.{end}')
            if not os.path.exists(path + SAVED):
                shutil.copyfile(path, path + SAVED)
        keys.make_certificate(self.lab, env, server.lower(), f'{server.lower()}.{DOMAIN}', **how)
        self.restart(server)

    def kadmin(self, *commands):
        from .kdc import Kdc

        run(
            [program('kadmin.local'), '-r', REALM],
            env=Kdc(self.lab, self.processes).environment(),
            stdin='\n'.join(commands).encode() + b'\nquit\n',
            what='kadmin.local',
        )


def _moved(g):
    """A 2010 CAS that clients reach from outside, into the site of one that they do not."""
    site = g.directory.get(server_dn('EXCAS02'), ['msExchServerSite'])['msExchServerSite'][0]
    g.set(server_dn('EX10NTLM'), msExchServerSite=site)


def _edited(g):
    g.fault('EX10NTLM', 'no-poll')
    control.ask(g.lab, command='edit', server='EX10NTLM', methods=['ntlm'])


def _old_tls(g):
    g.fault('EX10NTLM', 'old-tls')
    g.restart('EX10NTLM')


def _rpc(g, server, **changes):
    g.set(f'CN={OBJECT_NAME_RPC},CN=HTTP,CN=Protocols,{server_dn(server)}', **changes)
    control.ask(g.lab, command='poll', server=server)


def _no_outlook_anywhere(g):
    g.directory.delete(f'CN={OBJECT_NAME_RPC},CN=HTTP,CN=Protocols,{server_dn("EX10NTLM")}')
    control.ask(g.lab, command='poll', server='EX10NTLM')


def _basic_web_services(g):
    g.vdir('EXCAS02', 'EWS', msExchInternalAuthenticationMethods=org.BASIC)
    control.ask(g.lab, command='refresh')


def _no_forms(g):
    g.vdir(
        'E2K7CAS01',
        'owa',
        msExchInternalAuthenticationMethods=org.BASIC | org.WINDOWS,
        msExchExternalAuthenticationMethods=org.BASIC | org.WINDOWS,
    )
    control.ask(g.lab, command='refresh')


def _old_service_pack(g):
    g.version('EXMBX01', 14, 1, 218, 15)
    g.fault('EXMBX01', 'build 14.1.218.15')


def _stopped(g):
    _edited(g)
    g.fault('EX10NTLM', 'no-service')


def _scp(g):
    g.set(
        f'CN=EX10NTLM,CN=Autodiscover,CN=Protocols,{server_dn("EX10NTLM")}',
        serviceBindingInformation=f'https://ex10ntlm.{DOMAIN}/Autodiscover/Autodiscover.xml',
    )


NTLM10 = 'EX10NTLM'
PLANTS = {
    'unknown-version': Plant(
        (('coexistence', None),),
        'EXMBX02 is an Exchange 2003',
        lambda g: g.version('EXMBX02', 6, 5, 7638, 2),
    ),
    'old-service-pack': Plant(
        (('version-floor', 'EXMBX01'),),
        'EXMBX01 is at 2010 SP1',
        _old_service_pack,
    ),
    'no-outlook-anywhere': Plant(
        (('oa-enabled', NTLM10), ('oa-wire', NTLM10)),
        'EX10NTLM has no Outlook Anywhere',
        _no_outlook_anywhere,
    ),
    'basic-only': Plant(
        (('oa-iis-auth', NTLM10), ('oa-wire', NTLM10)),
        'Outlook Anywhere of EX10NTLM offers Basic only',
        lambda g: _rpc(g, NTLM10, msExchInternalAuthenticationMethods=org.BASIC),
    ),
    'wrong-oa-name': Plant(
        (('oa-external-hostname', NTLM10),),
        'Outlook Anywhere of EX10NTLM is published as autodiscover.contoso.lab',
        lambda g: _rpc(g, NTLM10, msExchExternalHostName=f'https://{AUTODISCOVER}/rpc'),
    ),
    'edited-iis': Plant(
        (('auth-drift', NTLM10),),
        '/rpc of EX10NTLM was edited in IIS, and nothing puts it back',
        _edited,
    ),
    'duplicate-spn': Plant(
        (('spn-unique', None),),
        f'{OTHERS[0]} owns HTTP/{NAMESPACE} as well',
        lambda g: g.account(OTHERS[0], f'HTTP/{NAMESPACE}'),
    ),
    'foreign-spn': Plant(
        (('spn-unique', 'EXCAS02'),),
        f'{OTHERS[1]} owns HTTP/excas02.{DOMAIN}',
        lambda g: g.account(OTHERS[1], f'HTTP/excas02.{DOMAIN}'),
    ),
    'no-ticket': Plant(
        (('kerberos-ticket', 'EXCAS02'),),
        f'the KDC makes no tickets for HTTP/excas02.{DOMAIN}',
        lambda g: g.kadmin(f'modprinc -allow_tix HTTP/excas02.{DOMAIN}'),
    ),
    'old-certificate': Plant(
        (('certificate', NTLM10),),
        'the certificate of EX10NTLM ends in ten days',
        lambda g: g.certificate(NTLM10, days='10'),
    ),
    'wrong-name-certificate': Plant(
        (('certificate', NTLM10),),
        'the certificate of EX10NTLM bears its own name only',
        lambda g: g.certificate(NTLM10, section='dc1'),
    ),
    'legacy-url': Plant(
        (('legacy-namespace', 'E2K7CAS01'),),
        f'Outlook Web App of E2K7CAS01 is published as {NAMESPACE}',
        lambda g: g.vdir('E2K7CAS01', 'owa', msExchExternalHostName=f'https://{NAMESPACE}/owa'),
    ),
    'no-internal-url': Plant(
        (('internal-url', NTLM10),),
        'the control panel of EX10NTLM has no internal URL',
        lambda g: g.vdir(NTLM10, 'ecp', msExchInternalHostName=None),
    ),
    'no-bypass-url': Plant(
        (('nlb-bypass-url', NTLM10),),
        'web services of EX10NTLM have no InternalNLBBypassUrl',
        lambda g: g.vdir(NTLM10, 'EWS', msExchInternalNLBBypassHostName=None),
    ),
    'basic-web-services': Plant(
        (('proxy-auth', 'EXCAS02'),),
        'web services of EXCAS02 offer Basic only',
        _basic_web_services,
    ),
    'no-forms': Plant(
        (('fba-match', 'E2K7CAS01'),), 'Outlook Web App of E2K7CAS01 takes no forms', _no_forms
    ),
    'server-name-url': Plant(
        (('url-server-name', NTLM10),),
        'web services of EX10NTLM are published under its own name',
        lambda g: g.vdir(NTLM10, 'EWS', msExchExternalHostName=f'https://ex10ntlm.{DOMAIN}/EWS/Exchange.asmx'),
    ),
    'wrong-scp': Plant(
        (('autodiscover-scp', NTLM10),), 'the service connection point of EX10NTLM names the server', _scp
    ),
    'no-rpc-encryption': Plant(
        (('rpc-encryption', NTLM10),),
        'EX10NTLM does not require encrypted RPC',
        lambda g: g.set(f'CN=RpcClientAccess,CN=Protocols,{server_dn(NTLM10)}', msExchEncryptionRequired='FALSE'),
    ),
    'old-tls': Plant((('tls-version', NTLM10),), 'EX10NTLM speaks TLS 1.0 and 1.1 only', _old_tls),
    'ssl-offloading': Plant(
        (('ssl-offloading', 'EXCAS01'),),
        'EXCAS01 offloads SSL and its neighbours do not',
        lambda g: _rpc(g, 'EXCAS01', msExchRpcHttpFlags=org.SSL_OFFLOADING),
    ),
    # what only the servers themselves can tell
    'old-rollup': Plant(
        (('version-floor', 'E2K7CAS01'),),
        'E2K7CAS01 is at 2007 SP3 RU9, which the directory does not show',
        lambda g: g.fault('E2K7CAS01', 'build 8.3.297.2'),
    ),
    'no-hotfix': Plant(
        (('kb3140410', 'EXCAS01'),), 'EXCAS01 lacks KB3140410', lambda g: g.fault('EXCAS01', 'no-hotfix')
    ),
    'stopped-service': Plant(
        (('auth-drift', NTLM10),),
        '/rpc of EX10NTLM was edited in IIS, and the service that would put it back is stopped',
        _stopped,
    ),
    'extended-protection': Plant(
        (('extended-protection', 'EXCAS02'),),
        'web services of EXCAS02 require Extended Protection, while 2010 is in the path',
        lambda g: g.fault('EXCAS02', 'extended-protection EWS'),
    ),
    'moved-server': Plant(
        (('site-consistency', 'EXCAS02'),), 'EX10NTLM stands in Dublin, configured as for Seattle', _moved
    ),
}


def plant(lab, processes, kind):
    PLANTS[kind].do(Gardener(lab, processes))


def undo(lab, processes):
    """Files and principals as they were; the directory is restored by who calls this. Returns servers whose web service has to start
    anew.
    """
    restarted = set()
    for name in sorted(os.listdir(lab.path('pki'))):
        if name.endswith(SAVED):
            os.replace(lab.path('pki', name), lab.path('pki', name.removesuffix(SAVED)))
            restarted.add(name.partition('.')[0].upper())
    Gardener(lab, processes).kadmin(*(f'modprinc +allow_tix HTTP/{s.fqdn}' for s in org.SERVERS))
    return sorted(restarted)
