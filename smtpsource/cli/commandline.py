"""
Command lines that say what they take, and what was wrong.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from twisted.python import usage

from smtpsource import speedups
from smtpsource._version import __version__
from smtpsource.cli import outputs, words
from smtpsource.net.reactorchoice import chooseReactor, reactorInUse
from smtpsource.printable import printable
from smtpsource.process.streams import sayOnce
from smtpsource.values.files import fileWrittenInPlace, writableFile
from smtpsource.values.inputs import STANDARD
from smtpsource.values.option import Flag, Group, ValueOption


class Written(str):
    """
    The text of an option that stands in a file and not on the command line.

    @ivar where: the file and the option's name there.
    @ivar directory: the file's, from which relative paths in the text start.
    """

    where: str
    directory: str
    _shown: str

    def __new__(cls, text: str, where: str, directory: str, shown: str | None = None) -> Written:
        self = super().__new__(cls, text)
        self.where, self.directory = where, directory
        self._shown = repr(text) if shown is None else shown
        return self

    def __repr__(self) -> str:
        return self._shown


class Exclusion(usage.UsageError):
    """
    Options exclude each other.

    @ivar options: their long names.
    """

    def __init__(self, problem: str, *options: str) -> None:
        super().__init__(problem)
        self.options = options


def _repeated(groups: Sequence[Group]) -> Iterator[ValueOption]:
    return (o for _, options in groups for o in options if isinstance(o, ValueOption) and o.repeated)


def _collect(option: ValueOption) -> Callable[[CommandLine, str], None]:
    def collect(self: CommandLine, text: str) -> None:
        self[option.long] += (text,)

    collect.__doc__ = option.help
    return collect


class _Files(tuple[str, ...]):
    """
    No words, as there is no list of them.
    """

    __slots__ = ()


#: What comes after the options are names of files.
FILES: Sequence[str] = _Files()

#: The last group of every command; --version and --help come after it.
OTHER: Group = (
    "Other",
    (ValueOption("reactor", None, "NAME", None, "the Twisted reactor to use (default: ours, where there is epoll)"),),
)


class CommandLine(usage.Options):
    """
    Options in groups, each value converted and checked, with errors of one line that name the option, the value and
    what would be right.

    @cvar groups: the options, by the heading they stand under.
    @cvar name: what this command is called.
    @cvar plugin: what twistd calls it, if it does.
    @cvar synopsis: how it is used.
    @cvar about: a few lines for the top of the help.
    @cvar closing: more of them for its end.
    @cvar rivals: groups of options of which the last one wins.
    @cvar anywhere: options may stand after other words, too.
    @cvar wordsAfter: for shells: the words that may come after the options, or L{FILES}.
    @ivar commands: those that there are besides, where a word may be a command that is misspelt.
    @ivar command: the command line as it was given.
    @ivar options: the options on it, one after the other.
    @ivar texts: the values of options before they were converted.
    """

    groups: ClassVar[Sequence[Group]] = ()
    optFlags: ClassVar[list[list[Any]]] = []
    optParameters: ClassVar[list[list[Any]]] = []
    name: ClassVar[str]
    plugin: ClassVar[str] = ""
    synopsis: ClassVar[str]
    about: ClassVar[str] = ""
    closing: ClassVar[str] = ""
    rivals: ClassVar[Sequence[Sequence[str]]] = ()
    anywhere: ClassVar[bool] = False
    wordsAfter: ClassVar[Sequence[str]] = ()

    commands: Sequence[str] = ()
    command: tuple[str, ...] = ()
    options: Sequence[words.Given] = ()
    texts: Mapping[str, Any] = {}

    def __init_subclass__(cls) -> None:
        options = [option for _, group in cls.groups for option in group]
        takesAny = bool(options or cls.wordsAfter or cls.wordsAfter is FILES)
        if takesAny and not any(option.short == "h" for option in options):
            cls.opt_h = cls.opt_help
        # What C{usage.Options} wants to know.
        cls.optFlags = [[o.long, o.short, o.help] for o in options if isinstance(o, Flag) and not o.method]
        cls.optParameters = [
            [o.long, o.short, o.default, o.help] for o in options if isinstance(o, ValueOption) and not o.repeated
        ]
        # What may be repeated needs a method: C{usage.Options} keeps the last value only.
        for option in _repeated(cls.groups):
            for name in filter(None, (option.long, option.short)):
                setattr(cls, f"opt_{name}", _collect(option))

    opt_h: Callable[[CommandLine], NoReturn]

    def __init__(self) -> None:
        super().__init__()
        self._inputs: list[tuple[str, str]] = []
        # What was read from standard input, by the option that it was read for: there is no second time.
        self._standard: dict[str, Any] = {}
        for option in _repeated(self.groups):
            self[option.long] = self.defaults[option.long] = ()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse a command line.

        @raise usage.UsageError: it can't be used.
        """
        arguments = sys.argv[1:] if options is None else options
        self.command = (*self.tool.split(), *arguments)
        help = ("--help", "-h") if self.synonyms.get("h") == "help" else ("--help",)
        try:
            self.options, rest = words.split(
                *(arguments, self.shortOpt, self.longOpt),
                anywhere=self.anywhere,
                optional=help,
                pairs=[
                    f"--{option.long}"
                    for _, group in self.groups
                    for option in group
                    if isinstance(option, ValueOption) and option.pair
                ],
                shown=self._called,
            )
            for name, value, _ in self.options:
                if name in help:
                    self._answer(self.helpOf(value) if value else f"{self}\n")
            super().parseOptions([*self._exact(), "--", *rest])
        except usage.UsageError as e:
            e.args = (printable(str(e)),)  # for twistd shows it, too
            raise
        except FileNotFoundError:
            if _isSomewhere():
                raise
            raise usage.UsageError("the current directory is gone: expected absolute names of files, or another one")

    def _exact(self) -> Iterator[str]:
        """
        The options in a form in which getopt has nothing to guess.
        """
        for name, value, _ in self.options:
            if f"{name[2:]}=" in self.longOpt:
                yield f"{name}={value}"
            elif f"{name[1:]}:" in self.shortOpt:
                yield from (name, value)
            else:
                yield name

    @property
    def tool(self) -> str:
        """
        What this command is called here.
        """
        return self.name if getattr(self, "parent", None) is None else self.plugin or self.name

    def _called(self, name: str) -> str:
        """
        What people call an option.

        @param name: as it was given, with its dashes.
        """
        option = self.optionOf(name)
        return name if option is None else fullName(option)

    def optionOf(self, name: str) -> Flag | ValueOption | None:
        """
        The option of a name with its dashes; C{None} if it is in no group.
        """
        bare = name.lstrip("-")
        return next((o for _, group in self.groups for o in group if bare in (o.long, o.short)), None)

    def given(self) -> set[str]:
        """
        The long names of the options on the command line.
        """
        return {self.synonyms[name.lstrip("-")] for name, _, _ in self.options}

    def takenForValue(self, isGoal: Callable[[str], bool], what: str) -> str | None:
        """
        What to say where there is no word after the options: was it taken for the value of one?

        @param isGoal: could this be such a word?
        @param what: what that is.
        @return: C{None}: there is no telling.
        @raise usage.UsageError: it was, and that option can't have it.
        """
        for number, (name, value, apart) in enumerate(self.options, 1):
            option = self.optionOf(name)
            if not apart or not isinstance(option, ValueOption) or option.secret:
                continue
            if option.pair:
                value = value.partition(" ")[2]
                if number == len(self.options) and isGoal(value):
                    return f"no {what}: {value!r} was taken for a part of the value of {fullName(option)}"
                continue
            if not isGoal(value):
                continue
            try:
                option.convert(value)
            except ValueError as e:
                if takesFile(option) and ":" not in value:
                    problem = f"{value!r} is not usable: {e}; or is it the {what}, and the value is missing?"
                else:
                    problem = f"its value is missing: {value!r} is the {what}"
                raise usage.UsageError(f"{fullName(option)}: {problem}")
            if number == len(self.options) and ":" in value:
                return f"no {what}: {value!r} was taken for the value of {fullName(option)}"
        return None

    def parseOrExit(self, arguments: Sequence[str] | None) -> None:
        """
        Parse the command line of a process of our own.

        @param arguments: without the program's name; C{None} is this process's.
        @raise SystemExit: with status 2, after one line on standard error: it can't be used.
        """
        try:
            self.parseOptions(sys.argv[1:] if arguments is None else arguments)
        except usage.UsageError as e:
            self.refuse(str(e), self.synopsis.partition(" ")[0])

    def refuse(self, problem: str, command: str) -> NoReturn:
        """
        Say why the command line can't be used, and exit with status 2.

        @param command: has the help.
        """
        sayOnce(sys.stderr, f"{self.tool}: {problem} (see {command} --help)\n")
        raise SystemExit(2)

    def opt_version(self) -> NoReturn:
        """
        Show the version and exit.
        """
        self._answer(f"{self.tool} {__version__} ({speedups.NAME})\n")

    opt_V = opt_version

    def opt_help(self) -> NoReturn:
        """
        Show the help and exit.
        """
        self._answer(f"{self}\n")

    def helpOf(self, text: str) -> str:
        """
        The help of the options under one heading.

        @param text: the heading, or one word of it.
        @raise usage.UsageError: there is none.
        """
        wanted = tableOf(text)
        known = {tableOf(heading): (heading, options) for heading, options in self.groups}
        found = [name for name in known if wanted == name] or [name for name in known if wanted in name.split("-")]
        if len(found) != 1:
            ask = f"{self.name} help "
            if text in self.commands:
                raise usage.UsageError(f"--help: {text!r} is a command: expected {ask}{text}")
            close = (name.lstrip("-") for name in words.nearest(wanted, [*known, *self.commands]))
            meant = words.didYouMean(ask + name if name in self.commands else name for name in close)
            expected = f"expected one of {', '.join(known)}"
            raise usage.UsageError(f"--help: {text!r} is no heading of options: {expected}{meant}")
        heading, options = known[found[0]]
        return "\n".join([f"{heading}:", *(line for option in options for line in _helpLines(option))]) + "\n"

    def _answer(self, text: str) -> NoReturn:
        """
        Show what was asked for and exit. Who reads only the beginning of it has had what they wanted.
        """
        problem = sayOnce(sys.stdout, text)
        if problem is None or isinstance(problem, BrokenPipeError):
            raise SystemExit(0)
        sayOnce(sys.stderr, f"{self.tool}: can't write to standard output: {problem.strerror}\n")
        raise SystemExit(1)

    def postOptions(self) -> None:
        """
        Convert every value.
        """
        self.texts = dict(self)
        self._inputs = []
        for _, options in self.groups:
            for option in options:
                if not isinstance(option, ValueOption) or self[option.long] is None:
                    continue
                value = self[option.long]
                self[option.long] = (
                    tuple(self.converted(option, text) for text in value)
                    if option.repeated
                    else self.converted(option, value)
                )

    def oneOf(self, *longs: str) -> None:
        """
        Of these options only one can be given; for the beginning of C{postOptions}, when their values are still texts.
        """
        options = [option for _, group in self.groups for option in group]
        given = [o for long in longs for o in options if o.long == long and self[long] != self.defaults[long]]
        if len(given) > 1:
            shown = " and ".join(f"{fullName(option)} {self[option.long]!r}" for option in given)
            raise Exclusion(f"{shown} exclude each other: give one of them", *(option.long for option in given))

    def chooseReactor(self) -> None:
        """
        Install the reactor; for the end of C{postOptions}, when everything else is found to be right.
        """
        try:
            chooseReactor(self["reactor"])
        except ValueError as e:
            raise usage.UsageError(f"--reactor: {self['reactor']!r} is not usable: {e}")

    def converted(self, option: ValueOption, text: str) -> Any:
        """
        The value of one option.
        """
        where, path = fullName(option), text
        if text == STANDARD and _inputOf(option, text) is not None:
            if option.long in self._standard:
                return self._standard[option.long]
            for other in self._standard:
                raise usage.UsageError(f"--{other} and {where} exclude each other: standard input is read once only")
        try:
            if isinstance(text, Written):
                where, path = text.where, os.path.join(text.directory, text)
            with _within(text.directory) if isinstance(text, Written) else contextlib.nullcontext():
                value = option.convert(str(text))
                if (read := _inputOf(option, text)) is not None:
                    self._inputs.append((where, os.path.abspath(read)))
                    if text == STANDARD:
                        self._standard[option.long] = value
                return value
        except ValueError as e:
            shown = "what was given" if option.secret and not os.path.lexists(path) else repr(text)
            raise usage.UsageError(f"{where}: {shown} is not usable: {e}")
        except FileNotFoundError:
            if _isSomewhere():
                raise
            raise usage.UsageError(
                f"{where}: {text!r} is not usable: expected an absolute name, as the current directory is gone"
            )

    def checkOutputs(self, *longs: str, inputs: Iterable[tuple[str, str]] = ()) -> None:
        """
        See that what these options write goes to places of their own, and not over what others read: see
        L{smtpsource.cli.outputs}.

        @param inputs: what may not be replaced besides the files of options: whose it is, and its name.
        @raise usage.UsageError: there is one place for two.
        """
        outputs.check({long: self[long] for long in longs}, [*self._inputs, *inputs, *self._launchersFiles()])

    def _launchersFiles(self) -> Iterator[tuple[str, str]]:
        """
        What twistd writes.
        """
        parent = getattr(self, "parent", None) or {}
        for name in ("logfile", "pidfile"):
            path = parent.get(name)
            if isinstance(path, str) and path not in ("", "-"):
                yield f"twistd's --{name}", os.path.abspath(os.path.join(parent.get("rundir") or "", path))

    @property
    def daemonized(self) -> bool:
        """
        Will this process leave its terminal? It will under C{twistd} without C{-n}.
        """
        parent = getattr(self, "parent", None)
        return parent is not None and "nodaemon" in parent and not parent["nodaemon"]

    def getUsage(self, width: int | None = None) -> str:
        """
        The help.
        """
        synopsis = self.synopsis
        command = self.name
        if getattr(self, "parent", None) is not None:
            command = f"twistd {self.tool}"
            synopsis = f"twistd [twistd's options] {self.tool} {synopsis.partition(' ')[2]}"
        lines = [*_fitted(f"Usage: {synopsis}"), ""]
        if len(self.groups) > 1:
            tables = ", ".join(tableOf(heading) for heading, _ in self.groups)
            lines[-1:] = [*_fitted(f"One heading only: {command} --help HEADING, of {tables}"), ""]
        if self.about:
            lines += [*_fitted(self.about), ""]
        for heading, options in self.groups:
            lines.append(f"{heading}:")
            for option in options:
                lines += _helpLines(option)
            lines.append("")
        help = "  -h, --help" if self.synonyms.get("h") == "help" else "      --help"
        about = "show this and exit"
        if len(self.groups) > 1:
            help, about = f"{help} [HEADING]", f"{about}, or one heading of it"
        lines[-1:] = [f"{'  -V, --version':<{_COLUMN}}show the version and exit", f"{help:<{_COLUMN}}{about}"]
        if OTHER in self.groups:
            lines += ["", f"The reactor here is {reactorInUse()}."]
        if self.closing:
            lines += ["", *_fitted(self.closing)]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return self.getUsage()


