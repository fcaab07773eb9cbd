"""
The command line of smtp-source. Every check of a user's wishes is made here, before anything is sent.
"""

from __future__ import annotations

import os
import re
import socket
import sys

from twisted.python import usage

from smtpsource import credentials
from smtpsource.cli import scenario, words
from smtpsource.cli.commandline import CommandLine, Exclusion, Parameter, Written, flags, parameters
from smtpsource.cli.optiontable import GROUPS
from smtpsource.cli.scenario import DESTINATION
from smtpsource.credentials import PASSWORD_VARIABLE, Credentials
from smtpsource.messages import headers
from smtpsource.net import destination
from smtpsource.net.tls.settings import TLSSettings, UnusableSetting, checkPEM
from smtpsource.plan import SourcePlan, machineName
from smtpsource.process.openfiles import raiseFileLimit
from smtpsource.report.presentation import Presentation
from smtpsource.smtp.parameters import Parameters
from smtpsource.values import inputs, numbers

_TLS = (
    *("tls-verify", "tls-ca", "tls-server-name", "tls-min", "tls-max", "tls-ciphers", "tls-cert", "tls-key"),
    "tls-resume",
)
_PARAMETERS = (
    *("8bitmime", "smtputf8", "size", "dsn-notify", "dsn-ret", "dsn-envid", "requiretls", "mt-priority"),
    "deliverby",
)
#: The options of the settings of TLS that may turn out not to be usable.
_SETTINGS = {
    "ca": "tls-ca",
    "certificate": "tls-cert",
    "key": "tls-key",
    "ciphers": "tls-ciphers",
    "minimum": "tls-min",
    "maximum": "tls-max",
    "serverName": "tls-server-name",
}
#: What only mail has, besides these.
_OF_MAIL = (
    *("sender", "recipient", "recipient-count", "number-recipients", "recipient-numbering", "subject", "length"),
    *("message-file", "header", "messages", "size-distribution", "recipients-distribution", "senders", "recipients"),
    *("domains", "pipelining", "chunking"),
)


def _mayBeDestination(text: str) -> bool:
    try:
        destination.parse(text)
    except ValueError:
        return False
    # Any word could be a host; these look like one.
    return ":" in text or destination.isAddress(text) or re.search(r"(^localhost|\.[A-Za-z]{2,})\.?$", text) is not None


