"""
The words of a command line: which of them are options, which are values of options, and which come after those.

As getopt(3) has it, but for five things: a long name must be all there; an error never has a value in it, nor the rest
of a word that may be one; where a value is missing, the option after it is not taken for it; an option may have a
value that is a plain word or none; and one may have a value of two words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from twisted.python.usage import UsageError

#: What may be the beginning of a name that a secret was typed right behind.
_SECRET = re.compile(
    r"(.*?(?:passw(?:or)?d|passphrase|secret|token)(?=[^-])|(?:--)?auth-(?:password-file|users?(?!s)))(?=.)",
    re.IGNORECASE | re.DOTALL,
)

#: How many names are proposed in place of one that there is not.
_MOST = 3

#: How much a name must be like another to be proposed, and like a word of it, as C{difflib} has it.
_LIKE, _LIKE_A_WORD = 0.6, 0.8


class Given(NamedTuple):
    """
    An option that was given.

    @ivar name: with its dashes.
    @ivar value: empty, if it takes none.
    @ivar apart: the value was a word of its own.
    """

    name: str
    value: str
    apart: bool


def split(
    words: Iterable[str],
    letters: str,
    longs: Iterable[str],
    *,
    anywhere: bool = False,
    optional: Collection[str] = (),
    pairs: Collection[str] = (),
    shown: Callable[[str], str] = str,
) -> tuple[list[Given], list[str]]:
    """
    Take a command line apart.

    @param letters: as C{getopt.getopt} wants them: each with a colon after it if it takes a value.
    @param longs: likewise, each with an equals sign.
    @param anywhere: options may stand after other words, too.
    @param optional: of those without a value, with their dashes: a word may come after them all the same.
    @param pairs: of those with a value, with their dashes: it is of two words, which become one text, unless there is a
        blank in the first.
    @param shown: gives what people call an option.
    @return: the options, and the words that are none.
    @raise UsageError: there is no such option, or a value is missing, or there is one too many.
    """
    takes = {f"--{long.removesuffix('=')}": long.endswith("=") for long in longs}
    takes.update((f"-{letter}", colon == ":") for letter, colon in re.findall(r"([^:])(:?)", letters))
    given: list[Given] = []
    rest: list[str] = []
    left = list(words)[::-1]

    def value(name: str) -> str:
        if not left:
            raise UsageError(f"{shown(name)}: its value is missing")
        text = left.pop()
        if isOption(text, takes):
            joined = f"{name}{'=' if name.startswith('--') else ''}{nameOf(text)}"
            raise UsageError(
                f"{shown(name)}: its value is missing: {nameOf(text)} is an option (a value like that is written "
                f"{joined})"
            )
        return text

    def whole(name: str, text: str) -> str:
        return f"{text} {value(name)}" if name in pairs and " " not in text else text

    def wordAfter() -> str:
        return left.pop() if left and re.fullmatch(r"[A-Za-z][A-Za-z -]*", left[-1]) else ""

    while left:
        word = left.pop()
        if word == "--":
            return given, rest + left[::-1]
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if not anywhere:
                return given, rest + left[::-1]
        elif word.startswith("--"):
            name, equals, text = word.partition("=")
            if name not in takes:
                raise UsageError(unknown(name, takes, shown))
            if equals and not takes[name] and name not in optional:
                raise UsageError(f"{shown(name)}: expected no value after it")
            if name in optional and not equals:
                text = wordAfter()
            apart = takes[name] and not equals
            given.append(Given(name, whole(name, value(name) if apart else text), apart))
        else:
            for at, letter in enumerate(word[1:], 1):
                name = f"-{letter}"
                if name not in takes:
                    raise UsageError(unknown(name, takes, shown))
                if takes[name]:
                    text = word[at + 1 :]
                    given.append(Given(name, whole(name, text or value(name)), not text))
                    break
                isLast = at == len(word) - 1
                given.append(Given(name, wordAfter() if isLast and name in optional else "", False))
    return given, rest


def isOption(word: str, takes: dict[str, bool]) -> bool:
    """
    Is this an option, and nothing that could as well be a value, such as a negative number?

    @param takes: names with their dashes, and whether each takes a value.
    """
    if word.startswith("--"):
        return word.partition("=")[0] in takes
    names = [f"-{letter}" for letter in word[1:]]
    if not word.startswith("-") or not names or word[1].isdigit():
        return False
    return all(name in takes for name in names) and not any(takes[name] for name in names[:-1])


def nameOf(word: str) -> str:
    """
    A word that was meant to be an option, without what may be its value.
    """
    if not word.startswith("--"):
        return word[:2]
    return withoutSecret(re.split(r"[^\w-]", word)[0])


def withoutSecret(name: str) -> str:
    """
    A name that there is not, without what seems to be a secret right behind a part of it.
    """
    secret = _SECRET.match(name)
    return name if secret is None else f"{secret[1]}..."


def unknown(word: str, known: Iterable[str], shown: Callable[[str], str] = str) -> str:
    """
    What to say of an option that there is not.

    @param known: the names that there are, with their dashes.
    @param shown: gives what people call an option.
    """
    name = nameOf(word)
    close = nearest(name, known) if word.startswith("--") else {name.swapcase()}.intersection(known)
    return f"{name}: no such option{didYouMean(map(shown, close))}"


def didYouMean(names: Iterable[str]) -> str:
    """
    The end of an error that proposes these, if there are any.
    """
    *others, last = names = list(names) or [""]
    return f"; did you mean {' or '.join(filter(None, (', '.join(others), last)))}?" if last else ""


def nearest(name: str, known: Iterable[str]) -> Sequence[str]:
    """
    Names that somebody may have meant who has written another: those that begin with it, or else the one most like it
    as a whole, or in one of its words.
    """
    bare = name.removesuffix("...").replace("_", "-").lower().lstrip("-")
    names = sorted({each.lstrip("-") for each in known if len(each) > 2})
    longer = [each for each in names if each.startswith(bare) and len(bare) > 1]
    if longer or not names:
        return [f"--{each}" for each in longer[:_MOST]]
    from difflib import SequenceMatcher  # only where something is wrong

    def likeness(each: str) -> tuple[float, float]:
        whole, *parts = (SequenceMatcher(None, bare, part).ratio() for part in (each, *each.split("-")))
        return max(whole, *(part for part in parts if part >= _LIKE_A_WORD), 0.0), whole

    best = max(names, key=likeness)
    return [f"--{best}"] if likeness(best)[0] >= _LIKE else []
