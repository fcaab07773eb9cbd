"""
Real mail servers that relay to a sink: Postfix, Exim and OpenSMTPD.

Each is a L{peers.Peer} that can be killed as the power's loss would do it to processes, without a warning, and started
again on the same queue::

    relay = EximRelay(sinkPort)
    self.addCleanup(relay.stop)
    yield relay.start()
    ...
    yield relay.kill()
    yield relay.again()
    relay.deliveries()      # what its log says of whom it has delivered to

Debian has one mail server at a time. So Exim and OpenSMTPD are never installed: C{.ci/relays} unpacks them into
C{.relays}, and each runs in a root directory of its own, in which all paths are that it was built with.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections import Counter
from pathlib import Path

from differential import program
from patience import PATIENCE
from peers import Peer, PostfixServer, eventually, missing

#: Where C{.ci/relays} has put what isn't installed.
UNPACKED = Path(__file__).resolve().parent.parent / ".relays"

#: In their root directory.
_ACCOUNTS = {"root": 0, "Debian-exim": 601, "opensmtpd": 602, "opensmtpq": 603, "nobody": 65534}


class Relay(Peer):
    """
    What they have in common.
    """

    #: How it says in its log that it has delivered to somebody, a regular expression whose group is the address.
    _delivered: str

    #: Where the messages are that it has yet to deliver: patterns of files.
    _queue: tuple[str, ...]

    def deliveries(self):
        """
        @return: how often it has delivered to each recipient, as its log has it.
        """
        return Counter(re.findall(self._delivered, self.log(), re.M))

    def queued(self):
        """
        @return: the files of messages that it has yet to deliver.
        """
        return [path for pattern in self._queue for path in self.directory.glob(pattern) if path.is_file()]

    def whenEmpty(self):
        """
        Have it try again each second until there is none.

        @return: a L{defer.Deferred} that fires when what there was is in the log.
        """
        last = 0.0

        def empty():
            nonlocal last
            if not self.queued():
                return True
            if self._reactor.seconds() - last > 1:
                last = self._reactor.seconds()
                self.flush()
            return False

        return eventually(empty, "an empty queue", reactor=self._reactor)

    def flush(self):
        """
        Have it try again what it has deferred.
        """
        # It may not be there yet.
        subprocess.run(self._flushing(), check=False, capture_output=True, timeout=PATIENCE, cwd=self.directory)


class PostfixRelay(Relay, PostfixServer):
    """
    Postfix.
    """

    _delivered = r"/smtp\[\d+\]: \w+: to=<([^>]+)>.* status=sent "
    _queue = ("queue/maildrop/*", "queue/incoming/*", "queue/active/*", "queue/deferred/*/*", "queue/deferred/*")

    def __init__(self, port, settings=None, services=(), **options):
        """
        @param port: of 127.0.0.1, where it delivers all mail.
        @param settings: more of main.cf.
        @param services: more of master.cf.
        """
        # Who is refused comes back after a second or two, for the queue manager looks each second.
        hasty = {
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "2s",
            "queue_run_delay": "1s",
            "smtp_connect_timeout": "5s",
            "smtp_connection_cache_on_demand": "no",
            "default_destination_concurrency_failed_cohort_limit": "0",
            "default_transport": f"smtp:[127.0.0.1]:{port}",
        }
        clients = ["qmgr unix n - n 1 1 qmgr", "smtp unix - - n - 10 smtp"]
        super().__init__(settings=hasty | (settings or {}), services=[*clients, *services], **options)

    def queued(self):
        # A file that can't be executed is that of a message that was about to come in when it was killed.
        return [path for path in super().queued() if os.access(path, os.X_OK)]

    def _flushing(self):
        return [program("postqueue"), "-c", str(self.directory / "config"), "-f"]


class _Unpacked(Relay):
    """
    One that is not installed.

    @cvar _path: its program.
    @cvar _settled: its configuration.
    @cvar _directories: those that it wants, by name, each with its owner and mode.
    @cvar _tools: more programs.
    """

    _path: str
    _settled: str
    _tools: tuple[str, ...] = ()
    _directories: dict[str, tuple[str, int]]

    def __init__(self, port, settings=(), reactor=None):
        """
        @param port: of 127.0.0.1, where it delivers all mail.
        @param settings: more lines at the top of its configuration.
        """
        super().__init__(reactor=reactor)
        self._relayPort = port
        self._settings = list(settings)
        self._earlier = ""

    def _prepare(self):
        if os.geteuid() != 0:
            missing(f"{self._path} can be started by root only")
        if not (UNPACKED / self._path).exists():
            missing(f"{self._path} isn't there: .ci/relays unpacks it")
        self._furnish()
        for name, (owner, mode) in self._directories.items():
            self._directory(name, owner, mode)
        (self.directory / self._settled).parent.mkdir(parents=True, exist_ok=True)
        self._write(self._settled, self._configuration()).chmod(0o640)
        return ["chroot", self.directory, f"/{self._path}", *self._arguments()]

    def _directory(self, name, owner, mode):
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, _ACCOUNTS[owner], -1)
        path.chmod(mode)

    def _furnish(self):
        """
        Make a root directory of it: programs, their libraries, accounts and the devices that everybody has.
        """
        os.chmod(self.directory, 0o755)
        for name in (self._path, *self._tools):
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(UNPACKED / name, self.directory / name)
        for path in self._libraries():
            # The loader has to be where the program says; it finds the others beside it or in /lib.
            place = self.directory / (path[1:] if "/ld-linux" in path else f"lib/{os.path.basename(path)}")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
        accounts = [f"{name}:x:{number}:{number}::/:/bin/false" for name, number in _ACCOUNTS.items()]
        self._write("etc/passwd", accounts)
        self._write("etc/group", [f"{name}:x:{number}:" for name, number in _ACCOUNTS.items()])
        self._write("etc/hosts", ["127.0.0.1 localhost"])
        self._write("etc/services", ["smtp 25/tcp"])
        self._write("etc/resolv.conf", [""])
        self._directory("tmp", "root", 0o1777)
        self._directory("dev", "root", 0o755)
        for name, minor in {"null": 3, "zero": 5, "urandom": 9}.items():
            os.mknod(self.directory / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            (self.directory / "dev" / name).chmod(0o666)

    def _libraries(self):
        unpacked = ":".join(sorted({str(path.parent) for path in UNPACKED.rglob("*.so*")}))
        environment = {**os.environ, "LD_LIBRARY_PATH": unpacked}
        found = set()
        for name in (self._path, *self._tools):
            command = [program("ldd"), str(UNPACKED / name)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            found.update(re.findall(r"(/\S+) \(0x", printed.stdout))
        return sorted(found)

    def again(self):
        self._earlier = self.log()
        return super().again()

    def log(self):
        return self._earlier + super().log()

    def _inside(self, *command):
        return [program("chroot"), str(self.directory), *command]


class EximRelay(_Unpacked):
    """
    Exim.
    """

    _path = "usr/sbin/exim4"
    _settled = "etc/exim4/exim4.conf"
    _directories = {"spool": ("Debian-exim", 0o750), "log": ("Debian-exim", 0o750)}
    _delivered = r"^\S+ \S+ \S+ [=-]> (\S+) .* C=\""
    _queue = ("spool/input/*-H",)

    def _arguments(self):
        # The daemon in the foreground, which looks for deferred mail every second.
        return ["-bdf", "-q1s"]

    def _configuration(self):
        return f"""\
