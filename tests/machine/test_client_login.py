"""Logging in: files that change under us, plugins that misbehave, kubeconfigs that are wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcm.base.clock import SystemClock
from kcm.base.errors import ConfigurationError
from kcm.client.exec_plugin import ExecPolicy
from kcm.client.in_cluster import InClusterCredentials
from kcm.client.kubeconfig import KubeconfigCredentials, kubeconfig_files
from kcm.client.sources import find_credentials
from kcm.client.transport import NotSent

CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
HERE = {"PATH": os.environ["PATH"]}


class MovableClock(SystemClock):
    """Time that tests push."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def config(user: dict[str, Any], cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster or {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
    }


def written(folder: Path, document: Any) -> str:
    path = folder / "config"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return str(path)


async def opened(folder: Path, document: Any, **options: Any) -> KubeconfigCredentials:
    return await KubeconfigCredentials.open([written(folder, document)], SystemClock(), HERE, **options)


def refusal(folder: Path, document: Any, **options: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(opened(folder, document, **options))
    assert caught.value.where
    return caught.value


# --- in a pod


def pod(folder: Path, clock: SystemClock) -> InClusterCredentials:
    (folder / "token").write_text("first\n")
    (folder / "ca.crt").write_text(CA)
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    return InClusterCredentials(clock, environment, directory=str(folder))


def test_a_new_token_is_seen_in_time_and_a_torn_one_leaves_the_old_in_force(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = MovableClock()
        source = pod(tmp_path, clock)
        first = await source.current()
        assert (first.server, first.authorization) == ("https://10.0.0.1:6443", "Bearer first")
        assert await source.current() is first
        (tmp_path / "token").write_text("")
        clock.ahead += 20.0
        assert await source.current() is first
        (tmp_path / "token").write_text("second")
        assert await source.current() is first
        clock.ahead += 20.0
        assert (await source.current()).authorization == "Bearer second"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        pytest.param("head.pay", False, id="cut off in the middle"),
        pytest.param("head.other.sig", False, id="cut off in the signature of another"),
        pytest.param("head.payload.sign", False, id="the old one, cut off"),
        pytest.param("head.other.erutangis", True, id="another of its issuer"),
        pytest.param("other.payload.si", True, id="one of another key"),
    ],
)
def test_a_token_that_was_cut_off_waits_until_the_old_one_is_refused(
    tmp_path: Path, text: str, taken: bool
) -> None:
    async def scenario() -> None:
        clock = MovableClock()
        source = pod(tmp_path, clock)
        (tmp_path / "token").write_text("head.payload.signature")
        await source.refresh()
        (tmp_path / "token").write_text(text + "\n")
        clock.ahead += 20.0
        seen = "Bearer " + (text if taken else "head.payload.signature")
        assert (await source.current()).authorization == seen
        # Whatever it looks like: what is refused cannot be better.
        assert (await source.refresh()).authorization == f"Bearer {text}"

    asyncio.run(scenario())


def test_a_refusal_makes_the_token_be_read_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        source = pod(tmp_path, MovableClock())
        (tmp_path / "token").write_text("second")
        assert (await source.refresh()).authorization == "Bearer second"

    asyncio.run(scenario())


