"""
The manual says what the program does: its pages have every option and no other, all of it is valid
reStructuredText, and the programs in the README run.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.core import publish_string
from manuals import MANUAL, documented, parsed, settings
from patience import PATIENCE
from peers import missing
from twisted.trial.unittest import TestCase

from smtpsource.__main__ import _ANSWERS, _TOOLS
from smtpsource.cli.commandline import CommandLine
from smtpsource.cli.source import SourceOptions
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.summary import Messages, Summary, latenciesOf
from smtpsource.net.tls import client
from smtpsource.phases import NAMES
from smtpsource.plan import SourcePlan
from smtpsource.report.document import documentOf
from smtpsource.sink.control.commands import COMMANDS
from smtpsource.sink.control.ctl import CtlOptions
from smtpsource.sink.options import SinkOptions
from smtpsource.sink.summary import SinkSummary
from smtpsource.values.option import ValueOption

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "docs"))

import plantables  # noqa: E402

#: Every text that is published, towncrier's fragments included, but for those that are Sphinx's: C{make docs}.
TEXTS = [ROOT / name for name in ("README.rst", "NEWS.rst", "CONTRIBUTING.rst")]
TEXTS += [*ROOT.glob("docs/**/*.rst"), *ROOT.glob("news/*.rst"), *ROOT.glob("contrib/*.rst")]
TEXTS.remove(ROOT / "docs" / "index.rst")


def literals(text):
    """
    @return: all that stands between double backquotes.
    """
    return set(re.findall(r"``(.+?)``", text.read_text("utf-8"), re.DOTALL))


class ManualPageTests(TestCase):
    """
    The pages and the options agree.
    """

    def check(self, name, options: type[CommandLine]):
        wanted = {("V", "version", None): None, ("h" if hasattr(options, "opt_h") else None, "help", None): None}
        for _, group in options.groups:
            for option in group:
                isParameter = isinstance(option, ValueOption)
                key = option.short, option.long, option.meta if isParameter else None
                wanted[key] = option.default if isParameter else None
        found = documented(MANUAL / f"{name}.rst")
        self.assertEqual([], sorted(map(str, wanted.keys() - found.keys())), "not in the page")
        self.assertEqual([], sorted(map(str, found.keys() - wanted.keys())), "not an option")
        for key, default in wanted.items():
            self.assertTrue(found[key], key)
            if default is not None:
                self.assertIn(f"(default: {default})", found[key], key)

    def test_source(self):
        """
        Every option of smtp-source, with its letter, long name, value and default, and no other.
        """
        self.check("smtpsource", SourceOptions)

    def test_sink(self):
        """
        The same for smtp-sink.
        """
        self.check("smtpsink", SinkOptions)

    def test_ctl(self):
        """
        The same for what steers a sink, and its commands.
        """
        self.check("smtpsink-ctl", CtlOptions)
        text = (MANUAL / "smtpsink-ctl.rst").read_text("utf-8")
        self.assertEqual([name for name in COMMANDS if f"**{name}**" not in text], [])

    def test_convert(self):
        """
        The pages become manual pages of section 1, and docutils has nothing to say of them.
        """
        for path in sorted(MANUAL.glob("*.rst")):
            name = path.stem
            warnings = io.StringIO()
            page = publish_string(
                path.read_text("utf-8"),
                str(path),
                writer_name="manpage",
                settings_overrides={**settings(warnings), "output_encoding": "unicode"},
            )
            self.assertEqual("", warnings.getvalue())
            self.assertRegex(page.replace("\\-", "-"), rf'(?im)^\.TH "?{name}"? "?1"? ')
            self.assertNotIn("System Message", page)

    def test_narrow(self):
        """
        On a terminal of 80 columns C{man} has nothing to say of them either, such as that a word is too long.
        """
        if shutil.which("man") is None:
            missing("man isn't installed (Debian: man-db)")
        for path in sorted(MANUAL.glob("*.rst")):
            made = Path(self.mktemp())
            made.write_text(publish_string(path.read_text("utf-8"), str(path), writer_name="manpage").decode(), "utf-8")
            shown = subprocess.run(
                ["man", "--warnings", "--local-file", made],
                env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
                capture_output=True,
                timeout=PATIENCE,
                check=True,
            )
            self.assertEqual((path.name, b""), (path.name, shown.stderr))


class CompatibilityTests(TestCase):
    """
    docs/compatibility.rst has a row for every option of Postfix's tools.
    """

    def test_rows(self):
        """
        The letters in the first column of the two tables are those of Postfix's tools; each of our options is named.
        """
        path = ROOT / "docs" / "compatibility.rst"
        document, _ = parsed(path)
        tables = []
        for table in document.findall(nodes.table):
            rows = [row.next_node(nodes.entry).astext() for row in table.findall(nodes.row)]
            if rows[0] == "Option":
                tables.append(sorted(rows[1:]))
        letters = ["46AcCdfFlLmMNorRsStTvw", "468aAbBcCdDeEfFhHLmMnNpPqQrRsStTuvwW"]
        self.assertEqual([sorted(f"-{letter}" for letter in tool) for tool in letters], tables)
        new = [o.long for c in (SourceOptions, SinkOptions) for _, group in c.groups for o in group if o.short is None]
        self.assertEqual(set(), {f"--{name}" for name in new} - literals(path))


class ReportTests(TestCase):
    """
    docs/report.rst has every field, phase and kind of error.
    """

    path = ROOT / "docs" / "report.rst"

    def keys(self, document):
        """
        @return: the names of all fields, however deep.
        """
        found = set(document)
        for value in document.values():
            if isinstance(value, dict):
                found |= self.keys(value)
        return found

    def test_fields(self):
        """
        Every field of both reports, and every phase.
        """
        sink = SinkSummary((), "", "", 1.0, 1.0, "done", 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, {"lost": (1, "")}).asDict()
        recorder = Recorder()
        for phase in range(len(NAMES)):
            recorder.duration(phase, 1.0)
        source = documentOf(
            Summary(
                command=(),
                reactor="",
                started="",
                elapsed=1.0,
                exit=0,
                ended="done",
                reason=None,
                messages=Messages(0, 0, 0, 0),
                recipientsAccepted=0,
                recipientsRejected=0,
                connectionsOpened=0,
                connectionsFailed=0,
                connectionsLost=0,
                bytesSent=0,
                bytesReceived=0,
                rate=0.0,
                user=0.0,
                system=0.0,
                latency=latenciesOf(recorder),
                capabilities={},
                tls={},
                replies={},
                errors={},
                sink=sink,
            )
        )
        wanted = self.keys(source)
        self.assertIn("transaction", wanted)
        self.assertEqual(set(), wanted - literals(self.path))

    def test_errors(self):
        """
        Every kind of error that the program can count.
        """
        kinds = set()
        for source in (ROOT / "smtpsource").rglob("*.py"):
            code = source.read_text("utf-8")
            kinds |= set(re.findall(r"""(?:\berror|fault|refuse)\(\s*"([a-z-]+)",""", code))
            kinds |= set(re.findall(r'return "(connect-[a-z]+)"', code))
        self.assertLess({"timeout", "stopped", "connect-refused", "garbage-reply", "sequence"}, kinds)
        self.assertEqual(set(), kinds - literals(self.path))


class PlanTests(TestCase):
    """
    docs/plan.rst has every keyword.
    """

    def test_tables(self):
        """
        Its tables are those of the settings: see C{make plan}.
        """
        text = plantables.PATH.read_text("utf-8")
        self.assertEqual(plantables.written(text), text)

    def test_keywords(self):
        """
        They have every keyword, and every option of the command line.
        """
        found = literals(plantables.PATH)
        for plan in plantables.PLANS.values():
            self.assertGreater(len(plan.declared), 10)
            for name, one in plan.declared.items():
                inner = [f"{name}.{each}" for each in one.nested.declared] if one.nested is not None else [name]
                self.assertEqual(set(), {each for each in inner if not one.follows} - found)
        text = plantables.PATH.read_text("utf-8")
        for options in (SourceOptions, SinkOptions):
            longs = [option.long for heading, group in options.groups for option in group if heading != "Other"]
            self.assertEqual([], [long for long in longs if not re.search(rf"--{long}\b(?!-)", text)])

    def test_example(self):
        """
        The command line and the keywords at its beginning say the same.
        """
        if client._missing is not None:
            missing("pyOpenSSL isn't installed")
        document, _ = parsed(plantables.PATH)
        command, code = [block.astext() for block in document.findall(nodes.literal_block)]
        options = SourceOptions()
        options.parseOptions(shlex.split(command)[1:])
        expression = compile(code.replace("SourcePlan(\n", "plan = SourcePlan(\n"), "docs/plan.rst", "exec")
        made = {}
        exec(expression, made)
        for name, one in SourcePlan.declared.items():
            if not one.follows and name not in ("command", "myhostname"):
                self.assertEqual(getattr(options.plan, name), getattr(made["plan"], name), name)


class ArchitectureTests(TestCase):
    """
    docs/architecture.rst has every module.
    """

    def test_modules(self):
        """
        Each file of the package is named.
        """
        text = (ROOT / "docs" / "architecture.rst").read_text("utf-8")
        modules = {path.name for path in (ROOT / "smtpsource").rglob("*.py")} - {"__init__.py", "_version.py"}
        self.assertEqual([], sorted(name for name in modules if not re.search(rf"\b{re.escape(name)}\b", text)))


class TextTests(TestCase):
    """
    What is written is reStructuredText.
    """

    def test_valid(self):
        """
        Docutils has nothing to say of any text.
        """
        self.assertGreater(len(TEXTS), 5)
        for path in TEXTS:
            _, warnings = parsed(path)
            self.assertEqual("", warnings, path)

    def test_files(self):
        """
        The files of ours that a text names are there.
        """
        for path in TEXTS:
            for name in re.findall(r"``((?:docs/[\w./-]+|[A-Z]+)\.rst)``", path.read_text("utf-8")):
                self.assertTrue((ROOT / name).exists(), f"{path.name} names {name}")

    def test_commands(self):
        """
        The options in the README's command lines are those that there are: each line can be parsed.
        """
        document, _ = parsed(ROOT / "README.rst")
        # What they name, and README's reader has.
        directory = Path(self.mktemp())
        for name in ("cur", "new"):
            (directory / "Maildir" / name).mkdir(parents=True)
        (directory / "Maildir" / "new" / "1").write_bytes(b"Subject: one\n\nText\n")
        (directory / "users.txt").write_text("user@example.com:secret\n")
        (directory / "load.toml").write_text("message-count = 5\n")
        for name in ("message.eml", "mail/two.eml"):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(b"Subject: two\n\nText\n")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory)
        commands = {"smtpsource": SourceOptions, "smtp-source": SourceOptions}
        commands |= {"smtpsink": SinkOptions, "smtp-sink": SinkOptions}
        tried = 0
        for block in document.findall(nodes.literal_block):
            for line in block.astext().splitlines():
                words = shlex.split(line) if line.startswith(("smtpsource ", "smtpsink ", "twistd ")) else []
                start = next((n for n, word in enumerate(words) if word in commands), None)
                if "--tls" in words and client._missing is not None:
                    continue
                if words[:2] == ["smtpsink", "ctl"]:
                    CtlOptions().parseOptions(words[2:])
                elif start is not None and words[start + 1] not in (*_TOOLS, *_ANSWERS):
                    commands[words[start]]().parseOptions(words[start + 1 :])
                    tried += 1
        self.assertGreater(tried, 10)


class ReadmeProgramTests(TestCase):
    """
    The programs in the README run as they are.
    """

    def programs(self):
        """
        @return: the code of each.
        """
        document, _ = parsed(ROOT / "README.rst")
        blocks = [block.astext() for block in document.findall(nodes.literal_block)]
        return [block for block in blocks if re.search(r"^from smtpsource", block, re.MULTILINE)]

    def runPython(self, program, *arguments):
        """
        Run a program in a directory of its own.

        @param program: its code.
        @param arguments: what Python is to do with it; the program is C{program.py}.

        @return: what it wrote.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / "program.py").write_text(program, "utf-8")
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=directory,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout

    def test_programs(self):
        """
        There are two: one for a program, one for a test.
        """
        self.assertEqual([False, True], ["TestCase" in program for program in self.programs()])

    def test_program(self):
        """
        The first loads a server and says what came back.
        """
        self.assertRegex(
            self.runPython(self.programs()[0], "program.py"), r"\A1000 accepted, \d+ a second\nslowest .* seconds\n\Z"
        )

    def test_test(self):
        """
        The second is a test that trial runs, and it succeeds.
        """
        said = self.runPython(self.programs()[1], "-m", "twisted.trial", "program")
        self.assertRegex(said, r"Ran 1 tests in [0-9.]+s\n\nPASSED \(successes=1\)")
