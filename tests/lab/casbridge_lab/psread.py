"""A small strict reader of PowerShell: the statements an administrator's tool sends, and nothing else.

Taken: assignments of the preferences and the console's encoding, cmdlets with parameters, `exit`. Values are
single-quoted strings, bare words, numbers, $true, $false, $null, and lists of these with or without @( ).
Everything else is a parse error, in PowerShell's words where PowerShell refuses it too. Single quotes are all
five that PowerShell takes for one.
"""
import re
from typing import NamedTuple, Union

QUOTES = "'\u2018\u2019\u201a\u201b"
VARIABLES = {'true': True, 'false': False, 'null': None}
_BARE = re.compile(r'[A-Za-z0-9_.:\\/*?+%=~^!\[\]-]+')
_NAME = re.compile(r'[A-Za-z][A-Za-z0-9]*(-[A-Za-z][A-Za-z0-9]*)?')
_PARAMETER = re.compile(r'-([A-Za-z_?][A-Za-z0-9_]*)(:?)')
_PREFERENCE = re.compile(
    r'\$(ProgressPreference|ErrorActionPreference|WarningPreference|ConfirmPreference)[ \t]*=[ \t]*', re.I
)
_ENCODING = re.compile(
    r'\[Console\]::(Output|Input)Encoding[ \t]*=[ \t]*\[(System\.)?Text\.(Encoding\]::UTF8|'
    r'UTF8Encoding\]::new\(\$false\))',
    re.I,
)
_EXIT = re.compile(r'exit(?:[ \t]+(\$LASTEXITCODE|-?[0-9]{1,9}))?(?![A-Za-z0-9_-])', re.I)


class ParseError(Exception):
    def __init__(self, text, identifier, at, length=1):
        super().__init__(text)
        self.identifier, self.at, self.length = identifier, at, max(1, length)


class Bare(str):
    """An unquoted word: may become a number or a name of an enumeration."""


class Assignment(NamedTuple):
    name: str
    value: object
    at: int
    end: int


class Argument(NamedTuple):
    name: Union[str, None]  # of the parameter; None: positional
    value: object  # or MISSING
    colon: bool = False  # written -Name:value


class Command(NamedTuple):
    name: str
    arguments: tuple
    at: int
    end: int


class Exit(NamedTuple):
    code: Union[int, None]  # None: $LASTEXITCODE
    at: int
    end: int


MISSING = object()  # a parameter written without a value


