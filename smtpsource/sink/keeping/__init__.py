"""
What a sink keeps of the messages that it takes: in memory, and in files.
"""