primary_hostname = peer.example
spool_directory = /spool
log_file_path = /log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
tls_advertise_hosts =
dsn_advertise_hosts = *
chunking_advertise_hosts = *
keep_environment =
acl_smtp_rcpt = accept
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
smtp_receive_timeout = 30s
delay_warning =
{chr(10).join(self._settings)}
begin routers
relay:
  driver = manualroute
  route_list = * 127.0.0.1::{self._relayPort}
  self = send
  transport = relay
begin transports
relay:
  driver = smtp
  connect_timeout = 5s
  command_timeout = 10s
  hosts_avoid_tls = *
  hosts_try_fastopen =
begin retry
* * F,1h,1s
""".split("\n")

    def log(self):
        try:
            return (self.directory / "log/mainlog").read_text(errors="replace")
        except FileNotFoundError:
            return super().log()

    def _flushing(self):
        return self._inside(f"/{self._path}", "-qff")


class OpenSMTPDRelay(_Unpacked):
    """
    OpenSMTPD.
    """

    _path = "usr/sbin/smtpd"
    _settled = "etc/smtpd.conf"
    _tools = ("usr/sbin/smtpctl",)
    _directories = {
        "var/lib/opensmtpd/empty": ("root", 0o755),
        "var/run": ("root", 0o755),
        "var/spool/smtpd": ("root", 0o711),
    }
    _delivered = r" mta delivery .* to=<([^>]+)>.* result=\"Ok\""
    #: Envelopes.
    _queue = ("var/spool/smtpd/queue/*/*/[0-9a-f]*",)

    def _arguments(self):
        return ["-d"]

    def _configuration(self):
        return [
            *self._settings,
            f"listen on 127.0.0.1 port {self.port} hostname peer.example",
            f'action "relay" relay host smtp+notls://127.0.0.1:{self._relayPort}',
            'match from any for any action "relay"',
        ]

    def _furnish(self):
        super()._furnish()
        # It asks for that.
        tool = self.directory / "usr/sbin/smtpctl"
        os.chown(tool, -1, _ACCOUNTS["opensmtpq"])
        tool.chmod(0o2755)

    def _flushing(self):
        return self._inside("/usr/sbin/smtpctl", "schedule", "all")
