"""
Real mail servers for integration tests: Postfix's smtp-sink, a whole Postfix, and Dovecot's LMTP server; and Dovecot's
authentication for Postfix.

Each is started with a configuration of its own in a temporary directory of its own, on free ports of the
loopback interface or on UNIX sockets, and doesn't touch a server that the machine may run::

    peer = PostfixSink()
    self.addCleanup(peer.stop)
    yield peer.start()
    peer.destination        # "127.0.0.1:40235" or "unix:/tmp/..."

C{start()} returns a L{defer.Deferred} that fires when the peer accepts connections, or fails, with what the
peer had to say, if it doesn't within L{patience.PATIENCE}.  Where the program isn't installed, C{start()} raises
C{SkipTest}, unless C{CI} is set in the environment: there it is an error.  C{stop()} returns a
L{defer.Deferred} that fires when all its processes and its directory are gone; it may be called at any time.

A peer that is given L{certificates.Certificates} as C{tls} does STARTTLS at its C{destination}, and TLS from the start
at its C{implicitDestination}.  AUTH, XCLIENT and the PROXY protocol are on request, too::

    auth = DovecotAuth({"user": "secret"})
    self.addCleanup(auth.stop)
    yield auth.start()
    peer = PostfixServer(tls=makeCertificates(self.mktemp()), auth=auth, xclient=True, proxy=True)
"""

from __future__ import annotations

import base64
import collections
import contextlib
import grp
import hashlib
import hmac
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from unittest import SkipTest

from differential import program
from patience import PATIENCE
from twisted.internet import defer, error, protocol

_INTERVAL = 0.02


def freePort(interface="127.0.0.1"):
    """
    @param interface: an address of the loopback interface.

    @return: a TCP port that nothing listens on at the moment.
    """
    return _freePorts(1, interface)[0]


def _freePorts(number, interface):
    """
    @return: different TCP ports that nothing listens on at the moment.
    """
    with contextlib.ExitStack() as stack:
        # All of them at once: one that is free again could be chosen again.
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        probes = [stack.enter_context(socket.socket(family)) for _ in range(number)]
        for probe in probes:
            probe.bind((interface, 0))
        return [probe.getsockname()[1] for probe in probes]


def missing(reason):
    """
    Skip the test that can't be run here; where C{CI} is set in the environment that is an error instead.

    @param reason: why it can't.
    """
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    raise SkipTest(reason)


def eventually(condition, what, deadline=PATIENCE, reactor=None):
    """
    Wait for something that tells nobody when it happens: ask again and again.

    @param condition: called without arguments until it returns something true; what it raises ends the
        waiting.
    @param what: what is waited for, for the error.
    @param deadline: for how long to wait, in seconds.

    @return: a L{defer.Deferred} that fires with what the condition returned, or fails with C{TimeoutError}.
    """
    if reactor is None:
        from twisted.internet import reactor
    pending = []

    def cancel(deferred):
        for call in pending:
            call.cancel()

    waiting = defer.Deferred(cancel)
    until = reactor.seconds() + deadline

    def ask():
        pending.clear()
        try:
            answer = condition()
        except BaseException:
            waiting.errback()
            return
        if answer:
            waiting.callback(answer)
        elif reactor.seconds() > until:
            waiting.errback(TimeoutError(f"waited {deadline:g} s for {what}"))
        else:
            pending.append(reactor.callLater(_INTERVAL, ask))

    ask()
    return waiting


def _connects(family, address):
    """
    @return: whether something accepts connections there.
    """
    with socket.socket(family) as probe:
        # Never blocks for long: the loopback interface answers at once, and so does a UNIX socket.
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def _group(leader):
    """
    @return: the ids of the living processes in a process group.
    """
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The name in parentheses may hold anything; what follows is: state, parent, process group.
                state, _, group = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:3]
            except (OSError, ValueError):
                continue
            if group == str(leader) and state not in "ZX":
                found.append(int(entry))
    return found


class _Process(protocol.ProcessProtocol):
    """
    A peer's main process.
    """

    def __init__(self):
        self.ended = False
        self.output = bytearray()
        self.counted = bytearray()

    def outReceived(self, data):
        self.counted += data

    def errReceived(self, data):
        self.output += data

    def processEnded(self, reason):
        self.ended = True
        self.output += str(reason.value).encode()


