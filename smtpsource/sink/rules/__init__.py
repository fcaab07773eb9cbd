"""
Rules: what a sink does other than take everything, and to whom.
"""
