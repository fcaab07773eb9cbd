"""
Tests for the programs in the documents, and for what type checkers say of programs: those of others are checked with
mypy's strictest rules, and without its plugin for zope.interface.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from incremental import Version
from manuals import parsed
from patience import PATIENCE
from twisted.trial.unittest import SynchronousTestCase

import smtpsource
import twisted

ROOT = Path(__file__).resolve().parent.parent

#: The documents that have programs, and how many.
DOCUMENTS = {
    "README.rst": 2,
    "docs/programs.rst": 5,
    "docs/monitoring.rst": 1,
    "docs/plan.rst": 1,
    "docs/sink.rst": 1,
    "docs/testsuites.rst": 3,
}

#: What Twisted's own functions need, where they have no types yet.
UNTYPED = (
    ["--allow-untyped-calls", "--no-warn-unused-ignores"] if twisted.version < Version("twisted", 24, 0, 0) else []
)

BEGINNING = """
from twisted.internet import reactor

import smtpsource
from smtpsource import Credentials, Parameters, SinkPlan, SinkService, SourcePlan, SourceService, TLSSettings, testing

"""

#: What is right.
RIGHT = """
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from smtpsource import Destination, HostDestination, Latency, Summary, Threshold, TLSMode
from twisted.internet.interfaces import IReactorCore, IReactorTCP, IReactorTime
from twisted.internet.selectreactor import SelectReactor


