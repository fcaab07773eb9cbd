"""
Real Locust, with our locustfile: its master and its workers as processes, and what they say.
"""

from __future__ import annotations

import csv
import json
import os
import socket
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from commandlines import CommandTestCase
from patience import PATIENCE
from peers import eventually, freePort
from subprocesses import alive, processes, smtpsource
from twisted.internet import reactor, task
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread

from smtpsource import SinkPlan, SinkService


def descendants(pid):
    """
    @return: the ids of all processes that come from this one, and run.
    """
    parents = processes()
    found = [pid]
    for each in found:
        found += [child for child, (parent, state) in parents.items() if parent == each and state not in "ZX"]
    return found[1:]


class LocustTestCase(CommandTestCase):
    """
    A master, its workers, and a sink that their mail goes to. All are processes of their own, but for the sink.
    """

    def setUp(self):
        self.sink = SinkService(reactor, SinkPlan(port=0))
        self.sink.startService()
        self.addCleanup(self.sink.stopService)
        self.destination = f"127.0.0.1:{self.sink.address().port}"
        self.port = freePort()
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.children = set()
        self.addCleanup(self.noneIsLeft)

    @property
    def received(self):
        """
        How many messages the sink has taken.
        """
        return self.sink.factory.counts.messages

    def master(self, *arguments, workers=2, headless=True):
        """
        Start the master.

        @return: a L{subprocesses.Command}.
        """
        self.webPort = freePort()
        face = ("--headless",) if headless else ("--web-port", self.webPort)
        self._master = smtpsource(
            self,
            *("locust", "--master", "--master-bind-port", self.port),
            *("--expect-workers", workers, *face, *arguments),
            cwd=self.directory,
            env={"COLUMNS": "100"},
        )
        return self._master

    def alone(self, *arguments):
        """
        Start a master with two workers of its own.

        @return: a L{subprocesses.Command}.
        """
        return smtpsource(
            self,
            *("locust", "--processes", 2, "--master-bind-port", self.port, "--master-port", self.port),
            *("--headless", *arguments),
            cwd=self.directory,
        )

    def worker(self, *arguments, locustfile=None):
        """
        Start a worker.

        @param locustfile: another than ours.

        @return: a L{subprocesses.Command}.
        """
        found = ("-f", locustfile) if locustfile else ()
        return smtpsource(
            self, *("locust", "--worker", "--master-host", "127.0.0.1", "--master-port", self.port, *found, *arguments)
        )

    def workers(self, count=2):
        """
        Start several.
        """
        return [self.worker() for _ in range(count)]

    def whenWorking(self, messages=1):
        """
        @return: a Deferred that fires when the sink has taken so many.
        """
        return eventually(lambda: self.received >= messages, f"{messages} messages")

    def report(self, name="report.json"):
        """
        @return: the report of ours that the master has left, whose outcomes add up.
        """
        document = json.loads((self.directory / name).read_text())
        messages = document["messages"]
        self.assertEqual(
            messages["started"], messages["accepted"] + messages["rejected"] + messages["failed"], messages
        )
        return document

    def rows(self, name="out_stats.csv"):
        """
        @return: the rows of a CSV file of Locust's, by their types and names.
        """
        with open(self.directory / name, newline="") as file:
            return {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}

    def noteChildren(self, *commands):
        """
        Remember what these have started: it must be gone when the test is over.
        """
        for command in commands:
            self.children.update(descendants(command.pid))

    def whenAlone(self):
        """
        @return: a Deferred that fires when all that was remembered is gone.
        """
        return eventually(lambda: not any(map(alive, self.children)), "the end of all children")

    def noneIsLeft(self):
        """
        See that no process outlives the test, which no test of ours may be the cause of either.
        """
        left = [pid for pid in self.children if alive(pid)]
        for pid in left:
            os.kill(pid, 9)
        self.assertEqual([], left)

    # The web UI, as programs see it

    def ask(self, path, **form):
        """
        @return: a Deferred that fires with what the web UI answers, as JSON.
        """
        url = f"http://127.0.0.1:{self.webPort}{path}"
        data = urlencode(form).encode() if form else None
        return deferToThread(lambda: json.loads(urlopen(url, data, timeout=PATIENCE).read()))

    def stop(self):
        """
        Stop the run.

        @return: a Deferred that fires when it has ended.
        """
        return self.ask("/stop", nothing="")

    @inlineCallbacks
    def whenShown(self, isThere):
        """
        @param isThere: is called with what the web UI shows.

        @return: a Deferred that fires with what it shows when C{isThere} is happy with that.
        """
        found = yield self.ask("/stats/requests")
        while not isThere(found):
            # It has made up its mind for some seconds each time.
            yield task.deferLater(reactor, 0.1, lambda: None)
            found = yield self.ask("/stats/requests")
        return found

    @inlineCallbacks
    def whenServing(self, workers=2):
        """
        @return: a Deferred that fires when the web UI is there, and so many workers are.
        """
        yield self._master.whenPrinted(rb"Starting web interface", "err")
        for index in range(workers):
            yield self._master.whenPrinted(rb"\(index %d\) reported as ready" % index, "err")
        # It has said so before it listens.
        yield eventually(lambda: listens(self.webPort), "the web interface")

    @inlineCallbacks
    def start(self, **form):
        """
        Start a run from the form.

        @return: a Deferred that fires with the answer.
        """
        answer = yield self.ask("/swarm", user_count=1, spawn_rate=1, host=self.destination, **form)
        return answer


def listens(port, host="127.0.0.1"):
    """
    Does somebody listen there?
    """
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0
