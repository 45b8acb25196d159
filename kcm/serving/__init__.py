"""The HTTP server: requests and responses as values, probes, metrics and status pages."""
