"""The parameter binder: what was written, to the values a cmdlet gets. Types and refusals as PowerShell's."""
import re

from .cmdlet_table import ALLOWED, METHODS
from .psread import MISSING, Bare
from .pserror import CmdletError

COMMON = {
    'erroraction': 'text',
    'warningaction': 'text',
    'verbose': 'switch',
    'debug': 'switch',
    'errorvariable': 'text',
    'warningvariable': 'text',
    'outvariable': 'text',
    'outbuffer': 'int',
}
ALIASES = {
    'ea': 'erroraction',
    'wa': 'warningaction',
    'vb': 'verbose',
    'db': 'debug',
    'ev': 'errorvariable',
    'wv': 'warningvariable',
    'ov': 'outvariable',
    'ob': 'outbuffer',
    'wi': 'whatif',
    'cf': 'confirm',
}
_HOST = re.compile(r'(?=.{1,255}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*')
_TYPE_NAMES = {
    'bool': 'System.Boolean',
    'int': 'System.Int32',
    'switch': 'System.Management.Automation.SwitchParameter',
    'uri': 'System.Uri',
    'host': 'Microsoft.Exchange.Data.Hostname',
}


def _error(text, identifier, cmdlet, category='InvalidArgument'):
    return CmdletError(text, f'{identifier},{cmdlet}', category, exception='ParameterBindingException')


def _refuse(cmdlet, name, value, kind, because):
    shown = value if isinstance(value, str) else type(value).__name__
    return _error(
        f"Cannot process argument transformation on parameter '{name}'. Cannot convert value \"{shown}\" to "
        "type "
        f'"{_TYPE_NAMES.get(kind, "System.String")}". {because}',
        'ParameterArgumentTransformationError',
        cmdlet,
        'InvalidData',
    )


def _enumeration(cmdlet, name, value, allowed):
    found = next((a for a in allowed if isinstance(value, str) and a.lower() == value.lower()), None)
    if found is None:
        raise _error(
            f"Cannot bind parameter '{name}'. Cannot convert value \"{value}\" to an enumeration value due "
            "to enumeration values that "
            'are not valid. Specify one of the following enumeration values and try again. The possible '
            'enumeration values are '
            f'"{", ".join(allowed)}".',
            'CannotConvertArgumentNoMessage',
            cmdlet,
        )
    return found


def convert(cmdlet, name, kind, value, generation):
    """One value to the parameter's type. Raises CmdletError."""
    if kind == 'switch':
        if isinstance(value, bool):
            return value
        raise _refuse(
            cmdlet,
            name,
            value,
            kind,
            'Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.',
        )
    if kind == 'bool':
        if isinstance(value, bool):
            return value
        if isinstance(value, Bare) and re.fullmatch('-?[0-9]+', value):
            return int(value) != 0
        raise _refuse(
            cmdlet,
            name,
            value,
            kind,
            'Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.',
        )
    if kind in ('methods', 'flags', 'texts'):
        items = value if isinstance(value, list) else [] if value is None else [value]
        if kind == 'texts':
            return [str(x) for x in items]
        # a string of several names separated by commas is taken apart for an enumeration
        words = [w.strip() for x in items for w in (x.split(',') if isinstance(x, str) else [x])]
        return [
            _enumeration(cmdlet, name, w, METHODS[generation] if kind == 'methods' else ALLOWED[kind])
            for w in words
        ]
    if isinstance(value, list):
        raise _error(
            f"Cannot bind parameter '{name}'. Cannot convert 'System.Object[]' to the type 'System.String' "
            "required by parameter "
            f"'{name}'. Specified method is not supported.",
            'CannotConvertArgument',
            cmdlet,
        )
    if kind in ('method', 'token'):
        return _enumeration(cmdlet, name, value, METHODS[generation] if kind == 'method' else ALLOWED[kind])
    if kind == 'int':
        if (
            isinstance(value, str)
            and re.fullmatch('-?[0-9]{1,10}', value)
            and -(2**31) <= int(value) < 2**31
        ):
            return int(value)
        raise _refuse(cmdlet, name, value, kind, 'Input string was not in a correct format.')
    if value is None:
        return None
    value = ('True' if value else 'False') if isinstance(value, bool) else str(value)
    if kind == 'host' and value and not _HOST.fullmatch(value):
        raise _refuse(cmdlet, name, value, kind, f"'{value}' is not a valid host name.")
    if kind == 'uri' and value and not re.fullmatch(r'https?://[^\s/?#]+(:[0-9]+)?([/?#]\S*)?', value, re.I):
        raise _refuse(
            cmdlet, name, value, kind, 'Invalid URI: The format of the URI could not be determined.'
        )
    return value


