"""
Settings, each declared once: what a command line, a scenario and a program may say for it is derived from that.

The fields of a plan stand in groups, one class for each heading of the help::

    class Connections(Settings):
        heading = "Connections"
        rules = allOf(needs("{proxyProtocol}", "proxySources", unless=lambda plan: plan.proxyProtocol))

        hold: float = option("TIME", timeIfAny, "keep each connection open before its QUIT", default=0.0)

    class Plan(Load, Connections): ...

A plan is a frozen class of attrs, with a keyword for each field. An option is called like its field, with dashes,
unless it is said how.
"""

from __future__ import annotations

import inspect
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, dataclass_transform

import attrs

from smtpsource.values.checks import Check, flag, optional
from smtpsource.values.files import writableFile
from smtpsource.values.kinds import Kind

_Given = TypeVar("_Given", bound="Settings")


class Flag(NamedTuple):
    """
    An option without a value.

    @ivar method: the class of the command line has an C{opt_} method of its own for it, because it may be repeated or
        undoes another.
    @ivar value: what it stands for.
    """

    long: str
    short: str | None
    help: str
    method: bool = False
    value: Any = True


class ValueOption(NamedTuple):
    """
    An option with a value.

    @ivar meta: what stands for the value in the help, such as C{"N"}.
    @ivar default: as text, the way a user would write it; C{None} for no value.
    @ivar convert: gives the value, or raises C{ValueError} with what was expected.
    @ivar repeated: the option may be given several times; its value is the tuple of all, C{()} by default.
    @ivar secret: its value may be a secret, or somebody may give one for it, such as a password for the name of a file:
        no error repeats it.
    @ivar pair: its value is of two words, the first without a blank; as one text they have a blank between them.
    @ivar typed: it has to be on the command line: no file can say it for others.
    """

    long: str
    short: str | None
    meta: str
    default: str | None
    help: str
    convert: Callable[[str], Any] = str
    repeated: bool = False
    secret: bool = False
    pair: bool = False
    typed: bool = False


def written(long: str, help: str) -> ValueOption:
    """
    The option of a file to write.
    """
    return ValueOption(long, None, "FILE", None, help, writableFile)


#: The options under one heading of the help.
Group = tuple[str, tuple[Flag | ValueOption, ...]]


class Only:
    """
    Options of the command line alone, which stand among the fields of a group.
    """

    def __init__(self, *options: Flag | ValueOption) -> None:
        self.options = options


class Unusable(ValueError):
    """
    A value that a setting can't have. As a text it is for a program.

    @ivar path: the setting's.
    @ivar expected: what was expected, as one line.
    """

    def __init__(self, path: str, shown: str, expected: str) -> None:
        super().__init__(f"{path}: {shown} is not usable: {expected}")
        self.path = path
        self.expected = expected


class Setting:
    """
    A field of a plan, as it is declared.

    @ivar path: its name; of one within an object, the object's name and its own with a dot between them.
    @ivar options: what stands for it on a command line.
    @ivar check: takes what a program gives, and returns it as it is kept.
    @ivar nested: the class of the object that it is, whose settings have options of their own.
    @ivar secret: no error repeats its value.
    @ivar follows: it is set by others, and is no keyword.
    """

    def __init__(
        self,
        check: Check,
        *options: Flag | ValueOption,
        default: Any = None,
        nested: type[Settings] | None = None,
        secret: bool = False,
        follows: bool = False,
    ) -> None:
        """
        @param default: the field's, or a function that gives it.
        """
        self.path = ""
        self.options = options
        self.check = check
        self.nested = nested
        self.secret = secret
        self.follows = follows
        self._default = default

    def __repr__(self) -> str:
        return f"<setting: {self.default!r}>"

    def __set_name__(self, owner: type, name: str) -> None:
        self.path = name
        long = re.sub(r"([A-Z])", r"-\1", name).lower()
        self.options = tuple(one if one.long else one._replace(long=long) for one in self.options)

    @property
    def default(self) -> Any:
        """
        Its value where nothing is said.
        """
        return self._default() if callable(self._default) else self._default

    def within(self, name: str) -> Setting:
        """
        The same as a part of an object.
        """
        one = Setting(self.check, *self.options, default=self._default, secret=self.secret)
        one.path = f"{name}.{self.path}"
        return one

    def field(self, checked: bool) -> Any:
        """
        What attrs makes of it.
        """
        if self.follows:
            return attrs.field(init=False, eq=False, repr=False)
        converter = self if checked else None
        if callable(self._default):
            return attrs.field(factory=self._default, converter=converter)
        return attrs.field(default=self._default, converter=converter)

    def checked(self, value: Any) -> Any:
        """
        A value as it is kept.

        @raise ValueError: it can't be used; the text is one line that says which, and what was expected.
        """
        try:
            return self.check(value)
        except ValueError as e:
            shown = "what was given" if self.secret else _short.repr(value)
            raise Unusable(self.path, shown, str(e))

    # It is the converter of attrs, which looks up what each takes and returns. To find that out of 80 methods takes a
    # third of the time in which the plan's class is made; what a field is annotated with is said by its group.
    __call__ = checked
    __signature__ = inspect.Signature()


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100


def unusable(path: str, value: Any, expected: str) -> Unusable:
    """
    What a plan raises for a value that it finds it can't use.
    """
    return Unusable(path, _short.repr(value), expected)


