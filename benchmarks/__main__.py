"""
The command line: C{python -m benchmarks}.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.cases import CASES
from benchmarks.contenders import CONTENDERS
from benchmarks.running import Runner, Settings
from benchmarks.servers import SERVERS
from benchmarks.table import raw, render, results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure smtpsource beside Postfix's smtp-source and others. See benchmarks/README.rst.",
    )
    parser.add_argument("--list", action="store_true", help="show the cases, and run none")
    parser.add_argument("--cases", metavar="A,B", help="run only these")
    parser.add_argument("--contenders", metavar="A,B", help="run only these, such as smtpsource,smtp-source")
    parser.add_argument("--pairs", metavar="N", type=int, help="pairs of runs, after the warm-up (default: 5)")
    parser.add_argument("--seconds", metavar="T", type=float, help="about so long for each large run (default: 1.5)")
    parser.add_argument("--quick", action="store_true", help="2 pairs of very short runs: to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--pin",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the server on one processor and the clients on another (default, if there are two)",
    )
    parser.add_argument("--server", choices=sorted(SERVERS), help="who is loaded (default: Postfix's, if installed)")
    parser.add_argument("--options", metavar="TEXT", default="", help="more options for smtpsource, in one word")
    return parser


def _chosen(parser: argparse.ArgumentParser, text: str | None, known: Sequence[str], what: str) -> list[str]:
    names = [name for name in (text or "").split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"there is no {what} {name!r}: expected some of {', '.join(known)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command line.

    @return: 1 if something that could be measured failed, otherwise 0; whether the bars are met does not matter.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    names = _chosen(parser, options.cases, list(CASES), "case") or list(CASES)
    only = frozenset(_chosen(parser, options.contenders, [*CONTENDERS, *SERVERS], "contender"))
    if options.list:
        for case in CASES.values():
            print(f"{case.name:12}{case.title} ({', '.join(case.contenders)})")
        return 0
    if options.pairs is not None and options.pairs < 1:
        parser.error(f"--pairs: {options.pairs} is not usable: expected at least 1")
    settings = Settings(
        pairs=options.pairs or (2 if options.quick else 5),
        seconds=options.seconds or (None if options.quick else 1.5),
        pin=options.pin,
        server=options.server or ("smtpsink" if SERVERS["smtp-sink"].missing() else "smtp-sink"),
        only=only,
        options=tuple(shlex.split(options.options)),
    )
    return _run(settings, names, options.json)


def _run(settings: Settings, names: Sequence[str], file: str | None) -> int:
    measure.raiseFileLimit()
    at = measure.processors() if settings.pin else None
    here = machine.describe()
    print(machine.line(here))
    print(f"Server {settings.server}; {settings.pairs} pairs; ", end="")
    print(f"server on processor {at[0]}, clients on {at[1]}" if at else "server and clients on any processor")
    print("Ratios are to Postfix's program, within TLS to tlsfloor, pair by pair, the median first.\n", flush=True)
    done = []
    failed = False
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        Path(directory).chmod(0o755)
        runner = Runner(settings, Path(directory), lambda text: print(text, file=sys.stderr, flush=True))
        for name in names:
            case = CASES[name]
            try:
                found = results(case, runner.run(case))
            except measure.RunFailed as e:
                failed = True
                print(f"{name}: {e}\n", flush=True)
                continue
            failed = failed or any((result.entrant.note or "").startswith("failed") for result in found)
            print(render(case, found), flush=True)
            done.append(raw(case, found))
    if file is not None:
        everything = {
            "machine": here,
            "pinned": at,
            "server": settings.server,
            "pairs": settings.pairs,
            "options": settings.options,
            "began": began,
            "ended": time.time(),
            "cases": done,
        }
        with open(file, "w", encoding="utf-8") as out:
            json.dump(everything, out, indent=1)
            out.write("\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
