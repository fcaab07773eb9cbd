"""
What goes on beside a run: commands at moments of it, and what is watched of others.
"""
