"""
Tests for L{smtpsource.sink.keeping.transcripts}: what sessions have said.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.keeping.transcripts import Transcripts


class TranscriptsTests(SynchronousTestCase):
    """
    The dialogues of some sessions.
    """

    def setUp(self):
        self.clock = Clock()

    def transcripts(self, sessions=10, lines=100):
        """
        @return: a new L{Transcripts}.
        """
        return Transcripts(sessions, lines, self.clock.seconds)

    def texts(self, transcript):
        """
        @return: its lines alone.
        """
        return [line["text"] for line in transcript.asDict()["lines"]]

    def test_text(self):
        """
        A dialogue for people: times, who says it, and content as a size.
        """
        transcript = self.transcripts().begin(3, "127.0.0.1")
        transcript.server(b"220 sink ESMTP\r\n")
        self.clock.advance(0.5)
        transcript.client(b"DATA")
        transcript.server(b"354 Go on\r\n")
        self.clock.advance(1)
        transcript.content(1234)
        transcript.note("rule slow: waits 0.3 s")
        self.clock.advance(0.3)
        transcript.server(b"250-2.0.0 Ok\r\n250 2.0.0 really\r\n")
        self.assertEqual(
            "session 3, client 127.0.0.1\n"
            "    0.000 S: 220 sink ESMTP\n"
            "    0.500 C: DATA\n"
            "    0.500 S: 354 Go on\n"
            "    1.500 C: [1234 octets of content]\n"
            "    1.500 -- rule slow: waits 0.3 s\n"
            "    1.800 S: 250-2.0.0 Ok\n"
            "    1.800 S: 250 2.0.0 really\n",
            transcript.asText(),
        )

    def test_dict(self):
        """
        The same for JSON.
        """
        self.clock.advance(100)
        transcript = self.transcripts().begin(1, "::1")
        transcript.client(b"DATA")
        self.clock.advance(0.25)
        transcript.content(5)
        self.assertEqual(
            {
                "session": 1,
                "client": "::1",
                "started": 100.0,
                "dropped": 0,
                "logins": [],
                "lines": [
                    {"time": 0.0, "who": "client", "text": "DATA"},
                    {"time": 0.25, "who": "client", "text": "[5 octets of content]"},
                ],
            },
            transcript.asDict(),
        )

    def test_unprintable(self):
        """
        What a client sends does nothing on a terminal, and has its bound.
        """
        transcript = self.transcripts().begin(1, "x")
        transcript.client(b"\x1b[2Jboo\xff")
        transcript.client(b"y" * 100_000)
        first, second = self.texts(transcript)
        self.assertEqual("?[2Jboo?", first.replace("\ufffd", "?"))
        self.assertEqual("y" * 2048, second)

    def test_lines(self):
        """
        Of a long session the last lines are there, and how many were before.
        """
        transcript = self.transcripts(lines=3).begin(1, "x")
        for number in range(10):
            transcript.client(b"NOOP %d" % number)
        self.assertEqual(["NOOP 7", "NOOP 8", "NOOP 9"], self.texts(transcript))
        self.assertIn("[7 lines before]\n", transcript.asText())

    def test_sessions(self):
        """
        The last sessions are there; a session that is not goes on all the same.
        """
        transcripts = self.transcripts(sessions=2)
        first = transcripts.begin(1, "x")
        transcripts.begin(2, "x")
        transcripts.begin(3, "x")
        first.client(b"NOOP")
        self.assertIsNone(transcripts.get(1))
        self.assertEqual([2, 3], [each.session for each in transcripts.all()])
        transcripts.delete()
        self.assertEqual([], transcripts.all())

    def test_octets(self):
        """
        All of them together have so many octets; for more, the oldest go, and what else they say is not kept.
        """
        transcripts = Transcripts(10, 100, self.clock.seconds, octets=10_000)
        first, second = transcripts.begin(1, "::1"), transcripts.begin(2, "::1")
        for _ in range(20):
            first.client(b"x" * 100)
        for _ in range(30):
            second.client(b"x" * 100)
        self.assertEqual(([], 30), (self.texts(first), len(self.texts(second))))
        self.assertEqual([second], transcripts.all())
        first.client(b"NOOP")
        self.assertEqual([], self.texts(first))
        for _ in range(20):
            second.client(b"x" * 100)
        self.assertEqual([], transcripts.all())
        # A line that takes the place of another one, as there are enough of them, is no more than that.
        third = Transcripts(10, 3, self.clock.seconds, octets=1000).begin(3, "::1")
        for _ in range(100):
            third.client(b"x" * 100)
        self.assertEqual((3, 97), (len(third.lines), third.dropped))