class SourceOptions(CommandLine):
    """
    The options of smtp-source(1) of Postfix, by their letters, and our own, by long names only.

    @ivar plan: what to do, once the options are parsed.
    @ivar presentation: how to show what came back.
    """

    tool = "smtp-source"
    synopsis = "smtpsource [options] [inet:]host[:port] | unix:/path | sink: | smtp://host ..."
    longdesc = "Make SMTP or LMTP load and measure what comes back."
    about = (
        "Make SMTP or LMTP load and measure what comes back. The single letters are those of Postfix's\n"
        "smtp-source(1). The destination sink: is a server of our own, started for the run.\n"
        "Counts may end in k or m (1000, 1000000); sizes too (1024, 1048576); times are in seconds, such as 0.25."
    )
    closing = (
        "Exit status: 0 everything was accepted; 1 something was refused or failed, or the run was stopped;\n"
        "2 the command line can't be used; 3 a threshold failed.\n"
        "Example: smtpsource -d -s 20 -m 10000 sink:\n"
        "Beside it: smtpsource compare A.json B.json; smtpsource merge A.json B.json ...; smtpsource calibrate;\n"
        "each has a --help of its own."
    )

    groups = GROUPS
    rivals = (("ipv4", "ipv6"),)
    optFlags = flags(groups)
    optParameters = parameters(groups)

    plan: SourcePlan
    presentation: Presentation

    def __init__(self) -> None:
        super().__init__()
        self["verbose"] = 0
        self["family"] = socket.AF_UNSPEC
        self["destination"] = None

    def opt_verbose(self) -> None:
        """
        Show every command and reply on standard error.
        """
        self["verbose"] += 1

    opt_v = opt_verbose

    def opt_ipv4(self) -> None:
        """
        Use a name's IPv4 addresses only. The last of -4 and -6 wins, as with smtp-source(1).
        """
        self["family"] = socket.AF_INET

    opt_4 = opt_ipv4

    def opt_ipv6(self) -> None:
        """
        Use a name's IPv6 addresses only.
        """
        self["family"] = socket.AF_INET6

    opt_6 = opt_ipv6

    def parseArgs(self, *destinations: str) -> None:
        """
        Exactly one destination, after all options; a scenario may have it.
        """
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

    def postOptions(self) -> None:
        """
        Check everything, and make the plan.
        """
        if [name for name, _, _ in self.options].count("--scenario") > 1:
            raise usage.UsageError("--scenario is given more than once: expected one file")
        if self["scenario"] is None:
            self._check()
        else:
            scenario.merge(self, self._check)

    def _check(self) -> None:
        self.oneOf("length", "message-file", "messages", "size-distribution")
        self.oneOf("recipient-count", "recipients-distribution")
        self.oneOf("sender", "senders")
        self.oneOf("recipient", "recipients")
        self.oneOf("subject", "messages")
        self.oneOf("fixed-interval", "random-interval")
        self.oneOf("rate", "stages")
        self.oneOf("duration", "stages")
        self._takeScheme()
        super().postOptions()
        self._checkLoad()
        goal = self._goal()
        if self["myhostname"] is None:
            try:
                self["myhostname"] = machineName()
            except ValueError as e:
                raise usage.UsageError(f"this machine's name {socket.gethostname()!r} is not usable: {e}; use -M NAME")
        self._checkFiles()
        sessions = self["session-count"]
        if not (self["duration"] or self["stages"] or self["find-rate"]):
            sessions = min(sessions, self["message-count"] or 1)
        room = raiseFileLimit()
        if sessions > room:
            raise usage.UsageError(
                f"-s (--session-count): {self['session-count']} sessions need more open files than this process may "
                f"have: expected at most {room}, or a higher limit (ulimit -Hn)"
            )
        self._checkTraffic()
        self._checkTogether(goal)
        try:
            self.plan = self._plan(goal)
        except ValueError as e:
            raise usage.UsageError(f"{self._ofLogins(str(e))}: {e}")  # all else was checked above
        try:
            self.plan.clientTLS()
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
            live=self._live(),
            metrics=self._metrics(),
        )
        self.chooseReactor()

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
        long = _SETTINGS.get(setting or "", "tls")
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
            self._needing("--metrics-port", "metrics-interface")
            return None
        return self["metrics-interface"] or "127.0.0.1", self["metrics-port"]

    def _checkFiles(self) -> None:
        """
        Files that are written, each to a place of its own.
        """
        longs = ("report", "csv", "hlog", "junit")
        for long in longs:
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
        self.checkOutputs(*longs, inputs=weights)

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

    def _checkLoad(self) -> None:
        """
        What says how much, and when.
        """
        stages = self["stages"]
        if stages is not None:
            ofSessions = self["stages-of"] == "sessions"
            asStages = Parameter("stages", None, "", None, "", lambda text: numbers.stages(text, ofSessions))
            self["stages"] = stages = self.converted(asStages, stages)
            length = sum(seconds for seconds, _ in stages)
            if self["warmup"] and self["warmup"] >= length:
                raise usage.UsageError(
                    f"--warmup: {self['warmup']:g} seconds are not usable: expected less than the {length:g} seconds "
                    "of --stages"
                )
        searched = self["find-rate"] is not None
        if searched:
            self._excluded(
                "--find-rate", "it has steps of its own", "stages", "duration", "message-count", "warmup", "ramp-up"
            )
            self._excluded("--find-rate", "what is overdue at the end of a step is dropped", "catch-up")
        else:
            self._needing("--find-rate", "hold-step")
        if self["rate"] is not None and not (self["duration"] or self["message-count"] or searched):
            raise usage.UsageError("--rate needs an end: expected --duration TIME or -m N along with it")
        openLoop = self["rate"] is not None or searched or (stages is not None and self["stages-of"] == "rate")
        if openLoop:
            schedule = "--find-rate" if searched else "--stages" if self["rate"] is None else "--rate"
            self._excluded(schedule, "the schedule says when", "fixed-interval", "random-interval", "ramp-up")
        else:
            self._needing("--rate, --stages or --find-rate", "max-late", "arrivals")
            self._needing("--rate or --stages", "catch-up")
            for threshold in self["threshold"]:
                if threshold.needsSchedule:
                    raise usage.UsageError(
                        f"--threshold: {threshold.text!r} is not usable: expected --rate or --stages along with it"
                    )
        length = self["duration"] and self["duration"] + (self["warmup"] or 0)
        if length and self["ramp-up"] and self["ramp-up"] >= length:
            shown = "--warmup and --duration" if self["warmup"] else "--duration"
            raise usage.UsageError(
                f"--ramp-up: {self['ramp-up']:g} seconds are not usable: expected less than the {length:g} seconds of "
                f"{shown}, or not all sessions join"
            )
        if stages is None:
            self._needing("--stages", "stages-of")
        elif not openLoop:
            self._excluded("--stages", "it says when sessions join", "ramp-up")

    def _checkTraffic(self) -> None:
        """
        What says what is sent.
        """
        if self["messages"] is None:
            self._needing("--messages", "pick")
        elif self["pick"] == "weighted":
            try:
                self["messages"].weights()
            except ValueError as e:
                raise usage.UsageError(f"--pick: 'weighted' is not usable: {e}")
        if self["message-file"] is not None:
            self._excluded("-F (--message-file)", "it has headers of its own", "header")
        if self["old-mode"]:
            self._excluded("-o (--old-mode)", "it generates no headers", "header")
        if self["subject"] is not None and "subject" in map(headers.name, self["header"]):
            raise Exclusion(
                "-S (--subject) and --header 'Subject:' exclude each other: give one of them", "subject", "header"
            )
        several = self["recipient-count"] is not None or self["recipients-distribution"] is not None
        if not self["number-recipients"] and (self["recipients"] is not None or not several):
            self._needing("-N (--number-recipients), or -r without --recipients", "number-start", "number-width")
        if self["recipient"] == b"":
            self._excluded("-t (--recipient) ''", "expected an address", "domains")

    def _checkTogether(self, goal: destination.Destination) -> None:
        """
        What depends on several options.
        """
        if self["old-mode"]:
            for option in ("pipelining", "chunking"):
                if self[option] in ("auto", "require"):
                    raise Exclusion(
                        f"-o (--old-mode) and --{option} {self[option]!r} exclude each other: it says no EHLO",
                        *("old-mode", option),
                    )
            self._excluded("-o (--old-mode)", "it says no EHLO", "esmtp", "auth", "xclient", *_PARAMETERS)
            self._excluded("-o (--old-mode)", "it says no HELO", "helo")
            if self["tls"] == "starttls":
                raise Exclusion(
                    "-o (--old-mode) and --tls 'starttls' exclude each other: it says no EHLO", "old-mode", "tls"
                )
        if self["lmtp"]:
            lmtp = "-L (--lmtp)" if not destination.said(self["destination"]) else "the destination lmtp:"
            self._excluded(lmtp, "LHLO asks for extensions, too", "esmtp")
        self._checkExercise()
        if self["chunking"] == "off":
            self._needing("--chunking", "chunk-size")
        if self["window"] > 1:
            self._checkWindow()
        self._checkTLS(goal)
        if self["proxy-protocol"] is None:
            self._needing("--proxy-protocol", "proxy-source")
        if isinstance(goal, destination.UNIXDestination):
            self._excluded("a UNIX socket", "it has no addresses", "bind", "mx")
        if isinstance(goal, destination.HostDestination) and destination.isAddress(goal.host):
            self._excluded("an address", "it needs a domain", "mx")
        if isinstance(goal, destination.SinkDestination):
            self._excluded("sink:", "it needs a domain", "mx")
        if not self["mx"]:
            self._needing("--mx", "dns-server")
        if not self["threshold"]:
            self._needing("--threshold", "abort-on-threshold")
        if self["auth"] is None:
            self._needing("--auth", "auth-user", "auth-password-file", "auth-users")
        if "SCRAM-SHA-256" not in (self["auth"] or ()):
            self._needing("--auth SCRAM-SHA-256", "auth-scram-iterations")

    def _checkExercise(self) -> None:
        """
        Where no mail is sent, what only mail has is of no use; and the server would be asked for its extensions.
        """
        if self["connect-only"] and self["noop"]:
            raise Exclusion(
                "--connect-only and --noop exclude each other: expected one of them", "connect-only", "noop"
            )
        if self["connect-only"]:
            self._excluded(
                "--connect-only", "each connection counts once", "dont-disconnect", "messages-per-connection"
            )
        exercise = "--connect-only" if self["connect-only"] else "--noop" if self["noop"] else None
        if exercise is not None:
            self._excluded(exercise, "it sends no mail", *_OF_MAIL, *_PARAMETERS)
            if self["window"] > 1:
                raise Exclusion(f"--window and {exercise} exclude each other: it sends no mail", "window", exercise[2:])

    def _checkWindow(self) -> None:
        """
        What must be so for a message to be sent before the reply to the one before it.
        """
        for needed in ("pipelining", "chunking"):
            if self[needed] == "off":
                self._needing(f"--{needed}", "window")
        perConnection = self["messages-per-connection"]
        if (perConnection or (2 if self["dont-disconnect"] else 1)) < 2:
            raise Exclusion(
                "--window needs -d (--dont-disconnect), or --messages-per-connection of more than 1",
                *("window", "dont-disconnect" if perConnection is None else "messages-per-connection"),
            )
        self._excluded("--window", "with pauses nothing is sent ahead", "fixed-interval", "random-interval")

    def _checkTLS(self, goal: destination.Destination) -> None:
        """
        What TLS is to be like. Whether files and ciphers can be used is found out with the plan.
        """
        if self["tls"] == "off":
            self._needing("--tls starttls or implicit", *_TLS)
        if not self["tls-verify"]:
            self._needing("--tls-verify", "tls-ca")
        elif self["tls-server-name"] is None and not isinstance(goal, destination.HostDestination):
            shown = "a UNIX socket" if isinstance(goal, destination.UNIXDestination) else "sink:"
            raise usage.UsageError(
                f"--tls-verify needs a name to check, and {shown} has none: expected --tls-server-name NAME along with "
                "it"
            )
        least, most = self["tls-min"], self["tls-max"]
        if least is not None and most is not None and least > most:
            raise Exclusion(
                f"--tls-min and --tls-max exclude each other: expected a minimum of at most {most}, not {least}",
                *("tls-min", "tls-max"),
            )
        certificate = self["tls-cert"]
        if certificate is None:
            self._needing("--tls-cert", "tls-key")
        elif self["tls-key"] is None:
            try:
                contents = inputs.read(certificate, inputs.CERTIFICATES, again=True)
                checkPEM("certificate", contents)
                if b"PRIVATE KEY-----" not in contents:
                    raise ValueError("there is no key in it: expected --tls-key FILE along with it")
            except ValueError as e:
                raise usage.UsageError(f"--tls-cert: {certificate!r} is not usable: {e}")

    def _needing(self, needed: str, *longs: str) -> None:
        """
        None of these options may be given, because another one isn't.

        @param needed: for people: the option that is missing, and maybe others.
        """
        for long in longs:
            if self[long] != self.defaults[long]:
                raise Exclusion(f"--{long} needs {needed}", long, *re.findall(r"--([a-z0-9-]+)", needed)[:1])

    def _excluded(self, cause: str, why: str, *longs: str) -> None:
        """
        None of these options may be given.
        """
        for long in longs:
            if self[long] != self.defaults[long]:
                # A cause that is no option is a kind of destination.
                causes = re.findall(r"--([a-z0-9-]+)", cause) or ["destination"]
                raise Exclusion(f"--{long} and {cause} exclude each other: {why}", long, *causes)

    def _logins(self) -> tuple[Credentials, ...]:
        """
        Who is to log in.
        """
        if self["auth"] is None:
            return ()
        if self["auth-users"] is not None:
            self._excluded("--auth-users", "it has the users and their passwords", "auth-user", "auth-password-file")
            return tuple(self["auth-users"])
        if self["auth-user"] is None:
            raise usage.UsageError("--auth needs a user: expected --auth-user USER, or --auth-users FILE")
        password = self["auth-password-file"] or os.environ.get(PASSWORD_VARIABLE)
        if not password:
            raise usage.UsageError(
                f"--auth-user needs a password: expected --auth-password-file FILE, or {PASSWORD_VARIABLE} in the "
                "environment"
            )
        return (Credentials(self["auth-user"], password),)

    def _plan(self, goal: destination.Destination) -> SourcePlan:
        parameters = Parameters(
            eightBitMIME=bool(self["8bitmime"]),
            smtpUTF8=bool(self["smtputf8"]),
            size=bool(self["size"]),
            notify=self["dsn-notify"],
            ret=self["dsn-ret"],
            envid=self["dsn-envid"],
            requireTLS=bool(self["requiretls"]),
            mtPriority=self["mt-priority"],
            deliverBy=self["deliverby"],
        )
        tlsSettings = TLSSettings(
            verify=bool(self["tls-verify"]),
            ca=self["tls-ca"],
            serverName=self["tls-server-name"],
            minimum=self["tls-min"],
            maximum=self["tls-max"],
            ciphers=self["tls-ciphers"],
            certificate=self["tls-cert"],
            key=self["tls-key"],
            resume=bool(self["tls-resume"]),
        )
        return SourcePlan(
            destination=goal,
            family=self["family"],
            myhostname=self["myhostname"],
            sender=self["sender"],
            recipient=self["recipient"],
            recipientCount=self["recipient-count"],
            numberRecipients=bool(self["number-recipients"]),
            recipientNumbering=self["recipient-numbering"],
            messageCount=self["message-count"],
            sessionCount=self["session-count"],
            keepConnections=bool(self["dont-disconnect"]),
            lmtp=bool(self["lmtp"]),
            oldMode=bool(self["old-mode"]),
            tolerant=bool(self["dont-abort"]),
            subject=self["subject"],
            length=self["length"],
            message=self["message-file"],
            headers=self["header"],
            numberStart=self["number-start"],
            numberWidth=self["number-width"],
            messages=self["messages"],
            pick=self["pick"],
            sizeDistribution=self["size-distribution"],
            recipientsDistribution=self["recipients-distribution"],
            senders=self["senders"],
            recipients=self["recipients"],
            domains=self["domains"],
            seed=self["seed"],
            fixedInterval=self["fixed-interval"],
            randomInterval=self["random-interval"],
            duration=self["duration"],
            warmUp=self["warmup"] or 0.0,
            rampUp=self["ramp-up"] or 0.0,
            rate=self["rate"],
            arrivals=self["arrivals"],
            stages=self["stages"] or (),
            stagesOf=self["stages-of"],
            maxLate=self["max-late"],
            catchUp=self["catch-up"],
            findRate=self["find-rate"],
            holdStep=self["hold-step"] or 10.0,
            connectAttempts=self["connect-count"],
            connectParallelism=self["connect-parallelism"],
            connectTimeout=self["connect-timeout"],
            timeout=self["timeout"],
            grace=self["grace"],
            windowSize=self["window-size"],
            esmtp=bool(self["esmtp"]),
            pipelining=self["pipelining"],
            chunking=self["chunking"],
            chunkSize=self["chunk-size"],
            window=self["window"],
            parameters=parameters,
            tls=self["tls"],
            tlsSettings=tlsSettings,
            mechanisms=self["auth"] or (),
            logins=self._logins(),
            scramIterations=self["auth-scram-iterations"] or credentials.SCRAM_ITERATIONS,
            xclient=self["xclient"] or (),
            proxyProtocol=self["proxy-protocol"],
            proxySources=self["proxy-source"] or (),
            bind=self["bind"] or (),
            mx=bool(self["mx"]),
            dnsServer=self["dns-server"],
            helo=self["helo"],
            messagesPerConnection=self["messages-per-connection"],
            exercise="connect" if self["connect-only"] else "noop" if self["noop"] else "mail",
            hold=self["hold"] or 0.0,
            thresholds=self["threshold"],
            abortOnThreshold=bool(self["abort-on-threshold"]),
            trace=self["verbose"],
            command=self.command,
        )
