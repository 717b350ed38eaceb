"""Errors as Windows PowerShell words them, and standard error as it writes it for -EncodedCommand
(CLIXML).
"""
import re

WIDTH = 118  # PowerShell breaks lines to the width of a console it does not have
HEAD = '#< CLIXML\r\n'
OPEN = '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
PROGRESS = (
    '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>'
    'System.Object</T></TN><MS>'
    '<I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV><AI>0</AI><Nil /><PI>'
    '-1</PI><PC>-1</PC>'
    '<T>Completed</T><SR>-1</SR><SD> </SD></PR></MS></Obj>'
)


class CmdletError(Exception):
    """An error record. `target` is shown as `target:type`."""

    def __init__(self, text, identifier, category='NotSpecified', target='', kind='', exception='Exception'):
        super().__init__(text)
        self.text, self.identifier, self.category = text, identifier, category
        self.target, self.kind, self.exception = target, kind, exception
        self.stops = False  # -ErrorAction Stop: ends the script

    def record(self, command):
        """What a program asks of an error record."""
        return {
            'message': self.text,
            'id': self.identifier,
            'category': self.category,
            'target': self.target or None,
            'exception': self.exception,
            'activity': command,
        }


class CommandNotFound(CmdletError):
    def __init__(self, name):
        super().__init__(
            f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or "
            "operable program. Check the "
            'spelling of the name, or if a path was included, verify that the path is correct and try again.',
            'CommandNotFoundException',
            'ObjectNotFound',
            name,
            'String',
            'CommandNotFoundException',
        )


def _wrap(line):
    """Breaks after a blank where there is one; the blank stays at the end of its line."""
    out = []
    while len(line) > WIDTH:
        cut = line.rfind(' ', 0, WIDTH)
        cut = WIDTH if cut <= 0 else cut + 1
        out.append(line[:cut])
        line = line[cut:]
    return out + [line]


def _position(line, character, source, extent):
    """Where it happened: the source line, cut to the width around the place, and the place underlined."""
    start = max(0, character - 1 - 20) if len(source) > WIDTH - 2 else 0
    left, room = ('... ' if start else ''), WIDTH - 2 - 8
    shown = source[start : start + room] if start or len(source) > WIDTH - 2 else source
    right = ' ...' if start + len(shown) < len(source) else ''
    at = character - 1 - start
    return [
        f'At line:{line} char:{character}',
        f'+ {left}{shown}{right}',
        '+ ' + ' ' * (len(left) + at) + '~' * max(1, min(extent, len(shown) - at)),
    ]


def lines(error, command, line, character, source, extent):
    """The error view: message, position, underlined source, category, identifier, a blank line."""
    out = []
    for part in (f'{command} : {error.text}' if command else error.text).split('\n'):
        out += _wrap(part)
    target = f'({error.target}:{error.kind})' if error.target else '(:)'
    activity = '' if isinstance(error, CommandNotFound) else command
    return (
        out
        + _position(line, character, source, extent)
        + [
            f'    + CategoryInfo          : {error.category}: {target} [{activity}], {error.exception}',
            f'    + FullyQualifiedErrorId : {error.identifier}',
            ' ',
        ]
    )


def parse_lines(error, line, character, source):
    """A parse error has its position first."""
    out = _position(line, character, source, error.length)
    for part in str(error).split('\n'):
        out += _wrap(part)
    return out + [
        '    + CategoryInfo          : ParserError: (:) [], ParentContainsErrorRecordException',
        f'    + FullyQualifiedErrorId : {error.identifier}',
        ' ',
    ]


def escape(text):
    """CLIXML's text: XML's three, and _xHHHH_ for control characters and for what would be read as such an
    escape.
    """
    text = re.sub(r'_(?=x[0-9A-Fa-f]{4}_)', '_x005F_', text)
    text = re.sub(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]', lambda m: f'_x{ord(m[0]):04X}_', text)
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def clixml(error_lines, progress=False):
    """Standard error as a whole; '' where there is nothing to say."""
    if not error_lines and not progress:
        return ''
    body = PROGRESS if progress else ''
    return (
        HEAD
        + OPEN
        + body
        + ''.join(f'<S S="Error">{escape(x)}_x000D__x000A_</S>' for x in error_lines)
        + '</Objs>'
    )
