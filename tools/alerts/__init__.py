"""Alerts and dashboard queries, tried without Prometheus: part of its language, rules over time."""
