"""Knowing what the server has: list-watch, the manager's compact store, the feed, the host's replica."""
