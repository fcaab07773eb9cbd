"""
How long a plain run takes from its start to its end, and how large it is: C{python -m benchmarks.startup}.

One message to a server that answers at once, so what is measured are imports, options, the report, and the end. Beside
it is what Python takes for nothing at all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.measure import Used
from benchmarks.servers import SERVERS

#: What runs, by what it is called: its arguments to Python, but for the destination.
PROGRAMS = {
    "python -c pass": ("-c", "pass"),
    "smtpsource": ("-m", "smtpsource", "-d", "-s", "1", "-m", "1"),
}


@contextmanager
def compiled(directory: Path) -> Iterator[None]:
    """
    In here, Python keeps what it has compiled there, whatever it does elsewhere: who installs us has that, too.
    """
    before = {name: os.environ.get(name) for name in ("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")}
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def measured(directory: Path, runs: int, server: str, options: Sequence[str] = ()) -> dict[str, list[Used]]:
    """
    Run each of L{PROGRAMS}, in turn.

    @param directory: for what they leave.
    @param runs: how many of each, after one that doesn't count.
    @param server: a key of L{SERVERS}.
    @param options: more of them for our client.
    @raise measure.RunFailed: one failed.
    """
    found: dict[str, list[Used]] = {name: [] for name in PROGRAMS}
    serverAt, clientAt = measure.processors() or (None, None)
    with compiled(directory / "compiled"), SERVERS[server](directory, serverAt) as sink:
        for number in range(runs + 1):
            for name, arguments in PROGRAMS.items():
                isOurs = name == "smtpsource"
                command = [sys.executable, *arguments, *((*options, sink.destination) if isOurs else ())]
                used = measure.run(command, directory / "client.log", clientAt)
                if number:
                    found[name].append(used)
    return found


def lines(found: dict[str, list[Used]]) -> Iterator[str]:
    """
    These figures as a table.
    """
    yield f"{'':16}{'wall ms: min':>14}{'median':>8}{'CPU ms: min':>14}{'median':>8}{'peak MiB':>10}"
    for name, runs in found.items():
        wall = [1e3 * used.wall for used in runs]
        cpu = [1e3 * (used.user + used.system) for used in runs]
        peaks = [used.peak / 2**20 for used in runs if used.peak is not None]
        peak = f"{median(peaks):10.1f}" if peaks else f"{'?':>10}"
        yield f"{name:16}{min(wall):14.1f}{median(wall):8.1f}{min(cpu):14.1f}{median(cpu):8.1f}{peak}"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command line.

    @return: 1 if something failed, otherwise 0.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.startup", description="Measure a run of one message from start to end."
    )
    parser.add_argument("--runs", metavar="N", type=int, default=20, help="runs of each (default: 20)")
    parser.add_argument("--server", choices=sorted(SERVERS), help="who is loaded (default: Postfix's, if installed)")
    parser.add_argument("options", nargs="*", help="more options for smtpsource, after --")
    asked = parser.parse_args(arguments)
    if asked.runs < 1:
        parser.error(f"--runs: {asked.runs} is not usable: expected at least 1")
    server = asked.server or ("smtpsink" if SERVERS["smtp-sink"].missing() else "smtp-sink")
    with tempfile.TemporaryDirectory(prefix="smtpsource-") as directory:
        os.chmod(directory, 0o755)  # Postfix's program may be another user there
        try:
            found = measured(Path(directory), asked.runs, server, asked.options)
        except measure.RunFailed as e:
            print(f"benchmarks.startup: {e}", file=sys.stderr)
            return 1
    print("\n".join(lines(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
