"""
What the last sessions of a sink have said.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from smtpsource.printable import printable

#: Who says a line; the last one is the sink about itself.
_Who = Literal["client", "server", "note"]

_SIGNS: dict[_Who, str] = {"client": "C:", "server": "S:", "note": "--"}

#: How many characters of a line are kept.
_LONGEST = 2048

#: Octets that all dialogues together may need.
OCTETS = 64 * 1024 * 1024

#: What a line is taken to need besides its text; and what a login.
_LINE = 150

#: How many logins of one kind are kept of a session, the first ones.
_MOST_LOGINS = 20


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of a dialogue.

    @ivar time: seconds after the session began.
    """

    time: float
    who: _Who
    text: str


@dataclass(slots=True)
class Login:
    """
    One AUTH command, whatever was answered.

    @ivar mechanism: in capitals; empty if the command has none.
    @ivar tls: whether it came in TLS.
    @ivar helo: the name that the client has introduced itself by.
    @ivar user: as whom it has logged in; empty if it has not.
    """

    mechanism: str
    tls: bool
    helo: str
    user: str = ""


class Transcript:
    """
    The dialogue of one session. Content is told by its size only. Whoever adds a line has masked what is secret in it.

    @ivar session: the number of the session.
    @ivar address: that of its client.
    @ivar started: when it began, in seconds of the epoch.
    @ivar lines: the last lines.
    @ivar dropped: how many were before those.
    @ivar logins: its AUTH commands, the first ones of each kind: they stay when their lines are dropped.
    @ivar cost: the octets that they are taken to need.
    """

    def __init__(
        self, session: int, client: str, lines: int, seconds: Callable[[], float], grown: Callable[[int], None]
    ) -> None:
        """
        @param lines: how many are kept at the most.
        @param seconds: what time it is.
        @param grown: told by how many octets it has grown.
        """
        self.session, self.address, self.started = session, client, seconds()
        self.lines: deque[Line] = deque(maxlen=lines)
        self.dropped = 0
        self.logins: list[Login] = []
        self._login: Login | None = None
        self.cost = 0
        self._isForgotten = False
        self._seconds, self._grown = seconds, grown

    def client(self, line: bytes) -> None:
        """
        The client has said a line.
        """
        self._add("client", line)

    def server(self, reply: bytes) -> None:
        """
        The sink has said something, a reply of several lines or several replies.
        """
        for line in reply.removesuffix(b"\r\n").split(b"\r\n"):
            self._add("server", line)

    def note(self, text: str) -> None:
        """
        Something else has happened, such as a handshake or what a rule has done.
        """
        self._add("note", text)

    def auth(self, line: bytes, tls: bool, helo: str) -> None:
        """
        A line of the client's was an AUTH command (RFC 4954 section 4).

        @param line: without its secrets.
        """
        mechanism = printable(line[:_LONGEST].decode("latin-1").upper().partition(" ")[2].partition(" ")[0])
        self._login = login = Login(mechanism, tls, printable(helo[:_LONGEST]))
        alike = sum(each.mechanism == mechanism and each.tls is tls for each in self.logins)
        if alike < _MOST_LOGINS and not self._isForgotten:
            self.logins.append(login)
            self._grow(len(login.helo) + _LINE)

    def loggedIn(self, user: str) -> None:
        """
        The latest AUTH command was accepted.
        """
        self.note(f"[logged in: {user}]")
        if self._login is not None:
            self._login.user = printable(user)

    def content(self, octets: int) -> None:
        """
        The client has sent a message.
        """
        self._add("client", f"[{octets} octets of content]")

    def asDict(self) -> dict[str, Any]:
        """
        All of it, for JSON.
        """
        return {
            "session": self.session,
            "client": self.address,
            "started": self.started,
            "dropped": self.dropped,
            "logins": self.loginsAsDicts(),
            "lines": [{"time": round(line.time, 6), "who": line.who, "text": line.text} for line in self.lines],
        }

    def loginsAsDicts(self) -> list[dict[str, Any]]:
        """
        The logins alone, for JSON.
        """
        return [asdict(each) for each in self.logins]

    def asText(self) -> str:
        """
        All of it, for people: a line for each line, with its time in seconds.
        """
        head = f"session {self.session}, client {self.address}\n"
        if self.dropped:
            head += f"[{self.dropped} lines before]\n"
        return head + "".join(f"{line.time:9.3f} {_SIGNS[line.who]} {line.text}\n" for line in self.lines)

    def _add(self, who: _Who, text: bytes | str) -> None:
        if self._isForgotten:
            return
        line = Line(self._seconds() - self.started, who, printable(text[:_LONGEST]))
        cost = len(line.text) + _LINE
        if len(self.lines) == self.lines.maxlen:
            self.dropped += 1
            cost -= len(self.lines[0].text) + _LINE
        self.lines.append(line)
        self._grow(cost)

    def _grow(self, cost: int) -> None:
        self.cost += cost
        self._grown(cost)

    def forget(self) -> None:
        """
        Nobody will ask for it any more, though the session may go on.
        """
        self._isForgotten = True
        self.lines.clear()
        self.logins.clear()
        self.cost = 0


class Transcripts:
    """
    The dialogues of the last sessions. Where they need too much, the oldest go.
    """

    def __init__(
        self, sessions: int, lines: int, seconds: Callable[[], float] = time.time, octets: int = OCTETS
    ) -> None:
        """
        @param sessions: of how many they are kept at the most.
        @param lines: how many lines are kept of each, the last ones.
        @param seconds: what time it is.
        @param octets: what all of them together may need.
        """
        self._most, self._cost = octets, 0
        self._sessions, self._lines, self._seconds = sessions, lines, seconds
        self._transcripts: OrderedDict[int, Transcript] = OrderedDict()

    def begin(self, session: int, client: str) -> Transcript:
        """
        A session begins.

        @param session: its number.
        @param client: the address of the client.
        """
        transcript = self._transcripts[session] = Transcript(session, client, self._lines, self._seconds, self._grown)
        while len(self._transcripts) > self._sessions:
            self._forgetOldest()
        return transcript

    def _grown(self, octets: int) -> None:
        self._cost += octets
        while self._cost > self._most and self._transcripts:
            self._forgetOldest()

    def _forgetOldest(self) -> None:
        _, transcript = self._transcripts.popitem(last=False)
        self._cost -= transcript.cost
        transcript.forget()

    def get(self, session: int) -> Transcript | None:
        """
        @return: the dialogue of a session, if it is still there.
        """
        return self._transcripts.get(session)

    def all(self) -> list[Transcript]:
        """
        @return: all that are still there, the oldest first.
        """
        return list(self._transcripts.values())

    def delete(self) -> None:
        """
        Forget all of them. Sessions that go on are not kept any more.
        """
        while self._transcripts:
            self._forgetOldest()
