"""What is sent: envelopes, content, and where both come from."""
