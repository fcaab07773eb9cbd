"""The other end: an SMTP and LMTP server that takes everything and counts it."""
