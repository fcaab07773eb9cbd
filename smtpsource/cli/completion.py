"""
C{completion}: what a shell wants to be told, to complete a command line. It is made of the options that there are.

The scripts are shtab's, which knows parsers of argparse: one is made for it that has our options.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import shtab
from twisted.python import usage

from smtpsource.cli.commandline import FILES, CommandLine, tableOf, takesFile
from smtpsource.process.streams import sayOnce
from smtpsource.values.names import Worded
from smtpsource.values.option import Flag, ValueOption

if TYPE_CHECKING:
    from argparse import Action

#: The shells that are known.
SHELLS = ("bash", "zsh", "fish")

#: What comes after shtab's script.
_BASH = """
# Of --option=value bash makes three words.
_NAME() {
    local i
    local -a words=()
    for (( i = 0; i <= COMP_CWORD; i++ )); do
        if [[ ${COMP_WORDS[i]} != "=" ]]; then
            words+=("${COMP_WORDS[i]}")
        elif (( i == COMP_CWORD )); then
            words+=("")
        fi
    done
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$(( ${#words[@]} - 1 ))
    _shtab_NAME
}

complete -o bashdefault -F _NAME NAME
"""

#: Zsh takes --option=value only for options that are declared with an equals sign.
_ZSH_OPTION = re.compile(r'^(  (?:"\*?|\{-.,)--[\w-]+)(\}?"?\[.*(?<!\\)\]:)', re.MULTILINE)


class CompletionOptions(CommandLine):
    """
    Which shell.

    @ivar shell: its name.
    """

    anywhere = True
    wordsAfter = SHELLS
    shell: str

    def parseArgs(self, *shells: str) -> None:
        """
        One of those that there are.
        """
        if len(shells) != 1 or shells[0] not in SHELLS:
            expected = f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}"
            raise usage.UsageError(f"{repr(shells[0]) if shells else 'no shell'}: expected {expected}")
        self.shell = shells[0]


def optionsFor(command: str) -> CompletionOptions:
    """
    The options of a command's C{completion}.
    """

    class Options(CompletionOptions):
        name = f"{command} completion"
        synopsis = f"{command} completion {'|'.join(SHELLS)}"
        about = f"Write what a shell needs to complete the options of {command}, their values, and files."
        closing = (
            f'For bash, in ~/.bashrc: eval "$({command} completion bash)"\n'
            f'For zsh, in ~/.zshrc after compinit: eval "$({command} completion zsh)"\n'
            f"For fish: {command} completion fish > ~/.config/fish/completions/{command}.fish"
        )

    return Options()


def main(
    arguments: Sequence[str],
    command: str,
    options: type[CommandLine],
    others: Mapping[str, tuple[str, type[CommandLine]]],
    answers: Sequence[str] = (),
) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{completion}.
    @param command: what is to be completed.
    @param options: its own.
    @param others: the commands that it has: of each what it does, and its options.
    @param answers: commands that are options as well.
    @raise SystemExit: always: 0, or 1 if it can't be written, 2 if the command line can't be used.
    """
    mine = optionsFor(command)
    mine.parseOrExit(arguments)
    others = {**others, "completion": ("what a shell needs to complete all this", type(mine))}
    problem = sayOnce(sys.stdout, script(mine.shell, command, options, others, answers))
    if problem is not None:
        sayOnce(sys.stderr, f"{mine.tool}: can't write to standard output: {problem.strerror}\n")
    raise SystemExit(0 if problem is None else 1)


def script(
    shell: str,
    command: str,
    options: type[CommandLine],
    others: Mapping[str, tuple[str, type[CommandLine]]],
    answers: Sequence[str] = (),
) -> str:
    """
    What is to be said to a shell. The parameters are those of L{main}.
    """
    parser = ArgumentParser(prog=command, add_help=False)
    _addOptions(parser, options)
    commands = parser.add_subparsers()
    for name, (about, its) in others.items():
        one = commands.add_parser(name, help=_escaped(about), add_help=False)
        _addOptions(one, its)
        if its.wordsAfter is FILES:
            _completing(one.add_argument("files", nargs="*"), files=True)
        elif its.wordsAfter:
            one.add_argument("word", choices=its.wordsAfter)
    for word in answers:
        one = commands.add_parser(word, help=f"the same as --{word}", add_help=False)
        if word == "help":
            topics = [*others, *_headings(options)]
            one.add_argument("topic", nargs="?", choices=topics, help="a command or a heading")
    # After the destination there is nothing to complete, as after a command without options.
    for word in options.wordsAfter:
        commands.add_parser(word, help="what the load goes to", add_help=False)
    text = shtab.complete(parser, shell=shell) + "\n"
    for name in others:
        if f"{name}:" in options.wordsAfter:
            text = _unproposed(text, command, name)
    if shell == "bash":
        return text + _BASH.replace("NAME", command)
    if shell == "zsh":
        for word in options.wordsAfter:
            text = text.replace(f"    {word}:", "    {}:".format(word.replace(":", "\\\\:")))
        return _ZSH_OPTION.sub(r"\1=\2", text)
    return text


def _addOptions(parser: ArgumentParser, options: type[CommandLine]) -> None:
    for _, group in options.groups:
        for option in group:
            names = [f"-{option.short}"] if option.short else []
            names.append(f"--{option.long}")
            if isinstance(option, Flag):
                parser.add_argument(*names, action="store_true", help=_escaped(option.help))
            else:
                _addValue(parser, names, option)
    parser.add_argument("-V", "--version", action="store_true", help="show the version and exit")
    letters = ("-h",) if hasattr(options, "opt_h") else ()
    headings = _headings(options)
    if len(headings) > 1:
        about = "show the help and exit, or what stands under one heading"
        parser.add_argument(*letters, "--help", nargs="?", metavar="HEADING", choices=headings, help=about)
    else:
        parser.add_argument(*letters, "--help", action="store_true", help="show the help and exit")


def _headings(options: type[CommandLine]) -> list[str]:
    return [tableOf(heading) for heading, _ in options.groups]


def _unproposed(text: str, command: str, name: str) -> str:
    """
    A script that knows a command of a command's without proposing it: another word begins so, and there would be two.
    """
    # What proposes it in bash, in zsh, and in fish.
    text = re.sub(rf"(?m)^(_shtab_{command}_pos_0_choices=\(.*)\b{name} ", r"\1", text, count=1)
    text = re.sub(rf"(?m)^    {name}:'.*\n", "", text, count=1)
    return re.sub(rf"(?m)^complete -c .* -a {name} -d .*\n", "", text, count=1)


def _addValue(parser: ArgumentParser, names: Sequence[str], option: ValueOption) -> None:
    words = option.convert.words if isinstance(option.convert, Worded) else None
    repeated = option.repeated
    action = parser.add_argument(
        *names,
        action="append" if repeated else "store",
        nargs=2 if option.pair else None,
        metavar=tuple(option.meta.split()) if option.pair else option.meta,
        choices=words,
        help=_escaped(option.help),
    )
    _completing(action, files=takesFile(option))


def _completing(action: Action, files: bool) -> None:
    if files:
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def _escaped(text: str) -> str:
    """
    A text in which argparse fills in nothing.
    """
    return text.replace("%", "%%")
