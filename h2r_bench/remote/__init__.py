"""Policies in other processes and on other machines: openpi's websocket protocol, both sides of it."""
