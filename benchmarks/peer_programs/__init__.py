"""The same controller three times: for kcm, for kopf and on the official client's informer."""
