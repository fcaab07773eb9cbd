"""
Tests for L{smtpsource.sink.control}: what is answered over HTTP, as its description says.
"""

from __future__ import annotations

import json
import os
import socket
import stat

from controlled import DESCRIPTION, ControlMixin, Steered
from hypothesis import strategies as st
from patience import TEST_LIMIT
from prometheus_client.parser import text_string_to_metric_families as parseText
from properties import given
from twisted.internet import defer
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.process.listening import ListenError
from smtpsource.sink.control.asked import LARGEST_BODY
from smtpsource.sink.control.events import Events
from smtpsource.sink.control.paths import paths
from smtpsource.sink.control.rules import merged
from smtpsource.sink.control.server import ControlServer
from smtpsource.sink.control.where import Where, parseControl, tokenFor

TOKEN = "0123456789abcdef"

RULE = {"name": "slow", "on": "rcpt", "when": {"recipient": "*@slow.test"}, "do": {"reply": "451 4.7.1 come back"}}

TOML = b'seed = 7\n[[rule]]\nname = "slow"\non = "rcpt"\ndo = { delay = "300ms" }\n'


class WhereTests(SynchronousTestCase):
    """
    What a user may write for a place.
    """

    def test_usable(self):
        """
        A port, a host and a port, or a UNIX socket; the host is this machine unless it is said.
        """
        for text, expected, local in (
            ("8025", Where("127.0.0.1", 8025), True),
            ("0", Where("127.0.0.1", 0), True),
            ("localhost:8025", Where("localhost", 8025), True),
            ("127.1.2.3:8025", Where("127.1.2.3", 8025), True),
            ("[::1]:8025", Where("::1", 8025), True),
            ("0.0.0.0:8025", Where("0.0.0.0", 8025), False),
            ("[::]:8025", Where("::", 8025), False),
            ("mail.example.com:8025", Where("mail.example.com", 8025), False),
            ("unix:/run/control", Where(path="/run/control"), True),
        ):
            where = parseControl(text)
            self.assertEqual((where, where.isLocal), (expected, local), text)

    def test_unusable(self):
        """
        Anything else is told in one line.
        """
        for text, why in (
            ("", r"expected \[HOST:\]PORT or unix:PATH, .*; a port is a number of at most 65535"),
            ("x", "a port is a number"),
            ("65536", "a port is a number"),
            (":8025", r"for all addresses say 0\.0\.0\.0:8025 or \[::\]:8025"),
            ("::1:8025", "an address of IPv6 stands in brackets"),
            ("[::1]", "an address of IPv6 stands in brackets"),
            ("[x]:1", "in brackets stands an address of IPv6"),
            ("a b:1", "expected a host name"),
            ("unix:", "expected"),
            ("unix:/" + "x" * 200, "at most 107 bytes"),
        ):
            error = self.assertRaises(ValueError, parseControl, text)
            self.assertRegex(str(error), why)
            self.assertNotIn("\n", str(error))

    @given(st.text(max_size=30))
    def test_anything(self, text):
        """
        Whatever is written, it is a place or there is one line.
        """
        try:
            self.assertIsInstance(parseControl(text), Where)
        except ValueError as e:
            self.assertNotIn("\n", str(e))

    def test_token(self):
        """
        A token is in a file, or in the environment, and no short one; no error repeats it.
        """
        path = self.mktemp()
        for text, expected in ((TOKEN + "\n", TOKEN), (TOKEN + "\r\nmore", TOKEN), ("short", None), ("", None)):
            with open(path, "w") as file:
                file.write(text)
            if expected is None:
                error = self.assertRaises(ValueError, tokenFor, path)
                self.assertEqual(str(error), "expected a token of 16 or more letters, digits and signs of ASCII")
            else:
                self.assertEqual(tokenFor(path), expected)
        self.patch(os, "environ", {})
        self.assertIsNone(tokenFor(None))
        os.environ["SMTPSINK_CONTROL_TOKEN"] = TOKEN
        self.assertEqual(tokenFor(None), TOKEN)
        os.environ["SMTPSINK_CONTROL_TOKEN"] = "secret"
        error = self.assertRaises(ValueError, tokenFor, None)
        self.assertIn("SMTPSINK_CONTROL_TOKEN in the environment is not usable", str(error))
        self.assertNotIn("secret", str(error))


