"""
The parameters of MAIL and RCPT (RFC 5321 section 4.1.2): which there are, whether they are well written, and how often
each was used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

#: Says whether a value is plausible; it is C{None} where there is no equals sign.
Check = Callable[[bytes | None], object]

NOT_OFFERED = b"555 5.5.4 Parameter of an extension that is not offered\r\n"
BAD_PARAMETER = b"501 5.5.4 Badly written parameter\r\n"

#: Different texts of parameters that are remembered. Those with addresses or numbers in them are all different.
_MOST_REMEMBERED = 256

# RFC 6531 section 3.3 allows UTF-8.
_isParameter = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\xff]+))?").fullmatch
_XTEXT = rb"(?-i:[!-*,-<>-~\x80-\xff]|\+[0-9A-F]{2})"


def _absent(value: bytes | None) -> bool:
    return value is None


def _like(pattern: bytes) -> Check:
    fullmatch = re.compile(pattern, re.IGNORECASE).fullmatch
    return lambda value: value is not None and fullmatch(value)


def _isDeliverBy(value: bytes | None) -> bool:
    """
    RFC 2852 section 4: a time to return the message after must not be over already.
    """
    match = re.fullmatch(rb"([+-]?[0-9]{1,9});([NR])T?", value or b"", re.IGNORECASE)
    return match is not None and (match[2].upper() == b"N" or int(match[1]) > 0)


# By the extension that has them.
_MAIL: dict[str, dict[bytes, Check]] = {
    "SIZE": {b"SIZE": _like(rb"[0-9]{1,20}")},  # RFC 1870 section 5
    "8BITMIME": {b"BODY": _like(rb"7BIT|8BITMIME")},  # RFC 6152 section 2
    "SMTPUTF8": {b"SMTPUTF8": _absent},  # RFC 6531 section 3.4
    "AUTH": {b"AUTH": _like(rb"<>|%b+" % _XTEXT)},  # RFC 4954 section 5
    "DSN": {b"RET": _like(rb"FULL|HDRS"), b"ENVID": _like(rb"%b{1,100}" % _XTEXT)},  # RFC 3461 section 4
    "REQUIRETLS": {b"REQUIRETLS": _absent},  # RFC 8689 section 3
    "MT-PRIORITY": {b"MT-PRIORITY": _like(rb"-?[1-9]|0")},  # RFC 6710 section 5
    "DELIVERBY": {b"BY": _isDeliverBy},
}
_RCPT: dict[str, dict[bytes, Check]] = {
    "DSN": {
        b"NOTIFY": _like(rb"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}"),
        b"ORCPT": _like(rb"[A-Z0-9-]{1,60};%b{1,500}" % _XTEXT),
    },
}


def _of(table: Mapping[str, Mapping[bytes, Check]], extensions: frozenset[str]) -> dict[bytes, Check]:
    return {name: check for extension in extensions for name, check in table.get(extension, {}).items()}


class Parameters:
    """
    Those of one command, checked and counted.
    """

    def __init__(self, checks: Mapping[bytes, Check]) -> None:
        """
        @param checks: by the names of the parameters, in capitals; others are not offered.
        """
        self._checks = checks
        # By the text, the reply that refuses it or C{None}, how often it was accepted, and the names in it: most
        # clients say the same with each message.
        self._seen: dict[bytes, tuple[bytes | None, list[int], tuple[bytes, ...]]] = {}
        self._counted: Counter[bytes] = Counter()

    def refusal(self, text: bytes) -> bytes | None:
        """
        Check all that follows the path, and count it if it is accepted.

        @return: the reply that refuses it, or C{None}.
        """
        entry = self._seen.get(text)
        if entry is None:
            if len(self._seen) >= _MOST_REMEMBERED:
                self._fold()
            refusal, names = self._look(text)
            entry = self._seen[text] = refusal, [0], names
        entry[1][0] += 1
        return entry[0]

    def counted(self) -> dict[str, int]:
        """
        How often each parameter was accepted.
        """
        self._fold()
        return {name.decode("ascii"): number for name, number in self._counted.items()}

    def _fold(self) -> None:
        for refusal, (number,), names in self._seen.values():
            if refusal is None:
                for name in names:
                    self._counted[name] += number
        self._seen.clear()

    def _look(self, text: bytes) -> tuple[bytes | None, tuple[bytes, ...]]:
        names: list[bytes] = []
        for word in text.split(b" "):
            match = _isParameter(word)
            if match is None:
                if word:
                    return BAD_PARAMETER, ()
                continue
            name = match[1].upper()
            check = self._checks.get(name)
            if check is None:
                return NOT_OFFERED, ()
            if name in names or not check(match[2]):
                return BAD_PARAMETER, ()
            names.append(name)
        return None, tuple(names)


class OfferedParameters:
    """
    The parameters of all commands, as the extensions have them that a sink offers.

    @ivar mail: those of MAIL.
    @ivar mailInTLS: the same within TLS.
    @ivar rcpt: those of RCPT.
    """

    def __init__(self, extensions: frozenset[str], extensionsInTLS: frozenset[str]) -> None:
        """
        @param extensions: the keywords of the extensions.
        @param extensionsInTLS: the same within TLS.
        """
        self.mail = Parameters(_of(_MAIL, extensions))
        self.mailInTLS = Parameters(_of(_MAIL, extensionsInTLS))
        self.rcpt = Parameters(_of(_RCPT, extensions))

    def counted(self) -> dict[str, int]:
        """
        How often each parameter was accepted; those that were not are left out.
        """
        total: Counter[str] = Counter()
        for parameters in (self.mail, self.mailInTLS, self.rcpt):
            total.update(parameters.counted())
        return dict(sorted(total.items()))