def test_a_half_written_authority_is_not_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        source = pod(tmp_path, MovableClock())
        (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nBB")
        assert (await source.refresh()).ca_pem == CA

    asyncio.run(scenario())


def test_a_pod_without_token_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        InClusterCredentials(SystemClock(), {"KUBERNETES_SERVICE_HOST": "h"}, directory=str(tmp_path))


# --- kubeconfigs


@pytest.mark.parametrize(
    ("user", "authorization"),
    [
        ({}, ""),
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({"tokenFile": "token"}, "Bearer from-file"),
    ],
)
def test_simple_logins(tmp_path: Path, user: dict[str, Any], authorization: str) -> None:
    (tmp_path / "token").write_text("from-file\n")

    async def scenario() -> str:
        return (await (await opened(tmp_path, config(user))).current()).authorization

    assert asyncio.run(scenario()) == authorization


def test_a_token_file_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "token").write_text("old")
        source = await opened(tmp_path, config({"tokenFile": "token"}))
        (tmp_path / "token").write_text("newer")
        assert (await source.refresh()).authorization == "Bearer newer"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ("{", ""),
        ("- a", ""),
        ({"kind": "Pod"}, "kind"),
        ({}, "current-context"),
        ({"current-context": "x"}, "contexts"),
        ({"current-context": 7}, "current-context"),
        ({"clusters": {}, "contexts": 3}, "contexts"),
        ({**config({}), "clusters": []}, "contexts[0].context.cluster"),
        ({**config({}), "users": []}, "contexts[0].context.user"),
        (config({}, {"server": 5}), "clusters[0].cluster.server"),
        (config({}, {"server": "https://h", "proxy-url": "http://p"}), "clusters[0].cluster.proxy-url"),
        (config({}, {"server": "https://h", "certificate-authority": "gone"}),
         "clusters[0].cluster.certificate-authority"),
        (config({}, {"server": "https://h", "certificate-authority-data": "%"}),
         "clusters[0].cluster.certificate-authority-data"),
        (config({}, {"server": "https://h", "insecure-skip-tls-verify": True}),
         "clusters[0].cluster.insecure-skip-tls-verify"),
        (config({"client-certificate-data": base64.b64encode(CA.encode()).decode()}), "users[0].user"),
        (config({"token": "a\nb"}), "users[0].user.token"),
        (config({"as": "admin"}), "users[0].user.as"),
        (config({"tokenFile": "gone"}), "tokenFile"),
        (config({"auth-provider": {"name": "gcp"}}), "users[0].user.auth-provider"),
        (config({"exec": {"command": "sh"}}), "exec.command"),
        (config({"exec": {"command": "no-such-plugin"}}), "exec.command"),
        (config({"exec": {"command": "sh", "apiVersion": "v0"}}), "exec.apiVersion"),
        (config({"exec": {"command": "sh", "interactiveMode": "Always"}}), "exec.interactiveMode"),
        (config({"exec": {}}), "users[0].user.exec"),
    ],
)  # fmt: skip
def test_a_wrong_kubeconfig_is_refused_with_its_key(tmp_path: Path, document: Any, key: str) -> None:
    assert refusal(tmp_path, document).key == key


def test_a_missing_or_unreadable_kubeconfig_names_the_file(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            asyncio.run(find_credentials(SystemClock(), HERE, kubeconfig=str(path)))
        assert caught.value.where == str(path)


def test_master_overrides_the_server_and_is_checked(tmp_path: Path) -> None:
    async def scenario() -> str:
        source = await opened(tmp_path, config({}), master="http://other:1")
        return (await source.current()).server

    assert asyncio.run(scenario()) == "http://other:1"
    assert refusal(tmp_path, config({}), master="other:1").where == "--master"


def test_of_several_files_the_first_that_names_a_thing_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text(
        yaml.safe_dump({"current-context": "c", "users": [{"name": "u", "user": {"token": "a"}}]})
    )
    second.write_text(yaml.safe_dump(config({"token": "b"})))

    async def scenario() -> str:
        files = kubeconfig_files("", {"KUBECONFIG": f"{first}:{tmp_path / 'gone'}:{second}"})
        source = await KubeconfigCredentials.open(files, SystemClock(), HERE)
        return (await source.current()).authorization

    assert asyncio.run(scenario()) == "Bearer a"


def test_without_any_hint_where_the_server_is_the_error_says_what_to_give() -> None:
    with pytest.raises(ConfigurationError, match="--kubeconfig or --master"):
        asyncio.run(find_credentials(SystemClock(), {}, service_account="/nonexistent"))


# --- plugins


def plugin(folder: Path, script: str) -> dict[str, Any]:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return config({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}})


def credential(**status: str) -> str:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(answer)}\nEND"


