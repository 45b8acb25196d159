"""Clock, chance, back-off, tasks and errors: what everything stands on, free of Kubernetes."""
