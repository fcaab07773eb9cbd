"""The language: commands, replies and the dialogue of one connection; nothing of load or reports."""