class DescriptionTests(SynchronousTestCase):
    """
    The description itself.
    """

    def test_paths(self):
        """
        It has all that there is, and nothing else: paths, methods, and the parameters of queries.
        """
        served = {
            path: {method: set(does.query) for method, does in methods.items()}
            for path, methods in paths(MemoryReactorClock(), Steered(), Events()).items()
        }
        described = {
            path: {
                method.upper(): {one["name"] for one in said.get("parameters", ()) if one.get("in") == "query"}
                for method, said in item.items()
                if method != "parameters"
            }
            for path, item in DESCRIPTION["paths"].items()
        }
        self.assertEqual(served, described)

    @given(st.recursive(st.none() | st.booleans() | st.integers(), lambda each: st.dictionaries(st.text(), each)))
    def test_merged(self, patch):
        """
        A merge patch that is applied twice changes nothing the second time, and leaves no null in what it has brought.
        """
        once = merged({"a": 1, "b": {"c": 2}}, patch)
        self.assertEqual(merged(once, patch), once)

    def test_mergedExamples(self):
        """
        The examples of RFC 7396, appendix A.
        """
        for target, patch, expected in (
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            (["a", "b"], ["c", "d"], ["c", "d"]),
            ({"a": "foo"}, None, None),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ):
            self.assertEqual(merged(target, patch), expected)


