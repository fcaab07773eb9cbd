"""
Does our reactor behave like Twisted's?

Runs Twisted's own reactor tests twice, with L{smtpsource.net.reactor} and with
C{twisted.internet.epollreactor}, in the same environment, and compares what became of each test. Tests which
build their own reactors get only the one that is looked at; the others run under it.

Usage: C{python conformance.py [MODULE ...]}. Exit status 0 if every test ends the same way with both, and
there were any; otherwise the differences are printed, and it is 1.

This is not a test module: trial doesn't collect it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

MODULES = [
    "twisted.internet.test.test_base",
    "twisted.internet.test.test_core",
    "twisted.internet.test.test_endpoints",
    "twisted.internet.test.test_epollreactor",
    "twisted.internet.test.test_fdset",
    "twisted.internet.test.test_filedescriptor",
    "twisted.internet.test.test_main",
    "twisted.internet.test.test_newtls",
    "twisted.internet.test.test_pollingfile",
    "twisted.internet.test.test_posixbase",
    "twisted.internet.test.test_posixprocess",
    "twisted.internet.test.test_process",
    "twisted.internet.test.test_resolver",
    "twisted.internet.test.test_sigchld",
    "twisted.internet.test.test_socket",
    "twisted.internet.test.test_stdio",
    "twisted.internet.test.test_tcp",
    "twisted.internet.test.test_threads",
    "twisted.internet.test.test_time",
    "twisted.internet.test.test_tls",
    "twisted.internet.test.test_udp",
    "twisted.internet.test.test_unix",
    "twisted.mail.test.test_smtp",
    "twisted.spread.test.test_pb",
    "twisted.test.test_amp",
    "twisted.test.test_application",
    "twisted.test.test_factories",
    "twisted.test.test_internet",
    "twisted.test.test_loopback",
    "twisted.test.test_policies",
    "twisted.test.test_process",
    "twisted.test.test_protocols",
    "twisted.test.test_socks",
    "twisted.test.test_ssl",
    "twisted.test.test_stdio",
    "twisted.test.test_strports",
    "twisted.test.test_task",
    "twisted.test.test_tcp",
    "twisted.test.test_threads",
    "twisted.test.test_udp",
    "twisted.test.test_unix",
    "twisted.web.test.test_webclient",
    "twisted.web.test.test_wsgi",
]

REACTORS = {
    "stock": "twisted.internet.epollreactor.EPollReactor",
    "ours": "smtpsource.net.reactor.LeanReactor",
}

# Some tests go by this name to tell what a reactor that uses epoll(7) cannot do.
NAME = "EPollReactor"

# Seconds for all tests of one module. Nothing takes a hundredth of it unless it hangs.
LIMIT = 1200


def runModule(reactorName: str, module: str, report: str) -> None:
    """
    In a process of its own: run the tests of one module, writing a line of JSON for each to C{report}.
    """
    from twisted.internet.main import installReactor
    from twisted.python.reflect import namedAny

    # Other tests start processes which install what they find in the module of this class.
    base = namedAny(REACTORS[reactorName])
    globals()[NAME] = type(NAME, (base,), {"__module__": base.__module__})
    installReactor(globals()[NAME]())

    from twisted.internet.test import reactormixins
    from twisted.internet.test.reactormixins import ReactorBuilder
    from twisted.trial import reporter, runner

    # Seconds. A test that hangs is to be told from its neighbors before the whole module's time is up.
    reactormixins.DEFAULT_TIMEOUT_DURATION = 120.0
    ReactorBuilder._reactors = [f"{__name__}.{NAME}"]
    with open(report, "w", buffering=1) as out:

        class Recorder(reporter.Reporter):  # type: ignore[misc]
            """
            Writes down what became of each test.
            """

            def note(self, test: Any, outcome: str, detail: object = "") -> None:
                out.write(json.dumps([test.id(), outcome, str(detail)]) + "\n")

            def startTest(self, test: Any) -> None:
                self.note(test, "hung")
                super().startTest(test)

            def addSuccess(self, test: Any) -> None:
                self.note(test, "passed")
                super().addSuccess(test)

            def addError(self, test: Any, error: Any) -> None:
                self.note(test, "error", detailed(error))
                super().addError(test, error)

            def addFailure(self, test: Any, fail: Any) -> None:
                self.note(test, "failed", detailed(fail))
                super().addFailure(test, fail)

            def addSkip(self, test: Any, reason: Any) -> None:
                self.note(test, "skipped", reason)
                super().addSkip(test, reason)

            def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
                self.note(test, "todo", todo)
                super().addExpectedFailure(test, error, todo)

            def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
                self.note(test, "unexpected success", todo)
                super().addUnexpectedSuccess(test, todo)

        def detailed(failure: Any) -> str:
            return str(failure.getTraceback() if hasattr(failure, "getTraceback") else failure)

        suite = runner.TestLoader().loadByName(module, True)
        runner.TrialRunner(Recorder, stream=sys.stderr, workingDirectory="work").run(suite)
        out.write(json.dumps(["", "finished", ""]) + "\n")


def outcomes(reactorName: str, module: str) -> dict[str, tuple[str, str]]:
    """
    Run the tests of one module in a process of its own.

    @return: For each test the worst that became of it, and what it said.
    """
    found: dict[str, tuple[str, str]] = {}
    here = os.path.abspath(__file__)
    path = os.pathsep.join([os.path.dirname(os.path.dirname(here)), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "report")
        process = subprocess.Popen(
            [sys.executable, here, "--run", reactorName, module, report],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finished = False
        if os.path.exists(report):
            with open(report) as lines:
                for line in lines:
                    name, outcome, detail = json.loads(line)
                    finished = finished or outcome == "finished"
                    # A test may fail, and then fail to clean up.
                    if name and found.get(name, ("hung", ""))[0] in ("hung", "passed"):
                        found[name] = (outcome, detail)
        if not finished:
            found[module] = ("did not finish", f"exit status {process.returncode}")
        elif found.keys() <= {module}:
            # Trial takes a module it cannot import for a test of that name, which fails.
            found = {module: ("not loaded", "\n".join(detail for _, detail in found.values()))}
    return found


def exists(module: str) -> bool:
    """
    Whether there is such a module; without importing it.
    """
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def compare(modules: Iterable[str]) -> bool:
    """
    Run all modules with both reactors and print what differs.

    @return: Whether nothing does.
    """
    total: dict[str, Counter[str]] = {name: Counter() for name in REACTORS}
    agreed = 0
    alike: list[str] = []
    different: list[str] = []
    for module in modules:
        if not exists(module):
            print(f"{module}: this Twisted has no such tests")
            continue
        found = {name: outcomes(name, module) for name in REACTORS}
        stock, ours = found["stock"], found["ours"]
        for name in sorted(stock.keys() | ours.keys()):
            was, did = stock.get(name, ("missing", "")), ours.get(name, ("missing", ""))
            total["stock"][was[0]] += 1
            total["ours"][did[0]] += 1
            if was[0] == did[0] == "not loaded":
                alike.append(f"{name}: cannot be loaded here, whatever the reactor")
            elif was[0] == did[0] and did[0] not in ("hung", "did not finish"):
                agreed += 1
                if did[0] not in ("passed", "skipped", "todo"):
                    alike.append(f"{name}: {did[0]} with both")
            else:
                title = f"{name}: {was[0]} with Twisted's reactor, {did[0]} with ours"
                different.append("\n".join([title, was[1], did[1]]))
        print(f"{module}: {len(ours)} tests", flush=True)
    print("\n".join(alike))
    for text in different:
        print(f"\n{text}")
    for reactorName, counter in total.items():
        print(f"{reactorName}: " + ", ".join(f"{count} {what}" for what, count in sorted(counter.items())))
    enough = total["ours"]["passed"] > 0
    if not enough:
        print("No test passed: that proves nothing.")
    print(f"{agreed} passed, {len(different)} failed")
    return enough and not different


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        runModule(*sys.argv[2:])
    else:
        sys.exit(0 if compare(sys.argv[1:] or MODULES) else 1)