class Peer:
    """
    What all peers have in common: a temporary directory, a process group and an address.

    @ivar directory: the temporary directory, a C{Path}; C{None} if it isn't started.
    @ivar destination: where the peer listens, the way it is written on a command line.
    @ivar family: C{"inet"}, C{"inet6"} or C{"unix"}.
    """

    def __init__(self, family="inet", reactor=None, tls=None, xclient=False, proxy=False):
        """
        @param family: what to listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
        @param reactor: the reactor to use; the global one if left out.
        @param tls: L{certificates.Certificates}, for a peer that can do TLS.
        @param xclient: whether XCLIENT is allowed, for a peer that knows it.
        @param proxy: whether to listen for the PROXY protocol as well, for a peer that knows it.
        """
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self.family = family
        self._tls = tls
        self._xclient = xclient
        self._proxy = proxy
        self.directory = None
        self.port = None
        self._ports = {}
        self._command = None
        self._process = None
        self._pid = None

    # What a kind of peer is made of

    def _prepare(self):
        """
        Write the configuration into the directory.

        @return: the command line.
        """
        raise NotImplementedError

    def log(self):
        """
        @return: what the peer logged so far, a text.
        """
        return self._process.output.decode(errors="replace") if self._process else ""

    # What all of them do

    @property
    def _interface(self):
        return {"inet": "127.0.0.1", "inet6": "::1"}[self.family]

    @property
    def socket(self):
        """
        The path of the UNIX socket.
        """
        return str(self.directory / "socket" / "smtp")

    @property
    def destination(self):
        return f"unix:{self.socket}" if self.family == "unix" else self._written(self.port)

    def _written(self, port):
        return ("[%s]:%d" if self.family == "inet6" else "%s:%d") % (self._interface, port)

    def _additional(self):
        """
        @return: what it listens for on TCP ports of their own, besides what is at L{destination}: names.
        """
        names = {"implicit": self._tls, "proxy": self._proxy, "proxyImplicit": self._tls and self._proxy}
        return [name for name, wanted in names.items() if wanted]

    def _at(self, name):
        if name not in self._ports:
            raise ValueError(f"this peer doesn't listen for {name}")
        return self._written(self._ports[name])

    @property
    def implicitDestination(self):
        """
        Where TLS is from the start; never a UNIX socket, as all of these.
        """
        return self._at("implicit")

    @property
    def proxyDestination(self):
        """
        Where a header of the PROXY protocol comes first, of version 1 or 2.
        """
        return self._at("proxy")

    @property
    def proxyImplicitDestination(self):
        """
        Where a header of the PROXY protocol comes first, and TLS next.
        """
        return self._at("proxyImplicit")

    def start(self):
        """
        Start the peer.

        @return: a L{defer.Deferred} that fires with this peer when it accepts connections.
        @raise SkipTest: its program isn't installed. That is raised, and does not come by the Deferred: a test that
            wants the start to fail must not take it for that.
        """
        self.directory = Path(tempfile.mkdtemp(prefix="peer-")).resolve()
        self.directory.chmod(0o755)
        if self.family != "unix":
            names = self._additional()
            self.port, *others = _freePorts(1 + len(names), self._interface)
            self._ports = dict(zip(names, others, strict=True))
        else:
            Path(self.socket).parent.mkdir()
        self._command = list(map(str, self._prepare()))
        return self.again()

    @defer.inlineCallbacks
    def again(self):
        """
        Start the peer as it was before L{kill}.

        @return: what L{start} does.
        """
        command = self._command
        self._process = _Process()
        # A session of its own, so that its end is the end of all it started, and of nothing else.
        transport = self._reactor.spawnProcess(
            self._process,
            program("setsid"),
            ["setsid", *command],
            env=self._environment(),
            path=str(self.directory),
        )
        self._pid = transport.pid
        yield eventually(self._isReady, f"{command[0]} to accept connections", reactor=self._reactor)
        return self

    def _environment(self):
        return {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "LC_ALL": "C"}

    def _isReady(self):
        if self._process.ended:
            raise RuntimeError(f"it ended:\n{self.log()}\n{self._process.output.decode(errors='replace')}")
        if self.family == "unix":
            return _connects(socket.AF_UNIX, self.socket)
        family = socket.AF_INET6 if self.family == "inet6" else socket.AF_INET
        return all(_connects(family, (self._interface, port)) for port in (self.port, *self._ports.values()))

    def kill(self):
        """
        End all that it has started, at once and without a warning: C{SIGKILL}. What it has written stays.

        @return: a L{defer.Deferred} that fires when they are gone.
        """
        self._signal(signal.SIGKILL)

        def gone():
            for pid in _group(self._pid):
                # Some may have been started meanwhile.
                _kill(pid, signal.SIGKILL)
            return self._gone()

        return eventually(gone, "the end of what it started", reactor=self._reactor)

    @defer.inlineCallbacks
    def stop(self):
        """
        Stop the peer: kindly first, and then by force.

        @return: a L{defer.Deferred} that fires when nothing of it is left.
        """
        try:
            if self._process is not None and not self._gone():
                self._signal(signal.SIGTERM)
                try:
                    yield eventually(lambda: self._process.ended, "its end", 5, self._reactor)
                except TimeoutError:
                    self._signal(signal.SIGKILL)
                for number in (signal.SIGTERM, signal.SIGKILL):
                    # What is left is without its master.
                    for pid in _group(self._pid):
                        _kill(pid, number)
                    try:
                        yield eventually(self._gone, "the end of what it started", 2, self._reactor)
                        break
                    except TimeoutError:
                        continue
        finally:
            if self.directory is not None:
                shutil.rmtree(self.directory, ignore_errors=True)

    def _signal(self, number):
        if not self._process.ended:
            try:
                self._process.transport.signalProcess(number)
            except error.ProcessExitedAlready:
                pass

    def _gone(self):
        return self._process.ended and not _group(self._pid)

    def _write(self, name, lines):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path


