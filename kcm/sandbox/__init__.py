"""The embedded control plane: an API server, nodes, a scheduler and a kubelet, all in memory.

For development and tests, never for production: nothing is stored on disk, nobody is asked who
they are. Shares only types and the HTTP server with what it judges (kcm's own client, cache and
controllers are never imported here), so that a mistake there cannot hide behind the same
mistake here.
"""
