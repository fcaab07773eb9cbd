"""Our reactor's transports: they send within write() and connect and accept with few calls."""
