"""
A run of hours against a sink that is restarted again and again: C{python -m benchmarks.soak}. Are all counts right,
does the generator need more memory with time, and what is left if it is killed? Exit status 1: something is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from smtpsource.measure import timeline
from smtpsource.measure.drift import FEWEST, Drift, driftOf, wordsOf

#: How long to wait for what has to happen, in seconds.
_PATIENCE = 60.0

#: What a run that is killed has done in its last seconds is not known afterwards: in so many, at the most.
_UNKNOWN = 10.0

#: After so many seconds a timeline has as many steps as it ever has.
_FILLED = float(timeline.LIMIT)

_SOURCE = (sys.executable, "-P", "-m", "smtpsource")


def start(directory: Path, port: int = 0) -> int:
    """
    Start a sink, which is nobody's child for long.

    @return: its port.
    """
    number = len(list(directory.glob("sink-*.log")))
    log = directory / f"sink-{number}.log"
    command = [sys.executable, "-P", "-m", "smtpsource.sink", "--report", str(directory / f"sink-{number}.json")]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, f"127.0.0.1:{port}"], stdout=file, stderr=file, start_new_session=True)
    (directory / "sink.pid").write_text(str(process.pid))
    end = time.monotonic() + _PATIENCE
    while (found := re.search(r"listening on .*:([0-9]+)$", log.read_text(), re.M)) is None:
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"soak: a sink does not start: {log.read_text()}")
        time.sleep(0.01)
    return int(found[1])


def stop(directory: Path) -> None:
    """
    End the sink in order.
    """
    pid = int((directory / "sink.pid").read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + _PATIENCE
    while _isThere(pid):
        if time.monotonic() > end:
            raise SystemExit(f"soak: the sink {pid} does not end")
        time.sleep(0.01)


def _isThere(pid: int) -> bool:
    try:
        # One that has ended and has not been asked for how is gone, too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def load(options: argparse.Namespace, directory: Path, port: int) -> subprocess.Popen[bytes]:
    """
    Start the load.
    """
    again = [sys.executable, "-P", "-m", "benchmarks.soak", "--restart", str(directory), str(port)]
    command = [
        *(*_SOURCE, "-A", "-d", "-s", str(options.sessions), "--rate", f"{options.rate}/s"),
        *("--duration", f"{options.seconds}s", "--every", f"{options.every}s", shlex.join(again)),
        *("--report", str(directory / "run.json"), "--html", str(directory / "run.html")),
        *("--checkpoint", str(directory / "checkpoint"), "--csv", str(directory / "run.csv")),
    ]
    # It watches itself: the shell becomes it.
    text = f"exec {shlex.join(command)} --watch generator=pid:$$ 127.0.0.1:{port}"
    return subprocess.Popen(["/bin/sh", "-c", text])


def counted(directory: Path) -> int:
    """
    What all sinks have counted.
    """
    return sum(json.loads(path.read_text())["messages"] for path in directory.glob("sink-*.json"))


def growth(report: dict[str, Any]) -> Drift | None:
    """
    How the memory of the generator has changed, in bytes, after the time in which its timeline fills.

    @return: C{None} if it was watched for fewer than ten minutes of that.
    """
    minutes: dict[int, list[float]] = {}
    for sample in report["series"]:
        found = (sample.get("watched") or {}).get("generator rss")
        if found is not None and _FILLED <= sample["time"] < report["elapsed"] // 60 * 60:
            minutes.setdefault(int(sample["time"] // 60), []).append(found)
    values = [sum(each) / len(each) for each in minutes.values()]
    return driftOf([60.0 * minute + 30 for minute in minutes], values, 60.0)


def faults(report: dict[str, Any], counted: int, options: argparse.Namespace) -> Iterator[str]:
    """
    What is not as it should be, a line each.

    @param counted: how many messages the sinks have counted.
    """
    messages = report["messages"]
    accepted, failed = messages["accepted"], messages["failed"]
    if accepted + failed + messages["rejected"] != messages["started"]:
        yield f"of {messages['started']} messages it is not known what became of each: {messages}"
    if counted < accepted:
        yield f"{accepted} messages were accepted, and the sinks counted {counted}"
    # Of those that have failed a sink may have been stopped between counting and replying.
    unknown = 0 if options.kill is None else int(options.rate * _UNKNOWN)
    if counted > accepted + failed + unknown:
        yield f"the sinks counted {counted} messages: more than {accepted} accepted and {failed} failed ones"
    commands = [mark for mark in report["marks"] if mark["kind"] == "command"]
    wrong = [mark["status"] for mark in commands if mark["status"] not in (0, None)]
    if wrong:
        yield f"{len(wrong)} restarts of the sink have ended with status {wrong[0]} or another"
    expected = int((report["elapsed"] - _PATIENCE) // options.every)
    if len(commands) < expected:
        yield f"the sink was restarted {len(commands)} times in {report['elapsed']:.0f} s, and not {expected} times"
    drift = growth(report)
    if drift is None and report["elapsed"] > _FILLED + (FEWEST + 1) * 60:
        yield "the generator's memory was not watched"
    # Whether that is more than chance doesn't matter: memory hardly has noise, and of what grows ever more slowly each
    # minute takes after the one before, so that the test would say nothing.
    if drift is not None and drift.perHour > options.growth * 1e6:
        yield f"the generator's memory grows by {drift.perHour / 1e6:.1f} MB an hour, over {options.growth:g} MB"


def tell(report: dict[str, Any], counted: int) -> None:
    """
    What came of it.
    """
    messages = report["messages"]
    print(
        f"\nmessages: {messages}, all sinks counted {counted}: {counted - messages['accepted']} more than were accepted"
    )
    marks = [mark for mark in report["marks"] if mark["kind"] == "command"]
    statuses = sorted({mark["status"] for mark in marks}, key=str)
    print(f"restarts: {len(marks)}, their statuses {statuses}, marked at {[round(mark['at'], 1) for mark in marks]}")
    drift = growth(report)
    if drift is None:
        print(f"memory of the generator: no drift is known before {_FILLED / 60 + FEWEST:.0f} minutes")
    else:
        print(f"memory of the generator: {drift.perHour / 1e6:+.2f} MB an hour ({wordsOf(drift)})")
    for figure, other in (report.get("drift") or {}).items():
        print(f"drift of {figure}: {other}")


def main() -> None:
    """
    See C{--help}.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--rate", type=int, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--every", type=int, default=300, help="seconds from one restart of the sink to the next")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument(
        "--kill", type=float, metavar="SECONDS", help="kill the generator with -9 after so many, and recover"
    )
    parser.add_argument("--growth", type=float, default=10.0, help="MB an hour by which its memory may grow")
    parser.add_argument("--directory", type=Path, default=Path("soak"), help="a new one, for all that is written")
    parser.add_argument("--restart", nargs=2, metavar=("DIRECTORY", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.restart:
        directory, port = Path(options.restart[0]), int(options.restart[1])
        stop(directory)
        start(directory, port)
        return
    directory = options.directory.resolve()
    directory.mkdir(parents=True)
    port = start(directory)
    source = load(options, directory, port)
    try:
        if options.kill is not None:
            time.sleep(options.kill)
            source.kill()
        status = source.wait()
    finally:
        stop(directory)
    print(f"the generator ended with status {status}")
    file = directory / "run.json"
    if options.kill is not None:
        recover = [*_SOURCE, "recover", str(directory / "checkpoint"), "--report", str(file)]
        status = subprocess.run(recover).returncode
        print(f"recovered with status {status}")
    if not file.exists():
        raise SystemExit("soak: there is no report")
    report, sinks = json.loads(file.read_text()), counted(directory)
    tell(report, sinks)
    found = list(faults(report, sinks, options))
    if status != report["exit"]:
        found.append(f"the exit status is {status}, and the report says {report['exit']}")
    for fault in found:
        print(f"WRONG: {fault}")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
