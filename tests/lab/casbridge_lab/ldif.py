"""Writes entries as LDIF for slapadd, with what AD gives every object."""
import base64

from .naming import ad_time, category, guid

AGE_DAYS = 30  # the organisation has not been touched for a month
FIRST_USN = 8193


class Writer:
    def __init__(self, now):
        self.lines, self.usn, self.when = [], FIRST_USN - 1, ad_time(now - AGE_DAYS * 86400)

    def add(self, dn, classes, **attributes):
        """One entry. Values are texts, numbers, bytes or lists of these; None is left out."""
        self.usn += 1
        leaf = classes.split()[-1]
        self._line('dn', dn)
        for name in classes.split() + ['adObject']:
            self._line('objectClass', name)
        common = dict(
            objectGUID=guid(dn),
            objectCategory=category(leaf),
            instanceType=4,
            whenCreated=self.when,
            whenChanged=self.when,
            uSNCreated=self.usn,
            uSNChanged=self.usn,
        )
        rdn, _, value = dn.partition(',')[0].partition('=')
        common[rdn.lower()] = value
        for name, values in {**common, **attributes}.items():
            for item in values if isinstance(values, (list, tuple)) else [values]:
                if item is not None:
                    self._line(name.replace('__', '-'), item)
        self.lines.append('')

    def _line(self, name, value):
        if not isinstance(value, bytes):
            value = str(value)
            if (
                value.isascii()
                and value.isprintable()
                and not value.startswith((' ', ':', '<'))
                and not value.endswith(' ')
            ):
                self.lines.append(f'{name}: {value}')
                return
            value = value.encode()
        self.lines.append(f'{name}:: {base64.b64encode(value).decode()}')

    def text(self):
        return '\n'.join(self.lines) + '\n'