def _inputOf(option: ValueOption, text: str) -> str | None:
    """
    The file that an option reads.
    """
    if option.convert in (writableFile, fileWrittenInPlace):
        return None
    if takesFile(option):
        return "/dev/stdin" if text == STANDARD else text
    kind, _, path = text.partition(":")
    return path if option.meta == "DIST" and kind == "empirical" else None


def takesFile(option: ValueOption) -> bool:
    """
    Is its value the name of a file, or of a directory?
    """
    return option.meta in ("FILE", "PATH")


def tableOf(heading: str) -> str:
    """
    A heading as it is written where it is asked for: on a command line, and in a scenario.
    """
    return heading.lower().replace(" ", "-")


def _isSomewhere() -> bool:
    """
    Is there a current directory?
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _within(directory: str) -> Iterator[None]:
    """
    Make a directory the current one for a moment. The one before need not be there any more.
    """
    before = os.open(".", os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY))
    try:
        os.chdir(directory)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


#: Where the help of an option begins.
_COLUMN = 30

#: The longest line of the help.
_WIDTH = 79


def fullName(option: Flag | ValueOption) -> str:
    """
    What errors call an option: by its letter, if it has one, and its name.
    """
    return f"-{option.short} (--{option.long})" if option.short else f"--{option.long}"


def _helpLines(option: Flag | ValueOption) -> list[str]:
    left = f"  -{option.short}, --{option.long}" if option.short else f"      --{option.long}"
    text = option.help
    if isinstance(option, ValueOption):
        left += f" {option.meta}"
        if option.repeated:
            text += "; may be given several times"
        if option.default:
            text += f" (default: {option.default})"
    if len(left) >= _COLUMN:
        return [left, *_wrapped(text)]
    first, *rest = _wrapped(text)
    return [left + first[len(left) :], *rest]


def _wrapped(text: str) -> list[str]:
    indent = " " * _COLUMN
    return _inLines(text, indent, indent)


def _fitted(text: str) -> list[str]:
    """
    A text in lines that fit. Where a line of it begins with a word and a colon, what follows hangs below that.
    """
    lines = []
    for paragraph in re.split(rf"\n(?={_LABEL})", text):
        indent = "  " if re.match(_LABEL, paragraph) else ""
        lines += _inLines(paragraph, "", indent)
    return lines


def _inLines(text: str, first: str, others: str) -> list[str]:
    from textwrap import wrap  # for those who read the help

    return wrap(text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


_LABEL = r"[A-Z][\w ]*: "
