"""
The command line of smtp-source: all that a user may wish is checked before anything is sent.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.python import usage

from smtpsource.cli import words
from smtpsource.cli.commandline import Exclusion, Written
from smtpsource.cli.planoptions import DESTINATION, PlanOptions
from smtpsource.credentials import PASSWORD_VARIABLE, Credentials
from smtpsource.net import destination
from smtpsource.net.tls.settings import UnusableSetting, checkPEM
from smtpsource.plan import SourcePlan, machineName
from smtpsource.plan.results import figuresOfWatched
from smtpsource.plan.traffic import corpusAt
from smtpsource.process.openfiles import PIPES, raiseFileLimit
from smtpsource.report.presentation import Presentation
from smtpsource.values import inputs, numbers
from smtpsource.values.option import ValueOption

if TYPE_CHECKING:
    from smtpsource.values.serving import Where

#: The files that are written.
_FILES = ("report", "csv", "hlog", "html", "junit", "log-messages")

#: How much a word must be like a command to be taken for one that is misspelt, as C{difflib} has it.
_LIKE = 0.75


def _mayBeDestination(text: str) -> bool:
    try:
        destination.parse(text)
    except ValueError:
        return False
    # Any word could be a host; these look like one.
    return ":" in text or destination.isAddress(text) or re.search(r"(^localhost|\.[A-Za-z]{2,})\.?$", text) is not None


class SourceOptions(PlanOptions):
    """
    The options of smtp-source(1) of Postfix, by their letters, and our own, by long names only.

    @ivar plan: what to do, once the options are parsed.
    @ivar presentation: how to show what came back.
    """

    name = "smtpsource"
    plugin = "smtp-source"
    synopsis = "smtpsource [options] [inet:]host[:port] | unix:/path | sink: | smtp://host ..."
    longdesc = "Make SMTP or LMTP load and measure what comes back."
    about = (
        "Make SMTP or LMTP load and measure what comes back. The single letters are those of Postfix's\n"
        "smtp-source(1). The destination sink: is a server of our own, started for the run.\n"
        "Counts may end in k or m (1000, 1000000); sizes too (1024, 1048576). A TIME is such as\n"
        "30s, 500ms or 1h30m; without a unit it is in seconds."
    )
    closing = (
        "Exit status: 0 everything was accepted; 1 something was refused or failed, or the run was stopped;\n"
        "2 the command line can't be used; 3 a threshold failed.\n"
        "Example: smtpsource -d -s 20 -m 10000 sink:\n"
        "See also: smtpsource compare A.json B.json; smtpsource merge A.json B.json ...;\n"
        "smtpsource html A.json; smtpsource watch URL|DIR; smtpsource calibrate;\n"
        "smtpsource completion bash|zsh|fish; smtpsource sink :2525, which is smtpsink; each has a\n"
        "--help of its own. A host of such a name: compare:25."
    )

    planClass = SourcePlan
    wordsAfter = ("sink:",)

    plan: SourcePlan
    presentation: Presentation

    def __init__(self) -> None:
        super().__init__()
        self[DESTINATION] = None

    def parseArgs(self, *destinations: str) -> None:
        """
        Exactly one destination, after all options; a scenario may have it.
        """
        if destinations and not self.options:
            self._checkCommand(*destinations)
        taken = None if destinations else self.takenForValue(_mayBeDestination, "destination")
        if not destinations and self["scenario"] is not None:
            return
        if len(destinations) != 1:
            misplaced = [text for text in destinations[1:] if text.startswith("-")]
            if not destinations:
                problem = taken or "no destination"
            elif misplaced:
                problem = f"{words.nameOf(misplaced[0])}: options go before the destination"
            else:
                # A word too many may be a password.
                problem = f"{len(destinations)} words after the options: only one destination can be used"
            raise usage.UsageError(f"{problem}: expected [inet:]host[:port], unix:path or sink: at the end")
        self["destination"] = destinations[0]

    def _checkCommand(self, word: str, *others: str) -> None:
        """
        See that the first word of all is no command that is misspelt. If it could be a destination as well, it is one
        if there is such a host.
        """
        if not self.commands or word in self.commands or not re.fullmatch(r"[A-Za-z]+", word):
            return
        from difflib import get_close_matches  # for very few

        close = get_close_matches(word.lower(), self.commands, 1, _LIKE)
        if not close or (not others and destination.isKnown(word)):
            return
        raise usage.UsageError(f"did you mean the command {close[0]}? (a host of that name: {word}:25)")

    def postOptions(self) -> None:
        """
        Check everything, and make the plan.
        """
        if [name for name, _, _ in self.options].count("--scenario") > 1:
            raise usage.UsageError("--scenario is given more than once: expected one file")
        if self["scenario"] == self["message-file"] == inputs.STANDARD:
            raise usage.UsageError(
                "--scenario and -F (--message-file) exclude each other: standard input is read once only"
            )
        if self["scenario"] is None:
            self._check()
        else:
            from smtpsource.cli.scenario import merge  # for those who have one

            merge(self, self._check)

    def _check(self) -> None:
        self.checkOneOfs()
        self._takeScheme()
        super().postOptions()
        self._takeStages()
        self._takeMessages()
        goal = self._goal()
        if self["myhostname"] is None:
            try:
                self["myhostname"] = machineName()
            except ValueError as e:
                raise usage.UsageError(f"this machine's name {socket.gethostname()!r} is not usable: {e}; use -M NAME")
        self._checkFiles()
        room = raiseFileLimit()
        try:
            self.plan = self.newPlan(destination=goal, logins=self._logins(), command=self.command)
        except ValueError as e:
            raise usage.UsageError(f"{self._ofLogins(str(e))}: {e}")  # whatever has an option names it
        self._checkSessions(room)
        self._checkCertificate()
        try:
            self.tryTLS()
        except ValueError as e:
            raise self._blamed(e)
        self.presentation = Presentation(
            self.tool,
            bool(self["counter"]),
            bool(self["quiet"]),
            self["report"],
            self.daemonized,
            csv=self["csv"],
            hlog=self["hlog"],
            junit=self["junit"],
            checkpoint=self["checkpoint"],
            html=self["html"],
            messageLog=self["log-messages"],
            color=self["color"],
            isWhole=bool(self["verbose"]),
            live=self._live(),
            metrics=self._metrics(),
            dashboard=self._dashboard(),
            lingers=bool(self["linger"]),
            errands=(*self["at"], *self["every"]),
            watched=self._watched(),
        )
        self.chooseReactor()

    def _checkSessions(self, room: int) -> None:
        """
        See that there can be so many at once: each worker has its share of them, and the same limit. But a sink of the
        run's own has them all; and this process has pipes to each worker.

        @param room: how many one process may have.
        """
        count, most = self.plan.workerCount, room // PIPES
        if count > max(1, most):
            raise usage.UsageError(
                f"--workers: {count} workers need more open files than this process may have: expected at most {most}, "
                "or a higher limit (ulimit -Hn)"
            )
        sessions = self["session-count"]
        workers = 1 if isinstance(self.plan.destination, destination.SinkDestination) else count
        if not (self["duration"] or self["stages"] or self["find-rate"]):
            sessions = min(sessions, self["message-count"] or 1)
        if -(-sessions // workers) > room:
            process = "this process" if workers == 1 else f"each of {workers} workers"
            raise usage.UsageError(
                f"-s (--session-count): {self['session-count']} sessions need more open files than {process} may "
                f"have: expected at most {room * workers}, or a higher limit (ulimit -Hn)"
            )

    def _goal(self) -> destination.Destination:
        """
        Where to go.
        """
        try:
            return destination.parse(self["destination"], self["family"])
        except ValueError as e:
            raise usage.UsageError(f"destination{destination.shown(self['destination'])} is not usable: {e}")

    def _takeScheme(self) -> None:
        """
        What the destination says of the protocol is as if options said it; for the beginning, when what options were
        given, and not only what their values are, can still be told.
        """
        try:
            said = destination.said(self["destination"])
        except ValueError:
            return  # it will be told when it is its turn
        scheme, _, _ = self["destination"].partition(":")
        if self["lmtp"] and said.get("lmtp") is False:
            raise Exclusion(
                f"-L (--lmtp) and the destination {scheme}: exclude each other: that is SMTP", "lmtp", DESTINATION
            )
        isGiven = "tls" in self.given() or isinstance(self["tls"], Written)
        if "tls" in said and isGiven and self["tls"] != said["tls"]:
            raise Exclusion(
                f"--tls {self['tls']!r} and the destination {scheme}: exclude each other: that is --tls {said['tls']}",
                *("tls", DESTINATION),
            )
        self.said = said
        self.update(said)

    def _ofLogins(self, problem: str) -> str:
        """
        What to name for a login that can't be used: the file that it comes from, if it does.
        """
        for long, wrong in (("auth-users", ""), ("auth-password-file", "expected a password")):
            if self[long] is not None and wrong in problem:
                return f"--{long}: {self.texts[long]!r} is not usable"
        return "--auth"

    def _blamed(self, problem: ValueError) -> usage.UsageError:
        """
        What to say of TLS that can't be had.
        """
        setting = problem.setting if isinstance(problem, UnusableSetting) else None
        if setting == "serverName" and self["tls-server-name"] is None:
            return usage.UsageError(f"destination {self['destination']!r} is not usable: {problem}")
        long = "tls" if setting is None else self.settingsOf[f"tlsSettings.{setting}"].options[0].long
        return usage.UsageError(f"--{long}: {self[long]!r} is not usable: {problem}")

    def _live(self) -> str:
        """
        How to show how the run goes on.
        """
        others = [shown for option, shown in (("counter", "-c (--counter)"), ("verbose", "-v")) if self[option]]
        if self["live"] == "on" and others:
            raise usage.UsageError(f"--live 'on' and {others[0]} exclude each other: expected one of them")
        # Under twistd and twist a terminal has the log.
        unwanted = others or self["quiet"] or getattr(self, "parent", None) is not None
        return "off" if self["live"] == "auto" and unwanted else str(self["live"])

    def _metrics(self) -> tuple[str, int] | None:
        """
        Where to serve metrics.
        """
        if self["metrics-port"] is None:
            if self["metrics-interface"] is not None:
                raise Exclusion("--metrics-interface needs --metrics-port", "metrics-interface", "metrics-port")
            return None
        return self["metrics-interface"] or "127.0.0.1", self["metrics-port"]

    def _watched(self) -> tuple[Any, ...]:
        """
        What to watch: no two figures can have one name, and thresholds can ask for nothing else.
        """
        names = [thing.name for thing in self["watch"]]
        for name in names:
            if names.count(name) > 1:
                raise usage.UsageError(f"--watch: two are called {name!r}: expected a name for one, such as b=pid:1234")
        asked = [one for one in self.plan.thresholds if not isinstance(one, str)]
        wished = [(one.text, wanted) for one in asked for wanted in one.watched]
        if wished:
            self._checkFigures(wished)
        return tuple(self["watch"])

    def _checkFigures(self, wished: Sequence[tuple[str, str]]) -> None:
        """
        See that there may be such figures, which is not known otherwise before they are needed.

        @param wished: thresholds, and what they ask for.
        """
        known = figuresOfWatched(self["watch"])
        for text, wanted in wished:
            if wanted not in known:
                expected = f"one of {', '.join(known)}" if known else "--watch along with it"
                raise usage.UsageError(
                    f"--threshold: {text!r} is not usable: {wanted!r} is not watched: expected {expected}"
                )

    def _dashboard(self) -> Where | None:
        """
        Where to show a dashboard.
        """
        where: Where | None = self["dashboard"]
        if self["linger"] and where is None:
            raise Exclusion("--linger needs --dashboard", "linger", "dashboard")
        return where

    def _checkFiles(self) -> None:
        """
        Files that are written, each to a place of its own.
        """
        for long in _FILES:
            path = self[long]
            if path == "-" and self.daemonized:
                raise usage.UsageError(
                    f"--{long}: '-' is not usable by a daemon, it has no standard output: expected a file"
                )
            if path == "-" and (option := self._logElsewhere()) is not None:
                raise usage.UsageError(
                    f"--{long}: '-' is not usable, the log is on standard output: expected a file, or {option} before "
                    f"{self.tool}"
                )
        messages = self["messages"]
        weights = [("--pick weighted", messages.weightsPath)] if self["pick"] == "weighted" and messages else []
        isThere = any(self[long] is not None and os.path.exists(self[long]) for long in _FILES)
        scattered = [("--messages", file) for file in messages.scattered] if messages and isThere else []
        checkpoint = self["checkpoint"]
        checkpoints = [] if checkpoint is None else [("--checkpoint", checkpoint)]
        self.checkOutputs(*_FILES, inputs=[*weights, *scattered, *checkpoints])

    def _logElsewhere(self) -> str | None:
        """
        What would put the log elsewhere, if twistd or twist has it on standard output.
        """
        parent = getattr(self, "parent", None)
        if parent is None:
            return None
        if "nodaemon" in parent:
            elsewhere = parent.get("syslog") or parent.get("logger") or parent.get("logfile") not in (None, "", "-")
            return None if elsewhere else "--logfile=FILE"
        return "--log-file=FILE" if parent.get("logFile") in (sys.stdout, sys.__stdout__) else None

    def _takeStages(self) -> None:
        """
        What stages are depends on what they are of.
        """
        if self["stages"] is not None:
            ofSessions = self["stages-of"] == "sessions"
            asStages = ValueOption("stages", None, "", None, "", lambda text: numbers.stages(text, ofSessions))
            self["stages"] = self.converted(asStages, self["stages"])

    def _takeMessages(self) -> None:
        """
        Which messages there are depends on where to look for them.
        """
        if self["messages"] is not None:
            isDeep = bool(self["messages-recursive"])
            asCorpus = ValueOption("messages", None, "", None, "", lambda path: corpusAt(path, isDeep))
            self["messages"] = self.converted(asCorpus, self.texts["messages"])

    def tryTLS(self) -> None:
        """
        See that there can be TLS.

        @raise ValueError: there can't.
        """
        if self.plan.tls != "off":
            from smtpsource.net.tls.client import ClientTLS  # pyOpenSSL takes a while, and may not be there

            ClientTLS(self.plan.tlsSettings, self.plan.host)

    def _checkCertificate(self) -> None:
        """
        A certificate alone must have its key with it.
        """
        certificate = self["tls-cert"]
        if certificate is None or self["tls-key"] is not None:
            return
        try:
            contents = inputs.read(certificate, inputs.CERTIFICATES, again=True)
            checkPEM("certificate", contents)
            if b"PRIVATE KEY-----" not in contents:
                raise ValueError("there is no key in it: expected --tls-key FILE along with it")
        except ValueError as e:
            raise usage.UsageError(f"--tls-cert: {certificate!r} is not usable: {e}")

    def called(self, path: str, plan: Any, how: str) -> str:
        """
        Logins are a user's, or several.
        """
        if path == "logins":
            return "a user: expected --auth-user USER, or --auth-users FILE"
        return super().called(path, plan, how)

    def _logins(self) -> tuple[Credentials, ...]:
        """
        Who is to log in.
        """
        given = [long for long in ("auth-user", "auth-password-file", "auth-users") if self[long] is not None]
        if self["auth"] is None:
            for long in given:
                raise Exclusion(f"--{long} needs --auth", long, "auth")
            return ()
        if self["old-mode"]:
            return ()  # a rule of the plan's says that there can't be both
        if self["auth-users"] is not None:
            for long in given[:-1]:
                raise Exclusion(
                    f"--{long} and --auth-users exclude each other: it has the users and their passwords",
                    *(long, "auth-users"),
                )
            return tuple(self["auth-users"])
        if self["auth-user"] is None:
            return ()  # a rule of the plan's says so
        password = self["auth-password-file"] or os.environ.get(PASSWORD_VARIABLE)
        if not password:
            raise usage.UsageError(
                f"--auth-user needs a password: expected --auth-password-file FILE, or {PASSWORD_VARIABLE} in the "
                "environment"
            )
        return (Credentials(self["auth-user"], password),)
