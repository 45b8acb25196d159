"""Ways to the server that can be cut, one for each replica, and what tells that a leader renews."""

from production import now, wait_for
from relays import RelayThread


def pair_with_ways(production):
    """Return leader and standby, each behind a relay of its own: `pod.way`. They stay there."""
    # The standby first: then the leader's place goes to one that has its own way already.
    for pod in reversed(production.pair()):
        if pod.way is None:
            pod.way = RelayThread(production.kubelet.secure_port)
            production.at_the_end(pod.way.end)
            restarts = pod.restarts
            pod.container.process.terminate()
            wait_for(lambda pod=pod, n=restarts: pod.restarts > n and pod.ready, "it is there again")
    production.wait_settled()
    return production.pair()


def renewed(production, identity, times=1):
    """Wait until the server has taken so many renewals of the identity from now on."""
    since = now()
    wanted = {"resource": "leases", "name": "kcm", "holder": identity}
    wait_for(lambda: len(production.record.commits(since, **wanted)) >= times, f"{identity} has renewed")
