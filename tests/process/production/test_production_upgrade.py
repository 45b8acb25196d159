"""kcm replaces itself, one pod after the other, while everything it is responsible for keeps changing.

The Deployment of kcm is managed by kcm: the leader makes the new pods and has the old ones deleted, itself
among them, and whoever follows it carries on with that.
"""

import itertools
import json

from production import DEPLOYMENTS, SETS, SHIPPED_LEASE, merged, now, wait_for

# A rate that is never what a change waits for.
CONFIGURATION = merged(SHIPPED_LEASE, {"controllers": {"replicaset": {"qps": 0}, "deployment": {"qps": 0}}})
LEASE_SECONDS = 15.0


def reactions(record, since, wanted):
    """Return (seconds, when) from each change of what is wanted to kcm's first write about it."""
    found = []
    for name, plural in wanted:
        kind = plural.rpartition("/")[2]
        asked = [line["at"] for line in record.commits(since, resource=kind, name=name, agent="test")]
        # A set is served by its pods, a Deployment by its set.
        served = [
            line["at"]
            for line in record.commits(since, resource="replicasets" if plural == DEPLOYMENTS else "pods")
            if line["name"].startswith(f"{name}-")
            and line["agent"].startswith("kcm/")
            and not line["subresource"]
        ]
        found += [(next(at for at in served if at > moment) - moment, moment) for moment in asked]
    return found


def test_a_rolling_upgrade_under_continuous_scaling_loses_no_key_and_hands_over(production):
    before = {pod.container.identity: pod for pod in production.pods()}
    targets = [(production.apply_set(1), SETS) for _ in range(3)]
    targets += [(production.apply_deployment(1), DEPLOYMENTS) for _ in range(2)]
    for name, plural in targets:
        production.wait_served(name, 1, plural)
    leader = production.holder()
    begun = now()
    with production.scaling(*targets) as wanted:
        production.kubectl("rollout", "restart", "deployment/kcm")
        wait_for(lambda: all(pod.gone for pod in before.values()), "they are replaced")
        production.wait_settled()
    ended = now()
    for name, plural in targets:
        production.wait_served(name, wanted[name, plural], plural)
    terms = [term for term in production.record.terms() if term.end > begun]
    # Each leader has given the Lease away itself, and ended as it was asked to.
    assert terms[0].identity == leader
    assert len(terms) >= 2
    assert [term for term in terms[:-1] if not term.released] == []
    assert {production.kubelet.exit_codes[pod.name] for pod in before.values()} == {0}
    assert sum(pod.restarts for pod in production.pods()) == 0
    report(production, begun, ended, wanted, terms)
    gap, _ = max(reactions(production.record, begun, wanted))
    assert gap < LEASE_SECONDS
    for name, plural in targets:
        production.remove(name, plural=plural)


def report(production, begun, ended, wanted, terms):
    """Print what it took: also for the documentation."""
    took = sorted(reactions(production.record, begun, wanted))
    median, (gap, moment) = took[len(took) // 2][0], took[-1]
    print(
        f"rolling upgrade: {len(took)} changes in {ended - begun:.1f} s; {len(terms) - 1} hand-overs; "
        f"longest time with a change and no write {gap:.3f} s, {moment - begun:.1f} s after its begin; "
        f"median {median:.3f} s"
    )
    for one, two in itertools.pairwise(terms):
        last = max(line["at"] for line in production.record.writes(one.identity) if line["at"] <= two.begin)
        first = min(line["began"] for line in production.record.writes(two.identity, two.begin))
        print(
            f"  {one.identity[-8:]} → {two.identity[-8:]}: last write to first write {first - last:.3f} s, "
            f"Lease without holder {two.begin - one.end:.3f} s"
        )


def test_an_upgrade_that_cannot_work_replaces_nothing_and_can_be_undone(production):
    before = {pod.uid: pod.restarts for pod in production.pods()}
    terms = production.record.terms()
    broken = {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--no-such-flag"}
    production.kubectl("patch", "deployment", "kcm", "--type=json", f"--patch={json.dumps([broken])}")

    def failing():
        fresh = [pod for pod in production.pods() if pod.uid not in before]
        return fresh and fresh[0].restarts >= 2 and fresh[0]

    pod = wait_for(failing, "the new pod fails again and again")
    assert "--no-such-flag" in pod.log()
    name = production.apply_set(10)
    production.wait_served(name, 10)
    assert {pod.uid for pod in production.pods() if pod.ready} == set(before)
    production.kubectl("rollout", "undo", "deployment/kcm")
    production.wait_settled()
    assert {pod.uid: pod.restarts for pod in production.pods()} == before
    assert production.record.terms() == terms
    production.remove(name)
