"""
The command line of smtp-sink: all that a user may wish is checked before anything listens.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.python import usage

from smtpsource.cli.planoptions import PlanOptions
from smtpsource.cli.words import nameOf
from smtpsource.net import destination
from smtpsource.net.tls.settings import UnusableSetting
from smtpsource.report.presentation import Presentation
from smtpsource.sink.plan import SinkPlan, isSteered
from smtpsource.sink.tls import ServerTLS, requireTLS
from smtpsource.values import files, names, numbers

if TYPE_CHECKING:
    from smtpsource.sink.rules.rule import Rule

_EXPECTED_ADDRESS = "expected [inet:][host]:port or unix:path, such as :2525 or 127.0.0.1:2525"


def parseAddress(text: str) -> tuple[str, int, str | None]:
    """
    Take apart where to listen: C{[inet:][host]:port}, C{port} or C{unix:path}; or a URL with one of
    L{destination.SCHEMES}, which has a port of its own, or such a scheme before an address.

    @return: host (C{""} for all interfaces), port, and the absolute path or C{None}.
    @raise ValueError: it is none of these.
    """
    scheme, text = destination.schemeOf(text)
    if scheme is not None and not text.startswith("unix:") and re.fullmatch(r"\[[^\]]*\]|[^:\[\]]+", text):
        text = f"{text}:{destination.SCHEMES[scheme][1]}"
    if text.startswith("unix:"):
        name = text[5:]
        path = os.path.abspath(name)
        if not name or name.endswith("/") or len(os.fsencode(path)) > destination.LONGEST_PATH:
            raise ValueError(f"expected unix: and the path of a socket of at most {destination.LONGEST_PATH} bytes")
        return "", 0, path
    match = re.fullmatch(r"(?:(?:\[([^\]]+)\]|([^:\[\]]*)):)?([^:\[\]]+)", text.removeprefix("inet:"))
    if match is None:
        raise ValueError(_EXPECTED_ADDRESS)
    host = match.group(1) or match.group(2) or ""
    names.oneLine(os.fsencode(host))
    # With a dot at its end a name is the same, but the C library does not know that of those in /etc/hosts.
    return host.removesuffix("."), _port(match.group(3)), None


def _isAddress(text: str) -> bool:
    try:
        parseAddress(text)
    except ValueError:
        return False
    return ":" in text


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise ValueError(f"{_EXPECTED_ADDRESS}; {text!r} is neither a port nor a service")


def _maildirToBe(path: str) -> None:
    for name in ("tmp", "new", "cur"):
        files.directoryToBe(os.path.join(path, name))


def _mboxToBe(path: str) -> None:
    files.writableFile(path)
    files.fileToAppendTo(path)


def _dumpsToBe(template: str) -> None:
    """
    Directories are made as they are needed; what a time is part of can't be known yet.
    """
    files.directoryToBe(os.path.dirname(template.partition("%")[0]))


def _sharedDumpToBe(template: str) -> None:
    if "%" in template:
        _dumpsToBe(template)
    else:
        files.fileToAppendTo(template)


class SinkOptions(PlanOptions):
    """
    The options of Postfix's smtp-sink(1), by their letters, and our own, by long names only.

    @ivar plan: what to do, once the options are parsed.
    @ivar presentation: what to show of it.
    @ivar user: who to become once the sink listens, or C{None}.
    @ivar chroot: the directory that is all it sees then, or C{None}.
    """

    name = "smtpsink"
    plugin = "smtp-sink"
    synopsis = "smtpsink [options] [inet:][host]:port | unix:path | smtp://host ...  [backlog]"
    longdesc = "An SMTP and LMTP server that takes everything and counts it."
    about = (
        "An SMTP and LMTP server that takes everything and counts it. The single letters are those of Postfix's\n"
        "smtp-sink(1). Without a host it listens on all interfaces; port 0 is any free port, which is printed. The\n"
        "backlog, which that tool insists on, is how many connections may wait to be accepted (default: 1024).\n"
        "Counts may end in k or m (1000, 1000000); sizes too (1024, 1048576). A TIME is such as\n"
        "30s, 500ms or 1h30m; without a unit it is in seconds."
    )
    closing = (
        "Exit status: 0 the sink ended as it was asked to, by a limit or a signal; 1 it could not listen, or not\n"
        "write its report; 2 the command line can't be used.\n"
        "Example: smtpsink -c -M 10k 127.0.0.1:2525\n"
        "See also: smtpsink ctl --help, smtpsink completion bash|zsh|fish"
    )

    planClass = SinkPlan

    plan: SinkPlan
    presentation: Presentation
    user: str | None
    chroot: str | None

    def parseArgs(self, *words: str) -> None:
        """
        Where to listen, and how many connections may wait.
        """
        misplaced = [word for word in words[1:] if word.startswith("-")]
        if misplaced:
            raise usage.UsageError(f"{nameOf(misplaced[0])}: options go before the address")
        if not words:
            problem = self.takenForValue(_isAddress, "address") or "no address to listen on"
            raise usage.UsageError(f"{problem}: {_EXPECTED_ADDRESS}")
        if len(words) > 2:
            raise usage.UsageError(f"{words[2]!r} is too much: expected an address and at most a backlog")
        self["address"] = words[0]
        self["backlog"] = words[1] if len(words) == 2 else "1024"

    def postOptions(self) -> None:
        """
        Check everything, and make the plan.
        """
        super().postOptions()
        try:
            host, port, path = parseAddress(self["address"])
        except ValueError as e:
            raise usage.UsageError(f"address{destination.shown(self['address'])} is not usable: {e}")
        try:
            self["backlog"] = numbers.count(self["backlog"])
        except ValueError as e:
            raise usage.UsageError(f"backlog {self['backlog']!r} is not usable: {e}")
        if self["ipv4"] and self["ipv6"]:
            raise usage.UsageError("-4 and -6 exclude each other: expected one of them, or none for both")
        if self["ipv4"] and ":" in host:
            raise usage.UsageError(f"-4 (--ipv4): {host!r} is not usable: expected an IPv4 address or a name")
        if self["ipv6"] and re.fullmatch(r"[0-9.]+", host):
            raise usage.UsageError(f"-6 (--ipv6): {host!r} is not usable: expected an IPv6 address or a name")
        if self["report"] == "-" and self.daemonized:
            raise usage.UsageError(
                "--report: '-' is not usable by a daemon, it has no standard output: expected a file"
            )
        self._takeScheme()
        self.checkOutputs("report", inputs=[] if path is None else [("the socket", path)])
        self._checkTLS()
        self.user, self.chroot = self["user"], self["chroot"]
        if self.chroot is not None:
            self._changeRoot()
        self.plan = self.newPlan(host=host, port=port, path=path, backlog=self["backlog"], command=self.command)
        self._checkRules()
        self.presentation = Presentation(
            self.tool, bool(self["counter"]), bool(self["quiet"]), self["report"], self.daemonized
        )
        self.chooseReactor()

    def _changeRoot(self) -> None:
        """
        What is written later on is within the new root directory.
        """
        if self.user is None:
            raise usage.UsageError("-R (--chroot) needs -u (--user)")
        if os.geteuid() != 0:
            return
        for name in ("dump", "dump-append", "maildir", "mbox", "report"):
            text = self.texts.get(name)
            if self[name] not in (None, "-") and text is not None:
                self[name] = os.path.join("/", text)

    def _checkRules(self) -> None:
        """
        See that rules can be used, and where messages are to be kept.
        """
        if not isSteered(self.plan):
            return
        if self.plan.control is not None:
            self._checkControl(self.plan.control)
        if self.chroot is None:
            self._checkPlaces()
        from smtpsource.sink.rules.ruleset import combined
        from smtpsource.sink.steering import ruleSetsOf

        try:
            written, profiles = ruleSetsOf(self.plan)
            count = sum(len(each.rules) for each in written)
            self._checkSteps(combined([*written, *profiles]).rules[:count])
            if self.plan.world is not None:
                from smtpsource.sink.dns.worldfile import readWorld

                readWorld(self.plan.world)
        except ValueError as e:
            raise usage.UsageError(str(e))

    def _checkSteps(self, rules: Iterable[Rule]) -> None:
        """
        See that no rule is only for what this sink does not offer.

        @param rules: those that the user has written.
        """
        missing = {"auth": "-a (--no-auth)"} if self["no-auth"] else {}
        if self["no-starttls"] or self["tls"]:
            missing["starttls"] = "--no-starttls" if self["no-starttls"] else "--tls"
        for rule in rules:
            if all(step in missing for step in rule.steps):
                step = rule.steps[0]
                raise usage.UsageError(f"{rule.name}: on: {step!r} is not usable with {missing[step]}: it never comes")

    def _checkPlaces(self) -> None:
        """
        See that messages can be kept where they are to be.
        """
        for name, shown, check in (
            ("maildir", "--maildir", _maildirToBe),
            ("mbox", "--mbox", _mboxToBe),
            ("dump", "-d (--dump)", _dumpsToBe),
            ("dump-append", "-D (--dump-append)", _sharedDumpToBe),
        ):
            if self[name] is not None:
                try:
                    check(self[name])
                except ValueError as e:
                    raise usage.UsageError(f"{shown}: {self.texts[name]!r} is not usable: {e}")

    def _checkControl(self, where: str) -> None:
        """
        See that nobody can come from elsewhere without a token.
        """
        from smtpsource.sink.control.where import parseControl, tokenOf

        path = self["control-token-file"]
        try:
            tokenOf(parseControl(where), path)
        except ValueError as e:
            name = "--control" if path is None else f"--control-token-file: {path!r} is not usable"
            raise usage.UsageError(f"{name}: {e}")

    def _takeScheme(self) -> None:
        """
        What the address says of the protocol is as if options said it.
        """
        said = destination.said(self["address"])
        if self["lmtp"] and said.get("lmtp") is False:
            scheme, _, _ = self["address"].partition(":")
            raise usage.UsageError(f"-L (--lmtp) and the address {scheme}: exclude each other: that is SMTP")
        self["lmtp"] = self["lmtp"] or said.get("lmtp", False)
        self["tls"] = self["tls"] or "tls" in said

    def _checkTLS(self) -> None:
        """
        See that there is TLS where it is asked for, and that certificate and key can be used.
        """
        certificate, key, passwordFile = self["tls-cert"], self["tls-key"], self["tls-key-password-file"]
        try:
            if self["tls"]:
                requireTLS()
            if certificate is not None:
                ServerTLS(self["hostname"], certificate, key, passwordFile)
        except UnusableSetting as e:
            option, path = {
                "key": ("--tls-key", key),
                "keyPasswordFile": ("--tls-key-password-file", passwordFile),
            }.get(e.setting, ("--tls-cert", certificate))
            raise usage.UsageError(f"{option}: {path!r} is not usable: {e}")
        except ValueError as e:
            raise usage.UsageError(f"{'--tls' if certificate is None else '--tls-cert'} is not usable: {e}")
