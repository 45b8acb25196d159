"""What the fork server imports before it makes its first host.

Imported there and nowhere else: it ties the life of the importing process to its parent's.
Guarantees: the fork server is killed when the manager ends, however it ends, and its hosts with
it. The end of a pipe would not do: a host that is stopped by a signal holds it open.
"""

from __future__ import annotations

import kcm.host.process

kcm.host.process.die_with_parent()
