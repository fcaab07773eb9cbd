"""
What our program says to a server is what Postfix's C{smtp-source} says, byte for byte: every option, and
what follows on each refusal.

Where that tool has a defect that ours hasn't, nothing is compared: a file with CRLF line ends and an empty
file (C{-F}), LMTP with a refused recipient, a connection lost under C{-A}.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from differential import (
    AGAINST_ITSELF,
    Settings,
    compareTranscripts,
    messageIds,
    normalized,
    runBoth,
    runOne,
    runOurs,
    runOursWarm,
)
from patience import TEST_LIMIT
from recording import CLOSE, multiline
from twisted.internet import defer
from twisted.trial.unittest import SkipTest, TestCase

#: Stands in the options of a case for the path of the file with the case's content.
FILE = object()


@dataclass(frozen=True)
class Case:
    """
    One comparison.

    @ivar flags: the options.
    @ivar family: what the servers listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
    @ivar replies: the script of the servers, see L{recording}.
    @ivar content: what is in the file that is named C{FILE} among the options.
    @ivar status: the exit status of ours: 0 if all messages were accepted, and 1 if not.
    @ivar postfixStatus: the exit status of Postfix's; the same as ours if left out.
    @ivar ordered: whether the connections come in a fixed order.
    @ivar out: whether to compare what is written to standard output, too.
    @ivar quits: ours says QUIT at the end, where Postfix's just leaves.
    """

    flags: tuple = ()
    family: str = "inet"
    replies: dict = field(default_factory=dict)
    content: bytes | None = None
    status: int = 0
    postfixStatus: int | None = None
    ordered: bool = True
    out: bool = True
    quits: bool = False


def _case(flags="", *more, **settings):
    return Case((*flags.split(), *more), **settings)


# What each option does, in SMTP over TCP; for LMTP, IPv6 and UNIX sockets see below.
PLAIN = {
    "noOptions": _case(),
    "keepConnection": _case("-d"),
    "messages": _case("-m 3"),
    "messagesKeepConnection": _case("-m 3 -d"),
    "sessions": _case("-m 5 -s 3", ordered=False),
    "moreSessionsThanMessages": _case("-m 2 -s 5", ordered=False),
    "recipients": _case("-r 3"),
    "recipientsMessages": _case("-r 3 -m 2"),
    "recipientsKeepConnection": _case("-r 3 -d -m 2"),
    "oneRecipient": _case("-r 1"),
    "numbered": _case("-N -m 3"),
    "numberedKeepConnection": _case("-N -m 3 -d"),
    "numberedRecipients": _case("-r 3 -N -m 2"),
    "numberedRecipientsTo": _case("-r 2 -N -m 2 -t user@example.org"),
    "everything": _case("-d -N -r 2 -m 3 -c -l 200 -f a@example.com -t b@example.net -S Hi -M host.example"),
    "realWorldPlain": _case("-s 1 -l 10000 -m 4 -f x -N -t y"),
    "realWorldNullSender": _case("-s 2 -m 4 -v -t z -f", "", ordered=False),
}

ADDRESSES = {
    "sender": _case("-f sender@example.com"),
    "senderEmpty": _case("-f", ""),
    "senderAngleBrackets": _case("-f <>"),
    "senderLocalPart": _case("-f sender"),
    "senderDomain": _case("-f @example.com"),
    "senderUTF8": _case("-f jürgen@exämple.com"),
    "senderBlanks": _case("-f", '"john doe"@example.com'),
    "senderParameters": _case("-f", "a@example.com> SIZE=<1000"),
    "recipient": _case("-t recipient@example.net"),
    "recipientEmpty": _case("-t", ""),
    "recipientAngleBrackets": _case("-t <>"),
    "recipientLocalPart": _case("-t recipient"),
    "recipientDomain": _case("-t @example.net"),
    "recipientUTF8": _case("-t jürgen@exämple.com"),
    "recipientTwoAts": _case("-t a@b@example.net -r 2"),
    "recipientsLocalPart": _case("-r 2 -t recipient"),
    "recipientsDomain": _case("-r 2 -t @example.net"),
    "recipientsEmpty": _case("-r 2 -t", ""),
    "recipientsUTF8": _case("-r 2 -t jürgen@exämple.com"),
    "numberedDomain": _case("-N -m 2 -t @example.net"),
    "numberedDetail": _case("-N -m 2 -t user+@example.net"),
    "numberedEmpty": _case("-N -m 2 -t", ""),
    "lastSenderCounts": _case("-f first@example.com -f second@example.com"),
    "name": _case("-M client.example.com"),
    "nameUnqualified": _case("-M client"),
    "nameUnderscore": _case("-M my_host.example"),
    "nameAddress": _case("-M [192.0.2.1]"),
    "nameAddressIPv6": _case("-M [IPv6:2001:db8::1]"),
    "nameAddressesGiven": _case("-M client.example.com -f a@example.com -t b@example.com"),
}

CONTENT = {
    "subject": _case("-S", "Hello, world"),
    "subjectEmpty": _case("-S", ""),
    "subjectUTF8": _case("-S", "Grüße"),
    "subjectOldStyle": _case("-o -S", "not sent"),
    "subjectLength": _case("-l 50 -S", "Fifty"),
    "length1": _case("-l 1"),
    "length2": _case("-l 2"),
    "length78": _case("-l 78"),
    "length79": _case("-l 79"),
    "length80": _case("-l 80"),
    "length81": _case("-l 81"),
    "length100": _case("-l 100"),
    "length160": _case("-l 160"),
    "length161": _case("-l 161"),
    "length10000": _case("-l 10000"),
    "length300000": _case("-l 300000"),
    "length300000Twice": _case("-l 300000 -m 2 -d"),
    "oldStyle": _case("-o"),
    "oldStyleMessages": _case("-o -m 2"),
    "oldStyleKeepConnection": _case("-o -m 2 -d"),
    "oldStyleLength": _case("-o -l 100"),
    "oldStyleName": _case("-o -M client.example.com"),
    "file": _case("-F", FILE, content=b"Subject: hi\n\nHello\n"),
    "fileMessages": _case("-m 2 -d -F", FILE, content=b"Subject: hi\n\nHello\n"),
    "fileSubject": _case("-S no -F", FILE, content=b"Subject: hi\n\nHello\n"),
    "fileOldStyle": _case("-o -F", FILE, content=b"Subject: hi\n\nHello\n"),
    "fileLeadingDots": _case("-F", FILE, content=b"A: b\n\n.\n..\n.one\n...three\n a.\n"),
    "fileSingleDot": _case("-F", FILE, content=b".\n"),
    "fileSingleDotUnfinished": _case("-F", FILE, content=b"."),
    "fileNoFinalNewline": _case("-F", FILE, content=b"A: b\n\nthe last line"),
    "fileBinary": _case("-F", FILE, content=b"A: b\n\n\x00\x01\x80\xfe\xff\x00\n\x00"),
    "fileOnlyHeaders": _case("-F", FILE, content=b"A: b\nC: d\n"),
    "fileEmptyLine": _case("-F", FILE, content=b"\n"),
    "fileEmptyLines": _case("-F", FILE, content=b"\n\n\nbody\n\n\n"),
    "fileLongLine": _case("-F", FILE, content=b"A: b\n\n" + b"long " * 40000 + b"\n"),
    "fileLongLineWithDots": _case("-F", FILE, content=b"A: b\n\n" + b"." * 10000 + b"\n"),
    "fileManyDots": _case("-F", FILE, content=b"A: b\n\n" + b".\n" * 5000),
    "fileBareCR": _case("-F", FILE, content=b"A: b\n\none\rtwo\r.three\n"),
}

RUNNING = {
    "counter": _case("-c -m 3"),
    "counterKeepConnection": _case("-c -m 12 -d"),
    "counterTwice": _case("-c -c -m 2"),
    "connectAttempts": _case("-C 5"),
    "bufferSize": _case("-T 1024"),
    "bufferSizeLarge": _case("-T 100000 -l 300000"),
    "bufferSizeSmall": _case("-T 1024 -l 100000"),
    "fixedPause": _case("-w 1 -m 2"),
    "fixedPauseKeepConnection": _case("-w 1 -m 2 -d"),
    "randomPause": _case("-R 1 -m 2"),
    "verbose": _case("-v"),
    "verboseTwice": _case("-v -v -m 2 -d"),
    "onlyIPv4": _case("-4"),
    "onlyIPv4LastCounts": _case("-6 -4"),
    "onlyIPv6": _case("-6", family="inet6"),
    "onlyIPv6LastCounts": _case("-4 -6", family="inet6"),
    "onlyIPv4OnUNIX": _case("-4", family="unix"),
    "onlyIPv6OnUNIX": _case("-6", family="unix"),
}

# A selection of the above that is compared in SMTP and LMTP, over IPv6 and over UNIX sockets.
EVERYWHERE = {
    "noOptions": _case(),
    "messages": _case("-m 3"),
    "keepConnection": _case("-m 3 -d"),
    "sessions": _case("-m 5 -s 3", ordered=False),
    "recipients": _case("-r 3 -m 2 -d"),
    "numberedRecipients": _case("-r 3 -N -m 2"),
    "oldStyle": _case("-o -m 2"),
    "large": _case("-l 300000"),
    "counter": _case("-c -m 3"),
    "file": _case("-F", FILE, content=b"Subject: hi\n\nHello\n.\n"),
}

# Without -A the first refusal is the end of the run.
REFUSED = {
    "banner": {"BANNER": "554 5.3.2 No service"},
    "bannerLater": {"BANNER": "421 4.3.2 Too busy"},
    "bannerGarbage": {"BANNER": "hello"},
    "HELO": {"HELO": "501 5.5.4 No"},
    "MAIL": {"MAIL": "550 5.7.1 No"},
    "MAILLater": {"MAIL": "450 4.7.1 Later"},
    "secondMAIL": {"MAIL": [None, "550 5.7.1 No"]},
    "RCPT": {"RCPT": "550 5.1.1 No"},
    "secondRCPT": {"RCPT": [None, "452 4.5.3 Too many"]},
    "DATA": {"DATA": "451 4.3.0 Later"},
    "DATA250": {"DATA": "250 2.0.0 Ok"},
    "dot": {".": "554 5.6.0 No"},
    "dot354": {".": "354 Go on"},
    "dot421": {".": "421 4.3.2 Shutting down"},
}

# Those after which nothing more can be said.
_HANG_UP = {"bannerLater", "bannerGarbage", "dot421"}

# With -A the run goes on.  A reply that is none costs the connection, which the judge keeps, so there is none here.
# The second message is fine where there is one, unless the script says otherwise.
TOLERATED = {
    "banner": {"BANNER": ["554 5.3.2 No service"]},
    "bannerLater": {"BANNER": ["450 4.3.2 Later"]},
    "bannerLines": {"BANNER": [multiline(554, "No", "service")]},
    "HELO": {"HELO": ["501 5.5.4 No"]},
    "HELO421": {"HELO": ["421 4.3.2 Shutting down"]},
    "MAIL": {"MAIL": ["550 5.7.1 No"]},
    "MAILLater": {"MAIL": ["450 4.7.1 Later"]},
    "MAILAll": {"MAIL": "550 5.7.1 No"},
    "MAIL421": {"MAIL": ["421 4.3.2 Shutting down"]},
    "MAIL521": {"MAIL": ["521 5.3.2 Never"]},
    "MAIL421Closed": {"MAIL": [("421 4.3.2 Shutting down", CLOSE)]},
    "RCPTFirst": {"RCPT": ["550 5.1.1 No"]},
    "RCPTMiddle": {"RCPT": [None, "550 5.1.1 No"]},
    "RCPTLast": {"RCPT": [None, None, "550 5.1.1 No"]},
    "RCPTAll": {"RCPT": "550 5.1.1 No"},
    "RCPTAllOfFirst": {"RCPT": ["550 5.1.1 No", "450 4.2.0 Later", "550 5.1.1 No"]},
    "RCPT421": {"RCPT": [None, "421 4.3.2 Shutting down"]},
    "RCPT521": {"RCPT": ["521 5.3.2 Never"]},
    "DATA": {"DATA": ["451 4.3.0 Later"]},
    "DATA250": {"DATA": ["250 2.0.0 Ok"]},
    "DATA355": {"DATA": ["355 What"]},
    "DATA421": {"DATA": ["421 4.3.2 Shutting down"]},
    "DATA521": {"DATA": ["521 5.3.2 Never"]},
    "DATAAll": {"DATA": "554 5.5.1 No"},
    "dot": {".": ["554 5.6.0 No"]},
    "dotLater": {".": ["451 4.3.0 Later"]},
    "dotAll": {".": "554 5.6.0 No"},
    "dot421": {".": ["421 4.3.2 Shutting down"]},
    "dot521": {".": ["521 5.3.2 Never"]},
    "RSET": {"MAIL": ["550 5.7.1 No"], "RSET": ["502 5.5.1 No"]},
    "RSET421": {"MAIL": ["550 5.7.1 No"], "RSET": ["421 4.3.2 Shutting down"]},
    "QUIT": {"QUIT": "500 5.5.1 No"},
    "QUIT421": {"QUIT": "421 4.3.2 Shutting down"},
    "longReplies": {"RCPT": multiline(250, "one", "two", "three"), "MAIL": [multiline(550, "a", "b")]},
}

# All messages are taken in the end, although something else was refused.
_HARMLESS = {"banner", "bannerLater", "bannerLines", "HELO", "QUIT", "QUIT421"}
#: Some recipients were refused, but each message was taken for others.
_PARTIAL = {"RCPTFirst", "RCPTMiddle", "RCPTLast"}


def _tolerated(flags):
    cases = {}
    for name, replies in TOLERATED.items():
        status = None if name in _PARTIAL or name in _HARMLESS else 1
        cases[name] = _case(flags, replies=replies, status=status, postfixStatus=0, out=False)
    return cases


def _lmtp(cases):
    """
    The same cases in LMTP.
    """
    changed = {}
    for name, case in cases.items():
        replies = {("LHLO" if verb == "HELO" else verb): script for verb, script in case.replies.items()}
        changed[name] = Case(**dict(vars(case), flags=("-L", *case.flags), replies=replies))
    return changed


def _on(family, cases):
    """
    The same cases on another family of sockets.
    """
    return {name: Case(**dict(vars(case), family=family)) for name, case in cases.items()}


class DifferentialTestCase(TestCase):
    """
    The comparison itself.
    """

    timeout = TEST_LIMIT

    #: How to run our program.
    runProgram = staticmethod(runOursWarm)

    @defer.inlineCallbacks
    def compare(self, case):
        """
        Run both programs as a L{Case} says, and compare.
        """
        if case.family == "inet6" and not _hasIPv6():
            raise SkipTest("there is no IPv6 on the loopback interface")
        flags = [self.file(case.content) if flag is FILE else flag for flag in case.flags]
        settings = Settings(family=case.family, lmtp="-L" in flags, replies=case.replies)
        postfix, ours = yield runBoth(flags, settings, runProgram=self.runProgram)
        transcripts = ours.transcripts
        if case.quits and not AGAINST_ITSELF:
            self.assertEqual(b"QUIT\r\n", transcripts[-1].pop())
        found = compareTranscripts(postfix.transcripts, transcripts, case.ordered)
        if found:
            self.fail(f"{flags}\n{found}\nours wrote:\n{ours.process.err.decode(errors='replace')}")
        self.assertFalse(ours.process.overdue)
        self.assertIsNone(ours.process.signal)
        expected = case.status if case.postfixStatus is None else case.postfixStatus
        self.assertEqual(expected, postfix.process.status, postfix.process.err)
        if case.status is not None and not AGAINST_ITSELF:
            self.assertEqual(case.status, ours.process.status, ours.process.err)
        if case.out:
            # The counter of -c: how often it is shown is nobody's business, what it comes to is.
            self.assertRegex(ours.process.out, rb"\A(?:[0-9]+[\r\n]+)*\Z")
            self.assertEqual(postfix.process.out.split()[-1:], ours.process.out.split()[-1:])
        identities = messageIds(ours)
        self.assertEqual(len(identities), len(set(identities)))
        return postfix, ours

    def file(self, content):
        """
        Make a file.

        @param content: what shall be in it.

        @return: its path.
        """
        directory = tempfile.mkdtemp(prefix="differential-")
        self.addCleanup(shutil.rmtree, directory)
        path = Path(directory, "message")
        path.write_bytes(content)
        return str(path)


def _hasIPv6():
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True


def _methods(cases):
    """
    Make a class decorator that adds a test method for each of some cases.

    @param cases: the L{Case}s by name.
    """

    def add(testCase):
        for name, case in cases.items():
            _addMethod(testCase, "test_" + name, case)
        return testCase

    return add


def _addMethod(testCase, name, case):
    def method(self):
        return self.compare(case)

    method.__name__ = name
    method.__qualname__ = f"{testCase.__qualname__}.{name}"
    method.__doc__ = f"C{{{' '.join('FILE' if flag is FILE else repr(flag) for flag in case.flags)}}}"
    assert not hasattr(testCase, name), name
    setattr(testCase, name, method)


@_methods(PLAIN)
class PlainTests(DifferentialTestCase):
    """
    Counts, sessions and numbering.
    """

    # The way users start it.
    runProgram = staticmethod(runOurs)


@_methods(ADDRESSES)
class AddressTests(DifferentialTestCase):
    """
    C{-f}, C{-t} and C{-M}.
    """


@_methods(CONTENT)
class ContentTests(DifferentialTestCase):
    """
    C{-S}, C{-l}, C{-o} and C{-F}.
    """


@_methods(RUNNING)
class RunningTests(DifferentialTestCase):
    """
    C{-c}, C{-C}, C{-T}, C{-w}, C{-R}, C{-v}, C{-4} and C{-6}.
    """

    @defer.inlineCallbacks
    def test_pauseIsKept(self):
        """
        C{-w} leaves so many seconds between the end of one message and the start of the next.
        """
        run = yield runOne(runOurs, ["-w", "1", "-m", "2", "-d"], Settings())
        (connection,) = run.server.connections
        mail = [item.time for item in connection.items if item.verb == "MAIL"]
        dot = [item.time for item in connection.items if item.verb == "."]
        self.assertEqual((2, 2), (len(mail), len(dot)))
        self.assertGreater(mail[1] - dot[0], 0.95)

    @defer.inlineCallbacks
    def test_verboseTrace(self):
        """
        C{-v} traces to standard error, and nothing goes there without it.
        """
        postfix, ours = yield runBoth(["-v", "-M", "client.example"])
        for text in (b"HELO client.example", b"MAIL FROM:<foo@client.example>", b"<<< 354", b"<<< 221"):
            self.assertIn(text, postfix.process.err)
            self.assertIn(text, ours.process.err)
        _, ours = yield runBoth([])
        self.assertEqual(b"", ours.process.err)

    @defer.inlineCallbacks
    def test_wrongFamily(self):
        """
        C{-6} and an IPv4 address: neither program connects.
        """
        for run in (yield runBoth(["-6"])):
            self.assertEqual([], run.server.connections)
            self.assertNotEqual(0, run.process.status)
            self.assertIsNone(run.process.signal)


@_methods(_on("inet6", EVERYWHERE))
class IPv6Tests(DifferentialTestCase):
    """
    SMTP over IPv6.
    """


@_methods(_on("unix", EVERYWHERE))
class UNIXTests(DifferentialTestCase):
    """
    SMTP over UNIX sockets.
    """


@_methods(_lmtp(EVERYWHERE))
class LMTPTests(DifferentialTestCase):
    """
    LMTP over TCP.
    """

    @defer.inlineCallbacks
    def test_dotRefusedForSome(self):
        """
        With C{-A}, the replies to the final dot may differ from recipient to recipient.
        """
        replies = {".": [None, "550 5.2.2 Full", None]}
        yield self.compare(_case("-L -A -r 3 -m 2 -d", replies=replies, status=None, postfixStatus=0, out=False))

    @defer.inlineCallbacks
    def test_dotRefusedForLast(self):
        """
        With C{-A}, the last reply to the final dot is a refusal.
        """
        replies = {".": [None, None, "452 4.2.2 Full"]}
        yield self.compare(_case("-L -A -r 3 -m 2", replies=replies, status=None, postfixStatus=0, out=False))

    @defer.inlineCallbacks
    def test_dotRefusedForAll(self):
        """
        With C{-A}, all replies to all final dots are refusals.
        """
        replies = {".": "550 5.2.2 Full"}
        yield self.compare(_case("-L -A -r 3 -m 2", replies=replies, status=1, postfixStatus=0, out=False))

    @defer.inlineCallbacks
    def test_dotRefusedIsFatal(self):
        """
        Without C{-A}, a refusal for one recipient ends the run.
        """
        replies = {".": [None, "550 5.2.2 Full", None]}
        yield self.compare(_case("-L -r 3 -m 2", replies=replies, status=1, out=False, quits=True))

    @defer.inlineCallbacks
    def test_dot421(self):
        """
        With C{-A}, a 421 among the replies to the final dot ends the connection.
        """
        replies = {".": [None, ("421 4.3.2 Shutting down", CLOSE)]}
        yield self.compare(_case("-L -A -r 2 -m 2", replies=replies, status=1, postfixStatus=0, out=False))


@_methods(_on("unix", _lmtp(EVERYWHERE)))
class LMTPOverUNIXTests(DifferentialTestCase):
    """
    LMTP over UNIX sockets.
    """


@_methods(
    {
        name: _case(
            "-m 2 -r 2" + flags,
            replies=replies,
            status=1,
            out=False,
            quits=name.removesuffix("KeepConnection") not in _HANG_UP,
        )
        for name, replies in REFUSED.items()
        for name, flags in ((name, ""), (name + "KeepConnection", " -d"))
    }
)
class RefusedTests(DifferentialTestCase):
    """
    Without C{-A}, any refusal ends the run.
    """


@_methods(_tolerated("-A -m 2 -r 3"))
class ToleratedTests(DifferentialTestCase):
    """
    With C{-A}, a new connection for each message.
    """


@_methods(_tolerated("-A -m 2 -r 3 -d"))
class ToleratedKeepConnectionTests(DifferentialTestCase):
    """
    With C{-A} and C{-d}.
    """


@_methods(
    {name: case for name, case in _lmtp(_tolerated("-A -m 2")).items() if "RCPT" not in name and name != "longReplies"}
)
class ToleratedLMTPTests(DifferentialTestCase):
    """
    With C{-A}, in LMTP, where no recipient is refused.
    """


class SuffixNumberingTests(TestCase):
    """
    C{--recipient-numbering suffix} numbers recipients the way of Postfix 3.9 and later: a number after the
    local part, counted from 0 for the whole run, with C{-N} or any C{-r}.  The last recipient is the one in
    the To header.
    """

    timeout = TEST_LIMIT

    if AGAINST_ITSELF:
        skip = "Postfix's program has no such option"

    @defer.inlineCallbacks
    def recipients(self, *flags):
        """
        Run our program alone.

        @return: for each transaction, a tuple of its recipients, and then what is in the To header.
        """
        options = ["--recipient-numbering", "suffix", *flags]
        run = yield runOne(runOursWarm, options, Settings())
        self.assertEqual(0, run.process.status, run.process.err)
        found = []
        for connection in run.server.connections:
            recipients = []
            for item in normalized(connection):
                if item.startswith(b"RCPT TO:<"):
                    recipients.append(item[len("RCPT TO:<") : -len(">\r\n")].decode())
                elif item.startswith(b"From:"):
                    to = item.split(b"\r\n")[1]
                    self.assertTrue(to.startswith(b"To: <"), to)
                    found.append((*recipients, to[len("To: <") : -1].decode()))
                    recipients = []
        return found

    @defer.inlineCallbacks
    def check(self, flags, *expected):
        """
        @param flags: the options, separated by blanks.
        @param expected: see L{recipients}.
        """
        self.assertEqual(list(expected), (yield self.recipients(*flags.split())))

    def test_none(self):
        """
        Without C{-r} and C{-N} there is no number.
        """
        return self.check("-t user@example.org -m 2", ("user@example.org",) * 2, ("user@example.org",) * 2)

    def test_one(self):
        """
        C{-r 1} numbers, too.
        """
        return self.check("-t u@example.org -r 1 -m 2", ("u0@example.org",) * 2, ("u1@example.org",) * 2)

    def test_numbered(self):
        """
        C{-N}.
        """
        return self.check("-t u@example.org -N -m 2 -d", ("u0@example.org",) * 2, ("u1@example.org",) * 2)

    def test_several(self):
        """
        C{-r 2}: the number never comes again.
        """
        return self.check("-t u@x -r 2 -m 2", ("u0@x", "u1@x", "u1@x"), ("u2@x", "u3@x", "u3@x"))

    def test_severalNumbered(self):
        """
        C{-r 2 -N} is no different.
        """
        return self.check("-t u@x -r 2 -N -m 2 -d", ("u0@x", "u1@x", "u1@x"), ("u2@x", "u3@x", "u3@x"))

    def test_noDomain(self):
        """
        All of an address without an at sign is the local part.
        """
        return self.check("-t user+ -r 2", ("user+0", "user+1", "user+1"))

    def test_onlyDomain(self):
        """
        An empty local part becomes the number alone.
        """
        return self.check("-t @example.org -r 2", ("0@example.org", "1@example.org", "1@example.org"))

    def test_lastAt(self):
        """
        The local part ends at the last at sign.
        """
        return self.check("-t a@b@c -N", ("a@b0@c", "a@b0@c"))