def _find(cmdlet, written):
    """The parameter a name stands for: exact, alias, or a beginning that only one has. (name, kind)"""
    lower = written.lower()
    known = {k: (p.name, p.kind) for k, p in cmdlet.parameters.items()} | {
        k: (k, v) for k, v in COMMON.items()
    }
    lower = ALIASES.get(lower, lower)
    if lower in known:
        return known[lower]
    starting = [k for k in known if k.startswith(lower)]
    if len(starting) == 1:
        return known[starting[0]]
    if starting:
        raise _error(
            f"Parameter cannot be processed because the parameter name '{written}' is ambiguous. Possible "
            "matches include: "
            f'{" ".join("-" + known[k][0] for k in starting)}.',
            'AmbiguousParameter',
            cmdlet.name,
        )
    raise _error(
        f"A parameter cannot be found that matches parameter name '{written}'.",
        'NamedParameterNotFound',
        cmdlet.name,
    )


def bind(cmdlet, arguments, generation):
    """{parameter name: value}, common parameters under their lower-case names. Raises CmdletError."""
    bound, positional = {}, []
    for argument in arguments:
        written, value = argument.name, argument.value
        if written is None:
            positional.append(value)
            continue
        name, kind = _find(cmdlet, written)
        if name in bound:
            raise _error(
                f"Cannot bind parameter because parameter '{name}' is specified more than once. To provide "
                "multiple values to parameters "
                'that can accept multiple values, use the array syntax. For example, "-parameter value1,'
                'value2,value3".',
                'ParameterAlreadyBound',
                cmdlet.name,
            )
        if kind == 'switch':
            if value is MISSING:
                value = True
            elif not argument.colon:
                positional.append(value)
                value = True
        elif value is MISSING:
            raise _error(
                f"Missing an argument for parameter '{name}'. Specify a parameter of type "
                f"'{_TYPE_NAMES.get(kind, 'System.String')}' "
                'and try again.',
                'MissingArgument',
                cmdlet.name,
            )
        bound[name] = convert(cmdlet.name, name, kind, value, generation)
    first = next((p for p in cmdlet.parameters.values() if p.kind in ('id', 'server')), None)
    for value in positional:
        if first is None or first.name in bound:
            raise _error(
                f"A positional parameter cannot be found that accepts argument '{value}'.",
                'PositionalParameterNotFound',
                cmdlet.name,
            )
        bound[first.name] = convert(cmdlet.name, first.name, first.kind, value, generation)
    absent = [p.name for p in cmdlet.parameters.values() if p.mandatory and bound.get(p.name) in (None, '')]
    if absent:
        given = [name for name in absent if name in bound]
        if given:
            raise _error(
                f"Cannot bind argument to parameter '{given[0]}' because it is null.",
                'ParameterArgumentValidationErrorNullNotAllowed',
                cmdlet.name,
                'InvalidData',
            )
        raise _error(
            'Cannot process command because of one or more missing mandatory parameters: '
            f'{" ".join(absent)}.',
            'MissingMandatoryParameter',
            cmdlet.name,
        )
    return bound
