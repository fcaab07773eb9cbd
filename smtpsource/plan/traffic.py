"""
Traffic: messages that are there already, and what is drawn for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from smtpsource.plan.message import ofMail
from smtpsource.values import kinds, numbers
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, excludes, needs

if TYPE_CHECKING:
    from smtpsource.messages.corpus import Corpus
    from smtpsource.messages.sizes import Distribution
    from smtpsource.messages.weighted import Weighted


#: Which message of those that are there is next.
Pick = Literal["in-turn", "random", "weighted"]


# Most runs have none of this: it is imported by those who have.


def _corpus() -> Any:
    from smtpsource.messages import corpus

    return corpus


def corpusAt(path: str, recursively: bool) -> Corpus:
    """
    What messages there are.

    @raise ValueError: there are none; the text says what was expected.
    """
    found: Corpus = _corpus().index(path, recursively)
    return found


def _addresses() -> Any:
    from smtpsource.messages import addresses

    return addresses


def _sizes() -> Any:
    from smtpsource.messages import sizes

    return sizes


def _distribution(number: Any) -> Kind:
    return Kind(lambda text: _sizes().parse(text, number), lambda value: _sizes().given(number)(value))


def _hasWeights(plan: Any) -> Rules:
    if plan.pick == "weighted":
        try:
            plan.messages.weights()
        except ValueError as e:
            yield Contradiction(plan, "{pick}: 'weighted' is not usable: {why}", exclusive=False, why=e)


def _recursiveCorpus(plan: Any) -> Rules:
    # Where messages is a path, it has been looked into as messagesRecursive says.
    if plan.messagesRecursive and plan.messages is not None and not plan.messages.recursive:
        yield Contradiction(
            plan, "{messagesRecursive} and {messages} exclude each other: expected the path of a directory"
        )


class TrafficSettings(Settings):
    """
    @ivar messages: messages to send instead of generated ones: the path of a directory of .eml files, a Maildir or an
        mbox file, or a pattern for files such as C{"mail/*.eml"}.
    @ivar messagesRecursive: those in the directories below it as well, and in the folders of a Maildir.
    @ivar pick: which of them is next: C{"in-turn"}, C{"random"} or C{"weighted"}.
    @ivar sizeDistribution: of the sizes of generated bodies; a text is taken as on the command line.
    @ivar recipientsDistribution: of the numbers of recipients that messages have; likewise.
    @ivar senders: envelope and header senders: addresses, in turn, or pairs of an address and its weight, at random.
    @ivar recipients: envelope and header recipients, likewise.
    @ivar domains: what is put in place of the domains of recipients: a text as on the command line, or pairs of a name
        and its weight.
    @ivar seed: all that is random about the traffic comes from it, Message-Ids too; C{None}: one is drawn, and
        Message-Ids are random whatever it is.
    """

    heading = "Traffic"
    rules = allOf(
        ofMail(
            *("messages", "messagesRecursive", "sizeDistribution", "recipientsDistribution", "senders", "recipients"),
            "domains",
        ),
        needs("{messages}", "pick", "messagesRecursive", unless=lambda plan: plan.messages is not None),
        _recursiveCorpus,
        _hasWeights,
        excludes("{recipient:f} ''", "expected an address", "domains", when=lambda plan: plan.recipient == b""),
    )

    messages: Corpus | str | None = option(
        "PATH",
        Kind(str, lambda value: _corpus().given(value)),  # what is there depends on the next
        "send the messages of a directory of .eml files, of a Maildir or of an mbox file, or the files that a pattern "
        "matches: 'mail/*.eml'",
        default=None,
    )
    messagesRecursive: bool = switch(
        "with --messages: those in directories below, and in the folders of a Maildir, too", default=False
    )
    pick: Pick = option(
        "HOW",
        kinds.words(*get_args(Pick)),
        "how the next one is picked: in-turn, random, or weighted, by a file of weights beside them",
        default="in-turn",
    )
    sizeDistribution: Distribution | str | None = option(
        "DIST",
        _distribution(numbers.size),
        "draw the size of each body: fixed:4k, uniform:1k-100k, lognormal:median=8k,sigma=1.5 or empirical:FILE, with "
        "lines of a size and its weight",
        default=None,
    )
    recipientsDistribution: Distribution | str | None = option(
        "DIST",
        _distribution(numbers.count),
        "draw the number of recipients of each message in the same way, such as uniform:1-10",
        default=None,
    )
    senders: Weighted[bytes] | tuple[Any, ...] | None = option(
        "FILE",
        Kind(lambda path: _addresses().readSenders(path), lambda value: _addresses().givenSenders(value)),
        "senders, one address a line: in turn, or at random if weights follow them",
        default=None,
    )
    recipients: Weighted[bytes] | tuple[Any, ...] | None = option(
        "FILE",
        Kind(lambda path: _addresses().readRecipients(path), lambda value: _addresses().givenRecipients(value)),
        "recipients, in the same way",
        default=None,
    )
    domains: Weighted[bytes] | tuple[Any, ...] | str | None = option(
        "LIST",
        Kind(lambda text: _addresses().domains(text), lambda value: _addresses().givenDomains(value)),
        "draw the domain of each recipient, by weight: a.test:9,b.test:1",
        default=None,
    )
    seed: int | None = option(
        "N",
        kinds.wholeNumber(0),
        "make the same traffic again: whatever is random comes from this number",
        default=None,
    )
