"""
Real mail servers for integration tests: Postfix's smtp-sink, a whole Postfix, and Dovecot's LMTP server.

Each is started with a configuration of its own in a temporary directory of its own, on free ports of the
loopback interface or on UNIX sockets, and doesn't touch a server that the machine may run::

    peer = PostfixSink()
    self.addCleanup(peer.stop)
    yield peer.start()
    peer.destination        # "127.0.0.1:40235" or "unix:/tmp/..."

C{start()} returns a L{defer.Deferred} that fires when the peer accepts connections, or fails, with what the
peer had to say, if it doesn't within L{DEADLINE}.  Where the program isn't installed, C{start()} raises
C{SkipTest}, unless C{CI} is set in the environment: there it is an error.  C{stop()} returns a
L{defer.Deferred} that fires when all its processes and its directory are gone; it may be called at any time.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from unittest import SkipTest

from differential import program
from twisted.internet import defer, error, protocol

#: How long, in seconds, a peer may take to start, to stop, or to do what a test waits for.
DEADLINE = 20.0

_INTERVAL = 0.02


def freePort(interface="127.0.0.1"):
    """
    @param interface: an address of the loopback interface.

    @return: a TCP port that nothing listens on at the moment.
    """
    with socket.socket(socket.AF_INET6 if ":" in interface else socket.AF_INET) as probe:
        probe.bind((interface, 0))
        return probe.getsockname()[1]


def missing(reason):
    """
    Skip the test that can't be run here; where C{CI} is set in the environment that is an error instead.

    @param reason: why it can't.
    """
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    raise SkipTest(reason)


def eventually(condition, what, deadline=DEADLINE, reactor=None):
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

    def __init__(self, family="inet", reactor=None):
        """
        @param family: what to listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
        @param reactor: the reactor to use; the global one if left out.
        """
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self.family = family
        self.directory = None
        self.port = None
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
        if self.family == "unix":
            return f"unix:{self.socket}"
        return ("[%s]:%d" if self.family == "inet6" else "%s:%d") % (self._interface, self.port)

    @defer.inlineCallbacks
    def start(self):
        """
        Start the peer.

        @return: a L{defer.Deferred} that fires with this peer when it accepts connections.
        """
        self.directory = Path(tempfile.mkdtemp(prefix="peer-")).resolve()
        self.directory.chmod(0o755)
        if self.family != "unix":
            self.port = freePort(self._interface)
        else:
            Path(self.socket).parent.mkdir()
        command = list(map(str, self._prepare()))
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
        return _connects(socket.AF_INET6 if self.family == "inet6" else socket.AF_INET, (self._interface, self.port))

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
""".splitlines()


class PostfixServer(Peer):
    """
    A whole Postfix: smtpd takes all mail, and the queue manager hands it to the discard transport.

    It must be started by root.
    """

    def __init__(self, family="inet", settings=None, services=(), reactor=None):
        """
        @param family: what to listen on: C{"inet"} or C{"inet6"}.
        @param settings: more settings of main.cf by name, such as C{{"smtpd_recipient_limit": "5"}} or
            C{{"smtpd_recipient_restrictions": "check_recipient_access inline:{foo@example.org=REJECT},
            permit"}}. C{"%(directory)s"} in a value stands for the temporary directory; see also L{addMap}.
        @param services: more lines of master.cf.
        @param reactor: the reactor to use; the global one if left out.
        """
        if family == "unix":
            raise ValueError("Postfix's smtpd on a UNIX socket is not supported")
        super().__init__(family, reactor)
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
            "mynetworks": "127.0.0.0/8 [::1]/128",
            "inet_interfaces": "loopback-only",
            "inet_protocols": "all" if self.family == "inet6" else "ipv4",
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
            **self._settings,
        }
        values = {"directory": str(directory)}
        self._write("config/main.cf", [f"{name} = {value % values}" for name, value in settings.items()])
        listen = f"[{self._interface}]:{self.port}" if self.family == "inet6" else f"127.0.0.1:{self.port}"
        self._write("config/master.cf", [f"{listen} inet n - n - - smtpd", *_SERVICES, *self._services])
        for name, lines in self._maps.items():
            self._write(name, lines)
        daemons = _printed([postconf, "-dh", "daemon_directory"])
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
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE)
    return finished.stdout.strip()