def _kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class PostfixSink(Peer):
    """
    Postfix's smtp-sink, which counts messages and throws them away.
    """

    def __init__(self, family="inet", args=(), lmtp=False, reactor=None):
        """
        @param family: what to listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
        @param args: more options of smtp-sink.
        @param lmtp: whether to speak LMTP.
        @param reactor: the reactor to use; the global one if left out.
        """
        super().__init__(family, reactor)
        self._args = [*args, "-L"] if lmtp else list(args)

    def _prepare(self):
        command = [program("smtp-sink"), "-c"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
            if self.family == "unix":
                # It makes its socket after it became nobody.
                os.chown(Path(self.socket).parent, pwd.getpwnam("nobody").pw_uid, -1)
        return [*command, *self._args, self.destination, "1000"]

    def counts(self):
        """
        @return: what it counted so far: a mapping of C{"sess"} (sessions that ended), C{"quit"} (of them
            with QUIT) and C{"mesg"} (messages) to numbers.  The connection that C{start} made to see whether
            it is there is counted as a session.
        """
        last = re.findall(rb"sess=([0-9]+) quit=([0-9]+) mesg=([0-9]+)\r", self._process.counted)
        return dict(zip(("sess", "quit", "mesg"), map(int, last[-1] if last else (0, 0, 0)), strict=True))

    def messages(self):
        """
        @return: how many messages it took so far.
        """
        return self.counts()["mesg"]

    def whenMessages(self, number):
        """
        @return: a L{defer.Deferred} that fires when it has counted that many messages or more.
        """
        return eventually(lambda: self.messages() >= number, f"{number} messages", reactor=self._reactor)


_QUEUES = [
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop"),
    *("private", "public", "saved", "trace"),
]

_SERVICES = """\
postlog   unix-dgram n - n - 1 postlogd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
tlsmgr    unix - - n 1000? 1 tlsmgr
""".splitlines()


class TLSConnection(NamedTuple):
    """
    A handshake that Postfix logged.

    @ivar trust: what it thinks of the client's certificate: C{"Anonymous"} (there is none), C{"Untrusted"} or
        C{"Trusted"}.
    @ivar protocol: such as C{"TLSv1.3"}.
    @ivar cipher: such as C{"TLS_AES_256_GCM_SHA384"}.
    """

    trust: str
    protocol: str
    cipher: str


class PostfixServer(Peer):
    """
    A whole Postfix: smtpd takes all mail, and the queue manager hands it to the discard transport.

    It must be started by root.
    """

    def __init__(
        self,
        family="inet",
        settings=None,
        services=(),
        reactor=None,
        tls=None,
        auth=None,
        xclient=False,
        proxy=False,
        watched=False,
        nameServer=None,
    ):
        """
        @param family: what to listen on: C{"inet"} or C{"inet6"}.
        @param settings: more settings of main.cf by name, such as C{{"smtpd_recipient_limit": "5"}} or
            C{{"smtpd_recipient_restrictions": "check_recipient_access inline:{foo@example.org=REJECT},
            permit"}}. C{"%(directory)s"} in a value stands for the temporary directory; see also L{addMap}.
        @param services: more lines of master.cf.
        @param reactor: the reactor to use; the global one if left out.
        @param tls: L{certificates.Certificates} for STARTTLS and for L{implicitDestination}.  The client is
            asked for a certificate, and needn't have one.
        @param auth: a L{DovecotAuth} that is started already, for AUTH.  It is announced without TLS as well.
        @param xclient: whether XCLIENT is allowed.
        @param proxy: whether to listen for connections that begin with a header of the PROXY protocol: at
            L{proxyDestination}, and at L{proxyImplicitDestination} with TLS from the start after it.
        @param watched: whether the whole dialogue with clients on this machine is logged, for L{commands} and
            L{groups}: many lines for each command.
        @param nameServer: the address of the one name server that it asks, at port 53. It hands mail to the servers
            of that one's domains.
        """
        if family == "unix":
            raise ValueError("Postfix's smtpd on a UNIX socket is not supported")
        super().__init__(family, reactor, tls, xclient, proxy)
        self._auth = auth
        self._watched = watched
        self._nameServer = nameServer
        self._settings = dict(settings or {})
        self._services = list(services)
        self._maps = {}

    def addMap(self, name, entries):
        """
        Have a lookup table made, for settings such as C{"check_sender_access texthash:%(directory)s/NAME"}.
        Call it before C{start}.

        @param name: its name in the temporary directory.
        @param entries: a mapping.
        """
        self._maps[name] = [f"{key} {value}" for key, value in entries.items()]

    def _features(self):
        """
        @return: the settings for what this one does besides plain SMTP.
        """
        settings = {}
        if self._tls is not None:
            settings |= {
                "smtpd_tls_security_level": "may",
                "smtpd_tls_chain_files": "%(key)s, %(certificate)s",
                "smtpd_tls_CAfile": "%(authority)s",
                "smtpd_tls_ask_ccert": "yes",
                # Each handshake, and whether it resumed a session; but not 2, which adds 20 lines to each.
                "smtpd_tls_loglevel": "1, cache",
            }
        if self._auth is not None:
            settings |= {
                "smtpd_sasl_auth_enable": "yes",
                "smtpd_sasl_type": "dovecot",
                "smtpd_sasl_path": "%(auth)s",
                "smtpd_sasl_security_options": "noanonymous",
                "smtpd_tls_auth_only": "no",
            }
        if self._xclient:
            settings["smtpd_authorized_xclient_hosts"] = "127.0.0.1 [::1]"
        if self._nameServer is not None:
            settings |= {"default_transport": "smtp:", "inet_protocols": "ipv4"}
        if self._watched:
            # From level 3 on, reads are logged as well.
            settings |= {"debug_peer_list": "127.0.0.1, [::1]", "debug_peer_level": "3"}
        return settings

    def _prepare(self):
        postconf = program("postconf")
        if os.geteuid() != 0:
            missing("Postfix can be started by root only")
        directory = self.directory
        owner = pwd.getpwnam(_printed([postconf, "-dh", "mail_owner"])).pw_uid
        for name in ("config", "data", "queue", "queue/pid"):
            (directory / name).mkdir()
        for name in _QUEUES:
            (directory / "queue" / name).mkdir(mode=0o700)
            os.chown(directory / "queue" / name, owner, -1)
        (directory / "queue" / "public").chmod(0o755)
        os.chown(directory / "data", owner, -1)
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": "%(directory)s/queue",
            "data_directory": "%(directory)s/data",
            "maillog_file": "%(directory)s/maillog",
            "maillog_file_prefixes": "%(directory)s",
            "myhostname": "peer.example",
            "mydestination": "",
            "relay_domains": "",
            # With those for documentation, which tests of XCLIENT and of the PROXY protocol come from.
            "mynetworks": "127.0.0.0/8 [::1]/128 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 [2001:db8::]/32",
            "inet_interfaces": "loopback-only",
            # XCLIENT and the PROXY protocol name clients of either family.
            "inet_protocols": "all" if self.family == "inet6" or self._xclient or self._proxy else "ipv4",
            "default_transport": "discard:",
            "relay_transport": "discard:",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "smtpd_peername_lookup": "no",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_message_rate_limit": "0",
            "smtpd_client_recipient_rate_limit": "0",
            "default_process_limit": "200",
            "message_size_limit": "0",
            **self._features(),
            **self._settings,
        }
        values = {"directory": str(directory)}
        if self._tls is not None:
            values |= {"authority": self._tls.authority, "certificate": self._tls.certificate, "key": self._tls.key}
        if self._auth is not None:
            values["auth"] = self._auth.socket
        self._write("config/main.cf", [f"{name} = {value % values}" for name, value in settings.items()])
        wrapped, proxied = "-o smtpd_tls_wrappermode=yes", "-o smtpd_upstream_proxy_protocol=haproxy"
        options = {"implicit": wrapped, "proxy": proxied, "proxyImplicit": f"{wrapped} {proxied}"}
        listeners = [f"{self.destination} inet n - n - - smtpd"]
        for name, port in self._ports.items():
            listeners.append(f"{self._written(port)} inet n - n - - smtpd {options[name]}")
        # In its root directory the client has a resolv.conf of its own.
        client = [] if self._nameServer is None else ["smtp unix - - y - - smtp"]
        self._write("config/master.cf", [*listeners, *_SERVICES, *client, *self._services])
        for name, lines in self._maps.items():
            self._write(name, lines)
        daemons = _printed([postconf, "-dh", "daemon_directory"])
        if self._nameServer is not None:
            (directory / "queue" / "etc").mkdir()
            self._write("queue/etc/resolv.conf", [f"nameserver {self._nameServer}"])
            self._write("queue/etc/services", ["smtp 25/tcp"])
        return [os.path.join(daemons, "master"), "-c", directory / "config", "-s"]

    def log(self):
        try:
            return (self.directory / "maillog").read_text(errors="replace")
        except FileNotFoundError:
            return super().log()

    def received(self):
        """
        @return: how many transactions smtpd gave a queue id, which it does at the first accepted recipient.
        """
        return len(re.findall(r"smtpd\[\d+\]: [0-9A-Za-z]+: client=", self.log()))

    def clients(self):
        """
        @return: who the transactions that L{received} counts came from, in their order: such as
            C{"unknown[127.0.0.1]"}, or what XCLIENT or the header of the PROXY protocol said.
        """
        return re.findall(r"smtpd\[\d+\]: [0-9A-Za-z]+: client=([^,\n]*)", self.log())

    def saslLogins(self):
        """
        @return: the transactions that L{received} counts after AUTH, in their order: a list of mechanisms and user
            names.
        """
        pattern = r"smtpd\[\d+\]: [0-9A-Za-z]+: client=.*, sasl_method=([^,\n]*), sasl_username=([^,\n]*)"
        return re.findall(pattern, self.log())

    def saslFailures(self):
        """
        @return: the mechanisms of those that failed to authenticate, a list.
        """
        return re.findall(r"smtpd\[\d+\]: warning: .*: SASL (\S+) authentication failed", self.log())

    def tlsConnections(self):
        """
        @return: a list of a L{TLSConnection} for each handshake that was completed.
        """
        pattern = r"smtpd\[\d+\]: (\w+) TLS connection established from .*: (\S+) with cipher (\S+)"
        return [TLSConnection(*found) for found in re.findall(pattern, self.log())]

    def tlsResumptions(self):
        """
        @return: how many of L{tlsConnections} resumed an earlier session.
        """
        return len(re.findall(r"smtpd\[\d+\]: .*: Reusing old session", self.log()))

    def commands(self):
        """
        @return: what clients have said, if it is C{watched}: a list of command lines.
        """
        return [command for group in self.groups() for command in group]

    def groups(self):
        """
        The same as it came: content is left out.

        @return: for each read of smtpd's that had the beginning of a command in it, a list of these commands.
        """
        found, sockets, last = [], {}, {}
        pattern = r"smtpd\[(\d+)\]: (?:vstream_buf_get_ready: fd (\d+) got \d+|< [^ ]*: (.*))"
        for process, descriptor, command in re.findall(pattern, self.log()):
            if not descriptor:
                # What was read last before the first command was read from the client.
                sockets.setdefault(process, last[process])
                found[-1].append(command)
                continue
            last[process] = descriptor
            if sockets.get(process) in (None, descriptor):
                found.append([])
        return [group for group in found if group]

    def times(self):
        """
        @return: for each connection that has ended, in the order of their ends, its seconds from the line about its
            beginning to that about its end, a whole number.
        """
        began, found = {}, []
        pattern = r"(?m)^\S+ +\d+ (\d+):(\d+):(\d+) .*smtpd\[(\d+)\]: (dis)?connect from "
        for hours, minutes, seconds, process, isEnd in re.findall(pattern, self.log()):
            at = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
            if isEnd:
                found.append((at - began.pop(process)) % 86400)
            else:
                began[process] = at
        return found

    def fates(self, recipient):
        """
        @return: what became of each attempt to deliver to a recipient: C{"sent"}, C{"deferred"} or C{"bounced"}.
        """
        return re.findall(rf" to=<{re.escape(recipient)}>,.* status=(\w+) ", self.log())

    def delivered(self):
        """
        @return: how many recipients the discard transport delivered to.
        """
        return len(re.findall(r"discard\[\d+\]: .* status=sent ", self.log()))

    def rejected(self):
        """
        @return: how many commands smtpd refused because of restrictions.
        """
        return len(re.findall(r"NOQUEUE: reject: |smtpd\[\d+\]: [0-9A-Za-z]+: reject: ", self.log()))

    def whenDelivered(self, number):
        """
        @return: a L{defer.Deferred} that fires when that many recipients or more were delivered to.
        """
        return eventually(lambda: self.delivered() >= number, f"{number} deliveries", reactor=self._reactor)


