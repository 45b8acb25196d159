"""Who may do what in the sandbox: users, RBAC rules, tokens, certificates.

Pure, but for `authority`, which draws keys: nothing here knows of requests, of the store or of
HTTP. `kcm.sandbox.api` asks it who a token belongs to and whether a rule allows a request.
`authority` needs the package cryptography and is imported by nobody else here.
"""
