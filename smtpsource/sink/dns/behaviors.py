"""
The rules for who delivers to the domains of a world.
"""

from __future__ import annotations

from smtpsource.sink.dns.world import DomainBehavior, World
from smtpsource.sink.rules.ruleset import RuleSet, combined
from smtpsource.sink.rules.written import fromFile, profile


def rulesByAddress(world: World) -> dict[str, tuple[str, RuleSet]]:
    """
    For each address that mail is treated by rules at: the name of its domain, and these rules. What a set has seen
    counts for all addresses of the domain.

    @raise ValueError: a file of rules can't be used; the text is one line.
    """
    sets: dict[str, RuleSet] = {}
    found: dict[str, tuple[str, RuleSet]] = {}
    for address, behavior in world.addresses().items():
        if not behavior.isUsual:
            if behavior.name not in sets:
                sets[behavior.name] = _rulesOf(behavior, world.seed)
            found[address] = behavior.name, sets[behavior.name]
    return found


def _rulesOf(behavior: DomainBehavior, seed: int) -> RuleSet:
    sets = [RuleSet.fromDict(dict(behavior.inline))]
    if behavior.rules is not None:
        sets.append(fromFile(behavior.rules))
    if behavior.profile is not None:
        sets.append(profile(behavior.profile))
    # The first that has a seed says it.
    return combined([*sets, RuleSet(seed=seed)])
