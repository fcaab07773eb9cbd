"""The plan of a run: data only, and the rules that it keeps. One module for each heading of the help."""

from smtpsource.plan.dialogue import machineName
from smtpsource.plan.source import SourcePlan

__all__ = ["SourcePlan", "machineName"]
