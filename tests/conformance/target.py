"""An API server as its clients see it: plain HTTP, and what a kubeconfig says about the way there.

Nothing here knows what answers. A `Target` sends requests over one kept connection and opens watches
on connections of their own; an `Answer` is what came back, uninterpreted; a `Watch` reads events with a
deadline. The kubeconfig is read with PyYAML: server, CA, client certificate, token, no plugins.
"""

import base64
import contextlib
import http.client
import json
import ssl
import tempfile
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import yaml

PATIENCE = 20.0
GLANCE = 0.02
JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
OPERATIONS = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    """One answer of the server."""

    code: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    @property
    def meta(self):
        return self.json["metadata"]

    @property
    def version(self):
        return self.meta["resourceVersion"]

    @property
    def names(self):
        return [each["metadata"]["name"] for each in self.json["items"]]

    @property
    def message(self):
        return self.json["message"]

    @property
    def reason(self):
        return self.json["reason"]

    @property
    def causes(self):
        """Pairs of reason and field of a refusal's causes."""
        return [(each["reason"], each["field"]) for each in self.json["details"].get("causes", ())]

    def ok(self, code=None):
        """Insist on success (or on this code); return the answer."""
        good = self.code == code if code else 200 <= self.code < 300
        assert good, f"{self.code} instead of {code or 'success'}: {self.body[:2000]!r}"
        return self


class Target:
    """A server, and who speaks to it."""

    def __init__(self, server, context=None, headers=None):
        self.server = server
        self._context, self._headers = context, headers or {}
        self._connection = None

    def identified(self, **headers):
        """The same server with other credentials, or none."""
        context = None
        if self._context is not None:
            context = ssl.create_default_context(cadata=self.authority)
        other = Target(self.server, context, headers)
        other.authority = self.authority
        return other

    authority = None

    def connect(self, patience=PATIENCE):
        """A connection of one's own."""
        url = urllib.parse.urlsplit(self.server)
        if url.scheme == "http":
            return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=patience)
        return http.client.HTTPSConnection(
            url.hostname, url.port or 443, context=self._context, timeout=patience
        )

    def ask(self, method, path, body=None, kind=JSON, headers=None, **query):
        """Send one request; None among the headers' values leaves that header out."""
        sent = {"Accept": JSON, "User-Agent": "conformance/1", **self._headers}
        if body is not None:
            sent["Content-Type"] = kind
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent |= headers or {}
        sent = {name: value for name, value in sent.items() if value is not None}
        target = with_query(path, query)
        if self._connection is not None:
            try:
                return self._send(method, target, body, sent)
            except ConnectionError:
                pass  # The kept connection was closed while it lay idle.
        self._connection = self.connect()
        return self._send(method, target, body, sent)

    def _send(self, method, target, body, headers):
        try:
            try:
                self._connection.request(method, target, body, headers)
            except BrokenPipeError:
                pass  # A server that refuses a body need not read it all; the refusal is there to be read.
            response = self._connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except BaseException:
            # What follows on this connection would be read as the answer to something else.
            self.close()
            raise

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path, **query):
        return self.ask("GET", path, **query)

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)

    def put(self, path, body, **more):
        return self.ask("PUT", path, body, **more)

    def patch(self, path, body, kind=MERGE, **more):
        return self.ask("PATCH", path, body, kind, **more)

    def delete(self, path, body=None, **more):
        return self.ask("DELETE", path, body, **more)

    def apply(self, path, body, manager="conformance", force=None, **more):
        """Server-side apply."""
        query = {"fieldManager": manager, **({} if force is None else {"force": str(force).lower()}), **more}
        return self.ask("PATCH", path, body, APPLY, **query)

    def together(self, *asked):
        """Send several GETs at once, each (path, query) on a connection of its own; return their answers."""
        connections = []
        for path, query in asked:
            connections.append(self.connect())
            connections[-1].request("GET", with_query(path, query), headers={"Accept": JSON, **self._headers})
        answers = []
        for connection in connections:
            response = connection.getresponse()
            answers.append(Answer(response.status, response.headers, response.read()))
            connection.close()
        return answers

    @contextlib.contextmanager
    def watch(self, path, headers=None, **query):
        """Open a watch; it ends with the block."""
        connection = self.connect()
        try:
            sent = {"Accept": JSON, "User-Agent": "conformance/1", **self._headers, **(headers or {})}
            query = {"watch": "true", "timeoutSeconds": "30", **query}
            connection.request("GET", with_query(path, query), headers=sent)
            yield Watch(connection.getresponse())
        finally:
            connection.close()

    def eventually(self, path, condition, patience=PATIENCE):
        """Read until the condition holds of the answer; return that answer."""
        end = time.monotonic() + patience
        while True:
            answer = self.get(path)
            if condition(answer):
                return answer
            assert time.monotonic() < end, f"not within {patience:g} s: {answer.body[:1000]!r}"
            time.sleep(GLANCE)


class Watch:
    """The events of one watch, in order."""

    def __init__(self, response):
        self.code, self.headers = response.status, response.headers
        self._response = response

    def line(self):
        """The next line; empty at the end."""
        return self._response.readline()

    def next(self):
        """The next event."""
        line = self.line()
        assert line, "the watch ended"
        return json.loads(line)

    def until(self, condition):
        """Events up to and with the first of which the condition holds."""
        seen = []
        while True:
            seen.append(self.next())
            if condition(seen[-1]):
                return seen

    def through(self, name):
        """(type, name) of the events up to and with the first about this name."""
        seen = self.until(lambda event: event["object"]["metadata"].get("name") == name)
        return [(event["type"], event["object"]["metadata"]["name"]) for event in seen]

    def rest(self):
        """All events until the server ends the watch."""
        return [json.loads(line) for line in iter(self.line, b"")]


def with_query(path, query):
    """The path with its query; a list gives a parameter several times."""
    pairs = [(name.rstrip("_"), value) for name, value in query.items() if value is not None]
    if not pairs:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urllib.parse.urlencode(pairs, doseq=True)}"


def from_kubeconfig(path):
    """The target that a kubeconfig's current context names."""
    config = yaml.safe_load(Path(path).read_text())
    named = {
        kind: {each["name"]: each for each in config.get(kind) or ()}
        for kind in ("clusters", "users", "contexts")
    }
    context = named["contexts"][config["current-context"]]["context"]
    cluster = named["clusters"][context["cluster"]]["cluster"]
    user = named["users"].get(context.get("user"), {}).get("user") or {}
    folder = Path(path).parent
    headers = {}
    token = _material(user, "token", "tokenFile", folder, coded=False)
    if token:
        headers["Authorization"] = f"Bearer {token.strip()}"
    authority = _material(cluster, "certificate-authority-data", "certificate-authority", folder)
    target = Target(cluster["server"].rstrip("/"), _tls(cluster, user, authority, folder), headers)
    target.authority = authority
    return target


def _tls(cluster, user, authority, folder):
    """The TLS settings, or None for plain HTTP."""
    if cluster["server"].startswith("http://"):
        return None
    context = ssl.create_default_context(cadata=authority)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = _material(user, "client-certificate-data", "client-certificate", folder)
    key = _material(user, "client-key-data", "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as together:
            together.write(f"{certificate}\n{key}")
            together.flush()
            context.load_cert_chain(together.name)
    return context


def _material(holder, inline, file, folder, coded=True):
    """What a kubeconfig gives in line (base64) or as a file's name."""
    if holder.get(inline):
        return base64.b64decode(holder[inline]).decode() if coded else holder[inline]
    if holder.get(file):
        return (folder / holder[file]).read_text()
    return None
