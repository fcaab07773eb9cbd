"""
Settings, each declared once: what a command line, a scenario and a program may say for it is derived from that.

A plan is a frozen class of attrs. Its fields stand in groups, one class for each heading of the help::

    @settings
    class Connections:
        heading: ClassVar = "Connections"
        rules: ClassVar = (needs("{proxyProtocol}", "proxySources", unless=isSet("proxyProtocol")),)

        hold: float = option("SECONDS", secondsIfAny, "keep each connection open before its QUIT", default=0.0)

    @settings
    class Plan(Load, Connections): ...

An option is called like its field, with dashes, unless it is said how.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import attrs

from smtpsource.values.checks import Check, flag, optional
from smtpsource.values.kinds import Kind

_Class = TypeVar("_Class", bound=type)
_Object = TypeVar("_Object")


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
    """

    long: str
    short: str | None
    meta: str
    default: str | None
    help: str
    convert: Callable[[str], Any] = str
    repeated: bool = False
    secret: bool = False


#: The options under one heading of the help.
Group = tuple[str, tuple[Flag | ValueOption, ...]]

_order = count()


class Only:
    """
    Options of the command line alone, which stand among the fields of a group.
    """

    def __init__(self, *options: Flag | ValueOption) -> None:
        self.options = options
        self.order = next(_order)


class _Declared(NamedTuple):
    """
    What is said of a field beyond what attrs keeps.

    @ivar options: what stands for it on the command line.
    @ivar nested: it is an object of this class, whose fields have options of their own.
    """

    order: int
    check: Check
    options: tuple[Flag | ValueOption, ...] = ()
    nested: type | None = None
    secret: bool = False


_KEY = "smtpsource"


def _field(declared: _Declared, default: Any, **more: Any) -> Any:
    if callable(default):
        return attrs.field(factory=default, metadata={_KEY: declared}, **more)
    return attrs.field(default=default, metadata={_KEY: declared}, **more)


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
    return _field(_Declared(next(_order), check, (one,)), default)


def switch(help: str, *, default: bool = False, letter: str | None = None, long: str | None = None) -> Any:
    """
    A field that is true or false, with an option that turns it over.
    """
    one = Flag(long or "", letter, help, value=not default)
    return _field(_Declared(next(_order), flag, (one,)), default)


def setting(check: Check, *flags: Flag, default: Any, secret: bool = False) -> Any:
    """
    A field that no single option with a value stands for.

    @param flags: each of which stands for a value of it.
    @param default: the field's, or a function that gives it.
    @param secret: no error repeats its value.
    """
    return _field(_Declared(next(_order), check, flags, secret=secret), default)


def nested(of: type, check: Check) -> Any:
    """
    A field with an object of several settings, whose options stand at this place.

    @param of: its class, with L{settings} that are C{loose}.
    """
    return _field(_Declared(next(_order), check, nested=of), of)


def derived(**more: Any) -> Any:
    """
    A field that follows from others, and is set by them.
    """
    return attrs.field(init=False, eq=False, repr=False, **more)


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(option, switch, setting, nested, derived)
)
def settings(cls: _Class) -> _Class:
    """
    Make a class of the fields that are declared in it: a group of settings, or a plan of several groups. Every value
    that a plan is made of is checked and kept as its check returns it.

    @raise ValueError: (the class) a value can't be used: the text is one line that says which, and what was expected.
    """
    isGroup = "heading" in vars(cls)
    make = attrs.define(
        frozen=True,
        kw_only=True,
        slots=False,
        init=not isGroup,
        eq=not isGroup,
        repr=not isGroup,
        field_transformer=_named if isGroup else _checking,
    )
    made: _Class = make(cls)
    return made


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option, switch))
def loose(cls: _Class) -> _Class:
    """
    Likewise, for an object within a plan: the plan checks its values, by L{checked}.
    """
    make = attrs.define(frozen=True, kw_only=True, slots=False, field_transformer=_named)
    made: _Class = make(cls)
    return made


