"""
Rules between settings, each stated once, in words that fit whoever asks: a command line, a scenario or a program.

A text names settings in braces, by their paths: C{"{chunkSize} needs {chunking}"}. After a colon stand letters for how
a command line names them: C{f} is in full, with letter and long name, C{l} by the letter, C{m} with what stands for the
value. C{c} is for one that has several options: a program names it with its value. C{{plan}} is the plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

from smtpsource.values.option import headings

#: What is wrong with a plan.
Rules = Iterator["Contradiction"]

#: Tells of what is wrong with a plan by this rule, if anything is.
Rule = Callable[[Any], Rules]


class Contradiction(ValueError):
    """
    Settings that make no sense together. As a text it is for a program.

    @ivar plan: which is not quite made.
    @ivar about: the paths of the settings.
    @ivar exclusive: one of them excludes the other, so that without one of them all would be well.
    """

    def __init__(
        self, plan: Any, text: str, *, about: Sequence[str] | None = None, exclusive: bool = True, **more: Any
    ) -> None:
        """
        @param text: what is wrong, and what was expected.
        @param about: by default, all that the text names.
        @param more: other words for the text.
        """
        super().__init__(text)
        self.plan = plan
        self._text = text
        self._more = more
        self.exclusive = exclusive
        self.about = [path for path in _named(text) if path not in more] if about is None else about

    def inWordsOf(self, asker: Asker) -> str:
        """
        One line for whoever asks.
        """
        return self._text.format_map(_Names(asker, self.plan, self._more))

    def __str__(self) -> str:
        return self.inWordsOf(Program())

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process needs the words, and not the plan, which may have a password.
        return ValueError, (str(self),)


class Asker(Protocol):
    """
    Who made a plan.
    """

    def called(self, path: str, plan: Any, how: str) -> str:
        """
        What a setting is called.

        @param how: letters for that.
        """


class Program:
    """
    Names as Python has them.
    """

    def called(self, path: str, plan: Any, how: str) -> str:
        """
        See L{Asker.called}.
        """
        value = valueOf(plan, path)
        # What has several options is called by the one that was chosen.
        return f"{path} {value!r}" if "c" in how else path


class _Name:
    """
    A setting within a text.
    """

    def __init__(self, asker: Asker, plan: Any, path: str) -> None:
        self._about = asker, plan, path

    def __getattr__(self, name: str) -> _Name:
        asker, plan, path = self._about
        return _Name(asker, plan, f"{path}.{name}")

    def __format__(self, how: str) -> str:
        asker, plan, path = self._about
        return asker.called(path, plan, how)


class _Names(Mapping[str, Any]):
    """
    All that a text may name.
    """

    def __init__(self, asker: Asker, plan: Any, more: dict[str, Any]) -> None:
        self._asker = asker
        self._plan = plan
        self._more = {"plan": plan, **more}

    def __getitem__(self, name: str) -> Any:
        return self._more[name] if name in self._more else _Name(self._asker, self._plan, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._more)

    def __len__(self) -> int:
        return len(self._more)


def _named(text: str) -> list[str]:
    return [path for path in re.findall(r"\{([\w.]+)", text) if not path.startswith("plan")]


def valueOf(plan: Any, path: str) -> Any:
    """
    The value of a setting.
    """
    return attrgetter(path)(plan)


def isSet(plan: Any, path: str) -> bool:
    """
    Is it anything but what it is where nothing is said?
    """
    owner, _, name = path.rpartition(".")
    one = valueOf(plan, owner) if owner else plan
    return bool(getattr(one, name) != type(one).declared[name].default)


class OneOf:
    """
    The rule that of these settings only one may be given. A command line knows by it what to look at first.
    """

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def __call__(self, plan: Any) -> Iterator[Contradiction]:
        """
        See L{Rule}.
        """
        given = [path for path in self.paths if isSet(plan, path)]
        if len(given) > 1:
            named = " and ".join(f"{{{path}}}" for path in given)
            yield Contradiction(plan, f"{named} exclude each other: expected one of them")


def allOf(*rules: Rule) -> tuple[Rule, ...]:
    """
    The rules of a group.
    """
    return rules


class Stated:
    """
    The rule that none of some settings may be given, if something is so.

    @ivar paths: of these settings, and of all that the rule names.
    """

    def __init__(self, text: str, paths: Sequence[str], when: Callable[[Any], Any], about: Sequence[str]) -> None:
        """
        @param text: what is wrong, with C{{}} for the setting.
        @param about: the paths of the others.
        """
        self._text = text
        self._given = paths
        self._when = when
        self._about = about
        self.paths = {*paths, *about, *_named(text)}

    def __call__(self, plan: Any) -> Rules:
        """
        See L{Rule}.
        """
        if self._when(plan):
            for path in self._given:
                if isSet(plan, path):
                    text = self._text.replace("{}", f"{{{path}}}", 1)
                    yield Contradiction(plan, text, about=(path, *self._about))


def needs(needed: str, *paths: str, unless: Callable[[Any], Any]) -> Rule:
    """
    The rule that none of these settings may be given, because another one isn't.

    @param needed: what is missing, as a text.
    @param unless: it is there.
    """
    return Stated(f"{{}} needs {needed}", paths, lambda plan: not unless(plan), _named(needed)[:1])


def excludes(cause: str, why: str, *paths: str, when: Callable[[Any], Any], about: Sequence[str] = ()) -> Rule:
    """
    The rule that none of these settings may be given, because of another.

    @param cause: that one, as a text.
    @param when: it is there.
    @param about: its path, if the text does not name it.
    """
    return Stated(f"{{}} and {cause} exclude each other: {why}", paths, when, (*_named(cause), *about))


def keepRules(plan: Any) -> None:
    """
    See that the settings of a plan make sense together.

    @raise Contradiction: they don't.
    """
    # What is done at all stands under the last headings, how much of it under the first.
    for group in reversed(headings(type(plan))):
        for rule in group.rules:
            for contradiction in rule(plan):
                raise contradiction
