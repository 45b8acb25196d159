"""The embedded control plane: an API server, nodes, a scheduler and a kubelet.

For development and tests, never for production: unless told otherwise, nothing is stored on disk
and nobody is asked who they are. Shares only types and the HTTP server with what it judges (kcm's
own client, cache and controllers are never imported here), so that a mistake there cannot hide
behind the same mistake here.
"""