def _printed(command):
    """
    @return: what a command that ends at once prints.
    """
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    return finished.stdout.strip()


class _Dovecot(Peer):
    """
    What Dovecot's servers have in common.

    @ivar _account: the names of the user and of the group that its unprivileged processes run as.
    """

    @property
    def _account(self):
        if os.geteuid() == 0:
            return "nobody", grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
        return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name

    def _configure(self, protocols, lines):
        """
        @return: the command line, with the configuration written.
        """
        dovecot = program("dovecot")
        version = _printed([dovecot, "--version"]).split()[0]
        if not version.startswith("2.3."):
            missing(f"Dovecot {version} is not supported: its configuration differs from that of 2.3")
        accounts = []
        if os.geteuid() != 0:
            user, group = self._account
            accounts = [
                f"default_internal_user = {user}",
                f"default_internal_group = {group}",
                f"default_login_user = {user}",
                "service anvil {\n  chroot =\n}",
                "service stats {\n  chroot =\n}",
            ]
        configuration = self._write(
            "dovecot.conf",
            [
                f"base_dir = {self.directory}/run",
                f"state_dir = {self.directory}/state",
                f"log_path = {self.directory}/log",
                f"protocols = {protocols}",
                "listen = 127.0.0.1",
                "first_valid_uid = 1",
                "auth_username_chars =",
                "auth_username_format = %u",
                "hostname = peer.example",
                *accounts,
                *lines,
            ],
        )
        return [dovecot, "-F", "-c", configuration]

    def log(self):
        try:
            return (self.directory / "log").read_text(errors="replace")
        except FileNotFoundError:
            return super().log()


