"""
What a sink says, decided once for all its sessions: banner, extensions, verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twisted.logger import Logger

from smtpsource.sink.protocol import SMTPSinkProtocol

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


_COMMON: dict[bytes, Command] = {
    b"MAIL": SMTPSinkProtocol.command_MAIL,
    b"RCPT": SMTPSinkProtocol.command_RCPT,
    b"DATA": SMTPSinkProtocol.command_DATA,
    b"RSET": SMTPSinkProtocol.command_RSET,
    b"NOOP": SMTPSinkProtocol.command_NOOP,
    b"VRFY": SMTPSinkProtocol.command_NOOP,
    b"QUIT": SMTPSinkProtocol.command_QUIT,
}


def _only(*verbs: bytes) -> dict[bytes, Command]:
    return {verb: _COMMON[verb] for verb in verbs}


def _logged(command: Command) -> Command:
    def answer(protocol: SMTPSinkProtocol, line: bytes) -> bytes:
        reply = command(protocol, line)
        log.info("{line} -> {reply}", line=ascii(line.decode("latin-1")), reply=reply[:3].decode())
        return reply

    return answer


@dataclass(frozen=True)
class Dialogue:
    """
    The parts of the dialogue that are decided before the first session, as bytes.

    @ivar commands: what to do for each verb, for each verb with a space (the first five bytes of most command
        lines are one or the other), and under C{b""} for anything else.
    @ivar toComplete: the same while the sink is stopping and a transaction may still be completed.
    @ivar toQuit: the same when nothing more may be completed.
    """

    lmtp: bool
    banner: bytes
    helo: bytes
    ehlo: bytes
    commands: Mapping[bytes, Command]
    toComplete: Mapping[bytes, Command]
    toQuit: Mapping[bytes, Command]


def dialogue(
    hostname: str = "smtp-sink",
    lmtp: bool = False,
    esmtp: bool = True,
    pipelining: bool = True,
    eightBitMIME: bool = True,
    enhancedStatusCodes: bool = True,
    verbose: bool = False,
) -> Dialogue:
    """
    Decide what a sink says.

    @param hostname: the name in the banner and in the replies to HELO, EHLO and LHLO.
    @param lmtp: LHLO only, and a reply for each recipient (RFC 2033).
    @param esmtp: know EHLO; LMTP is not asked.
    @param pipelining: offer PIPELINING (RFC 2920); pipelined commands work in any case.
    @param eightBitMIME: offer 8BITMIME (RFC 6152), and SMTPUTF8 (RFC 6531), which may not be offered without.
    @param enhancedStatusCodes: offer ENHANCEDSTATUSCODES (RFC 2034); replies have them in any case.
    @param verbose: log each command and the code of its reply.
    """
    name = hostname.encode()
    greeting = b" LMTP" if lmtp else b" ESMTP" if esmtp else b""
    # SIZE without a number: no fixed maximum (RFC 1870 section 4).
    extensions = [
        (b"PIPELINING", pipelining),
        (b"8BITMIME", eightBitMIME),
        (b"SMTPUTF8", eightBitMIME),
        (b"SIZE", True),
        (b"ENHANCEDSTATUSCODES", enhancedStatusCodes),
    ]
    lines = [name, *(keyword for keyword, offered in extensions if offered)]
    commands = dict(_COMMON)
    if lmtp:
        commands[b"LHLO"] = SMTPSinkProtocol.command_EHLO
    else:
        commands[b"HELO"] = SMTPSinkProtocol.command_HELO
        if esmtp:
            commands[b"EHLO"] = SMTPSinkProtocol.command_EHLO
    tables = [
        _byVerb(commands, SMTPSinkProtocol.command_unknown),
        _byVerb(_only(b"RCPT", b"DATA", b"QUIT"), SMTPSinkProtocol.command_unavailable),
        _byVerb(_only(b"QUIT"), SMTPSinkProtocol.command_unavailable),
    ]
    if verbose:
        tables = [{verb: _logged(command) for verb, command in table.items()} for table in tables]
    return Dialogue(
        lmtp=lmtp,
        banner=b"220 " + name + greeting + b"\r\n",
        helo=b"250 " + name + b"\r\n",
        ehlo=b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n",
        commands=tables[0],
        toComplete=tables[1],
        toQuit=tables[2],
    )
