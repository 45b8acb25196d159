"""Talking to a Kubernetes API server: transport, verbs, watch streams, credentials, API errors."""
