"""The pytest plugin: a Kubernetes control plane as a fixture.

pytest loads it wherever kcm is installed (entry point `pytest11`), so importing it must cost next
to nothing: everything else of kcm is imported when a test asks for a fixture. Guarantees: a
control plane belongs to the test (or fixture scope) that asked for it and is gone after it.
See docs/testing.md.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kcm.testing.control_plane import ControlPlane

_MARKER = (
    "control_plane(nodes=2, speed=20.0, controllers=None, ...): "
    "what the control_plane fixture of this test is to be (see kcm's docs/testing.md)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def control_plane(
    request: pytest.FixtureRequest, control_planes: Callable[..., ControlPlane]
) -> ControlPlane:
    """A Kubernetes API server on a free port of this machine, with nodes and controllers, for this test."""
    marker = request.node.get_closest_marker("control_plane")
    if marker is not None and marker.args:
        raise pytest.UsageError("the control_plane marker takes keywords only, like nodes=0")
    return control_planes(**(marker.kwargs if marker else {}))


@pytest.fixture
def control_planes() -> Iterator[Callable[..., ControlPlane]]:
    """Start further control planes: `control_planes(nodes=0)`; they end with the test."""
    yield from _starting()


@pytest.fixture(scope="session")
def session_control_planes() -> Iterator[Callable[..., ControlPlane]]:
    """As `control_planes`, for fixtures of a wider scope: theirs end with the session."""
    yield from _starting()


@pytest.fixture
def run_world() -> Callable[..., Any]:
    """Run `async def scenario(world)` in virtual time: an hour passes in milliseconds."""
    return _run_world


def _starting() -> Iterator[Callable[..., ControlPlane]]:
    from kcm.testing.control_plane import ControlPlane  # noqa: PLC0415 - see above

    running: list[ControlPlane] = []

    def start(**settings: Any) -> ControlPlane:
        plane = ControlPlane(**settings).start()
        running.append(plane)
        return plane

    yield start
    errors: list[BaseException] = []
    for plane in reversed(running):
        try:
            plane.stop()
        except Exception as error:  # noqa: BLE001 - the others must end too; the first error is raised below
            errors.append(error)
    if errors:
        raise errors[0]


def _run_world(scenario: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    from kcm.testing.virtual import run  # noqa: PLC0415 - see above
    from kcm.testing.world import World  # noqa: PLC0415

    async def live() -> Any:
        async with World(**options) as world:
            return await scenario(world)

    return run(live())
