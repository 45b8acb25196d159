"""How the manager treats one host: when it lets it write, what it believes, and when it ends it."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from kcm.base.backoff import Backoff
from kcm.cache.watchspec import WatchSpec
from kcm.client.credentials import Credentials
from kcm.election.record import Handover
from kcm.election.states import Term
from kcm.host import messages
from kcm.manager import host_life as life
from kcm.manager.hosts import MOST_BARRIERS, HostSupervisor
from kcm.manager.informers import Subscription
from kcm.manager.leadership import Leadership
from kcm.objects import Pod
from kcm.objects.events import ObjectReference
from kcm.telemetry.exposition import Exposition
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

PODS = Pod.resource_type()
HANG_DEADLINE = 1e6


class Handle:
    """A process that does nothing by itself, and takes `dying` seconds to be reaped."""

    def __init__(self, pid, on_message, dying):
        self.pid, self.channel, self.congested = pid, self, False
        self.frames, self.killed = [], False
        self.told_to_lead = asyncio.Event()
        self._on_message, self._dying = on_message, dying
        self._exited, self._how = asyncio.Event(), ""

    def send(self, payload):
        self.frames.append(msgspec.json.decode(payload))
        if self.types()[-1] == "lead":
            self.told_to_lead.set()

    def when_clear(self, callback):
        asyncio.get_running_loop().call_soon(callback)

    def close(self):
        pass

    def says(self, message):
        self._on_message(message if isinstance(message, bytes) else msgspec.json.encode(message))

    def types(self):
        return [frame["type"] for frame in self.frames]

    def kill(self):
        if not self.killed:
            self.killed = True
            asyncio.get_running_loop().call_later(self._dying, self.exit, "signal SIGKILL")

    def exit(self, how="exit code 0"):
        self._how = self._how or how
        self._exited.set()

    async def ended(self):
        await self._exited.wait()
        return self._how


class Machine:
    """Launches handles; its informers pass a barrier when the test says so."""

    def __init__(self, dying=0.0):
        self.handles, self.dying = [], dying
        self.barriers, self.reaches = [], []
        self.refusals = 0

    async def launch(self, name, on_message, on_lost):
        if self.refusals:
            self.refusals -= 1
            raise OSError("no more processes")
        self.handles.append(Handle(100 + len(self.handles), on_message, self.dying))
        self.handles[-1].loses_its_channel = on_lost
        return self.handles[-1]

    def subscribe(self, spec, projection, outlet, number):
        return Subscription(spec, None)

    def unsubscribe(self, subscription):
        pass

    def declared(self, host):
        pass

    async def barrier(self, subscriptions):
        passed = asyncio.get_running_loop().create_future()
        self.barriers.append(passed)
        await passed

    async def reached(self, subscriptions, versions):
        passed = asyncio.get_running_loop().create_future()
        self.reaches.append((versions, passed))
        await passed


def supervisor(machine):
    def configure(epoch):
        return messages.Configure(
            *("h", epoch, "test", (), Credentials(server="http://x"), 1.0, 1.0, 1, 0.0, "info", "json", 1.0)
        )

    clock = VirtualClock()
    settings = life.LifeSettings(30.0, HANG_DEADLINE, Backoff(1.0, 60.0))
    return HostSupervisor(
        *(
            "h",
            ("c",),
            configure,
            settings,
            machine,
            machine,
            None,
            Exposition(),
            Metrics(),
            lambda: None,
            clock,
        )
    )


def play(scenario, dying=0.0):
    """Run `scenario(host, machine)` beside the supervisor; return what it returns."""
    return play_for(10_000, scenario, dying)


def play_for(seconds, scenario, dying=0.0):
    """As `play`, for a scenario that lasts at most so long."""

    async def main():
        machine = Machine(dying)
        host = supervisor(machine)
        machine.supervising = supervising = asyncio.create_task(host.run())
        try:
            async with asyncio.timeout(seconds):
                return await scenario(host, machine)
        finally:
            supervising.cancel()
            await asyncio.wait((supervising,))

    return run(main())


async def settle():
    await asyncio.sleep(0.001)


async def warm(machine):
    """Let the newest process declare and fill itself; return it."""
    await settle()
    handle = machine.handles[-1]
    declared = messages.WatchDeclaration(WatchSpec(PODS), msgspec.Raw(b'{"type":"leaf"}'))
    handle.says(messages.Declare((declared,)))
    handle.says(messages.Synced())
    await settle()
    return handle


async def promoted(host, machine):
    """Bring the newest process to lead until 100."""
    handle = await warm(machine)
    host.lead(100.0, None)
    await settle()
    machine.barriers[-1].set_result(None)
    await settle()
    assert handle.types()[-1] == "lead"
    return handle


def test_a_host_may_not_write_before_the_barrier_of_a_takeover_has_passed():
    async def scenario(host, machine):
        handle = await warm(machine)
        host.lead(100.0, None)
        await asyncio.sleep(5.0)
        assert "lead" not in handle.types()
        machine.barriers[0].set_result(None)
        await settle()
        assert handle.frames[-1] == {"type": "lead", "deadline": 100.0}

    play(scenario)


def test_a_host_that_is_not_filled_yet_is_not_promoted():
    async def scenario(host, machine):
        await settle()
        handle = machine.handles[-1]
        handle.says(messages.Declare(()))
        host.lead(100.0, None)
        await asyncio.sleep(5.0)
        assert not machine.barriers
        handle.says(messages.Synced())
        await settle()
        machine.barriers[0].set_result(None)
        await settle()
        assert handle.types()[-1] == "lead"

    play(scenario)


def test_a_host_that_cannot_be_started_is_tried_again():
    async def scenario(host, machine):
        first = await promoted(host, machine)
        machine.refusals = 3
        first.exit("signal SIGKILL")
        await asyncio.sleep(60.0)
        assert await warm(machine) is not first

    play(scenario)


def test_what_a_predecessor_wrote_last_is_waited_for_instead_of_the_server():
    async def scenario(host, machine):
        handle = await warm(machine)
        host.lead(100.0, {str(PODS): "7"})
        await settle()
        assert not machine.barriers
        assert "lead" not in handle.types()
        versions, passed = machine.reaches[0]
        assert versions == {str(PODS): "7"}
        passed.set_result(None)
        await settle()
        assert handle.types()[-1] == "lead"

    play(scenario)


@pytest.mark.parametrize(("graceful", "asked"), [(True, (0, 1)), (False, (1, 0))])
def test_only_a_predecessor_that_ended_in_order_is_believed_about_what_it_wrote(graceful, asked):
    async def scenario(host, machine):
        await warm(machine)
        scribe = SimpleNamespace(emit=lambda event: None)
        leadership = Leadership((host,), 5.0, ObjectReference("v1", "Lease", "ns", "kcm"), scribe)
        left = Handover(complete=graceful, versions={str(PODS): "7"})
        leadership.elected(Term("me", "other", 100.0, graceful, left, 1, "u", "9"))
        await settle()
        assert (len(machine.barriers), len(machine.reaches)) == asked

    play(scenario)


def test_the_successor_of_a_dead_host_asks_the_server_and_trusts_no_handover():
    async def scenario(host, machine):
        first = await warm(machine)
        host.lead(100.0, {str(PODS): "7"})
        await settle()
        machine.reaches[0][1].set_result(None)
        await settle()
        first.exit("signal SIGKILL")
        second = await warm(machine)
        assert second is not first
        assert len(machine.barriers) == 1
        assert len(machine.reaches) == 1
        assert "lead" not in second.types()
        assert not host.vouches, "nobody knows what the dead one wrote last"
        machine.barriers[0].set_result(None)
        await settle()
        assert second.types()[-1] == "lead"

    play(scenario)


def test_a_barrier_of_an_earlier_term_proves_nothing_for_a_later_one():
    async def scenario(host, machine):
        handle = await warm(machine)
        host.lead(10.0, None)
        await settle()
        host.stand_down()
        await host.wait_until_not_leading()
        await asyncio.sleep(60.0)
        host.lead(100.0, None)
        await settle()
        if not machine.barriers[0].done():
            machine.barriers[0].set_result(None)
        await settle()
        assert "lead" not in handle.types()
        machine.barriers[1].set_result(None)
        await settle()
        assert handle.frames[-1] == {"type": "lead", "deadline": 100.0}

    play(scenario)


def test_a_handover_of_an_earlier_term_proves_nothing_for_a_later_one():
    async def scenario(host, machine):
        handle = await warm(machine)
        host.lead(10.0, {str(PODS): "7"})
        await settle()
        host.stand_down()
        await settle()
        host.lead(100.0, None)
        await settle()
        assert len(machine.barriers) == 1
        assert "lead" not in handle.types()

    play(scenario)


def test_a_leader_that_loses_the_lease_is_killed_and_waited_for():
    async def scenario(host, machine):
        handle = await promoted(host, machine)
        leases = ObjectReference("v1", "Lease", "ns", "kcm")
        leadership = Leadership((host,), 5.0, leases, None)
        began = asyncio.get_running_loop().time()
        await leadership.deposed("lost")
        assert handle.killed
        assert asyncio.get_running_loop().time() - began >= 2.0, "until it was reaped"
        standby = await warm(machine)
        assert standby is not handle
        await asyncio.sleep(5.0)
        assert "lead" not in standby.types()

    play(scenario, dying=2.0)


def test_a_host_that_was_told_to_lead_a_moment_ago_is_waited_for_too():
    async def scenario(host, machine):
        handle = await warm(machine)
        host.lead(100.0, None)
        await settle()
        machine.barriers[0].set_result(None)
        await handle.told_to_lead.wait()
        host.stand_down()
        await host.wait_until_not_leading()
        assert handle.killed

    play(scenario, dying=2.0)


def test_a_stop_waits_until_the_process_has_ended():
    async def scenario(host, machine):
        handle = await promoted(host, machine)
        host.stop(5.0)
        waiting = asyncio.create_task(host.wait_until_not_leading())
        await asyncio.sleep(3.0)
        assert handle.types()[-1] == "stop"
        assert not waiting.done()
        handle.says(messages.Stopped({str(PODS): "9"}))
        handle.exit()
        await waiting
        assert host.vouches
        assert host.last_writes == {str(PODS): "9"}

    play(scenario)


def test_a_host_that_cannot_say_all_that_it_did_is_not_vouched_for():
    async def scenario(host, machine):
        handle = await promoted(host, machine)
        host.stop(5.0)
        await settle()
        handle.says(messages.Stopped({str(PODS): "9"}, complete=False))
        handle.exit()
        await host.wait_until_not_leading()
        assert not host.vouches

    play(scenario)


def test_a_supervisor_that_is_cancelled_reaps_its_host_first_and_vouches_for_nothing():
    async def scenario(host, machine):
        leadership = Leadership((host,), 5.0, ObjectReference("v1", "Lease", "ns", "kcm"), None)
        await promoted(host, machine)
        assert leadership.last_writes() is not None
        began = asyncio.get_running_loop().time()
        machine.supervising.cancel()
        await leadership.deposed("the manager fails")
        assert asyncio.get_running_loop().time() - began >= 2.0, "until it was reaped"
        assert leadership.last_writes() is None

    play(scenario, dying=2.0)


def test_a_host_that_has_not_passed_its_barrier_cannot_vouch_for_its_predecessors():
    async def scenario(host, machine):
        leadership = Leadership((host,), 5.0, ObjectReference("v1", "Lease", "ns", "kcm"), None)
        await warm(machine)
        host.lead(100.0, None)
        await settle()
        assert leadership.last_writes() is None
        machine.barriers[0].set_result(None)
        await settle()
        assert leadership.last_writes() == {}

    play(scenario)


@pytest.mark.parametrize("rubbish", [b"{}", b"\xff", b'{"type":"barrier","id":"x"}', b"[" * 100_000])
def test_a_host_that_sends_rubbish_is_ended_and_not_obeyed(rubbish):
    async def scenario(host, machine):
        handle = await warm(machine)
        handle.says(rubbish)
        assert handle.killed
        handle.says(messages.Barrier(1, (PODS,)))
        await settle()
        assert not machine.barriers
        await asyncio.sleep(5.0)
        assert host.epoch == 2

    play(scenario, dying=2.0)


def test_a_host_that_has_failed_may_say_why_before_it_is_ended():
    async def scenario(host, machine):
        handle = await warm(machine)
        handle.loses_its_channel("end of file")
        await asyncio.sleep(1.0)
        assert not handle.killed
        handle.exit("exit code 1")
        await settle()
        assert host.last_death == "exit code 1"

    play_for(50, scenario)


def test_a_host_without_its_channel_that_does_not_end_is_ended():
    async def scenario(host, machine):
        handle = await warm(machine)
        handle.loses_its_channel("end of file")
        await asyncio.sleep(2.0)
        assert handle.killed

    play_for(50, scenario)


def test_barriers_that_pile_up_while_the_server_is_away_are_not_held_against_the_host():
    async def scenario(host, machine):
        handle = await promoted(host, machine)
        for number in range(MOST_BARRIERS + 10):
            handle.says(messages.Barrier(number, (PODS,)))
            await settle()
        assert not handle.killed
        assert len(machine.barriers) == MOST_BARRIERS + 1
        for passed in machine.barriers[1:]:
            passed.set_result(None)
        await settle()
        assert handle.types().count("barrierPassed") == MOST_BARRIERS
        handle.says(messages.Barrier(9999, (PODS,)))
        await settle()
        machine.barriers[-1].set_result(None)
        await settle()
        assert handle.frames[-1] == {"type": "barrierPassed", "id": 9999}

    play(scenario)


def test_a_manager_that_stood_still_kills_nobody_for_what_it_could_not_hear():
    async def scenario(host, machine):
        handle = await promoted(host, machine)
        await asyncio.sleep(HANG_DEADLINE - 60.0)
        asyncio.get_running_loop().block(3600.0)
        await settle()
        assert not handle.killed
        await asyncio.sleep(HANG_DEADLINE - 60.0)
        assert not handle.killed
        await asyncio.sleep(61.0)
        assert handle.killed, "silent for a whole deadline that was listened to"

    play_for(1e7, scenario)


def test_a_manager_that_stood_still_gives_a_host_that_starts_its_time_again():
    async def scenario(host, machine):
        await settle()
        handle = machine.handles[-1]
        asyncio.get_running_loop().block(3600.0)
        await settle()
        assert not handle.killed
        await asyncio.sleep(31.0)
        assert handle.killed

    play(scenario)
