"""The wire: destinations, connectors and limits; everything that touches a reactor or a socket."""
