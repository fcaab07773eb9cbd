"""
Scenario files: a command line, written as TOML.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from twisted.python import usage

from smtpsource.cli import words
from smtpsource.cli.commandline import CommandLine, Exclusion, Written, tableOf
from smtpsource.cli.planoptions import DESTINATION
from smtpsource.values import inputs, textfiles, tomltext
from smtpsource.values.option import Flag, Group, ValueOption


@dataclass(frozen=True)
class Setting:
    """
    What a file says of one option.

    @ivar key: the option's name in the file, with its table.
    @ivar option: C{None} for the destination.
    @ivar value: C{True} or C{False} for a flag; texts for an option that may be repeated.
    """

    key: str
    option: Flag | ValueOption | None
    value: bool | Written | tuple[Written, ...]


def merge(options: CommandLine, check: Callable[[], None]) -> None:
    """
    Take what the file of C{--scenario} says, where the command line does not say it, and check everything.

    What a given option excludes is taken as not said by the file.

    @param check: finds out whether the options can be used together; it may be called several times.
    @raise usage.UsageError: the file or the options can't be used.
    """
    settings = read(options["scenario"], options.groups)
    file = _named(options["scenario"])
    decided = options.given() | ({DESTINATION} if options[DESTINATION] is not None else set())
    for rivals in options.rivals:
        said = [settings[long].key for long in rivals if long in settings and settings[long].value]
        if decided.intersection(rivals):
            decided.update(rivals)
        elif len(said) > 1:
            raise usage.UsageError(f"{file}: {' and '.join(said)} exclude each other: give one of them")
    fromCommandLine = dict(options)
    while True:
        options.update(fromCommandLine)
        used = {
            long: setting for long, setting in settings.items() if long not in decided and setting.value is not False
        }
        for long, setting in used.items():
            _use(options, long, setting)
        try:
            if options[DESTINATION] is None:
                raise usage.UsageError(f"no destination: expected it at the end, or as {DESTINATION} in {file}")
            return check()
        except Exclusion as e:
            excluded = (used.keys() & e.options) - {DESTINATION}
            if not excluded or decided.isdisjoint(e.options):
                raise usage.UsageError(_located(e, file, used))
            decided |= excluded
        except usage.UsageError as e:
            raise usage.UsageError(_located(e, file, used))


def _use(options: CommandLine, long: str, setting: Setting) -> None:
    if isinstance(setting.option, Flag) and setting.option.method:
        getattr(options, f"opt_{long}")()
    else:
        options[long] = setting.value


def _located(error: usage.UsageError, file: str, used: dict[str, Setting]) -> str:
    """
    An error that names options, with those among them that are in the file.
    """
    text = str(error)
    if text.startswith(f"{file}: "):
        return text
    named = re.findall(r"--([a-z0-9][a-z0-9-]*)", text)
    if text.startswith(f"{DESTINATION} "):
        named.append(DESTINATION)
    keys = [used[long].key for long in dict.fromkeys(named) if long in used]
    return f"{text} ({' and '.join(keys)} {'are' if len(keys) > 1 else 'is'} in {file})" if keys else text


def _named(path: str) -> str:
    """
    What errors call a scenario.
    """
    return "standard input" if path == inputs.STANDARD else _inOneLine(path)


def _inOneLine(name: str) -> str:
    return name if name and name.isprintable() else repr(name)


def read(path: str, groups: Iterable[Group]) -> dict[str, Setting]:
    """
    Read a scenario.

    @return: the settings by the long names of their options; a destination is L{DESTINATION}.
    @raise usage.UsageError: it has something else than options and values of their kind. Whether these are right is
        found out by whoever converts them.
    """
    options = {o.long: (o, tableOf(heading)) for heading, group in groups for o in group}
    file, directory = _named(path), os.path.dirname(os.path.abspath(path))
    tables = list(dict.fromkeys(table for _, table in options.values()))
    settings: dict[str, Setting] = {}
    for table, name, value in _entries(_document(path), tables):
        key = _inOneLine(name)
        where = f"{file}: {key}" if table is None else f"{file}: {table}.{key}"
        if name == DESTINATION:
            if table is not None:
                raise usage.UsageError(f"{where}: expected it at the top, before the first table")
            option = None
        elif isinstance(value, dict) and table is None and name not in options:
            raise usage.UsageError(f"{file}: [{key}] is no table of options: expected one of {', '.join(tables)}")
        elif name not in options or name == "scenario":
            where = where.removesuffix(key) + _inOneLine(words.withoutSecret(name))
            raise usage.UsageError(f"{where} is no option: expected {_nearest(name, options, tables)}")
        else:
            option, right = options[name]
            if isinstance(option, ValueOption) and option.typed:
                raise usage.UsageError(f"{where} is not usable: expected it on the command line, and in no file")
            if table not in (None, right):
                raise usage.UsageError(f"{where}: expected it in [{right}], or at the top")
        if name in settings:
            raise usage.UsageError(f"{where} and {settings[name].key} are the same option: expected one of them")
        settings[name] = Setting(where.removeprefix(f"{file}: "), option, _value(option, value, where, directory))
    return settings


def _document(path: str) -> dict[str, object]:
    try:
        if path == inputs.STANDARD:
            content = textfiles.withoutMark(inputs.readStandard(inputs.SETTINGS))
        else:
            content = textfiles.read(path, inputs.SETTINGS)
        return tomltext.parsed(content)
    except tomltext.Unparsable as e:
        where = f"{_named(path)}: {e.place}" if e.place else f"--scenario: {path!r}"
        raise usage.UsageError(f"{where} is not usable: {e}")
    except ValueError as e:
        raise usage.UsageError(f"--scenario: {path!r} is not usable: {e}")


def _entries(document: dict[str, object], tables: list[str]) -> Iterator[tuple[str | None, str, object]]:
    """
    @return: table (C{None} at the top), name and value of each.
    """
    for name, value in document.items():
        if isinstance(value, dict) and name in tables:
            yield from ((name, inner, innerValue) for inner, innerValue in value.items())
        else:
            yield None, name, value


def _nearest(name: str, options: dict[str, tuple[Flag | ValueOption, str]], tables: list[str]) -> str:
    if name in tables:
        return f"a table, [{name}]"
    known = [long for long in options if long != "scenario"]
    short = [option.long for option, _ in options.values() if option.short == name]
    close = short or [each.removeprefix("--") for each in words.nearest(name, [*known, DESTINATION])]
    return close[0] if close else "the long name of one, such as session-count"


def _value(
    option: Flag | ValueOption | None, value: object, where: str, directory: str
) -> bool | Written | tuple[Written, ...]:
    """
    The value of an option, if it is of the kind that the option takes.
    """
    if isinstance(option, Flag):
        if not isinstance(value, bool):
            raise usage.UsageError(f"{where}: {_shown(value)} is not usable: expected true or false")
        return value
    if option is not None and option.secret:
        return _written(value, where, directory, shown="what is there")
    if option is not None and option.repeated:
        values = value if isinstance(value, list) else [value]
        return tuple(_written(one, where, directory, ", or a list of them") for one in values)
    if option is None and not isinstance(value, str):
        raise usage.UsageError(f"{where}: {_shown(value)} is not usable: expected a text")
    socket = re.fullmatch(r"((?:\w+:)?unix:)(.*)", value, re.DOTALL) if isinstance(value, str) else None
    if option is None and socket is not None:
        # The other relative paths become absolute when they are converted, but this is none of an option.
        return Written(socket[1] + os.path.join(directory, socket[2]), where, directory, repr(value))
    return _written(value, where, directory)


def _written(value: object, where: str, directory: str, more: str = "", shown: str | None = None) -> Written:
    """
    A text, or a number as the text that it is on a command line.

    @param more: what else is expected.
    @param shown: what to say in place of the value.
    """
    if isinstance(value, str) and "\0" not in value:
        return Written(value, where, directory)
    if not isinstance(value, int | float) or isinstance(value, bool):
        expected = "without NUL bytes" if isinstance(value, str) else f"or a number{more}"
        raise usage.UsageError(f"{where}: {shown or _shown(value)} is not usable: expected a text {expected}")
    if isinstance(value, int):
        text = str(value) if value.bit_length() <= 64 else hex(value)  # str refuses what is very long
    elif "e" not in repr(value):
        text = repr(value)
    else:
        from decimal import Decimal

        text = f"{Decimal(repr(value)):f}"
    return Written(text, where, directory, text)


def _shown(value: object) -> str:
    """
    A value, as TOML has it if it is short.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return repr(value) if isinstance(value, str) else str(value)
