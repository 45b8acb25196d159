"""Every Widget owns a ConfigMap of its name with its text: with kopf, as its documentation does it."""

import kopf
from kubernetes import client, config

config.load_kube_config()
api = client.CoreV1Api()


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = False
    settings.execution.max_workers = 16


@kopf.on.create("bench.kcm.dev", "v1", "widgets")
@kopf.on.resume("bench.kcm.dev", "v1", "widgets")
def create(spec, name, namespace, **_):
    body = {"metadata": {"name": name}, "data": {"text": spec["text"]}}
    kopf.adopt(body)
    try:
        api.create_namespaced_config_map(namespace, body)
    except client.ApiException as error:
        if error.status != 409:
            raise


@kopf.on.update("bench.kcm.dev", "v1", "widgets", field="spec.text")
def update(spec, name, namespace, **_):
    api.patch_namespaced_config_map(name, namespace, {"data": {"text": spec["text"]}})
