"""
Small clients around other Python libraries, each a program of its own.
"""