class RulesTests(ControlMixin, TestCase):
    """
    C{/rules}.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.serve()

    @defer.inlineCallbacks
    def test_swap(self):
        """
        Rules that are put are those that there are from then on; who watches is told.
        """
        told = []
        self.patch(self.steering, "publish", lambda kind, **fields: told.append((kind, fields)))
        before = yield self.ask("GET", "/rules")
        reply = yield self.ask("PUT", "/rules", {"seed": 7, "rule": [RULE]})
        self.assertEqual(reply.status, 200)
        self.assertEqual(self.steering.rules.asDict(), reply.json)
        self.assertEqual(reply.json["rule"][0]["name"], "slow")
        after = yield self.ask("GET", "/rules")
        self.assertEqual((after.body, after.header("etag")), (reply.body, reply.header("etag")))
        self.assertNotEqual(before.header("etag"), after.header("etag"))
        self.assertEqual([kind for kind, _ in told], ["rules"])

    @defer.inlineCallbacks
    def test_deep(self):
        """
        What is nested very deeply is no document of rules, wherever that is and however it comes.
        """
        before = self.steering.rules
        for depth in (300, 600, 900):
            deep = "[" * depth + "]" * depth
            objects = '{"a":' * depth + "1" + "}" * depth
            for method, document in (
                ("PUT", deep),
                ("PUT", objects),
                ("PUT", f'{{"rule": {deep}}}'),
                ("PUT", f'{{"rule": [{{"on": {deep}, "do": {objects}}}]}}'),
                ("PUT", f'{{"rule": [{{"on": "rcpt", "do": {{"texts": {deep}}}}}]}}'),
                ("PATCH", f'{{"greylist": {objects}}}'),
                ("POST", f'{{"when": {deep}}}'),
                ("POST", f'{{"name": {deep}}}'),
            ):
                reply = yield self.ask(method, "/rules", document.encode())
                self.assertIn(reply.status, (400, 422), f"{method} {document[:80]} {depth}")
                self.assertLess(len(reply.body), 2000, f"{method} {document[:80]} {depth}")
            for text in (f"seed = {deep}", f"{'a.' * depth}a = 1"):
                reply = yield self.ask("PUT", "/rules", text.encode(), kind="application/toml")
                self.assertIn(reply.status, (400, 422), f"{text[:80]} {depth}")
        self.assertIs(self.steering.rules, before)

    @defer.inlineCallbacks
    def test_toml(self):
        """
        A file of rules can be put as it is.
        """
        reply = yield self.ask("PUT", "/rules", TOML, kind="application/toml; charset=utf-8")
        self.assertEqual((reply.status, reply.json["seed"], len(reply.json["rule"])), (200, 7, 1))

    @defer.inlineCallbacks
    def test_patch(self):
        """
        A merge patch changes some keys, and takes others away.
        """
        yield self.ask("PUT", "/rules", TOML, kind="application/toml")
        reply = yield self.ask("PATCH", "/rules", {"seed": 8}, kind="application/merge-patch+json")
        self.assertEqual((reply.json["seed"], len(reply.json["rule"])), (8, 1))
        reply = yield self.ask("PATCH", "/rules", {"rule": None})
        self.assertEqual((reply.json["seed"], reply.json["rule"]), (8, []))

    @defer.inlineCallbacks
    def test_one(self):
        """
        A rule can be added, looked at, and removed by its name, whatever that is.
        """
        for name in ("slow", "so/slow ü?"):
            reply = yield self.ask("POST", "/rules", {**RULE, "name": name})
            self.assertEqual((reply.status, reply.json["name"]), (201, name))
            where = reply.header("location")
            reply = yield self.ask("GET", where)
            self.assertEqual((reply.status, reply.json["name"]), (200, name))
        reply = yield self.ask("DELETE", where)
        self.assertEqual((reply.status, reply.body), (204, b""))
        self.assertEqual([rule["name"] for rule in self.steering.rules.asDict()["rule"]], ["slow"])
        reply = yield self.ask("DELETE", where)
        self.assertEqual((reply.status, reply.detail), (404, "there is no rule 'so/slow ü?'"))

    @defer.inlineCallbacks
    def test_names(self):
        """
        A rule without a name gets one when it is shown, and keeps it when others before it go.
        """
        anonymous = {"on": "rcpt", "do": {"delay": "1s"}}
        reply = yield self.ask("PUT", "/rules", {"rule": [anonymous, {"on": ["mail", "rset"], "do": {"delay": "1s"}}]})
        self.assertEqual([rule["name"] for rule in reply.json["rule"]], ["rule 1 (rcpt)", "rule 2 (mail, rset)"])
        for number in (1, 2):
            yield self.ask("POST", "/rules", {"on": "rctp"})
            reply = yield self.ask("POST", "/rules", anonymous)
            self.assertEqual(reply.json["name"], f"added rule {number}")
        yield self.ask("DELETE", "/rules/rule%201%20%28rcpt%29")
        reply = yield self.ask("GET", "/rules")
        names = ["rule 2 (mail, rset)", "added rule 1", "added rule 2"]
        self.assertEqual([rule["name"] for rule in reply.json["rule"]], names)
        yield self.ask("PUT", "/rules", {"rule": [{**anonymous, "name": "added rule 3"}]})
        reply = yield self.ask("POST", "/rules", anonymous)
        self.assertEqual(reply.json["name"], "added rule 4")

    @defer.inlineCallbacks
    def test_first(self):
        """
        A rule can be put before the others, the latest of several before the first.
        """
        for name, path in (("a", "/rules"), ("b", "/rules?first=true"), ("c", "/rules?first=true")):
            reply = yield self.ask("POST", path, {**RULE, "name": name})
            self.assertEqual((reply.status, reply.json["name"]), (201, name))
        yield self.ask("POST", "/rules?first=false", {**RULE, "name": "d"})
        reply = yield self.ask("GET", "/rules")
        self.assertEqual([rule["name"] for rule in reply.json["rule"]], ["c", "b", "a", "d"])
        reply = yield self.ask("POST", "/rules?first=yes", RULE)
        self.assertEqual((reply.status, reply.detail), (400, "first: 'yes' is not usable: expected true or false"))

    @defer.inlineCallbacks
    def test_conditions(self):
        """
        Who has read the rules changes them only if nobody else has; who has them is not told again.
        """
        first = yield self.ask("GET", "/rules")
        tag = first.header("etag")
        reply = yield self.ask("GET", "/rules", headers={"If-None-Match": tag})
        self.assertEqual((reply.status, reply.body), (304, b""))
        reply = yield self.ask("POST", "/rules", RULE, {"If-Match": f'"x", {tag}'})
        self.assertEqual(reply.status, 201)
        for method, path, body in (
            ("PUT", "/rules", {}),
            ("PATCH", "/rules", {}),
            ("POST", "/rules", {**RULE, "name": "other"}),
            ("DELETE", "/rules/slow", None),
        ):
            reply = yield self.ask(method, path, body, {"If-Match": tag})
            self.assertEqual(reply.status, 412, method)
            reply = yield self.ask(method, path, body, {"If-Match": "*"})
            self.assertIn(reply.status, (200, 201, 204), method)
            yield self.ask("PUT", "/rules", {"rule": [RULE]})

    @defer.inlineCallbacks
    def test_wrong(self):
        """
        Rules that can't be used change nothing, and one line says why.
        """
        yield self.ask("PUT", "/rules", {"rule": [RULE]})
        before = self.steering.rules
        for method, path, body, kind, status in (
            ("PUT", "/rules", {"rule": [{"on": "rcpt"}]}, "application/json", 422),
            ("PUT", "/rules", {"seed": "x"}, "application/json", 422),
            ("PUT", "/rules", [], "application/json", 422),
            ("PUT", "/rules", b"[[rule]", "application/toml", 422),
            ("PUT", "/rules", b"\xff", "application/toml", 400),
            ("PUT", "/rules", b"{", "application/json", 400),
            ("PUT", "/rules", b"\xff", "application/json", 400),
            ("PUT", "/rules", b'{"seed": NaN}', "application/json", 400),
            ("PUT", "/rules", b'{"seed": "\\ud800"}', "application/json", 400),
            ("PUT", "/rules", b"[" * 100_000, "application/json", 400),
            ("PATCH", "/rules", {"seed": "x"}, "application/json", 422),
            ("PATCH", "/rules", [1], "application/json", 422),
            ("POST", "/rules", RULE, "application/json", 422),
            ("POST", "/rules", 5, "application/json", 422),
            ("PUT", "/rules", {}, "text/plain", 415),
            ("POST", "/rules", {}, "application/x-www-form-urlencoded", 415),
            ("POST", "/rules", {}, "multipart/form-data", 415),
            ("PATCH", "/rules", {}, "application/json-patch+json", 415),
            ("PUT", "/rules", b" " * (LARGEST_BODY + 1), "application/json", 413),
        ):
            reply = yield self.ask(method, path, body, kind=kind)
            self.assertEqual(reply.status, status, (method, body[:50] if isinstance(body, bytes) else body))
            self.assertIs(self.steering.rules, before)
        self.assertEqual(reply.detail, f"expected a body of at most {LARGEST_BODY} octets")
        reply = yield self.ask("PATCH", "/rules", b"", kind="text/plain")
        self.assertEqual(reply.header("accept-patch"), "application/merge-patch+json, application/json")


class MessagesTests(ControlMixin, TestCase):
    """
    C{/messages} and C{/transcripts}.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.serve()

    @defer.inlineCallbacks
    def numbers(self, query):
        reply = yield self.ask("GET", f"/messages?{query}")
        self.assertEqual(reply.status, 200, reply.body)
        return [message["number"] for message in reply.json["messages"]]

    @defer.inlineCallbacks
    def test_find(self):
        """
        Messages are found by what is known of them.
        """
        self.steering.receive(1, "b@example.com", "hello")
        self.steering.receive(2, "c@example.org", "hello again")
        self.steering.receive(3, "b@example.com", "other")
        for query, expected in (
            ("", [1, 2, 3]),
            ("recipient=*%40EXAMPLE.com", [1, 3]),
            ("recipient=b@example.com&subject=hel*", [1]),
            ("sender=x", []),
            ("id=%3C2@example.com%3E", [2]),
            ("after=1", [2, 3]),
            ("limit=2", [1, 2]),
            ("wait=0&count=100", [1, 2, 3]),
        ):
            found = yield self.numbers(query)
            self.assertEqual(found, expected, query)
        reply = yield self.ask("GET", "/messages?limit=1")
        self.assertEqual((reply.json["found"], reply.json["total"]), (3, 3))

    @defer.inlineCallbacks
    def test_wait(self):
        """
        Who waits is told as soon as enough are there.
        """
        self.steering.receive(1)
        waiting = self.numbers("wait=600&count=3&subject=hello")
        yield self.ask("GET", "/counters")
        self.steering.receive(2)
        self.steering.receive(3, subject="other")
        self.assertNoResult(waiting)
        self.steering.receive(4)
        found = yield waiting
        self.assertEqual(found, [1, 2, 4])

    @defer.inlineCallbacks
    def test_waitInVain(self):
        """
        When the time is over there is what there is; who does not wait till then is forgotten.
        """
        self.steering.receive(1)
        found = yield self.numbers("wait=1ms&count=3")
        self.assertEqual(found, [1])
        waiting = self.begin("GET", "/messages?wait=600&count=3")
        yield self.ask("GET", "/counters")
        waiting.addErrback(lambda reason: None)
        waiting.cancel()
        yield self.ask("GET", "/counters")

    @defer.inlineCallbacks
    def test_tooManyWait(self):
        """
        No more than 32 wait at once, and they keep nobody from asking something else.
        """
        for _ in range(32):
            self.send(b"GET /messages?wait=600 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reply = yield self.ask("GET", "/counters")
            self.assertEqual(reply.status, 200)
        reply = yield self.ask("GET", "/messages?wait=600")
        self.assertEqual((reply.status, reply.header("retry-after")), (503, "1"))
        found = yield self.numbers("wait=0")
        self.assertEqual(found, [])

    def send(self, data):
        """
        @return: a connection over which this has been sent.
        """
        host, _, port = self.server.address.rpartition(":")
        connection = socket.create_connection((host, int(port)))
        self.addCleanup(connection.close)
        connection.sendall(data)
        return connection

    @defer.inlineCallbacks
    def test_wrongQuery(self):
        """
        What can't be asked for is told in one line.
        """
        for query, detail in (
            ("wait=x", "wait: 'x' is not usable: expected a time"),
            ("wait=601", "wait: '601' is not usable: expected at most 600 seconds"),
            ("wait=1&count=11", "expected at most 10"),
            ("count=0", "count: '0' is not usable: expected a whole number from 1"),
            ("after=-1", "after: '-1' is not usable: expected a whole number from 0"),
            ("recipent=x", "'recipent' is no parameter of the query: expected one of .*; did you mean recipient?"),
            ("sender=a&sender=b", "sender: 2 values are not usable: expected one"),
            ("&".join("a=%d" % n for n in range(100)), "expected a query of at most 64 parameters"),
        ):
            reply = yield self.ask("GET", f"/messages?{query}")
            self.assertEqual(reply.status, 400, query)
            self.assertRegex(reply.detail, detail)
        reply = yield self.ask("GET", "/rules?x=1")
        self.assertEqual((reply.status, reply.detail), (400, "'x' is no parameter of the query: expected none here"))

    @defer.inlineCallbacks
    def test_one(self):
        """
        A message has its envelope, its header and its content as it came; it can be forgotten, and all can.
        """
        for number in (1, 2, 3):
            self.steering.receive(number)
        reply = yield self.ask("GET", "/messages/2")
        self.assertEqual(reply.json["headers"], [["Subject", "hello"], ["Message-Id", "<2@example.com>"]])
        self.assertEqual((reply.json["from"], reply.json["to"]), ("a@example.com", ["b@example.com"]))
        reply = yield self.ask("GET", "/messages/2/raw")
        self.assertEqual(reply.header("content-type"), "message/rfc822")
        self.assertEqual(reply.body, b"Subject: hello\r\nMessage-Id: <2@example.com>\r\n\r\ntext\r\n")
        reply = yield self.ask("HEAD", "/messages/2/raw")
        self.assertEqual((reply.status, reply.body, reply.header("content-length")), (200, b"", "53"))
        reply = yield self.ask("DELETE", "/messages/2")
        self.assertEqual(reply.status, 204)
        reply = yield self.ask("GET", "/messages/2")
        self.assertEqual((reply.status, reply.detail), (404, "message 2 is not there, or not any more"))
        reply = yield self.ask("GET", "/messages/x")
        self.assertEqual(reply.status, 400)
        reply = yield self.ask("DELETE", "/messages")
        self.assertEqual(reply.json, {"deleted": 2})

    LISTED = {"transcripts": [{"session": 7, "client": "127.0.0.1", "lines": 2, "dropped": 0, "logins": []}]}

    @defer.inlineCallbacks
    def test_transcripts(self):
        """
        A session's dialogue is there for programs and for people.
        """
        transcript = self.steering.transcripts.begin(7, "127.0.0.1")
        transcript.server(b"220 sink.test\r\n")
        transcript.client(b"QUIT")
        reply = yield self.ask("GET", "/transcripts")
        self.assertEqual(reply.json, self.LISTED)
        reply = yield self.ask("GET", "/transcripts/7")
        self.assertEqual([line["text"] for line in reply.json["lines"]], ["220 sink.test", "QUIT"])
        for accept in ("text/plain", "text/plain;q=0.9, application/json"):
            reply = yield self.ask("GET", "/transcripts/7", headers={"Accept": accept})
            self.assertIn(b"C: QUIT\n", reply.body)
        reply = yield self.ask("GET", "/transcripts/8")
        self.assertEqual(reply.status, 404)

    @defer.inlineCallbacks
    def test_forgetTranscripts(self):
        """
        All dialogues are forgotten at once, and who watches is told.
        """
        told = []
        self.patch(self.steering, "publish", lambda kind, **fields: told.append((kind, fields)))
        for session in (1, 2):
            self.steering.transcripts.begin(session, "127.0.0.1")
        for count in (2, 0):
            reply = yield self.ask("DELETE", "/transcripts")
            self.assertEqual(reply.json, {"deleted": count})
        self.assertEqual(self.steering.transcripts.all(), [])
        self.assertEqual(told[0], ("deleted", {"transcripts": 2}))


class SinkTests(ControlMixin, TestCase):
    """
    What concerns the sink as a whole.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.serve()

    @defer.inlineCallbacks
    def test_pause(self):
        """
        It can be made to pause and to go on.
        """
        for path, paused in (("/pause", True), ("/pause", True), ("/resume", False), ("/resume", False)):
            reply = yield self.ask("POST", path)
            self.assertEqual((reply.status, reply.json, self.steering.paused), (200, {"paused": paused}, paused))

    @defer.inlineCallbacks
    def test_mark(self):
        """
        A mark is noted, and told to those who watch.
        """
        told = []
        self.patch(self.steering, "publish", lambda kind, **fields: told.append((kind, fields)))
        reply = yield self.ask("POST", "/mark", {"text": "now"})
        self.assertEqual((reply.status, reply.json["text"]), (201, "now"))
        self.assertEqual([text for _, text in self.steering.marks], ["now"])
        self.assertEqual(told, [("mark", {"text": "now"})])
        for document in ({}, {"text": ""}, {"text": 5}, {"text": "x" * 1001}, {"text": "x", "more": 1}, [], "x"):
            reply = yield self.ask("POST", "/mark", document)
            self.assertEqual(reply.status, 422)
        self.assertEqual(len(self.steering.marks), 1)

    @defer.inlineCallbacks
    def test_counters(self):
        """
        What was counted is there as JSON and for Prometheus, by rule as well.
        """
        counts = self.steering.counts
        counts.sessions, counts.ended, counts.messages, counts.recipients = 5, 3, 7, 8
        counts.bytesReceived, counts.bytesSent = 100, 200
        counts.error("unknown", b"XYZZY")
        self.steering.ruleCounts['so "slow"'] += 3
        self.steering.number = 6
        self.steering.deceits["duplicate"] += 2
        reply = yield self.ask("GET", "/counters")
        document = reply.json
        self.assertEqual(document["sessions"], {"total": 5, "open": 2, "max": 0, "quit": 0})
        self.assertEqual((document["messages"], document["kept"], document["rules"]), (7, 6, {'so "slow"': 3}))
        self.assertEqual(document["errors"], {"unknown": {"count": 1, "sample": "XYZZY"}})
        reply = yield self.ask("GET", "/metrics")
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in parseText(reply.body.decode())
            for sample in family.samples
        }
        for name, value in (
            (("smtpsink_sessions_total",), 5),
            (("smtpsink_sessions_open",), 2),
            (("smtpsink_messages_total",), 7),
            (("smtpsink_messages_kept_total",), 6),
            (("smtpsink_deliberate_total", "duplicate"), 2),
            (("smtpsink_bytes_total", "sent"), 200),
            (("smtpsink_errors_total", "unknown"), 1),
            (("smtpsink_rule_decisions_total", 'so "slow"'), 3),
            (("smtpsink_paused",), 0),
        ):
            self.assertEqual(values[name], value, name)

    @defer.inlineCallbacks
    def test_description(self):
        """
        The description is served, and the start page leads to it.
        """
        reply = yield self.ask("GET", "/")
        self.assertEqual(set(reply.json["paths"]), set(DESCRIPTION["paths"]))
        reply = yield self.ask("GET", "/openapi.json")
        self.assertEqual(reply.json, DESCRIPTION)

    @defer.inlineCallbacks
    def test_methods(self):
        """
        Each path says what can be done there, and refuses all else; other paths are not there.
        """
        for path, item in DESCRIPTION["paths"].items():
            known = {method.upper() for method in item if method != "parameters"}
            allowed = ", ".join(sorted({*known, "OPTIONS", *(["HEAD"] if "GET" in known else [])}))
            reply = yield self.ask("OPTIONS", path)
            self.assertEqual((reply.status, reply.header("allow")), (204, allowed))
            self.assertIsNone(reply.header("access-control-allow-origin"))
            for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "TRACE", "BREW"} - known:
                reply = yield self.ask(method, path)
                self.assertEqual((reply.status, reply.header("allow")), (405, allowed), f"{method} {path}")
        for path in ("/rule", "/rules/", "//", "/messages/1/raw/", "/%72ules/x/y"):
            reply = yield self.ask("GET", path)
            self.assertEqual(reply.status, 404, path)

    @defer.inlineCallbacks
    def test_crowd(self):
        """
        A hundred who ask at the same time all have their answer.
        """
        for where in ("0", f"unix:{self.mktemp()}"):
            yield self.server.close()
            self.serve(where)
            replies = yield defer.gatherResults([self.ask("GET", "/counters") for _ in range(100)])
            self.assertEqual({reply.status for reply in replies}, {200})

    @defer.inlineCallbacks
    def test_fault(self):
        """
        A fault of the sink's own is told without its traceback.
        """
        self.patch(self.steering.transcripts, "all", lambda: 1 / 0)
        reply = yield self.ask("GET", "/transcripts")
        self.assertEqual((reply.status, reply.header("content-type")), (500, "application/problem+json"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class GuardTests(ControlMixin, TestCase):
    """
    Who may ask.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_token(self):
        """
        Where there is a token, nothing is answered without it.
        """
        self.serve(token=TOKEN)
        for authorization in (None, "Bearer", "Bearer 0123456789abcdeX", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} x"):
            authorized = {} if authorization is None else {"Authorization": authorization}
            for path in ("/", "/rules", "/metrics", "/nothing"):
                reply = yield self.ask("GET", path, headers=authorized)
                self.assertEqual(reply.status, 401, authorization)
                self.assertEqual(reply.header("www-authenticate"), 'Bearer realm="smtpsink"')
        for authorization in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
            reply = yield self.ask("GET", "/rules", headers={"Authorization": authorization})
            self.assertEqual(reply.status, 200)

    def test_elsewhere(self):
        """
        Where others than this machine's may come there is a token, or nothing.
        """
        for text in ("0.0.0.0:0", "[::]:0", "192.0.2.1:8025", "sink.example.com:8025"):
            error = self.assertRaises(ValueError, ControlServer, None, Steered(), text)
            self.assertIn("can be reached from elsewhere, and there is no token", str(error))

    @defer.inlineCallbacks
    def test_rebinding(self):
        """
        A name that leads here and is not known here is not answered, as a page in a browser would use it.
        """
        self.serve("127.0.0.1:0")
        port = self.server.address.rpartition(":")[2]
        for host, status in (
            (f"127.0.0.1:{port}", 200),
            (f"localhost:{port}", 200),
            ("LOCALHOST", 200),
            ("[::1]:80", 200),
            ("evil.example", 421),
            (f"evil.example:{port}", 421),
            ("localhost.evil.example", 421),
        ):
            reply = yield self.ask("GET", "/rules", headers={"Host": host})
            self.assertEqual(reply.status, status, host)

    @defer.inlineCallbacks
    def test_otherSites(self):
        """
        A page of another site can't have anything done.
        """
        self.serve()
        own = f"http://{self.server.address}"
        for origin, status in (
            ("https://evil.example", 403),
            ("null", 403),
            ("http://127.0.0.1:1", 403),
            ("http://[::1", 403),
            (own, 200),
        ):
            reply = yield self.ask("POST", "/pause", headers={"Origin": origin})
            self.assertEqual(reply.status, status, origin)
            self.assertEqual(self.steering.paused, status == 200)

    @defer.inlineCallbacks
    def test_unix(self):
        """
        A UNIX socket is for its owner; one that a dead sink has left is no obstacle, anything else is.
        """
        path = os.path.abspath(self.mktemp())
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        self.serve(f"unix:{path}")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        reply = yield self.ask("GET", "/rules")
        self.assertEqual(reply.status, 200)
        error = self.assertRaises(ListenError, ControlServer(MemoryReactorClock(), Steered(), f"unix:{path}").listen)
        self.assertEqual(str(error), f"can't be controlled at unix:{path}: Address already in use")
        yield self.server.close()
        self.assertFalse(os.path.lexists(path))

    def test_inUse(self):
        """
        A port that is taken is told in one line.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            error = self.assertRaises(ListenError, self.serve, str(port))
        self.assertEqual(str(error), f"can't be controlled at 127.0.0.1:{port}: Address already in use")


class StreamTests(ControlMixin, TestCase):
    """
    C{/events}.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.serve()

    def watch(self, **headers):
        """
        @return: a L{defer.Deferred} that fires with a L{Watching}.
        """
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.begin("GET", "/events", headers).addCallback(Watching)

    @defer.inlineCallbacks
    def test_watch(self):
        """
        What happens is told as it happens, in the form that browsers know.
        """
        self.steering.publish("paused")
        watching = yield self.watch()
        self.assertEqual(watching.response.headers.getRawHeaders("content-type"), ["text/event-stream"])
        yield self.ask("POST", "/mark", {"text": "a\nb"})
        yield watching.when(b"event: mark")
        events = watching.events()
        self.assertEqual(
            [(each["id"], each["event"], each["data"]["text"]) for each in events], [("2", "mark", "a\nb")]
        )
        watching.close()

    @defer.inlineCallbacks
    def test_strange(self):
        """
        Whatever is published, it is told in some way.
        """
        watching = yield self.watch()
        self.steering.publish("message", helo=b"\xff", sender="\udcff\u20ac\r\n")
        yield watching.when(b"event: message")
        (event,) = watching.events()
        self.assertEqual((event["data"]["helo"], event["data"]["sender"]), ("b'\\xff'", "\udcff\u20ac\r\n"))
        watching.close()

    @defer.inlineCallbacks
    def test_resume(self):
        """
        Who comes back is told what has been meanwhile; and what is not known any more, if there was so much.
        """
        for number in range(5):
            self.steering.publish("mark", text=str(number))
        watching = yield self.watch(Last_Event_ID="3")
        yield watching.when(b'"4"')
        self.assertEqual([each["id"] for each in watching.events()], ["4", "5"])
        watching.close()
        for number in range(2000):
            self.steering.publish("mark", text=str(number))
        watching = yield self.watch(Last_Event_ID="3")
        yield watching.when(b'"1999"')
        first, *rest = watching.events()
        self.assertEqual((first["event"], first["data"]), ("missed", {"events": 1002}))
        self.assertEqual(len(rest), 1000)
        watching.close()
        reply = yield self.ask("GET", "/events", headers={"Last-Event-ID": "x"})
        self.assertEqual(reply.status, 400)
        reply = yield self.ask("HEAD", "/events")
        self.assertEqual(reply.status, 200)

    @defer.inlineCallbacks
    def test_slow(self):
        """
        One who does not read is left, without much being kept for them, and the others are told all.
        """
        slow = yield self.watch()
        slow.transport.pauseProducing()
        quick = yield self.watch()
        text = "x" * 1000
        for number in range(40):
            for _ in range(1000):
                self.steering.publish("mark", text=text)
            self.steering.publish("mark", text=f"turn {number}")
            yield quick.when(b'"turn %d"' % number)
        slow.transport.resumeProducing()
        yield slow.whenGone
        self.assertLess(slow.text.count(b"event:"), 40_000)
        quick.close()

    @defer.inlineCallbacks
    def test_end(self):
        """
        When the sink ends, those who watch are left.
        """
        watching = yield self.watch()
        yield self.server.close()
        yield watching.whenGone


class Watching:
    """
    Somebody who watches.
    """

    def __init__(self, response):
        self.response = response
        self.text = bytearray()
        self.whenGone = defer.Deferred()
        self._waiting = []
        response.deliverBody(self)

    def makeConnection(self, transport):
        self.transport = transport

    def dataReceived(self, data):
        self.text += data
        for wanted, waiting in list(self._waiting):
            if wanted in self.text[-5000:]:
                self._waiting.remove((wanted, waiting))
                waiting.callback(None)

    def connectionLost(self, reason):
        self.whenGone.callback(None)

    def when(self, wanted):
        """
        @return: a L{defer.Deferred} that fires when this has come.
        """
        waiting = defer.Deferred()
        self._waiting.append((wanted, waiting))
        self.dataReceived(b"")
        return waiting

    def events(self):
        """
        What has come, with data that is read.
        """
        found = []
        for block in self.text.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if fields:
                found.append({**fields, "data": json.loads(fields["data"])})
        return found

    def close(self):
        self.transport.loseConnection() if hasattr(self.transport, "loseConnection") else self.transport.stopProducing()
