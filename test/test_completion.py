"""
Tests for the completion of command lines, in real shells.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from commandlines import CommandTestCase
from patience import TEST_LIMIT
from shells import ask, commandsIn, environment, typed
from subprocesses import ROOT, smtpsink, smtpsource
from twisted.internet import defer
from twisted.trial.unittest import TestCase

from smtpsource import __main__
from smtpsource.cli.commandline import takesFile
from smtpsource.cli.source import SourceOptions
from smtpsource.sink.options import SinkOptions
from smtpsource.tools import completion
from smtpsource.values.names import Worded
from smtpsource.values.option import ValueOption

COMMANDS = {"smtpsource": SourceOptions, "smtpsink": SinkOptions}

#: What is typed, and what becomes of it, as there is one way to go on.
TYPED = [
    ("smtpsource --thr\t", "smtpsource|--threshold"),
    ("smtpsource --tls im\t", "smtpsource|--tls implicit"),
    ("smtpsource --tls=im\t", "smtpsource|--tls=implicit"),
    ("smtpsource -d --pick we\t", "smtpsource|-d --pick weighted"),
    ("smtpsource -d --report sav\t", "smtpsource|-d --report saved.json"),
    ("smtpsource -F sav\t", "smtpsource|-F saved.json"),
    ("smtpsource -d si\t", "smtpsource|-d sink:"),
    ("smtpsource -f a@b.test --bind ::1 --tls im\t", "smtpsource|-f a@b.test --bind ::1 --tls implicit"),
    ("smtpsource si\t", "smtpsource|sink:"),
    ("smtpsource compa\t", "smtpsource|compare"),
    ("smtpsource sink --tls-ce\t", "smtpsource|sink --tls-cert"),
    ("smtpsource sink --no-st\t", "smtpsource|sink --no-starttls"),
    ("smtpsource --help conn\t", "smtpsource|--help connections"),
    ("smtpsource help conn\t", "smtpsource|help connections"),
    ("smtpsource help comp\tar\t", "smtpsource|help compare"),
    ("smtpsink --help lim\t", "smtpsink|--help limits"),
    ("smtpsource compare --fa\t", "smtpsource|compare --fail-if"),
    ("smtpsource merge sav\t", "smtpsource|merge saved.json"),
    ("smtpsource completion z\t", "smtpsource|completion zsh"),
    ("smtpsink --no-st\t", "smtpsink|--no-starttls"),
    ("smtpsink --tls-cert sav\t", "smtpsink|--tls-cert saved.json"),
    ("smtpsink compl\t b\t", "smtpsink|completion bash"),
]


def namesOf(options):
    """
    @return: all options of a command, with their dashes.
    """
    found = {"--version", "--help", "-V"}
    if not any(option.short == "h" for _, group in options.groups for option in group):
        found.add("-h")
    for _, group in options.groups:
        for option in group:
            found |= {f"--{option.long}"} | ({f"-{option.short}"} if option.short else set())
    return found


def valuesOf(options):
    """
    @return: the options with a value of which something is known.
    """
    valued = [option for _, group in options.groups for option in group if isinstance(option, ValueOption)]
    return [option for option in valued if isinstance(option.convert, Worded) or takesFile(option)]


class ShellTestCase(TestCase):
    """
    What tests of all shells have in common.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.bin = self.directory / "bin"
        commandsIn(self.bin)
        self.files = self.directory / "files"
        self.files.mkdir()
        (self.files / "saved.json").write_text("{}")
        self.env = environment(self.bin)

    def ask(self, shell, script):
        """
        @return: the lines that a script of a shell wrote.
        """
        return ask(shell, script, self.files, self.env)

    def checkTyped(self, shell, setup):
        """
        What is typed becomes what it should.
        """
        said = typed(shell, setup, [line for line, _ in TYPED], self.files, self.env)
        self.assertEqual([wanted for _, wanted in TYPED], said)


class BashTests(ShellTestCase):
    """
    Bash.
    """

    sources = 'eval "$(smtpsource completion bash)"; eval "$(smtpsink completion bash)"'

    def offered(self, *words):
        """
        @return: what there is for the last of these words.
        """
        script = f"{self.sources}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _{words[0]}"
        return self.ask("bash", script + "; printf '%s\\n' \"${COMPREPLY[@]}\"")

    def test_typed(self):
        """
        On a terminal.
        """
        self.checkTyped("bash", self.sources)

    def test_files(self):
        """
        By the files that come with the package.
        """
        for name in COMMANDS:
            self.assertEqual(
                ["complete -o bashdefault -F _NAME NAME".replace("NAME", name)],
                self.ask("bash", f". {ROOT}/contrib/completion/{name}; complete -p {name}"),
            )

    def test_options(self):
        """
        All options are offered, and no other.
        """
        for command, options in COMMANDS.items():
            self.assertEqual(sorted(namesOf(options)), sorted(self.offered(command, "-")))

    def test_values(self):
        """
        What is known of values is offered; after others, nothing.
        """
        self.assertEqual(["off", "auto", "require", "force"], self.offered("smtpsource", "--pipelining", ""))
        self.assertEqual(["1.0", "1.1", "1.2", "1.3"], self.offered("smtpsource", "--tls-min", "="))
        self.assertEqual(["saved.json"], self.offered("smtpsource", "--report", ""))
        self.assertEqual([""], self.offered("smtpsource", "--session-count", ""))

    def test_commands(self):
        """
        The options of a command are its own, also those of the sink, which is not proposed: what a load goes to begins
        so. Help is about commands and headings.
        """
        self.assertEqual(sorted(namesOf(SinkOptions)), sorted(self.offered("smtpsource", "sink", "-")))
        headings = [heading.lower().replace(" ", "-") for heading, _ in SourceOptions.groups]
        self.assertEqual(headings, self.offered("smtpsource", "--help", ""))
        commands = {
            "compare",
            "merge",
            "html",
            "recover",
            "reconcile",
            "watch",
            "calibrate",
            "completion",
            "locust",
            "sink",
        }
        self.assertEqual({*headings, *commands}, set(self.offered("smtpsource", "help", "")))
        words = [word for word in self.offered("smtpsource", "") if not word.startswith("-")]
        self.assertEqual({"help", "version", "sink:", *commands} - {"sink"}, set(words) - {""})


