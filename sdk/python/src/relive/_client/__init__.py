"""Clients that read, watch and steer sessions."""