class DovecotLMTP(Peer):
    """
    Dovecot's LMTP server, delivering into Maildirs in its temporary directory.
    """

    def __init__(self, family="inet", users=None, settings=(), reactor=None):
        """
        @param family: what to listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
        @param users: the only recipients to be known, such as C{["foo@localhost"]}; each recipient is if
            left out.
        @param settings: more lines of dovecot.conf.
        @param reactor: the reactor to use; the global one if left out.
        """
        super().__init__(family, reactor)
        self._users = users
        self._more = list(settings)

    def _prepare(self):
        dovecot = program("dovecot")
        version = _printed([dovecot, "--version"]).split()[0]
        if not version.startswith("2.3."):
            missing(f"Dovecot {version} is not supported: its configuration differs from that of 2.3")
        if not any(map(os.path.exists, _lmtpPrograms(dovecot))):
            missing("Dovecot's LMTP server isn't installed")
        asRoot = os.geteuid() == 0
        if asRoot:
            user, group = "nobody", grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
            accounts = []
        else:
            user = pwd.getpwuid(os.geteuid()).pw_name
            group = grp.getgrgid(os.getegid()).gr_name
            accounts = [
                f"default_internal_user = {user}",
                f"default_internal_group = {group}",
                f"default_login_user = {user}",
                "service anvil {\n  chroot =\n}",
                "service stats {\n  chroot =\n}",
            ]
        (self.directory / "mail").mkdir(mode=0o700)
        if asRoot:
            os.chown(self.directory / "mail", pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        fields = f"uid={user} gid={group} home={self.directory}/mail/%u"
        if self._users is None:
            userdb = f"userdb {{\n  driver = static\n  args = {fields} allow_all_users=yes\n}}"
        else:
            uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
            self._write("users", [f"{name}::{uid}:{gid}::{self.directory}/mail/{name}::" for name in self._users])
            arguments = f"username_format=%u {self.directory}/users"
            userdb = f"userdb {{\n  driver = passwd-file\n  args = {arguments}\n}}"
        if self.family == "unix":
            listener = f"unix_listener {self.socket} {{\n    mode = 0666\n  }}"
        else:
            listener = f"inet_listener lmtp {{\n    address = {self._interface}\n    port = {self.port}\n  }}"
        configuration = self._write(
            "dovecot.conf",
            [
                f"base_dir = {self.directory}/run",
                f"state_dir = {self.directory}/state",
                f"log_path = {self.directory}/log",
                "protocols = lmtp",
                "listen = 127.0.0.1",
                "ssl = no",
                "first_valid_uid = 1",
                "auth_username_chars =",
                "auth_username_format = %u",
                f"mail_location = maildir:{self.directory}/mail/%u",
                "postmaster_address = postmaster@peer.example",
                "hostname = peer.example",
                *accounts,
                "passdb {\n  driver = static\n  args = nopassword=y\n}",
                userdb,
                f"service lmtp {{\n  {listener}\n  process_limit = 200\n}}",
                *self._more,
            ],
        )
        return [dovecot, "-F", "-c", configuration]

    def log(self):
        try:
            return (self.directory / "log").read_text(errors="replace")
        except FileNotFoundError:
            return super().log()

    def mailboxes(self):
        """
        @return: a mapping of each recipient that got mail to the number of messages.
        """
        found = {}
        for folder in ("new", "cur"):
            for path in (self.directory / "mail").glob(f"*/{folder}/*"):
                name = path.parent.parent.name
                found[name] = found.get(name, 0) + 1
        return found

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


def _lmtpPrograms(dovecot):
    """
    @return: where Dovecot's lmtp program may be.
    """
    prefix = Path(dovecot).resolve().parent.parent
    return [prefix / "lib/dovecot/lmtp", prefix / "libexec/dovecot/lmtp", Path("/usr/lib/dovecot/lmtp")]
