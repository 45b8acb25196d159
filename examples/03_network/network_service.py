"""A stand-in for the external network service: networks by id, in a database file of their own.

    python network_service.py --port 9696 --database networks.db

GET /networks lists them; GET, PUT and DELETE /networks/ID do what they say. It refuses address
ranges that are none or overlap another network's (409). For trying out what goes wrong: PUT /moods
with {"delay": 10} makes it slow, {"broken": true} makes it answer 500.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TABLE = "CREATE TABLE IF NOT EXISTS networks (id TEXT PRIMARY KEY, cidr TEXT, gateway TEXT, owner TEXT)"

Network = dict[str, str]


class Refusal(Exception):
    """The service does not want to; the text says why."""


class Database:
    """The networks, in one file. Every change is on disk when it returns."""

    def __init__(self, file: str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute(TABLE)

    def everything(self) -> dict[str, Network]:
        """Return all networks by id."""
        with self._lock:
            rows = self._connection.execute("SELECT * FROM networks ORDER BY id").fetchall()
        return {row["id"]: {name: row[name] for name in ("cidr", "gateway", "owner")} for row in rows}

    def find(self, identity: str) -> Network | None:
        """Return one network."""
        return self.everything().get(identity)

    def put(self, identity: str, wanted: Network) -> Network:
        """Make or change a network; `Refusal` for one that cannot be."""
        try:
            whole = ipaddress.ip_network(wanted["cidr"])
            gateway = ipaddress.ip_address(wanted.get("gateway") or whole[min(1, whole.num_addresses - 1)])
        except (KeyError, ValueError) as error:
            raise Refusal(str(error)) from None
        if gateway not in whole:
            raise Refusal(f"gateway {gateway} is not in {whole}")
        for other, present in self.everything().items():
            if other != identity and whole.overlaps(ipaddress.ip_network(present["cidr"])):
                raise Refusal(f"{whole} overlaps {present['cidr']} of {present['owner']}")
        made = {"cidr": str(whole), "gateway": str(gateway), "owner": wanted.get("owner", "")}
        with self._lock:
            values = (identity, made["cidr"], made["gateway"], made["owner"])
            self._connection.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?, ?)", values)
        return made

    def remove(self, identity: str) -> bool:
        """Remove a network; say whether there was one."""
        with self._lock:
            return self._connection.execute("DELETE FROM networks WHERE id = ?", (identity,)).rowcount > 0

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


class Service(ThreadingHTTPServer):
    """The HTTP server. `moods`: how it misbehaves."""

    daemon_threads = True

    def __init__(self, port: int, database: Database) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.database = database
        self.moods: dict[str, Any] = {}
        self.hurry = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_DELETE(self) -> None:
        self._answer(lambda name: (200 if self.server.database.remove(name) else 404, {}))

    def _get(self, name: str) -> tuple[int, Any]:
        if not name:
            return 200, self.server.database.everything()
        found = self.server.database.find(name)
        return (200, found) if found else (404, {})

    def _put(self, name: str) -> tuple[int, Any]:
        content = json.loads(self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 65536)))
        if self.path == "/moods":
            self.server.moods = content
            return 200, content
        return 200, self.server.database.put(name, content)

    def _answer(self, work: Any) -> None:
        moods = {} if self.path == "/moods" else self.server.moods
        self.server.hurry.wait(moods.get("delay", 0))
        try:
            status, content = (500, {}) if moods.get("broken") else work(self.path[len("/networks/") :])
            body = json.dumps(content).encode()
        except Refusal as refusal:
            status, body = 409, str(refusal).encode()
        except (ValueError, TypeError, AttributeError) as error:
            status, body = 400, repr(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in for an external network service.")
    parser.add_argument("--port", type=int, default=9696, help="0: any free one")
    parser.add_argument("--database", default="networks.db")
    options = parser.parse_args()
    service = Service(options.port, Database(options.database))
    print(f"network service on 127.0.0.1:{service.server_port}", flush=True)
    try:
        service.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