def option(
    meta: str,
    kind: Kind,
    help: str,
    *,
    default: Any,
    letter: str | None = None,
    long: str | None = None,
    shown: str | None = None,
    repeated: bool = False,
    secret: bool = False,
) -> Any:
    """
    A field with an option that has a value. The parameters are those of L{ValueOption}, but for these:

    @param kind: what a text for it means, and what a program may give. Where the default is C{None}, that as well.
    @param default: the field's; if it says something, the help has it, too.
    @param letter: the option's.
    @param long: the option's name, if it is not like the field's.
    @param shown: the default as a user would write it, if that is not its text.
    """
    if shown is None and not callable(default) and default not in (None, 0, "", ()):
        shown = f"{default:g}" if isinstance(default, float) else str(default)
    check = kind.check if default is not None else optional(kind.check)
    one = ValueOption(long or "", letter, meta, None if repeated else shown, help, kind.parse, repeated, secret)
    return Setting(check, one, default=default)


def switch(help: str, *, default: bool = False, letter: str | None = None, long: str | None = None) -> Any:
    """
    A field that is true or false, with an option that turns it over.
    """
    return Setting(flag, Flag(long or "", letter, help, value=not default), default=default)


def setting(check: Check, *flags: Flag, default: Any, secret: bool = False) -> Any:
    """
    A field that no single option with a value stands for.

    @param flags: each of which stands for a value of it.
    @param default: the field's, or a function that gives it.
    @param secret: no error repeats its value.
    """
    return Setting(check, *flags, default=default, secret=secret)


def nested(of: type[Settings], check: Check, *, default: Any) -> Any:
    """
    A field with an object of several settings, whose options stand at this place.

    @param of: its class, which is not C{checked} by itself.
    """
    return Setting(check, default=default, nested=of)


def derived(*, init: Literal[False] = False) -> Any:
    """
    A field that follows from others, and is set by them.
    """
    return Setting(flag, follows=True)


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(option, switch, setting, nested, derived)
)
class Settings:
    """
    Fields that belong together: with a C{heading} they are a group of a plan's; without one they make a plan of their
    groups and their own, or an object within a plan.

    @cvar heading: what the group is called in the help.
    @cvar rules: between these settings and others.
    @cvar declared: of a plan or an object: its settings by their names.
    """

    heading: ClassVar[str]
    rules: ClassVar[tuple[Callable[[Any], Iterator[Exception]], ...]] = ()
    declared: ClassVar[Mapping[str, Setting]]

    def evolve(self: _Given, **changes: Any) -> _Given:
        """
        Another that differs from this one.

        @param changes: keywords, as for a new one.
        @raise ValueError: as for a new one.
        """
        return attrs.evolve(self, **changes)  # type: ignore[misc]

    def __init_subclass__(cls, checked: bool = True) -> None:
        """
        @param checked: every value is checked when an object is made, and kept as its check returns it. Otherwise
            the plan does it, by L{checked}.
        """
        if "heading" not in vars(cls):
            groups = headings(cls)
            cls.declared = {one.path: one for one in _declaredIn(*groups, *reversed(cls.__mro__))}
            fields = {path: one.field(checked) for path, one in cls.declared.items()}
            attrs.define(cls, these=fields, frozen=True, kw_only=True, slots=False)
            # For help(): whoever makes one wants to know of all keywords, and what they take.
            told = [f"{group.heading}\n\n{inspect.cleandoc(group.__doc__ or '')}" for group in groups]
            cls.__doc__ = "\n\n".join([inspect.cleandoc(cls.__doc__ or ""), *told])
            for each in cls.__mro__:
                cls.__init__.__annotations__ |= {
                    name: kind for name, kind in vars(each).get("__annotations__", {}).items() if name in fields
                }


def _declaredIn(*classes: type) -> Iterator[Setting]:
    return (one for each in classes for one in vars(each).values() if isinstance(one, Setting))


def checked(one: _Given) -> _Given:
    """
    Check an object that is a value of a plan.

    @return: it, with its values as they are kept.
    @raise ValueError: one of them can't be used; the text is one line.
    """
    return type(one)(**{name: each.checked(getattr(one, name)) for name, each in one.declared.items()})


def headings(plan: type) -> list[type[Settings]]:
    """
    The groups of a plan's settings, in the order of the help.
    """
    return [plan] if "heading" in vars(plan) else [group for base in plan.__bases__ for group in headings(base)]


def settingsOf(plan: type) -> dict[str, Setting]:
    """
    All settings by their paths.
    """
    found = {}
    for one in _declaredIn(*headings(plan)):
        found[one.path] = one
        for inner in _declaredIn(one.nested) if one.nested else ():
            part = inner.within(one.path)
            found[part.path] = part
    return found


def made(plan: type[Settings], values: Mapping[str, Any]) -> Any:
    """
    Make a plan.

    @param values: its settings by their paths.
    """
    inner: dict[str, dict[str, Any]] = {}
    outer = {}
    for path, value in values.items():
        name, _, within = path.partition(".")
        if within:
            inner.setdefault(name, {})[within] = value
        else:
            outer[name] = value
    return plan(**outer, **{name: plan.declared[name].nested(**within) for name, within in inner.items()})  # type: ignore[misc]


def optionsOf(plan: type) -> tuple[Group, ...]:
    """
    All options, by the heading they stand under.
    """
    return tuple((group.heading, tuple(_optionsOf(group))) for group in headings(plan))


def _optionsOf(group: type) -> Iterator[Flag | ValueOption]:
    for one in vars(group).values():
        if isinstance(one, Only | Setting):
            yield from one.options
        if isinstance(one, Setting) and one.nested is not None:
            yield from _optionsOf(one.nested)
