"""A cluster with kcm on it, kept from one test to the next that wants the same."""

import sys
from pathlib import Path

import pytest

# The tests share these modules; there is no package here to import them from.
sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))
sys.path.insert(0, str(Path(__file__).parent))

from production import Production
from verdicts import verdict

STAGES = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """End the cluster behind the last test of this folder: it must not slow down all that follow."""
    result = yield
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        for stage in STAGES:
            stage.clear()
    return result


class Stage:
    """At most one cluster at a time: the one that was wanted last."""

    def __init__(self, factory, binary):
        self._factory, self._binary = factory, binary
        self._wanted = self._current = None

    def set_for(self, wanted):
        """Return a cluster with this configuration on which kcm is up and well."""
        if self._current is None or wanted != self._wanted:
            self.clear()
            folder = self._factory.mktemp("production")
            self._current = Production(folder, self._binary, wanted)
            self._wanted = wanted
        self._current.wait_settled()
        return self._current

    def clear(self):
        """End the present cluster."""
        current, self._current = self._current, None
        if current is not None:
            current.close()


@pytest.fixture(scope="session")
def stage(tmp_path_factory, kubectl_binary):
    """Where clusters of these tests live."""
    pytest.importorskip("cryptography", reason="a secure sandbox needs the extra 'secure'")
    found = Stage(tmp_path_factory, kubectl_binary)
    STAGES.append(found)
    yield found
    STAGES.remove(found)
    # A run that was broken off.
    found.clear()


@pytest.fixture
def production(request, stage):
    """A cluster with two replicas of kcm, judged when the test is over.

    What its configuration file says beside what is shipped: the module's CONFIGURATION.
    """
    failed = request.session.testsfailed
    try:
        found = stage.set_for(request.module.CONFIGURATION)
        yield found
        assert verdict(found.record) == []
    except BaseException:
        stage.clear()
        raise
    if request.session.testsfailed > failed:
        # Whatever the test left behind is nobody else's.
        stage.clear()
