"""The plan of a run: data only, and the rules that it keeps."""

from smtpsource.plan.source import SourcePlan, machineName

__all__ = ["SourcePlan", "machineName"]
