"""
A sink that is watched and steered over HTTP while it runs, and the command that does so.
"""
