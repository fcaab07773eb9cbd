"""
The generator against real servers: Postfix's smtp-sink and smtpd, Dovecot's LMTP server, twisted.mail, our own sink.

What matters here is that both ends agree: as many messages and recipients as we report are there on the other side.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import tempfile

from patience import PATIENCE, TEST_LIMIT
from peercase import PeerTestCase
from peers import DovecotLMTP, PostfixServer, PostfixSink, eventually, missing
from subprocesses import loadAndReport, reported, smtpsink, twist, twistd
from twisted.internet import defer, protocol
from twisted.mail import smtp
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

from smtpsource import SourceService
from smtpsource.cli.source import SourceOptions


class PostfixSinkTests(PeerTestCase):
    """
    Postfix's smtp-sink.
    """

    @defer.inlineCallbacks
    def count(self, family, *arguments, lmtp=False, messages=500):
        """
        It counts as many messages as we do.
        """
        peer = yield self.peer(PostfixSink(family, lmtp=lmtp))
        report = yield self.load("-s", "10", "-m", messages, *arguments, peer.destination)
        self.assertEqual(report["messages"]["accepted"], messages)
        # One more connection was made to see that it is there.
        opened = report["connections"]["opened"]
        counts = {"sess": opened + 1, "quit": opened, "mesg": messages}
        yield eventually(lambda: peer.counts() == counts, f"{counts}; it has {peer.counts()}")
        return report

    @defer.inlineCallbacks
    def test_tcp(self):
        """
        Over TCP, a connection for each message.
        """
        report = yield self.count("inet", "-r", "3")
        self.assertEqual(report["connections"]["opened"], 500)
        self.assertEqual(report["recipients"]["accepted"], 1500)

    @defer.inlineCallbacks
    def test_kept(self):
        """
        Over TCP, with connections that are kept.
        """
        report = yield self.count("inet", "-d")
        self.assertEqual(report["connections"]["opened"], 10)

    def test_ipv6(self):
        """
        Over IPv6.
        """
        return self.count("inet6")

    def test_unix(self):
        """
        Over a UNIX socket.
        """
        return self.count("unix")

    def test_lmtp(self):
        """
        In LMTP, over TCP and a UNIX socket.
        """

        @defer.inlineCallbacks
        def both():
            for family in ("inet", "unix"):
                report = yield self.count(family, "-L", "-d", "-r", "3", lmtp=True)
                self.assertEqual(report["recipients"]["accepted"], 1500)
                self.assertEqual(report["replies"]["message"]["250"]["count"], 1500)

        return both()

    @defer.inlineCallbacks
    def test_large(self):
        """
        Large messages.
        """
        report = yield self.count("inet", "-l", "1m", "-d", messages=30)
        self.assertGreater(report["bytes"]["sent"], 30 * 1048576)
        yield self.count("unix", "-l", "1m", messages=30)

    @defer.inlineCallbacks
    def test_limit(self):
        """
        It ends in the middle of a run: what was accepted until then is counted on both sides, and the rest has failed.
        """
        peer = yield self.peer(PostfixSink(args=["-M", "100"]))
        result, report = yield loadAndReport(self, "-A", "-d", "-s", "2", "-m", "200", peer.destination)
        self.assertEqual((result.status, result.err), (1, b""))
        # It ends as soon as it has counted the last one: its reply may not get out.
        self.assertIn(report["messages"]["accepted"], (99, 100))
        self.assertEqual(report["messages"]["started"], 200)
        self.assertEqual(report["messages"]["rejected"], 0)


class PostfixServerTests(PeerTestCase):
    """
    A whole Postfix, with its discard transport.
    """

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        It takes as many messages as we count, and delivers to as many recipients.
        """
        peer = yield self.peer(PostfixServer())
        report = yield self.load("-s", "10", "-m", "200", "-r", "2", "-t", "user@example.org", peer.destination)
        self.assertEqual(report["messages"]["accepted"], 200)
        yield peer.whenDelivered(400)
        self.assertEqual((peer.received(), peer.delivered(), peer.rejected()), (200, 400, 0))
        quits = r"disconnect from .* quit=1 "
        yield eventually(lambda: len(re.findall(quits, peer.log())) == 200, "200 sessions that ended with QUIT")
        # The one connection that was made to see that it is there.
        self.assertEqual(peer.log().count("lost connection"), 1)
        self.assertNotIn("improper command pipelining", peer.log())

    @defer.inlineCallbacks
    def test_pipelined(self):
        """
        With commands in groups, and some recipients that it refuses: its log has the same counts, and no complaint.
        """
        peer = PostfixServer(
            settings={"smtpd_recipient_restrictions": "check_recipient_access inline:{2u@x.org=reject}"}
        )
        yield self.peer(peer)
        arguments = ["-A", "-d", "-s", "5", "-m", "100", "-r", "3", "-t", "u@x.org", "--pipelining", "require"]
        result, report = yield loadAndReport(self, *arguments, peer.destination)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 100, "accepted": 100, "rejected": 0, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 200, "rejected": 100})
        self.assertIn("PIPELINING", report["capabilities"])
        yield peer.whenDelivered(200)
        self.assertEqual((peer.received(), peer.delivered(), peer.rejected()), (100, 200, 100))
        self.assertNotIn("improper command pipelining", peer.log())

    @defer.inlineCallbacks
    def test_kept(self):
        """
        The same with connections that are kept, over IPv6.
        """
        peer = yield self.peer(PostfixServer("inet6"))
        report = yield self.load("-d", "-s", "5", "-m", "100", "-t", "user@example.org", peer.destination)
        self.assertEqual(report["connections"]["opened"], 5)
        yield peer.whenDelivered(100)
        self.assertEqual((peer.received(), peer.delivered()), (100, 100))

    @defer.inlineCallbacks
    def test_large(self):
        """
        Large messages arrive as large as they are.
        """
        peer = yield self.peer(PostfixServer())
        yield self.load("-s", "2", "-m", "4", "-l", "1m", "-t", "user@example.org", peer.destination)
        yield peer.whenDelivered(4)
        sizes = list(map(int, re.findall(r"qmgr\[\d+\]: .*, size=(\d+),", peer.log())))
        self.assertEqual(len(sizes), 4)
        for size in sizes:
            # Postfix counts LF for CRLF, the header, and the Received header that it adds.
            self.assertTrue(1040000 < size < 1052000, size)

    @defer.inlineCallbacks
    def test_tooLarge(self):
        """
        A message that is larger than the server wants is refused, with C{-A} nothing else is.
        """
        peer = yield self.peer(PostfixServer(settings={"message_size_limit": "100000"}))
        arguments = ["-A", "-l", "1m", "-m", "2", "-t", "user@example.org", peer.destination]
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 2, "accepted": 0, "rejected": 2, "failed": 0})
        self.assertEqual(report["replies"]["message"]["552"]["count"], 2)
        self.assertEqual(report["errors"], {})

    @defer.inlineCallbacks
    def restricted(self):
        """
        @return: a server that refuses some recipients.
        """
        settings = {
            "smtpd_recipient_restrictions": "check_recipient_access texthash:%(directory)s/access, permit_mynetworks"
        }
        peer = PostfixServer(settings=settings)
        unknown = "550 5.1.1 No such mailbox"
        entries = {"3user@example.org": unknown, "4user@example.org": unknown, "7user@example.org": "450 4.2.0 Later"}
        peer.addMap("access", entries)
        yield self.peer(peer)
        return peer

    @defer.inlineCallbacks
    def test_rejected(self):
        """
        With C{-A} refused recipients, and messages without any other, are counted, with the reply.
        """
        peer = yield self.restricted()
        arguments = ["-A", "-d", "-N", "-r", "2", "-m", "10", "-t", "user@example.org", peer.destination]
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertEqual(report["messages"], {"started": 10, "accepted": 9, "rejected": 1, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 17, "rejected": 3})
        self.assertEqual(report["connections"], {"opened": 1, "failed": 0, "lost": 0})
        replies = report["replies"]["rcpt"]
        self.assertEqual({code: tally["count"] for code, tally in replies.items()}, {"250": 17, "450": 1, "550": 2})
        self.assertEqual(
            replies["550"]["sample"],
            "550 5.1.1 <3user@example.org>: Recipient address rejected: No such mailbox",
        )
        self.assertTrue(replies["450"]["sample"].endswith("Later"))
        yield peer.whenDelivered(17)
        self.assertEqual((peer.received(), peer.delivered(), peer.rejected()), (9, 17, 3))

    @defer.inlineCallbacks
    def test_aborted(self):
        """
        Without C{-A} the first one ends the run, and the reply is shown.
        """
        peer = yield self.restricted()
        arguments = ["-d", "-N", "-r", "2", "-m", "10", "-t", "user@example.org", peer.destination]
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual(result.status, 1)
        self.assertRegex(
            result.err, rb"\Asmtpsource: rcpt refused: 550 5.1.1 <3user@example.org>: .*No such mailbox\n\Z"
        )
        self.assertEqual(report["messages"], {"started": 2, "accepted": 1, "rejected": 1, "failed": 0})
        yield peer.whenDelivered(2)
        self.assertEqual((peer.received(), peer.rejected()), (1, 1))
        yield eventually(lambda: re.search(r"disconnect from .* quit=1 ", peer.log()), "the end with QUIT")


