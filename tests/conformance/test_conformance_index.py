"""Every rule of the reference that this suite stands for has a check that names it."""

import re
from pathlib import Path

import pytest

CHECKS = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
SAID = re.findall(r'"""(reference: .*?)"""', CHECKS, re.DOTALL)

# apiserver.md, §2: the rows; what each check's docstring begins with after the number.
ROWS = (
    "RV",
    "Create",
    "generation",
    "status",
    "PUT",
    "PATCH",
    "DELETE",
    "Pod grace",
    "deletecollection",
    "GC",
    "dryRun=All",
    "fieldManager",
    "fieldValidation",
    "scale",
    "binding",
    "eviction",
    "token",
    "Events",
    "Lease",
    "Admission",
    "CRD",
    "metrics.k8s.io/v1beta1",
)
CODES = (400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422)


@pytest.mark.parametrize("trap", range(1, 26))
def test_every_trap_has_a_check(trap):
    """The 25 traps of apiserver.md §9."""
    assert [text for text in SAID if re.search(rf"9, trap {trap}\b", text)]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_storage_and_concurrency_has_a_check(row):
    """apiserver.md §2."""
    assert [text for text in SAID if re.search(rf"(apiserver |; )2, {re.escape(row)}\b", text)]


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_a_refusal_has_a_check(code):
    """apiserver.md §4: those that a client can cause."""
    assert [text for text in SAID if re.search(rf"4, {code}\b", text)] or (f".ok({code})" in CHECKS)