class ZshTests(ShellTestCase):
    """
    Zsh.
    """

    def test_typed(self):
        """
        On a terminal.
        """
        self.checkTyped(
            "zsh",
            "autoload -U compinit; compinit -u -D; "
            'eval "$(smtpsource completion zsh)"; eval "$(smtpsink completion zsh)"',
        )

    def test_autoloaded(self):
        """
        By the files that come with the package, which ask the command.
        """
        self.checkTyped("zsh", f"fpath=({ROOT}/contrib/completion $fpath); autoload -U compinit; compinit -u -D")


class FishTests(ShellTestCase):
    """
    Fish.
    """

    def offered(self, *lines):
        """
        @return: for each line, what there is for its last word.
        """
        script = "smtpsource completion fish | source; smtpsink completion fish | source\n"
        for line in lines:
            script += f"complete -C {shlex.quote(line)} | string split -f1 \\t; echo .\n"
        found = [[]]
        for said in self.ask("fish", script):
            if said == ".":
                found.append([])
            else:
                found[-1].append(said)
        return found[:-1]

    def test_typed(self):
        """
        What goes on in one way only.
        """
        once = [(line.removesuffix("\t"), said) for line, said in TYPED if line.count("\t") == 1]
        found = self.offered(*[line for line, _ in once])
        self.assertEqual([[re.split(r"[| ]", said)[-1]] for _, said in once], found)

    def test_files(self):
        """
        By the files that come with the package, which fish finds by itself.
        """
        share = self.directory / "share"
        (share / "fish").mkdir(parents=True)
        (share / "fish" / "vendor_completions.d").symlink_to(ROOT / "contrib" / "completion")
        self.env["XDG_DATA_DIRS"] = str(share)
        for line, said in (("smtpsource --thr", "--threshold"), ("smtpsink --no-st", "--no-starttls")):
            (found,) = self.ask("fish", f"complete -C {shlex.quote(line)}")
            self.assertEqual(said, found.partition("\t")[0])

    def test_everything(self):
        """
        All options are offered, and no other; and for each what is known of its values.
        """
        for command, options in COMMANDS.items():
            valued = valuesOf(options)
            self.assertGreater(len(valued), 3)
            letters, longs, *values = self.offered(
                f"{command} -", f"{command} --", *(f"{command} --{option.long} " for option in valued)
            )
            self.assertEqual(namesOf(options), set(letters + longs))
            for option, found in zip(valued, values, strict=True):
                wanted = option.convert.words if isinstance(option.convert, Worded) else ("saved.json",)
                self.assertEqual(sorted(wanted), sorted(found), option.long)


class CommandTests(CommandTestCase):
    """
    The command C{completion}.
    """

    def test_commands(self):
        """
        All commands are known.
        """
        given = {}

        def known(arguments, command, options, others, answers):
            given.update(others=others, answers=answers)

        self.patch(completion.completion, "main", known)
        completion.main(["bash"])
        self.assertEqual(__main__._TOOLS.keys(), given["others"].keys() | {"completion"})
        self.assertEqual([*__main__._ANSWERS], [*given["answers"]])

    @defer.inlineCallbacks
    def test_shells(self):
        """
        A shell that is not known is one line of what would be right.
        """
        for run, name in ((smtpsource, b"smtpsource"), (smtpsink, b"smtpsink")):
            for words in (["completion", "tcsh"], ["completion"], ["completion", "bash", "zsh"]):
                result = yield run(self, *words).whenEnded()
                self.assertEqual((2, b""), (result.status, result.out))
                self.assertOneLine(result.err, name + b" completion: ", b"expected bash, zsh or fish")
            result = yield run(self, "completion", "--help").whenEnded()
            self.assertEqual((0, b""), (result.status, result.err))
            self.assertIn(b"Usage: " + name + b" completion bash|zsh|fish\n", result.out)
            self.assertNotIn(b"reactor", result.out)