class Both(MultiService):
    def __init__(self, where: Destination, thresholds: tuple[str, ...] | tuple[Threshold, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        plan = SourcePlan(destination=where, tls="implicit", exercise="noop", pipelining="require", stagesOf="sessions")
        self.source = SourceService(reactor, plan, tell=print)
        self.sink = SinkService(reactor, SinkPlan(port=2525))
        service: Service = self.source

    def ended(self) -> Deferred[Summary]:
        return self.source.whenDone()


def withAny(core: IReactorCore, tcp: IReactorTCP, time: IReactorTime) -> None:
    SourceService(core, SourcePlan())
    SourceService(tcp, SourcePlan())
    SourceService(time, SourcePlan())
    SourceService(SelectReactor(), SourcePlan())
    SinkService(reactor, SinkPlan())
    SinkService(time, SinkPlan().evolve(port=2525))


def slowest(summary: Summary, tls: TLSMode) -> tuple[float | None, Latency, SourcePlan]:
    plan = SourcePlan(tls=tls).evolve(sessionCount=8)
    return summary.percentile("transaction", 99.99), summary.latency["transaction"], plan


def loaded(factory: Factory) -> int:
    return smtpsource.testing.runInMemory(SourcePlan(addresses="all"), factory).messages.accepted


Both(HostDestination("localhost", 25), ("rate > 1/s",))
"""

#: What is wrong: a statement, and what is said of it.
WRONG = (
    ("from smtpsource import Nonsense", 'has no attribute "Nonsense"'),
    ("smtpsource.Nonsense", 'has no attribute "Nonsense"'),
    ('SourcePlan(tls="startls")', "Literal['startls']"),
    ('SourcePlan(exercise="nop")', "Literal['nop']"),
    ('SourcePlan(arrivals="even")', "Literal['even']"),
    ('SourcePlan(stagesOf="rates")', "Literal['rates']"),
    ('SourcePlan(pipelining="on")', "Literal['on']"),
    ('SourcePlan(chunking="yes")', "Literal['yes']"),
    ('SourcePlan(pick="weights")', "Literal['weights']"),
    ('SourcePlan(recipientNumbering="before")', "Literal['before']"),
    ('SourcePlan(proxyProtocol="v3")', "Literal['v3']"),
    ('SourcePlan(addresses="some")', "Literal['some']"),
    ('TLSSettings(minimum="1.4")', "Literal['1.4']"),
    ('Parameters(ret="ALL")', "Literal['ALL']"),
    ("SourcePlan(sesionCount=3)", '"sesionCount"'),
    ('SourcePlan(sessionCount="3")', '"str"'),
    ('SourcePlan(logins=("jane",))', "Credentials"),
    ("SinkPlan(pipelining=1)", '"int"'),
    ("SourceService(reactor, SinkPlan())", '"SinkPlan"'),
    ("SourceService(42, SourcePlan())", '"int"'),
    ("SourceService(SourcePlan(), reactor)", '"SourcePlan"'),
    ("SinkService(42, SinkPlan())", '"int"'),
    ("SourcePlan().tls = None", "read-only"),
)


def programs(name):
    """
    @return: the programs in a document.
    """
    document, _ = parsed(ROOT / name)
    blocks = [block.astext() for block in document.findall(nodes.literal_block)]
    return [block for block in blocks if re.search(r"^(from|import) smtpsource", block, re.MULTILINE)]


class ProgramCase(SynchronousTestCase):
    """
    Python in a directory of its own, where it finds this source as a package that is installed.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()

    def python(self, *arguments):
        """
        @return: what came of it.
        """
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def types(self, **texts):
        """
        Check the types of programs.

        @param texts: by their names.
        @return: what is said of each line that something is said of, by the name and the number.
        """
        for name, text in texts.items():
            (self.directory / f"{name}.py").write_text(text, "utf-8")
        options = ["--config-file=", "--no-pretty", "--strict", *UNTYPED]
        done = self.python("-m", "mypy", *options, *(f"{name}.py" for name in texts))
        self.assertIn(done.returncode, (0, 1), done.stdout)
        found = re.findall(r"^(\w+)\.py:(\d+): error: (.*)", done.stdout, re.MULTILINE)
        self.assertEqual(bool(found), done.returncode == 1, done.stdout)
        said = {}
        for name, number, text in found:
            said[name, int(number)] = said.get((name, int(number)), "") + text
        return said


class DocumentTests(ProgramCase):
    """
    The programs in documents.
    """

    def test_number(self):
        """
        There are some, and none in other documents.
        """
        found = {str(path.relative_to(ROOT)): len(programs(path)) for path in (ROOT / "docs").glob("*.rst")}
        found["README.rst"] = found.pop("docs/readme.rst")  # which has nothing else
        self.assertEqual({name: number for name, number in found.items() if number}, DOCUMENTS)

    def test_types(self):
        """
        Type checkers have nothing to say of them.
        """
        # Twisted's mail and its port forwarder have no types.
        untyped = re.compile(r"twisted\.(mail|protocols\.portforward)")
        texts = [text for name in DOCUMENTS for text in programs(name) if not untyped.search(text)]
        self.assertEqual(self.types(**{f"program{n}": text for n, text in enumerate(texts)}), {})

    def test_run(self):
        """
        Those of docs/ run as they are. (The README's are tested in test_manual.)
        """
        expected = (
            ("docs/programs.rst", 0, "200 accepted, 2 of 2 thresholds held\n"),
            ("docs/programs.rst", 1, "250 the cache is emptied\n"),
            ("docs/programs.rst", 2, "pass 100 0\n"),
            ("docs/programs.rst", 3, "pass 100 0\n"),
            ("docs/programs.rst", 4, "running\nsignal\n"),
            ("docs/monitoring.rst", 0, ""),
        )
        for name, number, output in expected:
            # Any port that is free will do.
            text = programs(name)[number].replace("port=9525", "port=0")
            (self.directory / "program.py").write_text(text, "utf-8")
            done = self.python("program.py")
            self.assertEqual((done.returncode, done.stdout), (0, output), name)

    def test_names(self):
        """
        Each public name is in docs/programs.rst.
        """
        text = (ROOT / "docs" / "programs.rst").read_text("utf-8")
        self.assertEqual({f"``{name}``" for name in smtpsource.__all__} - {*re.findall("``[^`]+``", text)}, set())


class TypeTests(ProgramCase):
    """
    What type checkers know of the package.
    """

    def test_right(self):
        """
        What is right, with the reactor that is a module, or was one.
        """
        self.assertEqual(self.types(right=BEGINNING + RIGHT), {})

    def test_wrong(self):
        """
        What is wrong: each line by itself, and nothing else.
        """
        said = self.types(wrong=BEGINNING + "".join(f"{statement}\n" for statement, _ in WRONG))
        first = BEGINNING.count("\n") + 1
        self.assertEqual([*said], [("wrong", first + n) for n in range(len(WRONG))], said)
        for (statement, words), text in zip(WRONG, said.values(), strict=True):
            self.assertIn(words, text, statement)