class DovecotTests(PeerTestCase):
    """
    Dovecot's LMTP server.
    """

    @defer.inlineCallbacks
    def deliver(self, family, *arguments):
        """
        Every message lands in the Maildir of each of its recipients.
        """
        peer = yield self.peer(DovecotLMTP(family))
        arguments = ["-L", "-s", "5", "-m", "50", "-r", "4", "-t", "user@example.org", *arguments]
        report = yield self.load(*arguments, peer.destination)
        self.assertEqual(report["recipients"]["accepted"], 200)
        self.assertEqual(peer.delivered(), 200)
        names = ("user@example.org", "2user@example.org", "3user@example.org", "4user@example.org")
        self.assertEqual(peer.mailboxes(), dict.fromkeys(names, 50))

    def test_tcp(self):
        """
        Over TCP, a connection for each message.
        """
        return self.deliver("inet")

    def test_tcpKept(self):
        """
        Over TCP, with connections that are kept.
        """
        return self.deliver("inet", "-d")

    def test_unix(self):
        """
        Over a UNIX socket.
        """
        return self.deliver("unix")

    def test_unixKept(self):
        """
        Over a UNIX socket, with connections that are kept.
        """
        return self.deliver("unix", "-d")

    def test_pipelined(self):
        """
        Over TCP, with commands in groups.
        """
        return self.deliver("inet", "-d", "--pipelining", "require")

    def test_pipelinedUNIX(self):
        """
        Over a UNIX socket, with commands in groups.
        """
        return self.deliver("unix", "-d", "--pipelining", "require")

    @defer.inlineCallbacks
    def test_large(self):
        """
        Large messages.
        """
        peer = yield self.peer(DovecotLMTP())
        yield self.load("-L", "-d", "-m", "3", "-r", "2", "-l", "1m", peer.destination)
        self.assertEqual(peer.delivered(), 6)

    @defer.inlineCallbacks
    def test_unknownUser(self):
        """
        With C{-A} an unknown user costs this recipient only.
        """
        users = [f"{number}user@example.org" for number in range(1, 21) if number not in (5, 6, 11)]
        peer = yield self.peer(DovecotLMTP("unix", users=users))
        arguments = ["-A", "-L", "-d", "-N", "-r", "2", "-m", "10", "-t", "user@example.org", peer.destination]
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual((result.status, result.err), (1, b""))
        self.assertEqual(report["messages"], {"started": 10, "accepted": 9, "rejected": 1, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 17, "rejected": 3})
        self.assertEqual(report["replies"]["rcpt"]["550"]["count"], 3)
        self.assertIn("5user@example.org", report["replies"]["rcpt"]["550"]["sample"])
        self.assertEqual(peer.mailboxes(), dict.fromkeys(users, 1))

    @defer.inlineCallbacks
    def test_fullMailbox(self):
        """
        A recipient may be refused after the content as well: the others have it.
        """
        settings = [
            "mail_plugins = quota",
            "protocol lmtp {\n  mail_plugins = quota\n}",
            "plugin {\n  quota = maildir:User quota\n  quota_rule = *:messages=3\n  quota_grace = 0\n}",
        ]
        peer = yield self.peer(DovecotLMTP(settings=settings))
        # The last recipient of each message is the same, and the other one is new.
        arguments = ["-A", "-L", "-d", "-m", "5", "-t", "user@example.org", peer.destination]
        result, report = yield loadAndReport(self, *arguments)
        self.assertEqual(result.status, 1)
        self.assertEqual(report["messages"], {"started": 5, "accepted": 3, "rejected": 2, "failed": 0})
        self.assertEqual(report["recipients"], {"accepted": 3, "rejected": 2})
        self.assertEqual(peer.mailboxes(), {"user@example.org": 3})