def test_a_plugin_that_may_run_gives_its_token_once_for_all_who_ask(tmp_path: Path) -> None:
    async def scenario() -> None:
        document = plugin(tmp_path, f"echo run >> {tmp_path}/runs\n{credential(token='t')}")
        policy = ExecPolicy(allowed=(str(tmp_path / "plugin"),))
        source = await opened(tmp_path, document, policy=policy)
        assert not (tmp_path / "runs").exists()
        got = await asyncio.gather(*(source.current() for _ in range(5)))
        assert {one.authorization for one in got} == {"Bearer t"}
        assert (tmp_path / "runs").read_text() == "run\n"
        await source.refresh()
        assert (tmp_path / "runs").read_text() == "run\nrun\n"

    asyncio.run(scenario())


def test_what_expires_soon_is_renewed_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        past = credential(token="t", expirationTimestamp="2020-01-01T00:00:00Z")
        script = f"echo run >> {tmp_path}/runs\n{past}"
        source = await opened(tmp_path, plugin(tmp_path, script), policy=ExecPolicy(allow_all=True))
        await source.current()
        await source.current()
        assert (tmp_path / "runs").read_text() == "run\nrun\n"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit code 3"),
        ("echo hello", "no ExecCredential"),
        (credential(), "neither token nor certificate"),
        (credential(token="a b"), "characters no token has"),
        (credential(token="a", expirationTimestamp="soon"), "not a time"),
        (credential(clientCertificateData=CA), "belong together"),
        ("head -c 2000000 /dev/zero", "more than"),
    ],
)
def test_a_plugin_that_fails_is_an_error_and_nobody_goes_on_anonymously(
    tmp_path: Path, script: str, reason: str
) -> None:
    async def scenario() -> None:
        source = await opened(tmp_path, plugin(tmp_path, script), policy=ExecPolicy(allow_all=True))
        for _ in range(2):
            with pytest.raises(NotSent, match=reason):
                await source.current()

    asyncio.run(scenario())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_plugin_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kcm.client.kubeconfig.PLUGIN_TIMEOUT", 0.2)

    async def scenario() -> None:
        document = plugin(tmp_path, f"sleep 60 &\necho $! > {tmp_path}/child\nwait")
        source = await opened(tmp_path, document, policy=ExecPolicy(allow_all=True))
        with pytest.raises(NotSent, match="within"):
            await source.current()

    asyncio.run(scenario())
    child = int((tmp_path / "child").read_text())
    for _ in range(1000):
        if not alive(child):
            return
        time.sleep(0.001)  # a killed process takes a moment to be gone
    pytest.fail("the plugin's child outlived it")


# --- OIDC


def jwt(expires: int) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'exp': expires})}.sig"


def test_an_oidc_token_that_holds_is_used_and_its_expiry_known(tmp_path: Path) -> None:
    token = jwt(4_000_000_000)

    async def scenario() -> None:
        provider = {"name": "oidc", "config": {"id-token": token, "idp-issuer-url": "https://idp.invalid"}}
        source = await opened(tmp_path, config({"auth-provider": provider}))
        mine = await source.current()
        assert mine.authorization == f"Bearer {token}"
        assert mine.expires is not None
        assert mine.expires.year == 2096

    asyncio.run(scenario())


def test_an_expired_oidc_token_that_cannot_be_refreshed_is_an_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = {"id-token": jwt(1), "idp-issuer-url": "https://127.0.0.1:1", "client-id": "i"}
        source = await opened(tmp_path, config({"auth-provider": {"name": "oidc", "config": settings}}))
        with pytest.raises(NotSent, match="OIDC"):
            await source.current()

    asyncio.run(scenario())


def test_a_plugin_whose_output_is_cut_off_does_not_keep_anybody_waiting(tmp_path: Path) -> None:
    async def scenario() -> None:
        for _ in range(10):
            document = plugin(tmp_path, "head -c 20000000 /dev/zero; exec sleep 60")
            source = await opened(tmp_path, document, policy=ExecPolicy(allow_all=True))
            async with asyncio.timeout(30):
                with pytest.raises(NotSent, match="more than"):
                    await source.current()

    asyncio.run(scenario())
