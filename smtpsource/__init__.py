"""
A load generator and tester for SMTP and LMTP servers.
"""

from smtpsource._version import __version__

__all__ = ["__version__"]