class DovecotLMTP(_Dovecot):
    """
    Dovecot's LMTP server, delivering into Maildirs in its temporary directory.
    """

    def __init__(
        self, family="inet", users=None, settings=(), reactor=None, tls=None, xclient=False, proxy=False, imap=False
    ):
        """
        @param family: what to listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
        @param users: the only recipients to be known, such as C{["foo@localhost"]}; each recipient is if
            left out.
        @param settings: more lines of dovecot.conf.
        @param reactor: the reactor to use; the global one if left out.
        @param tls: L{certificates.Certificates} for STARTTLS, also on a UNIX socket, and for
            L{implicitDestination}.
        @param xclient: whether XCLIENT is announced, which Dovecot never does on a UNIX socket.
        @param proxy: whether to listen for connections that begin with a header of the PROXY protocol, at
            L{proxyDestination} and L{proxyImplicitDestination}.
        @param imap: whether to have the mailboxes read by IMAP, at C{imapDestination}; any password will do.
        """
        super().__init__(family, reactor, tls, xclient, proxy)
        self._users = users
        self._settings = list(settings)
        self._imap = imap

    def _additional(self):
        return [*super()._additional(), *(["imap"] if self._imap else [])]

    @property
    def imapDestination(self):
        """
        Where the mailboxes can be read.
        """
        return self._at("imap")

    def _prepare(self):
        programs = ["lmtp", "imap"] if self._imap else ["lmtp"]
        for name in programs:
            if not any(map(os.path.exists, _dovecotPrograms(program("dovecot"), name))):
                missing(f"Dovecot's {name.upper()} server isn't installed")
        user, group = self._account
        uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
        (self.directory / "mail").mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self.directory / "mail", uid, gid)
        if self._users is None:
            arguments = f"uid={user} gid={group} home={self.directory}/mail/%u allow_all_users=yes"
            userdb = f"userdb {{\n  driver = static\n  args = {arguments}\n}}"
        else:
            self._write("users", [f"{name}::{uid}:{gid}::{self.directory}/mail/{name}::" for name in self._users])
            arguments = f"username_format=%u {self.directory}/users"
            userdb = f"userdb {{\n  driver = passwd-file\n  args = {arguments}\n}}"
        if self.family == "unix":
            listeners = [f"unix_listener {self.socket} {{\n    mode = 0666\n  }}"]
        else:
            options = {"lmtp": [], "implicit": ["ssl = yes"], "proxy": ["haproxy = yes"]}
            options["proxyImplicit"] = [*options["implicit"], *options["proxy"]]
            listeners = []
            for name, port in {"lmtp": self.port, **self._ports}.items():
                if name not in options:
                    continue
                lines = [f"inet_listener {name} {{", f"address = {self._interface}", f"port = {port}", *options[name]]
                listeners.append("\n    ".join(lines) + "\n  }")
        trusted = []
        if self._imap:
            lines = [f"address = {self._interface}", f"port = {self._ports['imap']}"]
            trusted.append("\n    ".join(["service imap-login {\n  inet_listener imap {", *lines]) + "\n  }\n}")
        encryption = ["ssl = no"]
        if self._tls is not None:
            encryption = ["ssl = yes", f"ssl_cert = <{self._tls.certificate}", f"ssl_key = <{self._tls.key}"]
        if self._xclient:
            trusted.append("login_trusted_networks = 127.0.0.0/8 ::1/128")
        if self._proxy:
            trusted.append("haproxy_trusted_networks = 127.0.0.0/8 ::1/128")
        return self._configure(
            " ".join(programs),
            [
                *encryption,
                *trusted,
                f"mail_location = maildir:{self.directory}/mail/%u",
                "postmaster_address = postmaster@peer.example",
                "passdb {\n  driver = static\n  args = nopassword=y\n}",
                userdb,
                "\n  ".join(["service lmtp {", *listeners, "process_limit = 200\n}"]),
                *self._settings,
            ],
        )

    def _messages(self):
        return [path for folder in ("new", "cur") for path in (self.directory / "mail").glob(f"*/{folder}/*")]

    def mailboxes(self):
        """
        @return: a mapping of each recipient that got mail to the number of messages.
        """
        return dict(collections.Counter(path.parent.parent.name for path in self._messages()))

    def contents(self):
        """
        @return: all messages, in the order of their delivery: a list of bytes.  Each begins with Return-Path,
            Delivered-To and L{traces}, and has LF at the ends of lines.
        """
        # A name in a Maildir begins with the time, to the microsecond: "1795348718.M613523P16342.peer,S=...".
        return [path.read_bytes() for path in sorted(self._messages(), key=_delivery)]

    def traces(self):
        """
        @return: the Received header that Dovecot added to each of L{contents}, without line breaks: such as
            C{"from x ([192.0.2.1]) (using TLSv1.3 with cipher ...) by peer.example with LMTPS id ..."}.
        """
        found = [re.search(rb"^Received: (.*(?:\n[ \t].*)*)", content, re.M) for content in self.contents()]
        return [" ".join(match[1].decode().split()) for match in found]

    def delivered(self):
        """
        @return: how many messages are in all mailboxes together.
        """
        return sum(self.mailboxes().values())

    def whenDelivered(self, number):
        """
        @return: a L{defer.Deferred} that fires when that many messages or more are in the mailboxes.
        """
        return eventually(lambda: self.delivered() >= number, f"{number} deliveries", reactor=self._reactor)


