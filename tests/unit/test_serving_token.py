"""The pages' token: read again when it changes, kept when its file breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from kcm.base.errors import ConfigurationError
from kcm.serving.token import TokenFile


def test_a_replaced_token_is_in_force_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    token = TokenFile(str(file))
    assert token() == "one"
    file.write_text("another\n")
    assert token() == "another"


@pytest.mark.parametrize("torn", [b"", b"\n", b"\xff", b"a\x00b", b"x" * 9000])
def test_a_torn_file_keeps_the_last_token(
    tmp_path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    token = TokenFile(str(file))
    file.write_bytes(torn)
    assert [token(), token()] == ["one", "one"]
    file.unlink()
    assert token() == "one"
    assert len(caplog.records) == 1
    file.write_text("three")
    assert token() == "three"


def test_no_token_at_the_start_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone: no token can be read \(serving\.tokenFile\)"):
        TokenFile(str(tmp_path / "gone"))
