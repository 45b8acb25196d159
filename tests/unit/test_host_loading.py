"""A controller's own settings are as strict as kcm's, whatever its class forgets to ask for."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from kcm import Cache, Context, Controller, Done, Key, Result, primary
from kcm.base.errors import ConfigurationError
from kcm.host.loading import load
from kcm.host.messages import ControllerTask
from kcm.objects import ConfigMap, Spec


class Tuning(Spec, frozen=True):
    """A part of them."""

    most_tries: Annotated[int, msgspec.Meta(ge=1)] = 3


class Settings(Spec, frozen=True):
    """Of one's own; nothing here asks for strictness."""

    endpoint: str
    patience: float = 1.0
    tuning: Tuning = Tuning()
    others: tuple[Tuning, ...] = ()


class Tuned(Controller[ConfigMap, ConfigMap]):
    """Does nothing."""

    name = "tuned"
    watches = (primary(ConfigMap),)
    settings_type = Settings

    def observe(self, cache: Cache, key: Key) -> ConfigMap | None:
        return None

    async def reconcile(self, ctx: Context, seen: ConfigMap) -> Result:
        return Done()


def loaded(settings: Any) -> Any:
    task = ControllerTask(
        "tuned", f"{__name__}:Tuned", 1, 0.0, 1, 1.0, 1.0, msgspec.Raw(msgspec.json.encode(settings))
    )
    return load(task).settings


def test_settings_come_as_the_controller_s_own_type() -> None:
    given = {"endpoint": "x", "patience": 2, "tuning": {"mostTries": 5}, "others": [{"mostTries": 1}]}
    assert loaded(given) == Settings("x", 2.0, Tuning(5), (Tuning(1),))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({}, "settings.endpoint: is missing", id="missing"),
        pytest.param(
            {"endpoint": "x", "patiense": 1},
            "settings.patiense: is unknown; did you mean patience?",
            id="unknown",
        ),
        pytest.param(
            {"endpoint": "x", "tuning": {"tries": 1}},
            "settings.tuning.tries: is unknown",
            id="unknown inside",
        ),
        pytest.param(
            {"endpoint": "x", "others": [{"mostTries": 0}]},
            "settings.others[0].mostTries: must be at least 1",
            id="bound",
        ),
        pytest.param({"endpoint": 3}, "settings.endpoint: expected text, found 3", id="no guess"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_their_place(given: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        loaded(given)
    assert str(refused.value).startswith(f"controllers.tuned: {says}")
