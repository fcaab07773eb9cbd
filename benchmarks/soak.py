"""
A run of hours against a sink that is restarted again and again: C{python -m benchmarks.soak}. Are all counts right,
does the generator need more memory with time, and what is left if it is killed?
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
from pathlib import Path
from typing import Any

#: How long to wait for what has to happen, in seconds.
_PATIENCE = 60.0

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


def tell(report: dict[str, Any], directory: Path) -> None:
    """
    What came of it.
    """
    messages, sinks = report["messages"], counted(directory)
    print(f"\nmessages: {messages}, all sinks counted {sinks}: {sinks - messages['accepted']} more than were accepted")
    marks = [mark for mark in report["marks"] if mark["kind"] == "command"]
    statuses = sorted({mark["status"] for mark in marks}, key=str)
    print(f"restarts: {len(marks)}, their statuses {statuses}, marked at {[round(mark['at'], 1) for mark in marks]}")
    memory = [sample["watched"]["generator rss"] for sample in report["series"] if sample.get("watched")]
    if memory:
        third = max(1, len(memory) // 3)
        means = [sum(part) / len(part) / 1e6 for part in (memory[:third], memory[-third:])]
        print(f"memory of the generator: {means[0]:.2f} MB in the first third, {means[1]:.2f} MB in the last one")
    for figure, drift in (report.get("drift") or {}).items():
        print(f"drift of {figure}: {drift}")


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
    if options.kill is not None:
        recover = [*_SOURCE, "recover", str(directory / "checkpoint"), "--report", str(directory / "run.json")]
        print(f"recovered with status {subprocess.run(recover).returncode}")
    tell(json.loads((directory / "run.json").read_text()), directory)


if __name__ == "__main__":
    main()
