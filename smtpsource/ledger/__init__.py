"""
What each end has written down about each message before it told anybody, and what became of them by that.
"""
