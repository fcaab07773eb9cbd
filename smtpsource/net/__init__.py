"""The wire: destinations, routes and connectors; everything that touches a reactor or a socket."""
