"""The three patches that the sandbox takes: JSON, merge and strategic (reference: apiserver §7).

Guarantees: neither document nor patch is changed; nothing of the patch is shared with the
result; the result's top level and its metadata are new objects that the caller may write to.
Every other part that the patch did not touch is shared with the document, which is what makes
a small status patch cheap: such parts must not be written to. Errors are `PatchError`.
"""

from kcm.sandbox.schema.patches.failure import PatchError, shown_map
from kcm.sandbox.schema.patches.merge import merge_patch
from kcm.sandbox.schema.patches.operations import json_patch
from kcm.sandbox.schema.patches.strategic import strategic_merge

__all__ = ["PatchError", "json_patch", "merge_patch", "shown_map", "strategic_merge"]
