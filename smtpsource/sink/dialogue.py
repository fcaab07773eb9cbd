"""
What a sink says, decided once for all its sessions: banner, extensions, verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.logger import Logger

from smtpsource.sink.auth import command_AUTH, respond
from smtpsource.sink.chunking import command_BDAT
from smtpsource.sink.interfaces import Dialogue
from smtpsource.sink.plan import SinkPlan, isSteered
from smtpsource.sink.protocol import SMTPSinkProtocol
from smtpsource.sink.starttls import command_STARTTLS
from smtpsource.sink.tls import available
from smtpsource.sink.xclient import KEYWORD, command_XCLIENT

log = Logger()

#: Answers a command line (without its CRLF) with the bytes of the reply.
Command = Callable[[SMTPSinkProtocol, bytes], bytes]


def _byVerb(commands: Mapping[bytes, Command], otherwise: Command) -> dict[bytes, Command]:
    """
    A table as L{Dialogue.commands} describes.
    """
    table = {b"": otherwise}
    for verb, command in commands.items():
        table[verb] = table[verb + b" "] = command
    return table


def _common(session: type[SMTPSinkProtocol]) -> dict[bytes, Command]:
    """
    What every sink knows.
    """
    return {
        b"MAIL": session.command_MAIL,
        b"RCPT": session.command_RCPT,
        b"DATA": session.command_DATA,
        b"RSET": session.command_RSET,
        b"NOOP": session.command_NOOP,
        b"VRFY": session.command_NOOP,
        b"QUIT": session.command_QUIT,
    }


#: The verbs of extensions, by the extension's keyword.
_EXTENSIONS: dict[str, tuple[bytes, Command]] = {
    "STARTTLS": (b"STARTTLS", command_STARTTLS),
    "AUTH": (b"AUTH", command_AUTH),
    "CHUNKING": (b"BDAT", command_BDAT),
    "XCLIENT": (b"XCLIENT", command_XCLIENT),
    # What is said of another's client changes nothing here.
    "XFORWARD": (b"XFORWARD", SMTPSinkProtocol.command_NOOP),
}

#: What may be said before the client introduces itself again.
_UNGREETED = (b"HELO", b"EHLO", b"LHLO", b"RSET", b"NOOP", b"VRFY", b"QUIT", b"XCLIENT")


def _only(commands: Mapping[bytes, Command], verbs: Iterable[bytes]) -> dict[bytes, Command]:
    return {verb: commands[verb] for verb in verbs if verb in commands}


def _logged(command: Command, isOtherwise: bool) -> Command:
    def answer(protocol: SMTPSinkProtocol, line: bytes) -> bytes:
        shown = protocol.withoutSecrets(line, isOtherwise)
        reply = command(protocol, line)
        log.info("{line} -> {reply}", line=ascii(shown.decode("latin-1")), reply=reply[:3].decode())
        return reply

    return answer


def dialogue(
    plan: SinkPlan, mechanisms: Iterable[bytes] = (), session: type[SMTPSinkProtocol] = SMTPSinkProtocol
) -> Dialogue:
    """
    Decide what a sink says.

    @param plan: which name and which extensions.
    @param mechanisms: those of AUTH (RFC 4954).
    @param session: whose commands these are.
    """
    name = plan.hostname.encode()
    esmtp = plan.esmtp and not plan.pix
    greeting = b" LMTP" if plan.lmtp else b" ESMTP" if esmtp else b""
    lines: dict[str, bytes] = {}
    if plan.lmtp or esmtp:
        # Who refuses a command of a group had better not ask for groups: so does Postfix's tool.
        isPipelining = plan.pipelining and not plan.fail and not plan.defer
        # SIZE without a number: no fixed maximum (RFC 1870 section 4).
        size = b"SIZE" if plan.maxMessageSize is None else b"SIZE %d" % plan.maxMessageSize
        offered = [
            ("PIPELINING", b"PIPELINING", isPipelining),
            ("8BITMIME", b"8BITMIME", plan.eightBitMIME),
            # It may not be offered without 8BITMIME (RFC 6531 section 3.1).
            ("SMTPUTF8", b"SMTPUTF8", plan.smtpUTF8 and plan.eightBitMIME),
            ("SIZE", size, True),
            ("ENHANCEDSTATUSCODES", b"ENHANCEDSTATUSCODES", plan.enhancedStatusCodes),
            ("STARTTLS", b"STARTTLS", plan.startTLS and not plan.tls and available()),
            ("AUTH", b"AUTH " + b" ".join(mechanisms), plan.auth),
            ("CHUNKING", b"CHUNKING", plan.chunking),
            ("DSN", b"DSN", plan.dsn),
            ("REQUIRETLS", b"REQUIRETLS", plan.requireTLS),
            ("MT-PRIORITY", b"MT-PRIORITY", plan.mtPriority),
            ("DELIVERBY", b"DELIVERBY", plan.deliverBy),
            ("XCLIENT", KEYWORD, plan.xclient),
            ("XFORWARD", b"XFORWARD NAME ADDR PROTO HELO", plan.xforward),
        ]
        lines = {keyword: line for keyword, line, isOffered in offered if isOffered}
    inClear = {keyword: line for keyword, line in lines.items() if keyword != "REQUIRETLS"}
    inTLS = {keyword: line for keyword, line in lines.items() if keyword != "STARTTLS"}
    commands = _common(session)
    if plan.lmtp:
        commands[b"LHLO"] = SMTPSinkProtocol.command_EHLO
    else:
        commands[b"HELO"] = SMTPSinkProtocol.command_HELO
        if esmtp:
            commands[b"EHLO"] = SMTPSinkProtocol.command_EHLO
    for keyword, (verb, command) in _EXTENSIONS.items():
        if keyword in lines:
            commands[verb] = command
    toComplete = _only(commands, [b"RCPT", b"DATA", b"BDAT", b"QUIT"])
    tables: list[dict[bytes, Command]] = [
        _byVerb(commands, SMTPSinkProtocol.command_unknown),
        _byVerb(_only(commands, _UNGREETED), SMTPSinkProtocol.command_ungreeted),
        {b"": respond},
        _byVerb(toComplete, SMTPSinkProtocol.command_unavailable),
        _byVerb(_only(commands, [b"QUIT"]), SMTPSinkProtocol.command_unavailable),
    ]
    # A steered session logs what it says itself: rules may change that.
    isLogged = plan.verbose and not isSteered(plan)
    if isLogged:
        tables = [{verb: _logged(command, not verb) for verb, command in table.items()} for table in tables]
    return Dialogue(
        lmtp=plan.lmtp,
        chunking="CHUNKING" in lines,
        banner=b"220 " + (b"********" if plan.pix else name + greeting) + b"\r\n",
        helo=b"250 " + name + b"\r\n",
        ehlo=_listed([name, *inClear.values()]),
        ehloInTLS=_listed([name, *inTLS.values()]),
        extensions=frozenset(inClear),
        extensionsInTLS=frozenset(inTLS),
        commands=tables[0],
        grouped=None if isLogged else tables[0],
        toGreet=tables[1],
        toRespond=tables[2],
        toComplete=tables[3],
        toQuit=tables[4],
    )


def _listed(lines: list[bytes]) -> bytes:
    """
    A reply of several lines.
    """
    return b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n"
