"""
Tests for a sink of several processes: C{smtpsink --workers}, as its user sees it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from multiprocessing.pool import ThreadPool
from urllib.parse import quote

from patience import PATIENCE, TEST_LIMIT
from sinks import ENVIRONMENT, Process
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.control.client import Client as ControlClient
from smtpsource.sink.control.client import ControlError
from smtpsource.sink.control.where import parseControl
from smtpsource.sink.service import SinkPlan, SinkService
from smtpsource.sink.workers.wire import SHARED

#: Where no other test's server listens: one that a generator goes on to look for, when it has ended, could have got its
#: port.
_OWN = "127.0.77.1"


class Client:
    """
    One connection.
    """

    def __init__(self, test, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        test.addCleanup(self._socket.close)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(address)
        self._file = self._socket.makefile("rb")
        test.addCleanup(self._file.close)

    def reply(self):
        """
        @return: the next line, without its end; empty at the end.
        """
        return self._file.readline().rstrip(b"\r\n").decode()

    def say(self, *commands):
        """
        @return: the code of the reply to each.
        """
        codes = []
        for command in commands:
            self._socket.sendall(command.encode() + b"\r\n")
            reply = self.reply()
            while reply[3:4] == "-":
                reply = self.reply()
            codes.append(reply[:3])
        return codes

    def greeted(self):
        """
        @return: this client, when it has read the banner.
        """
        assert self.reply().startswith("220 ")
        return self

    def fileno(self):
        """
        @return: what can be waited for.
        """
        return self._socket.fileno()

    def deliver(self, recipient="b@example.com"):
        """
        @return: the codes of one transaction.
        """
        return self.say("MAIL FROM:<a@example.com>", f"RCPT TO:<{recipient}>", "DATA", "Subject: x\r\n\r\nx\r\n.")

    def close(self):
        """
        Be gone.
        """
        self._file.close()
        self._socket.close()


def firstToldOf(clients):
    """
    @return: one that something was said to, as soon as there is one.
    """
    told, _, _ = select.select(clients, [], [], PATIENCE)
    return told[0]


def until(condition):
    """
    Ask again and again until it is so.
    """
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it never was")


def workersOf(pid):
    """
    @return: the processes that a sink has started.
    """
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(each) for each in file.read().split()]


class WorkersTests(SynchronousTestCase):
    """
    Two workers.
    """

    timeout = TEST_LIMIT

    def start(self, *arguments, address="127.0.0.1:0", workers="2"):
        """
        @return: a sink that listens, and the path of its report.
        """
        report = os.path.abspath(self.mktemp())
        sink = Process(self, "--workers", workers, "--report", report, *arguments, address)
        if address.startswith("unix:"):
            sink.line("^listening on unix:")
        return sink, report

    def clients(self, sink, number):
        """
        @return: so many, all greeted.
        """
        address = ("127.0.0.1", sink.port())
        return [Client(self, address).greeted() for _ in range(number)]

    def load(self, sink, *options, status=0, host="127.0.0.1"):
        """
        Let our generator send.

        @return: its report.
        """
        path = os.path.abspath(self.mktemp())
        address = f"{host}:{sink.port()}"
        command = [sys.executable, "-P", "-m", "smtpsource", "--quiet", "--report", path, *options, address]
        ran = subprocess.run(command, env=ENVIRONMENT, timeout=PATIENCE, capture_output=True)
        self.assertEqual(ran.returncode, status, ran.stderr.decode())
        with open(path) as file:
            return json.load(file)

    def end(self, sink, report, status=0):
        """
        Stop it.

        @return: its report.
        """
        sink.signal(signal.SIGTERM)
        self.assertEqual(sink.outcome()[0], status)
        with open(report) as file:
            return json.load(file)

    def test_counts(self):
        """
        What the generator says was accepted is what the sink has counted; both workers have half of the sessions.
        """
        sink, report = self.start("-c")
        self.load(sink, "-s", "40", "-m", "20000", "-d")
        document = self.end(sink, report)
        self.assertEqual((document["messages"], document["recipients"]), (20000, 20000))
        self.assertEqual(document["sessions"], {"total": 40, "open": 0, "max": 40, "quit": 40})
        self.assertEqual([20, 20], [worker["sessions"] for worker in document["workers"]])
        self.assertEqual(20000, sum(worker["messages"] for worker in document["workers"]))
        self.assertEqual((document["complete"], document["exit"], document["ended"]), (True, 0, "signal"))
        self.assertGreaterEqual(document["cpu"]["user"], sum(worker["cpu"]["user"] for worker in document["workers"]))

    def test_fewest(self):
        """
        A connection goes to the worker that has the fewest, also when others were closed in between.
        """
        sink, report = self.start("--control", "0")
        clients = self.clients(sink, 4)
        where = sink.line(r"^listening on control:127.0.0.1:([0-9]+)$").group(1)
        control = ControlClient(parseControl(where), None)
        # The first and the third are the same worker's.
        for client in clients[::2]:
            self.assertEqual(["221"], client.say("QUIT"))
        until(lambda: control.askJSON("GET", "/counters")["sessions"]["open"] == 2)
        later = self.clients(sink, 2)
        for client in [*clients[1::2], *later]:
            self.assertEqual(["250", "250", "250", "354", "250"], [*client.say("HELO x"), *client.deliver()])
        document = self.end(sink, report)
        self.assertEqual([2, 2], [worker["messages"] for worker in document["workers"]])

    def test_noFiles(self):
        """
        Where a worker has no descriptor left, connections wait until it has, and it is told of; later on the worker has
        its share as before.
        """
        sink, report = self.start("--control", "0")
        where = sink.line(r"^listening on control:127.0.0.1:([0-9]+)$").group(1)
        control = ControlClient(parseControl(where), None)
        clients = self.clients(sink, 2)
        worker = workersOf(sink.pid)[0]
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        taken = {int(name) for name in os.listdir(f"/proc/{worker}/fd")}
        free = [number for number in range(len(taken) + 3) if number not in taken]
        # There is room for two more.
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (free[2], before[1]))
        later = [Client(self, ("127.0.0.1", sink.port())) for _ in range(12)]
        until(lambda: "out-of-files" in control.askJSON("GET", "/counters")["errors"])
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        clients += [client.greeted() for client in later]
        for client in clients:
            self.assertEqual(["221"], client.say("QUIT"))
        until(lambda: control.askJSON("GET", "/counters")["sessions"]["open"] == 0)
        for client in self.clients(sink, 6):
            self.assertEqual(["250", "250", "250", "354", "250"], [*client.say("HELO x"), *client.deliver()])
        document = self.end(sink, report)
        self.assertEqual([(10, 3)] * 2, [(each["sessions"], each["messages"]) for each in document["workers"]])
        self.assertIn("raise the limit", document["errors"]["out-of-files"]["sample"])

    def test_kernel(self):
        """
        By SO_REUSEPORT: all is taken, by whichever worker.
        """
        sink, report = self.start("--balance", "kernel")
        self.load(sink, "-s", "10", "-m", "500")
        document = self.end(sink, report)
        self.assertEqual((document["messages"], document["sessions"]["total"]), (500, 500))
        self.assertNotIn(0, [worker["messages"] for worker in document["workers"]])

    def test_unix(self):
        """
        A UNIX socket, which is gone in the end.
        """
        os.makedirs(directory := self.mktemp())
        path = os.path.join(os.path.abspath(directory), "s")
        sink, report = self.start("-L", address=f"unix:{path}")
        clients = [Client(self, path).greeted() for _ in range(2)]
        for client in clients:
            self.assertEqual(["250", "250", "250", "354", "250"], [*client.say("LHLO x"), *client.deliver()])
        document = self.end(sink, report)
        self.assertEqual([1, 1], [worker["messages"] for worker in document["workers"]])
        self.assertFalse(os.path.lexists(path))

    def test_messageLimit(self):
        """
        Not one more message is accepted than C{-M} says, of all workers together; then the sink ends by itself.
        """
        sink, report = self.start("-M", "1500", address=f"{_OWN}:0")
        source = self.load(sink, "-A", "-s", "20", "-m", "5000", "-d", status=1, host=_OWN)
        status, out, _ = sink.outcome()
        self.assertEqual(status, 0, out)
        with open(report) as file:
            document = json.load(file)
        self.assertEqual((document["messages"], document["ended"]), (1500, "done"))
        self.assertEqual(1500, source["messages"]["accepted"])

    def test_messageLimitOfRules(self):
        """
        The same where rules refuse some: those are not counted.
        """
        rule = 'on = "message", every = 2, do = { reply = "451 4.7.1 no" }'
        sink, report = self.start("-M", "100", "--rule", rule, address=f"{_OWN}:0")
        source = self.load(sink, "-A", "-s", "4", "-m", "400", "-d", status=1, host=_OWN)
        self.assertEqual(sink.outcome()[0], 0)
        with open(report) as file:
            document = json.load(file)
        self.assertEqual((100, 100), (document["messages"], source["messages"]["accepted"]))

    def test_sessionLimit(self):
        """
        C{-n} counts the sessions of all.
        """
        sink, report = self.start("-n", "6")
        self.load(sink, "-s", "2", "-m", "6")
        self.assertEqual(sink.outcome()[0], 0)
        with open(report) as file:
            document = json.load(file)
        self.assertEqual((document["sessions"]["total"], document["ended"]), (6, "done"))

    def test_maxSessions(self):
        """
        With C{-m} a third client waits for its banner until one of the others has gone, of whichever worker. In which
        order those of several workers come in is not said.
        """
        sink, report = self.start("-m", "2")
        first, second = self.clients(sink, 2)
        waiting = [Client(self, ("127.0.0.1", sink.port())) for _ in range(4)]
        for client in (first, second):
            self.assertEqual(["250"], client.say("HELO x"))
            client.close()
        while waiting:
            client = firstToldOf(waiting)
            waiting.remove(client)
            client.greeted()
            self.assertEqual(["221"], client.say("QUIT"))
        document = self.end(sink, report)
        self.assertEqual((document["sessions"]["total"], document["sessions"]["max"]), (6, 2))

    def test_times(self):
        """
        A rule that applies three times does so for all workers together.
        """
        rule = 'on = "rcpt", times = 3, per = "all", do = { reply = "451 4.7.1 later" }'
        sink, report = self.start("--rule", rule)
        source = self.load(sink, "-A", "-s", "4", "-m", "40", "-d", status=1)
        self.assertEqual((37, 3), (source["messages"]["accepted"], source["messages"]["rejected"]))
        self.assertEqual({"rule 1 (rcpt)": 3}, self.end(sink, report)["rules"])

    def test_limit(self):
        """
        A bucket of tokens is shared: with one token in an hour, one message passes.
        """
        rule = 'on = "mail", limit = "1/h", per = "all", do = { reply = "451 4.7.1 slower" }'
        sink, report = self.start("--rule", rule)
        codes = [client.say("HELO x", "MAIL FROM:<a@example.com>")[1] for client in self.clients(sink, 4)]
        self.assertEqual(["250", "451", "451", "451"], codes)
        self.end(sink, report)

    def test_connections(self):
        """
        Open connections are counted over all workers, and those that are gone no more.
        """
        rule = 'on = "helo", connections = 2, do = { reply = "450 4.7.0 too many" }'
        sink, report = self.start("--rule", rule)
        first, second, third = self.clients(sink, 3)
        self.assertEqual(["450"], first.say("HELO x"))
        second.say("QUIT")
        self.assertEqual("", second.reply())
        until(lambda: third.say("HELO x") == ["250"])
        self.end(sink, report)

    def test_greylist(self):
        """
        Who was asked to come back may do so to the other worker.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write('[greylist]\ndelay = "1ms"\n')
        sink, report = self.start("--rules", os.path.abspath(path))
        first, second = self.clients(sink, 2)
        envelope = ("HELO x", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>")
        self.assertEqual("451", first.say(*envelope)[2])
        until(lambda: second.say(*envelope, "RSET")[2] == "250")
        self.assertEqual("250", first.say("RCPT TO:<b@example.com>")[0])
        self.end(sink, report)

    def test_lost(self):
        """
        A worker that is killed is told of at once; the others go on; the result is incomplete, and no pass.
        """
        sink = Process(self, "--workers", "2", "--report", "-", "127.0.0.1:0", people="stderr")
        clients = self.clients(sink, 2)
        for client in clients:
            self.assertEqual("250", [*client.say("HELO x"), *client.deliver()][-1])
        first, _ = sorted(workersOf(sink.pid))
        os.kill(first, signal.SIGKILL)
        sink.line(rf"^smtpsink: worker 1 \(process {first}\) was killed by SIGKILL$")
        self.assertEqual([False, True], [self.isAlive(client) for client in clients])
        # Whoever comes now is the other one's.
        for client in self.clients(sink, 3):
            self.assertEqual("250", [*client.say("HELO x"), *client.deliver()][-1])
        sink.signal(signal.SIGTERM)
        status, out, err = sink.outcome()
        self.assertEqual(status, 1)
        self.assertIn("the result is incomplete", err)
        self.assertEqual(1, err.count(f"process {first}"), err)
        document = json.loads(out)
        self.assertEqual((document["complete"], document["exit"]), (False, 1))
        self.assertEqual([True, False], [worker["lost"] for worker in document["workers"]])
        self.assertEqual(4, document["workers"][1]["messages"])

    def test_stopped(self):
        """
        Where one does not go on while it has what all share to itself, the others do; they tell so, and it is no pass.
        """
        rule = 'on = "mail", times = 1, per = "all", do = { reply = "451 4.7.1 once" }'
        sink = Process(self, "--workers", "2", "--report", "-", "--rule", rule, "127.0.0.1:0", people="stderr")
        clients = self.clients(sink, 2)
        # We are such a one.
        with open(f"/proc/{workersOf(sink.pid)[0]}/fd/{SHARED}", "r+b", buffering=0) as memory:
            fcntl.lockf(memory, fcntl.LOCK_EX, 1)
            codes = [client.say("HELO x", "MAIL FROM:<a@example.com>", "RSET")[1] for client in clients]
            problem = (
                f"internal-error: process {os.getpid()} has kept what all workers share to itself for more than 1 "
                "second: what they decide together may be off by some"
            )
            sink.line(f"^smtpsink: {problem}$")
        self.assertEqual(["451", "250"], codes)
        sink.signal(signal.SIGTERM)
        status, out, err = sink.outcome()
        self.assertEqual(1, err.count(problem), err)
        document = json.loads(out)
        self.assertEqual((1, 1, problem), (status, document["exit"], document["reason"]))

    def isAlive(self, client):
        """
        Does a client's session go on?
        """
        try:
            return client.say("NOOP") == ["250"]
        except OSError:
            return False

    def test_certificate(self):
        """
        Without a certificate of the user's all workers have the same of their own making.
        """
        sink, report = self.start("--tls")
        address = ("127.0.0.1", sink.port())
        self.assertEqual(1, len({ssl.get_server_certificate(address, timeout=PATIENCE) for _ in range(4)}))
        document = self.end(sink, report)
        self.assertEqual(4, document["extensions"]["tls"]["full"])
        self.assertNotIn(0, [worker["sessions"] for worker in document["workers"]])

    def test_log(self):
        """
        With C{-v} the commands of all workers are logged, as those of one process.
        """
        sink, _ = self.start("-v")
        for client in self.clients(sink, 2):
            self.assertEqual(["250", "221"], client.say("HELO x", "QUIT"))
        sink.signal(signal.SIGTERM)
        _, _, err = sink.outcome()
        self.assertEqual(2, len(re.findall(r"(?m)^[^\[]+\[[a-z.#]+\] 'HELO x' -> 250$", err)), err)

    def test_orphans(self):
        """
        Workers whose parent is killed end, too.
        """
        sink, _ = self.start()
        sink.port()
        workers = workersOf(sink.pid)
        self.assertEqual(2, len(workers))
        ends = [os.pidfd_open(pid) for pid in workers]
        sink.signal(signal.SIGKILL)
        for descriptor in ends:
            self.addCleanup(os.close, descriptor)
            self.assertTrue(select.select([descriptor], [], [], PATIENCE)[0])

    def test_allLost(self):
        """
        Without any worker the sink ends.
        """
        sink, _ = self.start()
        sink.port()
        for pid in workersOf(sink.pid):
            os.kill(pid, signal.SIGKILL)
        status, out, _ = sink.outcome()
        self.assertEqual(status, 1)
        self.assertRegex(out, "(?m)^ended +before its time$")

    def test_takenPort(self):
        """
        A port that somebody has is told of in one line, with either balance.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            for balance in ("fewest", "kernel"):
                sink = Process(self, "--workers", "2", "--balance", balance, address)
                status, _, err = sink.outcome()
                self.assertEqual(
                    (status, err), (1, f"smtpsink: can't listen on inet:{address}: Address already in use\n")
                )

    def test_manyRules(self):
        """
        What a worker is told to be may be longer than what a pipe holds.
        """
        rule = 'on = "rcpt", when = {{ recipient = "{0}@*" }}, do = {{ reply = "550 5.1.1 no {0:0400}" }}'
        sink, report = self.start(*(f"--rule={rule.format(number)}" for number in range(200)))
        for client in self.clients(sink, 2):
            codes = client.say("HELO x", "MAIL FROM:<>", "RCPT TO:<199@example.com>", "RSET")
            self.assertEqual(["250", "250", "550", "250"], codes)
        self.end(sink, report)

    def test_noDescriptors(self):
        """
        Where the system does not give what workers take, there is one line; and none of them is left.
        """
        begin = (
            "import resource, sys; files = int(sys.argv.pop(1));"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (files, files));"
            "from smtpsource.sink.__main__ import main; main()"
        )
        told = set()
        for files in (14, 17, 20, 23, 26):
            sink = Process(self, str(files), "--workers", "4", "127.0.0.1:0", program=("-c", begin))
            status, _, err = sink.outcome()
            self.assertEqual(status, 1, err)
            self.assertRegex(err, r"\Asmtpsink: [^\n]*Too many open files\n\Z", files)
            told.add(err)
        self.assertIn("smtpsink: can't start workers: Too many open files\n", told)

    def test_broken(self):
        """
        A worker that can't begin, here by a broken installation, is told of in one line, and the sink ends.
        """
        os.makedirs(directory := os.path.abspath(self.mktemp()))
        with open(os.path.join(directory, "sitecustomize.py"), "w") as file:
            file.write("import os, sys\nif sys.argv == ['-c']: os.write(2, b'no luck\\n'); os._exit(3)\n")
        begin = "import sys; sys.path.append(sys.argv.pop(1)); from smtpsource.sink.__main__ import main; main()"
        sink = Process(self, directory, "--workers", "2", "127.0.0.1:0", program=("-c", begin))
        status, _, err = sink.outcome()
        self.assertEqual(1, status)
        self.assertRegex(err, r"(?m)^smtpsink: worker [12] \(process [0-9]+\) ended with status 3: no luck$")

    def test_ledgers(self):
        """
        Each worker has a ledger of its own in the same directory, and there is one verdict.
        """
        os.makedirs(directory := os.path.abspath(self.mktemp()))
        sink, report = self.start("--ledger", directory)
        self.load(sink, "-s", "4", "-m", "200", "--ledger", directory)
        document = self.end(sink, report)
        self.assertEqual(document["ledger"], directory)
        self.assertEqual(3, len(os.listdir(directory)))
        command = [sys.executable, "-P", "-m", "smtpsource", "reconcile", directory]
        ran = subprocess.run(command, env=ENVIRONMENT, timeout=PATIENCE, capture_output=True, text=True)
        self.assertIn("all acknowledged have arrived", ran.stdout)
        self.assertRegex(ran.stdout, "(?m)^arrivals +200 of this run$")

    def test_keeping(self):
        """
        A Maildir, an mbox and dumps of all workers are one each.
        """
        os.makedirs(directory := os.path.abspath(self.mktemp()))
        maildir, mbox, dump = (os.path.join(directory, name) for name in ("maildir", "mbox", "dump"))
        sink, report = self.start("--maildir", maildir, "--mbox", mbox, "-d", dump)
        self.load(sink, "-s", "10", "-m", "200")
        document = self.end(sink, report)
        self.assertEqual((document["messages"], document["errors"]), (200, {}))
        self.assertEqual(200, len(os.listdir(os.path.join(maildir, "new"))))
        with open(mbox, "rb") as file:
            self.assertEqual(200, len(re.findall(rb"(?m)^From <?foo", file.read())))
        self.assertEqual(200, len([name for name in os.listdir(directory) if name.startswith("dump")]))


class ProgramTests(SynchronousTestCase):
    """
    What a program may do.
    """

    def test_service(self):
        """
        A service is one process, and says so where several are asked for.
        """
        error = self.assertRaises(ValueError, SinkService, Clock(), SinkPlan(workers=2))
        self.assertEqual("workers: 2 is not usable here: expected 1, this is one process", str(error))


class ControlTests(SynchronousTestCase):
    """
    The control of two workers, in the words of its users.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.report = os.path.abspath(self.mktemp())
        self.sink = Process(self, "--workers", "2", "--control", "0", "--report", self.report, "127.0.0.1:0")
        self.address = ("127.0.0.1", self.sink.port())
        where = self.sink.line(r"^listening on control:127.0.0.1:([0-9]+)$").group(1)
        self.control = ControlClient(parseControl(where), None)
        self.clients = [Client(self, self.address).greeted() for _ in range(2)]
        for client in self.clients:
            client.say("HELO x")

    def end(self):
        """
        @return: the report.
        """
        self.sink.signal(signal.SIGTERM)
        self.assertEqual(self.sink.outcome()[0], 0)
        with open(self.report) as file:
            return json.load(file)

    def get(self, path, wait=0.0):
        """
        @return: what is there.
        """
        return self.control.askJSON("GET", path, wait=wait)

    def test_messages(self):
        """
        Messages of both workers are numbered as they come, and found, shown and forgotten as those of one sink.
        """
        for number in range(6):
            self.clients[number % 2].deliver(f"r{number}@example.com")
        found = self.get("/messages")
        self.assertEqual((found["found"], found["total"]), (6, 6))
        self.assertEqual([1, 2, 3, 4, 5, 6], [message["number"] for message in found["messages"]])
        self.assertEqual(
            [[f"r{number}@example.com"] for number in range(6)], [each["to"] for each in found["messages"]]
        )
        self.assertEqual([4, 5], [each["number"] for each in self.get("/messages?after=3&limit=2")["messages"]])
        self.assertEqual(["r2@example.com"], self.get("/messages/3")["to"])
        self.assertIn(b"Subject: x", self.control.ask("GET", "/messages/4/raw", accept="message/rfc822"))
        self.control.ask("DELETE", "/messages/3")
        with self.assertRaises(ControlError) as raised:
            self.get("/messages/3")
        self.assertEqual(
            (raised.exception.status, str(raised.exception)), (404, "message 3 is not there, or not any more")
        )
        self.assertEqual({"deleted": 5}, self.control.askJSON("DELETE", "/messages"))
        self.assertEqual(0, self.get("/messages")["found"])
        self.assertEqual(6, self.end()["kept"])

    def test_messagesLost(self):
        """
        Messages that were with a worker that is lost count as they did; they are gone as if others had come for them.
        """
        for number in range(6):
            self.clients[number % 2].deliver()
        self.control.ask("DELETE", "/messages/1")
        names = ("found", "total", "displaced")
        found = self.get("/messages")
        self.assertEqual([5, 6, 0], [found[name] for name in names])
        first, second = sorted(workersOf(self.sink.pid))
        os.kill(first, signal.SIGKILL)
        until(lambda: self.get("/messages")["found"] == 3)
        found = self.get("/messages")
        self.assertEqual([3, 6, 2], [found[name] for name in names])
        self.assertEqual(6, self.get("/counters")["kept"])
        self.control.ask("DELETE", "/messages")
        found = self.get("/messages")
        self.assertEqual([0, 6, 0], [found[name] for name in names])
        os.kill(second, signal.SIGKILL)
        self.assertEqual(self.sink.outcome()[0], 1)
        with open(self.report) as file:
            document = json.load(file)
        self.assertEqual(6, document["messages"])
        self.assertGreater(document["busy"], 0)
        self.assertGreater(document["rate"], 0)

    def test_stopped(self):
        """
        A worker that does not go on holds up nobody who asks: what it has told counts, and else it is named.
        """
        for client in self.clients:
            client.deliver()
        self.assertEqual(2, self.get("/counters")["messages"])
        first = min(workersOf(self.sink.pid))
        os.kill(first, signal.SIGSTOP)
        self.addCleanup(os.kill, first, signal.SIGCONT)
        self.assertEqual(2, self.get("/counters")["messages"])
        with self.assertRaises(ControlError) as raised:
            self.get("/messages")
        self.assertEqual(504, raised.exception.status)
        self.assertIn(f"from worker 1 (process {first})", str(raised.exception))
        # The other one has this.
        self.assertEqual(2, self.get("/messages/2")["number"])

    def test_waiting(self):
        """
        Who waits for messages of both workers gets them as soon as there are enough; who waits in vain, what there is.
        """
        self.clients[0].deliver()
        self.assertEqual(1, self.get("/messages?wait=0.01&count=2")["found"])
        with ThreadPool(1) as pool:
            waiting = pool.apply_async(self.get, ("/messages?wait=600&count=2", 600.0))
            self.clients[1].deliver()
            self.assertEqual(2, waiting.get(PATIENCE)["found"])
        with self.assertRaises(ControlError) as raised:
            self.get("/messages?wait=1&count=2000")
        self.assertIn("expected at most 1000", str(raised.exception))

    def test_rules(self):
        """
        A rule holds for all workers once it was taken; what can't be used changes none of them.
        """
        with self.assertRaises(ControlError) as raised:
            self.control.askJSON("POST", "/rules", {"on": "rcpt", "often": 3})
        self.assertEqual(422, raised.exception.status)
        rule = {"on": "mail", "times": 1, "per": "all", "do": {"reply": "451 4.7.1 once"}}
        name = self.control.askJSON("POST", "/rules", rule)["name"]
        self.assertEqual(["451", "250"], [client.say("MAIL FROM:<a@example.com>")[0] for client in self.clients])
        self.assertEqual({name: 1}, self.get("/counters")["rules"])
        self.control.ask("DELETE", f"/rules/{quote(name)}")
        # It begins anew, whatever it has seen before.
        self.control.askJSON("POST", "/rules", rule)
        self.assertEqual("451", self.clients[0].say("RSET", "MAIL FROM:<a@example.com>")[1])

    def test_counters(self):
        """
        Counters and metrics are those of all.
        """
        for client in self.clients:
            client.deliver()
        counters = self.get("/counters")
        self.assertEqual((counters["messages"], counters["sessions"]["open"], counters["sessions"]["max"]), (2, 2, 2))
        metrics = self.control.ask("GET", "/metrics", accept="text/plain").decode()
        self.assertRegex(metrics, r"(?m)^smtpsink_messages_total 2\.0$")

    def test_pause(self):
        """
        Nobody is answered while the sink pauses, and all are afterwards.
        """
        self.assertEqual({"paused": True}, self.control.askJSON("POST", "/pause"))
        with ThreadPool(2) as pool:
            answers = [pool.apply_async(client.say, ("NOOP",)) for client in self.clients]
            self.assertEqual(2, self.get("/counters")["sessions"]["open"])
            self.assertEqual([False, False], [answer.ready() for answer in answers])
            self.control.askJSON("POST", "/resume")
            self.assertEqual([["250"], ["250"]], [answer.get(PATIENCE) for answer in answers])

    def test_drop(self):
        """
        All connections are dropped.
        """
        self.assertEqual({"dropped": 2}, self.control.askJSON("DELETE", "/sessions"))

    def test_transcripts(self):
        """
        Sessions have numbers that no other has, and their dialogues are found by them.
        """
        sessions = [each["session"] for each in self.get("/transcripts")["transcripts"]]
        self.assertEqual([1, 2], sessions)
        for session in sessions:
            text = self.control.ask("GET", f"/transcripts/{session}", accept="text/plain").decode()
            self.assertIn("C: HELO x", text)
        self.assertEqual({"deleted": 2}, self.control.askJSON("DELETE", "/transcripts"))

    def test_events(self):
        """
        What happens with either worker is told, with numbers in their order; and a mark, which the report has.
        """
        with ThreadPool(1) as pool:
            watching = self.control.events()
            first = pool.apply_async(next, (watching,))
            until(lambda: self.control.askJSON("POST", "/mark", {"text": "go"}) and first.ready())
            events = [first.get(PATIENCE)]
            for client in self.clients:
                client.deliver()
            while [event["event"] for event in events].count("message") < 2:
                events.append(next(watching))
            watching.close()
        numbers = [int(event["id"]) for event in events]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual({1, 2}, {event["session"] for event in events if event["event"] == "message"})
        self.assertEqual("go", self.end()["marks"][0]["text"])