def _delivery(path):
    """
    @return: when a message in a Maildir was delivered.
    """
    seconds, _, microseconds = re.match(r"(\d+)(\.M(\d+))?", path.name).groups(default="0")
    return int(seconds), int(microseconds)


def _dovecotPrograms(dovecot, name):
    """
    @return: where a program of Dovecot's may be.
    """
    prefix = Path(dovecot).resolve().parent.parent
    return [prefix / "lib/dovecot" / name, prefix / "libexec/dovecot" / name, Path("/usr/lib/dovecot", name)]


class DovecotAuth(_Dovecot):
    """
    Dovecot's authentication server, for L{PostfixServer}: it listens on a UNIX socket.
    """

    #: What it does if not told otherwise.
    MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")

    def __init__(self, users=None, mechanisms=MECHANISMS, settings=(), reactor=None):
        """
        @param users: a mapping of names to passwords; C{{"user": "secret"}} if left out.
        @param mechanisms: the mechanisms to offer.
        @param settings: more lines of dovecot.conf.
        @param reactor: the reactor to use; the global one if left out.
        """
        super().__init__("unix", reactor)
        self.users = {"user": "secret"} if users is None else dict(users)
        self._mechanisms = list(mechanisms)
        self._settings = list(settings)
        self._secret = os.urandom(32)

    def _prepare(self):
        # In base 64, since there are colons between the fields of this file.
        entries = {name: base64.b64encode(password.encode()).decode() for name, password in self.users.items()}
        self._write("users", [f"{name}:{{PLAIN.B64}}{password}::::::" for name, password in entries.items()])
        # Access tokens are signed with this key: so there is no need to ask anybody about them.
        keys = self.directory / "keys" / "default" / "HS256"
        keys.mkdir(parents=True)
        (keys / "default").write_bytes(base64.b64encode(self._secret))
        options = [
            "introspection_mode = local",
            f"local_validation_key_dict = fs:posix:prefix={self.directory}/keys/",
            "username_attribute = sub",
        ]
        oauth = self._write("oauth2.conf", options)
        user, group = self._account
        return self._configure(
            "none",
            [
                "ssl = no",
                f"auth_mechanisms = {' '.join(self._mechanisms).lower()}",
                # Failures are not made to wait, nor is whoever comes from the same address after them.
                "auth_failure_delay = 0",
                "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}",
                f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {oauth}\n}}",
                f"passdb {{\n  driver = passwd-file\n  args = username_format=%u {self.directory}/users\n}}",
                f"userdb {{\n  driver = static\n  args = uid={user} gid={group} home=/nonexistent\n}}",
                f"service auth {{\n  unix_listener {self.socket} {{\n    mode = 0666\n  }}\n}}",
                *self._settings,
            ],
        )

    def token(self, name, lifetime=3600):
        """
        @param name: the name of a user; it needn't be one that has a password.
        @param lifetime: for how long the token is valid, in seconds; less than 0 for one that was.

        @return: an access token (a JWT) for XOAUTH2 and OAUTHBEARER.
        """
        now = int(time.time())
        claims = {"sub": name, "iat": now - 7200, "exp": now + lifetime}
        parts = [_base64URL(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signature = hmac.digest(self._secret, ".".join(parts).encode(), hashlib.sha256)
        return ".".join([*parts, _base64URL(signature)])


def _base64URL(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
