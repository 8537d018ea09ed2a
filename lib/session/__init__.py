"""Connections: the only package with sockets and TLS."""
