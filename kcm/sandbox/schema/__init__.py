"""What the sandbox knows about kinds of objects: fields, defaults, rules, patches, tables, discovery.

Pure functions on plain dicts as decoded from JSON. Guarantees: no I/O, no clock, no state
that a request could change; input is never mutated unless a function says so. Does not store
objects, does not know HTTP, and shares nothing with the manager that it judges.
"""
