"""
A sink that is controlled: one that a test plays, and a client whose answers are compared with the description.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from twisted.internet import defer
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.task import Clock
from twisted.web.client import Agent, FileBodyProducer, readBody
from twisted.web.http_headers import Headers

from smtpsource.sink.control.paths import description
from smtpsource.sink.control.server import ControlServer
from smtpsource.sink.keeping.message import KeptMessage
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.steering import Steering
from smtpsource.sink.summary import SinkCounts

DESCRIPTION = json.loads(description())
_REGISTRY = Registry().with_resource("urn:control", Resource(DESCRIPTION, DRAFT202012))


class Steered(Steering):
    """
    What a sink is steered by, without a sink.
    """

    def __init__(self, keeps=10):
        """
        @param keeps: how many messages.
        """
        clock = Clock()
        super().__init__(SinkPlan(keep=keeps), SinkCounts(), clock.seconds, clock.callLater)

    def receive(self, number, recipient="b@example.com", subject="hello", sender="a@example.com"):
        """
        Keep a message.
        """
        content = f"Subject: {subject}\r\nMessage-Id: <{number}@example.com>\r\n\r\ntext\r\n".encode()
        self.memory.keep(
            KeptMessage(
                number=number,
                session=number,
                started=1.0,
                received=2.0,
                client="127.0.0.1",
                protocol="ESMTP",
                helo=b"client.test",
                mail=f"<{sender}> SIZE=100".encode(),
                rcpts=[f"<{recipient}>".encode()],
                sender=sender,
                recipients=[recipient],
                tls=False,
                user="",
                content=io.BytesIO(content),
                size=len(content),
            )
        )


@dataclass
class Reply:
    """
    What was answered.
    """

    status: int
    headers: Headers
    body: bytes

    def header(self, name):
        """
        @return: a header as a text, or C{None}.
        """
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def json(self):
        """
        What the body says.
        """
        return json.loads(self.body)

    @property
    def detail(self):
        """
        What the problem is.
        """
        return self.json["detail"]


def operationOf(method, path):
    """
    @return: the path in the description that stands for one, and what it says of a method there; C{None} if nothing.
    """
    parts = path.partition("?")[0].split("/")
    for pattern, item in DESCRIPTION["paths"].items():
        wanted = pattern.split("/")
        if len(wanted) == len(parts) and all(
            each == part or each.startswith("{") for each, part in zip(wanted, parts, strict=True)
        ):
            return pattern, item.get("get" if method == "HEAD" else method.lower())
    return None, None


def check(method, path, reply):
    """
    See that an answer is as the description says.

    @raise AssertionError: it is not.
    """
    pattern, operation = operationOf(method, path)
    if operation is None:
        pointer = "/components/responses/Problem"
        if method == "OPTIONS" and reply.status == 204:
            return
    else:
        responses = operation["responses"]
        key = str(reply.status) if str(reply.status) in responses else "default"
        pointer = "/paths/{}/{}/responses/{}".format(
            pattern.replace("/", "~1"), "get" if method == "HEAD" else method.lower(), key
        )
        if "$ref" in responses[key]:
            pointer = responses[key]["$ref"].removeprefix("#")
        elif key == "default":
            raise AssertionError(f"{method} {path}: {reply.status} is not described")
    said = DESCRIPTION
    for part in pointer.split("/")[1:]:
        said = said[part.replace("~1", "/")]
    for name in said.get("headers", ()):
        if reply.header(name) is None:
            raise AssertionError(f"{method} {path}: no {name}")
    if "content" not in said:
        if reply.body:
            raise AssertionError(f"{method} {path}: {reply.body!r} is not described")
        return
    kind = (reply.header("content-type") or "").partition(";")[0]
    if kind not in said["content"]:
        raise AssertionError(f"{method} {path}: {kind!r} is none of {list(said['content'])}")
    if kind.endswith("json") and method != "HEAD":
        pointer += f"/content/{kind.replace('/', '~1')}/schema"
        Draft202012Validator(
            {"$ref": f"urn:control#{pointer}"},
            registry=_REGISTRY,
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        ).validate(reply.json)


class ControlMixin:
    """
    For a test case: a server, and requests to it.
    """

    def serve(self, where="0", token=None, keeps=10):
        """
        Serve until the test is over.

        @ivar steering: the sink.
        @ivar server: the server.
        """
        from twisted.internet import reactor

        self.steering = Steered(keeps)
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(token or "")
        self.server = ControlServer(reactor, self.steering, where, path if token else None)
        self.server.listen()
        self.addCleanup(self.server.close)

    @defer.inlineCallbacks
    def ask(self, method, path, body=None, headers=(), kind="application/json"):
        """
        Ask for something.

        @param body: bytes, or what is to be written as JSON.
        @param kind: the type of the body.
        @return: a L{defer.Deferred} that fires with a L{Reply}, which is as described.
        """
        sent = dict(headers)
        producer = None
        if body is not None:
            sent.setdefault("Content-Type", kind)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            producer = FileBodyProducer(io.BytesIO(data))
        response = yield self.begin(method, path, sent, producer)
        content = yield readBody(response)
        reply = Reply(response.code, response.headers, content)
        check(method, path, reply)
        return reply

    def begin(self, method, path, headers=(), producer=None):
        """
        @return: a L{defer.Deferred} that fires with the response, whose body is not read.
        """
        from twisted.internet import reactor

        address = self.server.address
        agent, url = Agent(reactor), f"http://{address}{path}"
        if address.startswith("unix:"):
            agent = Agent.usingEndpointFactory(reactor, _Unix(reactor, address.removeprefix("unix:")))
            url = f"http://localhost{path}"
        wanted = Headers({name: [value] for name, value in dict(headers).items()})
        return agent.request(method.encode(), url.encode(), wanted, producer)


class _Unix:
    """
    Leads to a UNIX socket, whatever the URL.
    """

    def __init__(self, reactor, path):
        self._reactor, self._path = reactor, path

    def endpointForURI(self, uri):
        return UNIXClientEndpoint(self._reactor, self._path)
