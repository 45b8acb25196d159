"""Every Widget owns a ConfigMap of its name with its text: by hand, on the official client's informer.

With the argument `pods` it caches all pods instead, and does nothing. The informer takes only what
looks like a typed list, so a custom resource is wrapped for it.
"""

import queue
import sys
import threading
import time
from types import SimpleNamespace

from kubernetes import client, config
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

WORKERS = 16


def main():
    config.load_kube_config()
    core, custom = client.CoreV1Api(), client.CustomObjectsApi()
    if sys.argv[1:] == ["pods"]:
        SharedInformer(list_func=core.list_pod_for_all_namespaces).start()
        time.sleep(36000)

    def widgets(**options):
        found = custom.list_cluster_custom_object("bench.kcm.dev", "v1", "widgets", **options)
        if options.get("watch"):
            return found
        version = found["metadata"]["resourceVersion"]
        return SimpleNamespace(items=found["items"], metadata=SimpleNamespace(resource_version=version))

    keys, waiting, lock = queue.Queue(), set(), threading.Lock()
    owners = SharedInformer(list_func=widgets)
    maps = SharedInformer(list_func=core.list_config_map_for_all_namespaces)

    def enqueue(obj):
        metadata = obj["metadata"] if isinstance(obj, dict) else obj.metadata.to_dict()
        key = (metadata["namespace"], metadata["name"])
        with lock:
            if key not in waiting:
                waiting.add(key)
                keys.put(key)

    for informer in (owners, maps):
        for event in (ADDED, MODIFIED, DELETED):
            informer.add_event_handler(event, enqueue)
    maps.start()
    owners.start()

    def reconcile(namespace, name):
        widget = owners.cache.get_by_key(f"{namespace}/{name}")
        if widget is None:
            return
        data = {"text": widget["spec"]["text"]}
        present = maps.cache.get_by_key(f"{namespace}/{name}")
        if present is None:
            owner = {"apiVersion": "bench.kcm.dev/v1", "kind": "Widget", "name": name, "controller": True}
            owner["uid"] = widget["metadata"]["uid"]
            body = {"metadata": {"name": name, "ownerReferences": [owner]}, "data": data}
            try:
                core.create_namespaced_config_map(namespace, body)
            except client.ApiException as error:
                if error.status != 409:
                    raise
        elif present.data != data:
            core.patch_namespaced_config_map(name, namespace, {"data": data})

    def work():
        while True:
            key = keys.get()
            with lock:
                waiting.discard(key)
            try:
                reconcile(*key)
            except Exception as error:  # noqa: BLE001 - a worker of a loop by hand
                print(key, error, file=sys.stderr)
                enqueue({"metadata": {"namespace": key[0], "name": key[1]}})

    for _ in range(WORKERS):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(36000)


main()
