"""The controllers that kcm ships: one folder each, found by entry point, strangers to each other."""
