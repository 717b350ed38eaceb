"""Errors as Windows PowerShell words them, and standard error as it writes it for -EncodedCommand (CLIXML)."""
import re

WIDTH = 118                     # PowerShell breaks lines to the width of a console it does not have
HEAD = '#< CLIXML\r\n'
OPEN = '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
PROGRESS = ('<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object</T></TN><MS>'
            '<I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC>'
            '<T>Completed</T><SR>-1</SR><SD> </SD></PR></MS></Obj>')


class CmdletError(Exception):
    """An error record. `target` is shown as `target:type`."""

    def __init__(self, text, identifier, category='NotSpecified', target='', kind='', exception='Exception', terminates=True):
        super().__init__(text)
        self.text, self.identifier, self.category = text, identifier, category
        self.target, self.kind, self.exception, self.terminates = target, kind, exception, terminates

    def record(self, command):
        """What a program asks of an error record."""
        return {'message': self.text, 'id': self.identifier, 'category': self.category, 'target': self.target or None,
                'exception': self.exception, 'activity': command}


def not_found(what):
    return CmdletError(what, 'CommandNotFoundException', 'ObjectNotFound')


def _wrap(line):
    """Breaks after a blank where there is one; the blank stays at the end of its line."""
    out = []
    while len(line) > WIDTH:
        cut = line.rfind(' ', 0, WIDTH)
        cut = WIDTH if cut <= 0 else cut + 1
        out.append(line[:cut])
        line = line[cut:]
    return out + [line]


def lines(error, command, line, character, source, extent):
    """The error view: message, position, underlined source, category, identifier, a blank line."""
    prefix = f'{command} : ' if command else ''
    out = []
    for part in (prefix + error.text).split('\n'):
        out += _wrap(part)
    out.append(f'At line:{line} char:{character}')
    shown = source[:WIDTH - 2]
    out += [f'+ {shown}', '+ ' + ' ' * (min(character, len(shown) + 1) - 1) + '~' * max(1, min(extent, len(shown) - character + 1))]
    target = f'({error.target}:{error.kind})' if error.target else '(:)'
    out.append(f'    + CategoryInfo          : {error.category}: {target} [{command or ""}], {error.exception}')
    out.append(f'    + FullyQualifiedErrorId : {error.identifier}')
    return out + [' ']


def parse_lines(error, line, character, source):
    """A parse error has its position first."""
    shown = source[:WIDTH - 2]
    out = [f'At line:{line} char:{character}', f'+ {shown}',
           '+ ' + ' ' * (min(character, len(shown) + 1) - 1) + '~' * max(1, min(error.length, len(shown) - character + 1))]
    for part in str(error).split('\n'):
        out += _wrap(part)
    return out + ['    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException',
                  f'    + FullyQualifiedErrorId : {error.identifier}', ' ']


def escape(text):
    """CLIXML's text: XML's three, and _xHHHH_ for control characters and for what would be read as such an escape."""
    text = re.sub(r'_(?=x[0-9A-Fa-f]{4}_)', '_x005F_', text)
    text = re.sub(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]', lambda m: f'_x{ord(m[0]):04X}_', text)
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def clixml(error_lines, progress=False):
    """Standard error as a whole; '' where there is nothing to say."""
    if not error_lines and not progress:
        return ''
    body = PROGRESS if progress else ''
    return HEAD + OPEN + body + ''.join(f'<S S="Error">{escape(x)}_x000D__x000A_</S>' for x in error_lines) + '</Objs>'
