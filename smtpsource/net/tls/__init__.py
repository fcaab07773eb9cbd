"""The client's TLS. What is wanted of it is cheap to import; who uses it needs pyOpenSSL."""