def _named(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """
    Call options like their fields.
    """
    return [_withName(field) for field in fields]


def _withName(field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
    declared = field.metadata.get(_KEY)
    if declared is None:
        return field
    long = re.sub(r"([A-Z])", r"-\1", field.name).lower()
    options = tuple(one if one.long else one._replace(long=long) for one in declared.options)
    return field.evolve(metadata={_KEY: declared._replace(options=options)})


def _checking(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """
    Check what is given.
    """
    return [
        field if declared is None else field.evolve(converter=_Converter(field.name, declared))
        for field in map(_withName, fields)
        for declared in (field.metadata.get(_KEY),)
    ]


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100


class _Converter:
    """
    Checks the values of one field.
    """

    def __init__(self, name: str, declared: _Declared) -> None:
        self._name = name
        self._check = declared.check
        self._secret = declared.secret

    def __call__(self, value: Any) -> Any:
        try:
            return self._check(value)
        except ValueError as e:
            shown = "what was given" if self._secret else _short.repr(value)
            raise ValueError(f"{self._name}: {shown} is not usable: {e}")


def checked(one: _Object) -> _Object:
    """
    Check an object that is a value of a plan.

    @return: it, with its values as they are kept.
    @raise ValueError: one of them can't be used; the text is one line.
    """
    kept = {
        field.name: _Converter(field.name, field.metadata[_KEY])(getattr(one, field.name))
        for field in attrs.fields(type(one))  # type: ignore[arg-type]
    }
    evolved: _Object = attrs.evolve(one, **kept)  # type: ignore[misc]
    return evolved


def defaultOf(cls: type, name: str) -> Any:
    """
    What a field is where nothing is said.
    """
    default = getattr(attrs.fields(cls), name).default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]


class Setting(NamedTuple):
    """
    A field of a plan, as a command line sees it.

    @ivar path: the field's name; of one within an object, both names with a dot between them.
    @ivar options: what stands for it.
    @ivar default: its value where nothing is said.
    """

    path: str
    options: tuple[Flag | ValueOption, ...]
    default: Any


def headings(plan: type) -> list[type]:
    """
    The groups of a plan's settings, in the order of the help.
    """
    return [plan] if "heading" in vars(plan) else [group for base in plan.__bases__ for group in headings(base)]


def settingsOf(plan: type) -> dict[str, Setting]:
    """
    All settings for which there are options, by their paths.
    """
    found = {}
    for group in headings(plan):
        for field in attrs.fields(group):
            declared = field.metadata[_KEY]
            found[field.name] = Setting(field.name, declared.options, field.default)
            for inner in attrs.fields(declared.nested) if declared.nested else ():
                path = f"{field.name}.{inner.name}"
                found[path] = Setting(path, inner.metadata[_KEY].options, inner.default)
    return found


def nestedIn(plan: type, name: str) -> list[str]:
    """
    The paths of the settings within an object that is a value of a plan; none if it is no such object.
    """
    return [path for path in settingsOf(plan) if path.startswith(f"{name}.")]


def made(plan: type, values: Mapping[str, Any]) -> Any:
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
    classes = {field.name: field.metadata[_KEY].nested for field in attrs.fields(plan) if field.metadata}
    return plan(**outer, **{name: classes[name](**within) for name, within in inner.items()})


def optionsOf(plan: type) -> tuple[Group, ...]:
    """
    All options, by the heading they stand under.
    """
    return tuple((group.heading, tuple(_optionsOf(group))) for group in headings(plan))  # type: ignore[attr-defined]


def _optionsOf(group: type) -> Iterator[Flag | ValueOption]:
    fields = [(field.metadata[_KEY].order, field.metadata[_KEY]) for field in attrs.fields(group)]
    others = [(one.order, one) for one in vars(group).values() if isinstance(one, Only)]
    for _, one in sorted([*fields, *others], key=lambda pair: pair[0]):
        yield from one.options
        if isinstance(one, _Declared) and one.nested is not None:
            for inner in attrs.fields(one.nested):
                yield from inner.metadata[_KEY].options
