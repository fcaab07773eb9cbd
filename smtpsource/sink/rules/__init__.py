"""
Rules: what a sink does other than take everything, and to whom.
"""

#: The rule files that come with the sink.
PROFILES = ("big-provider", "flaky", "greylisting", "overloaded", "strict")
