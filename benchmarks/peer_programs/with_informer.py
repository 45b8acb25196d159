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
    if sys.argv[1:] == ["pods"]:
        SharedInformer(list_func=client.CoreV1Api().list_pod_for_all_namespaces).start()
    else:
        Loop().start()
    time.sleep(36000)


def widgets(**options):
    found = client.CustomObjectsApi().list_cluster_custom_object("bench.kcm.dev", "v1", "widgets", **options)
    if options.get("watch"):
        return found
    version = found["metadata"]["resourceVersion"]
    return SimpleNamespace(items=found["items"], metadata=SimpleNamespace(resource_version=version))


class Loop:
    """Two informers, a queue without doubles, and workers."""

    def __init__(self):
        self.core = client.CoreV1Api()
        self.keys, self.waiting, self.lock = queue.Queue(), set(), threading.Lock()
        self.owners = SharedInformer(list_func=widgets)
        self.maps = SharedInformer(list_func=self.core.list_config_map_for_all_namespaces)

    def start(self):
        for informer in (self.owners, self.maps):
            for event in (ADDED, MODIFIED, DELETED):
                informer.add_event_handler(event, self.enqueue)
        self.maps.start()
        self.owners.start()
        for _ in range(WORKERS):
            threading.Thread(target=self.work, daemon=True).start()

    def enqueue(self, obj):
        metadata = obj["metadata"] if isinstance(obj, dict) else obj.metadata.to_dict()
        key = (metadata["namespace"], metadata["name"])
        with self.lock:
            if key not in self.waiting:
                self.waiting.add(key)
                self.keys.put(key)

    def work(self):
        while True:
            key = self.keys.get()
            with self.lock:
                self.waiting.discard(key)
            try:
                self.reconcile(*key)
            except Exception as error:  # noqa: BLE001 - a worker of a loop by hand
                print(key, error, file=sys.stderr)
                self.enqueue({"metadata": {"namespace": key[0], "name": key[1]}})

    def reconcile(self, namespace, name):
        widget = self.owners.cache.get_by_key(f"{namespace}/{name}")
        if widget is None:
            return
        data = {"text": widget["spec"]["text"]}
        present = self.maps.cache.get_by_key(f"{namespace}/{name}")
        if present is None:
            self.create(widget, namespace, name, data)
        elif present.data != data:
            self.core.patch_namespaced_config_map(name, namespace, {"data": data})

    def create(self, widget, namespace, name, data):
        owner = {"apiVersion": "bench.kcm.dev/v1", "kind": "Widget", "name": name, "controller": True}
        owner["uid"] = widget["metadata"]["uid"]
        body = {"metadata": {"name": name, "ownerReferences": [owner]}, "data": data}
        try:
            self.core.create_namespaced_config_map(namespace, body)
        except client.ApiException as error:
            if error.status != 409:
                raise


main()