class Reader:
    def __init__(self, text):
        self.text, self.at = text, 0

    def refuse(self, token=None, what=None):
        token = token or self.text[self.at : self.at + 1] or 'end of text'
        raise ParseError(
            what or f"Unexpected token '{token}' in expression or statement.",
            'UnexpectedToken',
            self.at,
            len(token),
        )

    def skip(self, pattern=r'[ \t]*'):
        self.at = re.compile(pattern).match(self.text, self.at).end()

    def statements(self):
        out = []
        while True:
            self.skip(r'[ \t\r\n;]*')
            if self.at >= len(self.text):
                return out
            out.append(self.statement())
            self.skip()
            if self.at < len(self.text) and self.text[self.at] not in ';\r\n':
                self.refuse()

    def statement(self):
        start = self.at
        match = _PREFERENCE.match(self.text, start)
        if match:
            self.at = match.end()
            return Assignment(match[1].lower(), self.value(), start, self.at)
        match = _ENCODING.match(self.text, start)
        if match:
            self.at = match.end()
            return Assignment('encoding', 'utf-8', start, self.at)
        match = _EXIT.match(self.text, start)
        if match:
            self.at = match.end()
            code = match[1]
            return Exit(0 if code is None else None if code.startswith('$') else int(code), start, self.at)
        match = _NAME.match(self.text, start)
        if not match:
            self.refuse(
                what="The stand-in's reader takes cmdlets with parameters, not "
                f"'{self.text[start:start + 20]}'."
            )
        self.at = match.end()
        if self.at < len(self.text) and self.text[self.at] not in ' \t\r\n;':
            self.refuse()
        return Command(match[0], tuple(self.arguments()), start, self.at)

    def arguments(self):
        while True:
            before = self.at
            self.skip()
            if self.at >= len(self.text) or self.text[self.at] in ';\r\n':
                return
            if self.at == before:
                self.refuse()
            if self.text.startswith('--%', self.at):
                self.refuse('--%')
            match = _PARAMETER.match(self.text, self.at)
            if not match:
                yield Argument(None, self.values())
                continue
            self.at = match.end()
            if match[2]:
                self.skip()
                yield Argument(match[1], self.values(), True)
                continue
            if self.at < len(self.text) and self.text[self.at] not in ' \t\r\n;':
                self.refuse()
            yield Argument(match[1], self.following_value())

    def following_value(self):
        """What comes after `-Name`: a value, or nothing before the next parameter or the end."""
        before = self.at
        self.skip()
        rest = self.text[self.at : self.at + 2]
        if not rest or rest[0] in ';\r\n' or (rest[0] == '-' and re.match(r'-[A-Za-z_?]', rest)):
            self.at = before
            return MISSING
        start = self.at
        value = self.values()
        if value == '--%':
            self.at = start
            self.refuse(
                '--%'
            )  # PowerShell takes it for its stop-parsing token, quoted too; -Name:'--%' carries it
        return value

    def values(self):
        """One value, or the list that commas make."""
        if self.text.startswith('@(', self.at):
            return self.array()
        out = [self.value()]
        while True:
            before = self.at
            self.skip()
            if not self.text.startswith(',', self.at):
                self.at = before
                return out[0] if len(out) == 1 else out
            self.at += 1
            self.skip(r'[ \t\r\n]*')
            if self.at >= len(self.text) or self.text[self.at] == ';':
                raise ParseError("Missing expression after ','.", 'MissingExpressionAfterToken', self.at - 1)
            out.append(self.value())

    def array(self):
        start, out = self.at, []
        self.at += 2
        self.skip(r'[ \t\r\n]*')
        while not self.text.startswith(')', self.at):
            if self.at >= len(self.text):
                raise ParseError(
                    "Missing closing ')' in expression.", 'MissingEndParenthesisInExpression', start, 2
                )
            out.append(self.value(quoted_only=True))
            self.skip(r'[ \t\r\n]*')
            if self.text.startswith(',', self.at):
                self.at += 1
                self.skip(r'[ \t\r\n]*')
            elif not self.text.startswith(')', self.at):
                self.refuse(what="Missing closing ')' in expression.")
        self.at += 1
        return out

    def value(self, quoted_only=False):
        if self.at >= len(self.text):
            self.refuse()
        c = self.text[self.at]
        if c in QUOTES:
            return self.quoted()
        if c == '$':
            match = re.compile(r'\$(true|false|null)(?![A-Za-z0-9_:.\[(?])', re.I).match(self.text, self.at)
            if not match:
                self.refuse(what="The stand-in's reader knows no variables but $true, $false and $null.")
            self.at = match.end()
            return VARIABLES[match[1].lower()]
        match = _BARE.match(self.text, self.at)
        if not match or (quoted_only and not match[0].isdigit()):
            self.refuse()
        self.at = match.end()
        if self.at < len(self.text) and self.text[self.at] not in ' \t\r\n;,)':
            self.refuse(
                what=f"The stand-in's reader wants '{match[0]}{self.text[self.at]}...' in single quotes."
            )
        return Bare(match[0])

    def quoted(self):
        """Two quotes of whatever kind are one, the second; a single one ends the string."""
        start, out = self.at, []
        self.at += 1
        while True:
            if self.at >= len(self.text):
                raise ParseError(
                    f'The string is missing the terminator: {self.text[start]}.',
                    'TerminatorExpectedAtEndOfString',
                    start,
                    self.at - start,
                )
            c = self.text[self.at]
            self.at += 1
            if c in QUOTES:
                if self.at < len(self.text) and self.text[self.at] in QUOTES:
                    c = self.text[self.at]
                    self.at += 1
                else:
                    break
            out.append(c)
        if self.at < len(self.text) and self.text[self.at] not in ' \t\r\n;,)':
            self.refuse()
        return ''.join(out)


def read(text):
    """The statements of a script. Raises ParseError."""
    return Reader(text).statements()


def position(text, at):
    """(line, character, that line's text), from 1."""
    start = max(text.rfind('\n', 0, at), -1) + 1
    end = text.find('\n', at)
    return (
        text.count('\n', 0, at) + 1,
        at - start + 1,
        text[start : end if end >= 0 else len(text)].rstrip('\r'),
    )