@implementer(smtp.IMessageDelivery)
class Mailbox:
    """
    Takes mail from twisted.mail's server.

    @ivar messages: what it took.
    """

    def __init__(self):
        self.messages = []

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: by a test"

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        if str(user.dest).startswith("no"):
            raise smtp.SMTPBadRcpt(user)
        return lambda: MessageInTransit(self)


@implementer(smtp.IMessage)
class MessageInTransit:
    """
    One message on its way into a L{Mailbox}.
    """

    def __init__(self, mailbox):
        self._mailbox = mailbox
        self._lines = []

    def lineReceived(self, line):
        self._lines.append(line)

    def eomReceived(self):
        self._mailbox.messages.append(b"\n".join(self._lines))
        return defer.succeed(None)

    def connectionLost(self):
        pass


class TwistedMailTests(PeerTestCase):
    """
    twisted.mail's server and a L{SourceService}, both in the process of the test.
    """

    @defer.inlineCallbacks
    def deliver(self, *arguments):
        """
        @return: a L{defer.Deferred} that fires with the summary and the mailbox.
        """
        from twisted.internet import reactor

        mailbox = Mailbox()

        class Server(smtp.SMTPFactory):
            noisy = False

            def buildProtocol(self, address):
                server = smtp.ESMTP()
                server.factory = self
                server.delivery = mailbox
                server.host = b"mail.example"
                return server

        port = reactor.listenTCP(0, Server(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        options = SourceOptions()
        options.parseOptions([*arguments, f"127.0.0.1:{port.getHost().port}"])
        service = SourceService(reactor, options.plan)
        self.addCleanup(service.stopService)
        service.startService()
        summary = yield service.whenDone()
        return summary, mailbox

    @defer.inlineCallbacks
    def test_accepted(self):
        """
        Every message is there, as it was made.
        """
        arguments = ["-M", "me.example", "-s", "4", "-m", "40", "-r", "2", "-S", "Hello", "-l", "2000"]
        summary, mailbox = yield self.deliver(*arguments)
        self.assertEqual((summary.exit, summary.messages.accepted, summary.recipientsAccepted), (0, 40, 80))
        self.assertEqual(len(mailbox.messages), 80)
        for message in mailbox.messages:
            self.assertIn(b"\nSubject: Hello\n", message)
            self.assertGreater(len(message), 2000)
        self.assertEqual(len({re.search(rb"Message-Id: (.*)", message)[1] for message in mailbox.messages}), 40)

    @defer.inlineCallbacks
    def test_rejected(self):
        """
        What it refuses is told.
        """
        summary, mailbox = yield self.deliver("-A", "-d", "-m", "3", "-t", "nobody@example.org")
        self.assertEqual((summary.exit, summary.messages.rejected, summary.messages.failed), (1, 3, 0))
        self.assertEqual(summary.replies["rcpt"]["550"].count, 3)
        self.assertEqual(mailbox.messages, [])


class OurSinkTests(PeerTestCase):
    """
    Our own sink, as a process.
    """

    @defer.inlineCallbacks
    def count(self, address, *arguments, lmtp=False, deadline=PATIENCE):
        """
        It counts what we count.

        @return: the report of the run, and that of the sink.
        """
        options = ["-L"] if lmtp else []
        sink = smtpsink(self, *options, "--report", "report", address, deadline=deadline)
        match = yield sink.whenPrinted(rb"^listening on (?:inet:)?(\S+)$")
        destination = match[1].decode()
        report = yield self.load(*options, *arguments, destination, deadline=deadline)
        sink.signal("TERM")
        result = yield sink.whenEnded()
        self.assertEqual(result.status, 0)
        counts = json.loads((sink.directory / "report").read_bytes())
        self.assertEqual(counts["messages"], report["messages"]["accepted"])
        self.assertEqual(counts["recipients"], report["recipients"]["accepted"])
        self.assertEqual(counts["sessions"]["total"], report["connections"]["opened"])
        self.assertEqual(counts["sessions"]["quit"], report["connections"]["opened"])
        return report, counts

    def test_tcp(self):
        """
        Over TCP.
        """
        return self.count("127.0.0.1:0", "-s", "10", "-m", "500", "-r", "2")

    def test_unix(self):
        """
        Over a UNIX socket.
        """
        return self.count("unix:socket", "-s", "10", "-m", "500", "-d")

    def test_ipv6(self):
        """
        Over IPv6.
        """
        return self.count("[::1]:0", "-s", "10", "-m", "500")

    @defer.inlineCallbacks
    def test_lmtp(self):
        """
        In LMTP, over TCP and a UNIX socket.
        """
        for address in ("127.0.0.1:0", "unix:socket"):
            report, _ = yield self.count(address, "-s", "5", "-m", "200", "-r", "3", "-d", lmtp=True)
            self.assertEqual(report["recipients"]["accepted"], 600)

    def test_large(self):
        """
        Large messages.
        """
        return self.count("127.0.0.1:0", "-s", "3", "-m", "12", "-l", "2m")


class Crowd(protocol.ServerFactory):
    """
    A server that greets nobody until so many clients are there.

    @ivar open: how many clients are connected.
    @ivar maxOpen: how many were at the same time.
    @ivar messages: how many messages it took.
    """

    noisy = False

    def __init__(self, size):
        self.open = self.maxOpen = self.messages = 0
        self.size = size
        self.waiting = []

    def buildProtocol(self, address):
        one = OneOfMany()
        one.factory = self
        return one


class OneOfMany(LineReceiver):
    """
    One client of a L{Crowd}.
    """

    _inContent = False

    def connectionMade(self):
        crowd = self.factory
        crowd.open += 1
        crowd.maxOpen = max(crowd.maxOpen, crowd.open)
        crowd.waiting.append(self)
        if crowd.maxOpen >= crowd.size:
            waiting, crowd.waiting = crowd.waiting, []
            for each in waiting:
                each.sendLine(b"220 crowd.example")

    def connectionLost(self, reason=protocol.connectionDone):
        self.factory.open -= 1

    def lineReceived(self, line):
        if self._inContent:
            if line == b".":
                self._inContent = False
                self.factory.messages += 1
                self.sendLine(b"250 Ok")
        elif line == b"DATA":
            self._inContent = True
            self.sendLine(b"354 Go ahead")
        else:
            self.sendLine(b"221 Bye" if line == b"QUIT" else b"250 Ok")


class ManyTests(PeerTestCase):
    """
    Many messages, and many sessions.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_messagesToPostfixSink(self):
        """
        100,000 messages over 50 sessions to Postfix's smtp-sink: it has each of them.
        """
        peer = yield self.peer(PostfixSink())
        report = yield self.load("-d", "-s", "50", "-m", "100k", peer.destination, deadline=PATIENCE)
        self.assertEqual(report["messages"], {"started": 100000, "accepted": 100000, "rejected": 0, "failed": 0})
        self.assertEqual(report["latency"]["transaction"]["count"], 100000)
        yield peer.whenMessages(100000)
        self.assertEqual(peer.messages(), 100000)

    @defer.inlineCallbacks
    def test_messagesToOurSink(self):
        """
        100,000 messages over 50 sessions to our own sink: it has each of them.
        """
        report = yield self.load("-d", "-s", "50", "-m", "100k", "sink:", deadline=PATIENCE)
        self.assertEqual(report["messages"], {"started": 100000, "accepted": 100000, "rejected": 0, "failed": 0})
        self.assertEqual((report["sink"]["messages"], report["sink"]["recipients"]), (100000, 100000))
        self.assertEqual(report["sink"]["sessions"]["total"], 50)

    def allowFiles(self, number):
        """
        Let this process open so many files until the test is over.
        """
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limits[1] != resource.RLIM_INFINITY and limits[1] < number:
            missing(f"only {limits[1]} open files are allowed here, {number} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(number, limits[0]), limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)

    @defer.inlineCallbacks
    def test_sessions(self):
        """
        2,000 sessions are all there at the same time.
        """
        from twisted.internet import reactor

        self.allowFiles(2300)
        crowd = Crowd(2000)
        port = reactor.listenTCP(0, crowd, interface="127.0.0.1", backlog=4096)
        self.addCleanup(port.stopListening)
        destination = f"127.0.0.1:{port.getHost().port}"
        report = yield self.load("-d", "-s", "2000", "-m", "4000", destination, deadline=PATIENCE)
        self.assertEqual(report["messages"]["accepted"], 4000)
        self.assertEqual(report["connections"], {"opened": 2000, "failed": 0, "lost": 0})
        self.assertEqual((crowd.maxOpen, crowd.messages), (2000, 4000))
        yield eventually(lambda: crowd.open == 0, "the end of all connections")

    @defer.inlineCallbacks
    def crowdOnUNIX(self, backlog):
        """
        1,000 sessions at the same time, over a UNIX socket.
        """
        from twisted.internet import reactor

        self.allowFiles(1300)
        crowd = Crowd(1000)
        path = os.path.join(tempfile.mkdtemp(), "socket")
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        port = reactor.listenUNIX(path, crowd, backlog=backlog)
        self.addCleanup(port.stopListening)
        report = yield self.load("-d", "-s", "1000", "-m", "2000", f"unix:{path}", deadline=PATIENCE)
        self.assertEqual(report["messages"]["accepted"], 2000)
        self.assertEqual((crowd.maxOpen, crowd.messages), (1000, 2000))
        yield eventually(lambda: crowd.open == 0, "the end of all connections")

    def test_sessionsUNIX(self):
        """
        1,000 sessions are all there at the same time, over a UNIX socket.
        """
        return self.crowdOnUNIX(4096)

    def test_shortQueue(self):
        """
        A UNIX socket that isn't listened to fast enough says so to those who connect: they have to ask again.
        """
        return self.crowdOnUNIX(5)

    @defer.inlineCallbacks
    def test_sessionsToPostfixSink(self):
        """
        2,000 sessions to Postfix's smtp-sink, and 4,000 messages.
        """
        peer = yield self.peer(PostfixSink(args=["-m", "3000"]))
        report = yield self.load("-s", "2000", "-m", "4000", peer.destination, deadline=PATIENCE)
        self.assertEqual(report["connections"], {"opened": 4000, "failed": 0, "lost": 0})
        yield peer.whenMessages(4000)
        self.assertEqual(peer.messages(), 4000)


class ReactorTests(PeerTestCase):
    """
    Any of Twisted's reactors does.
    """

    @defer.inlineCallbacks
    def small(self, run, *arguments):
        """
        A small run.
        """
        peer = yield self.peer(PostfixSink())
        command = run(self, *arguments, "smtp-source", "-s", "5", "-m", "100", "--report", "report", peer.destination)
        result = yield command.whenEnded()
        self.assertEqual(result.status, 0, result)
        self.assertNotIn(b"Traceback", result.out + result.err)
        report = reported((command.directory / "report").read_bytes())
        self.assertEqual(report["messages"]["accepted"], 100)
        yield peer.whenMessages(100)
        self.assertEqual(peer.messages(), 100)

    def test_poll(self):
        """
        poll.
        """
        return self.small(twist, "--reactor=poll")

    def test_select(self):
        """
        select.
        """
        return self.small(twist, "--reactor=select")

    def test_asyncio(self):
        """
        asyncio's event loop.
        """
        return self.small(twist, "--reactor=asyncio")

    def test_epoll(self):
        """
        epoll, under twistd.
        """
        return self.small(twistd, "--reactor=epoll", "-n", "--pidfile=")
