"""
The command line: C{python -m benchmarks.instructions}, which C{make instructions} calls.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from smtpsource import speedups

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent

#: What has been counted, and is not to be exceeded.
FIGURES = _HERE / "figures.json"

#: So much more than the figure is too much; and where it depends on chance: on the order in which the kernel closes
#: connections, or on where malloc(3) finds room for a large piece.
_TOLERANCE = 0.02
_BY_CHANCE = 0.10

#: So many layouts of memory are tried before a case has taken too much, or is written down. CPython finds methods in a
#: cache whose places go by addresses; where two of the hot path happen to share a place, a message takes up to an
#: eighth more. That is so in one layout of eight or so, and each machine has its own.
_LAYOUTS = 8
_WRITTEN_LAYOUTS = 3

#: Messages from this one to that one are counted. Those before fill caches, and let Python's interpreter adapt.
_FIRST, _LAST = 200, 1200

#: What decides about instructions, besides our code: nothing of the machine's, and no order that is random.
_STEADY = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True)
class Case:
    """
    One load.

    @ivar options: of the program.
    @ivar module: what is looked at: the generator, or the sink.
    @ivar other: settings of C{other.c}.
    @ivar unix: over a UNIX socket.
    @ivar tolerance: how much more than its figure is not too much.
    """

    options: str
    module: str = "smtpsource"
    other: dict[str, str] = field(default_factory=dict)
    unix: bool = False
    tolerance: float = _TOLERANCE


def _sink(keep: int, tolerance: float = _TOLERANCE, options: str = "") -> Case:
    other = {"OTHER": "client", "SESSIONS": "20", "KEEP": str(keep)}
    return Case(options, "smtpsource.sink", other, tolerance=tolerance)


_RULE = """--rule 'on = "rcpt", when = { recipient = "*@slow.test" }, do = { reply = "451 4.7.1 come back" }'"""


CASES = {
    "keep-1": Case("-d -s 1"),
    "keep-20": Case("-d -s 20"),
    "keep-100": Case("-d -s 100"),
    "10kB": Case("-d -s 20 -l 10000", tolerance=_BY_CHANCE),
    "lmtp": Case("-d -s 20 -L"),
    "unix": Case("-d -s 20", unix=True),
    "pipelined-20": Case("-d -s 20 --pipelining require"),
    "window-20": Case("-d -s 20 --pipelining require --chunking require --window 8", tolerance=_BY_CHANCE),
    "keep-20-ledger": Case("-d -s 20 --ledger ledger"),
    "window-20-ledger": Case(
        "-d -s 20 --pipelining require --chunking require --window 8 --ledger ledger", tolerance=_BY_CHANCE
    ),
    "new-20": Case("-s 20", tolerance=_BY_CHANCE),
    "sink-keep": _sink(1),
    "sink-new": _sink(0, _BY_CHANCE),
    "sink-rule": _sink(1, _BY_CHANCE, _RULE),
    "sink-kept": _sink(1, _BY_CHANCE, "--keep 1000"),
    "sink-ledger": _sink(1, options="--ledger ledger"),
}


def _interpreter() -> str:
    """
    Which figures are to be compared: those of the same Python, and the same way.
    """
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{implementation} ({platform.python_compiler()}, {platform.machine()}), {speedups.NAME}"


class Failed(Exception):
    """
    A case could not be counted; the text says why.
    """


def _freePort() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _build(directory: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or shutil.which("valgrind") is None:
        raise Failed("a C compiler and valgrind are needed (Debian: gcc, libc6-dev and valgrind)")
    library = directory / "other.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_HERE / "other.c"), "-ldl"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise Failed(f"other.c can't be compiled: {result.stderr.strip()}")
    return library


def count(case: Case, library: Path, directory: Path, layout: int = 0) -> int:
    """
    Run a case once.

    @param layout: each number lays out the memory of the program in another way, by variables of its environment.
    @return: user instructions for each message, without those of the other end.
    @raise Failed: it did not work.
    """
    settings = {"OTHER": "server", "FROM": str(_FIRST), "TO": str(_LAST), **case.other}
    if case.unix:
        settings["SOCKET"] = where = str(directory / f"other{layout}")
        destination = f"unix:{where}"
    else:
        settings["PORT"] = str(_freePort())
        destination = f"127.0.0.1:{settings['PORT']}"
    words = [sys.executable, "-m", case.module, *shlex.split(case.options)]
    if case.module == "smtpsource":
        words += ["--quiet", "--live", "off", "-m", str(_LAST + 100)]
    # The dynamic loader of the program that is looked at, not ours, is to find it.
    words = [
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--callgrind-out-file=/dev/null",
        *words,
        destination,
    ]
    padding = {f"PADDING{number}": "x" * (7 * number % 60) for number in range(layout * (layout + 1) // 2)}
    env = {**os.environ, **padding, **_STEADY, **settings, "LD_PRELOAD": str(library), "PYTHONPATH": str(_ROOT)}
    try:
        result = subprocess.run(words, env=env, cwd=directory, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Failed("it does not end") from None
    found = re.search(r"Collected : ([0-9]+)", result.stderr)
    if result.returncode or found is None or found[1] == "0":
        raise Failed(f"exit status {result.returncode}: {result.stderr.strip()[-500:]}")
    return round(int(found[1]) / (_LAST - _FIRST))


def least(case: Case, library: Path, directory: Path, enough: float | None) -> int:
    """
    Count a case in one layout of memory after the other.

    @param enough: a figure that is low enough to look at no other layout, if there is one.
    @return: the least that it took.
    @raise Failed: it did not work.
    """
    layouts = _WRITTEN_LAYOUTS if enough is None else _LAYOUTS
    found = count(case, library, directory)
    for layout in range(1, layouts):
        if enough is not None and found <= enough:
            break
        found = min(found, count(case, library, directory, layout))
    return found


def main() -> int:
    """
    Run one command line.

    @return: 1 if a case took more than its figure allows, or could not be counted.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--cases", metavar="A,B", default=",".join(CASES), help="only these")
    parser.add_argument("--write", action="store_true", help="let what is counted be the figures from now on")
    options = parser.parse_args()
    for case in options.cases.split(","):
        if case not in CASES:
            parser.error(f"there is no case {case!r}: expected some of {', '.join(CASES)}")
    figures = json.loads(FIGURES.read_text())
    interpreter = _interpreter()
    known = figures.get(interpreter, {})
    print(f"user instructions for each message: {interpreter}")
    if not known and not options.write:
        print("There are no figures of this Python to compare with; --write would make them.")
    failed = False
    counted = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            library = _build(directory)
            for case in options.cases.split(","):
                most = known[case] * (1 + CASES[case].tolerance) if case in known and not options.write else None
                counted[case] = found = least(CASES[case], library, directory, most)
                line = f"{case:<14} {found:>8,}"
                if case in known:
                    line += f"  {known[case]:>8,}  {found / known[case] - 1:+.1%}"
                    if most is not None and found > most:
                        line += "  TOO MUCH"
                        failed = True
                print(line, flush=True)
        except Failed as e:
            print(f"{e}", file=sys.stderr)
            return 1
    if options.write:
        figures[interpreter] = {**known, **counted}
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
