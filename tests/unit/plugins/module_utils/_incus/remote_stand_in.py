# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for an Incus on another machine: the REST API over real TLS, with client certificates, in memory."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ansible_collections.anklume.stt.plugins.module_utils._incus.https_transport import Credentials
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import KINDS, Key, flatten, unflatten
from ansible_collections.anklume.stt.plugins.module_utils._incus.observe import Found, Observed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

STARTED = "2026-01-01T00:00:00Z"
LISTS = {"project": "projects", "acl": "network-acls", "network": "networks", "profile": "profiles"}


def certificate(folder: Path, name: str) -> tuple[Path, Path, str]:
    """A certificate that signs itself, its key and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    crt, secret = folder / f"{name}.crt", folder / f"{name}.key"
    crt.write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return crt, secret, hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


class Remote:
    """What it holds, what was written, and the interfaces of its machine with their states."""

    def __init__(self, folder: Path) -> None:
        self.observed = Observed()
        self.lock = threading.Lock()
        self.writes: list[str] = []
        self.asked: list[str] = []
        self.interfaces: dict[str, dict[str, Any]] = {
            "lo": {"type": "loopback", "state": _state("127.0.0.1", "8", 65536, scope="local")},
            "eno1": {"type": "physical", "state": _state("192.168.7.20", "24", 1400)},
            "wg0": {"type": "unknown", "state": {**_state("10.66.0.2", "24", 1420), "type": "point-to-point"}},
            "wan0": {"type": "physical", "state": _state("203.0.113.9", "24", 1500)},
        }
        self.bridges: set[str] = set()
        """Networks of Incus whose bridge is there."""
        self.cards: list[dict[str, Any]] = []
        self.driver = "lxc"
        self.images: dict[str, str] = {}
        """Fingerprints by alias."""
        self.auth = "trusted"
        self.restricted = False
        self.silent = 0.0
        """Seconds that it keeps back each answer."""
        self.members: dict[str, dict[str, Any]] = {}
        """Of a cluster: `groups`, and `cards` or `down` of each."""
        self.location: dict[Key, str] = {}
        self.defined: dict[str, set[str]] = {}
        """Networks that are not made yet, with the members that they are defined on."""
        self.broken: dict[str, int] = {}
        """Paths that are answered with this error."""
        crt, key, self.fingerprint = certificate(folder, "server")
        mine, my_key, _shown = certificate(folder, "client")
        self.credentials = Credentials(mine, my_key, self.fingerprint)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        context.load_verify_locations(mine)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Remote]:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, path: str, query: Mapping[str, str]) -> Any:
        """What a GET says; KeyError where there is nothing."""
        member = self.members.get(query.get("target", ""), {})
        if "down" in member:
            raise KeyError(path)
        match path.removeprefix("/1.0").strip("/").split("/"):
            case ["cluster", "members"]:
                return [
                    {
                        "server_name": name,
                        "url": f"https://192.168.7.{20 + number}:8443",
                        "status": "Offline" if one.get("down") else "Online",
                        "message": one.get("down") or "Fully operational",
                        "groups": one.get("groups", ["default"]),
                    }
                    for number, (name, one) in enumerate(self.members.items())
                ]
            case [""] if self.auth != "trusted":
                return {"api_status": "stable", "auth": self.auth}
            case [""]:
                addresses = [self.address]
                environment = {
                    "server_version": "6.0.4",
                    "driver": self.driver,
                    "firewall": "nftables",
                    "storage": "btrfs",
                    "certificate_fingerprint": self.fingerprint,
                    "server_clustered": bool(self.members),
                }
                about = {"environment": {**environment, "server_name": "far", "addresses": addresses}}
                return {**about, "auth": self.auth, "auth_user_name": "mine"}
            case ["certificates", "mine"]:
                return {"fingerprint": "mine", "restricted": self.restricted}
            case ["images", "aliases", *alias]:
                return {"target": self.images["/".join(alias)], "type": "container"}
            case ["resources"]:
                return {
                    "gpu": {"cards": member.get("cards", self.cards)},
                    "cpu": {"total": 16},
                    "memory": {"total": 64 << 30},
                }
            case ["storage-pools"]:
                return ["/1.0/storage-pools/default"]
            case ["operations"]:
                return {}
            case ["networks", name, "state"]:
                if name in self.bridges:
                    return _state("10.100.3.254", "24", 1500)
                if query.get("target") in self.members and name == "eno1":
                    return _state(f"192.168.7.{20 + list(self.members).index(query['target'])}", "24", 1400)
                return self.interfaces[name]["state"]
            case ["networks"] if "recursion" not in query:
                bridges = [key.name for key in self.observed.found if key.kind == "network"]
                return [f"/1.0/networks/{name}" for name in (*self.interfaces, *bridges)]
            case ["networks"]:
                own = [
                    {"name": name, "managed": False, "type": one["type"], "config": {}, "status": ""}
                    for name, one in self.interfaces.items()
                    if one["type"] != "unknown"
                ]
                return own + self._objects("network")
            case ["projects" | "network-acls" | "profiles" as collection]:
                return self._objects(next(kind for kind, name in LISTS.items() if name == collection))
            case ["instances"]:
                return self._objects("instance")
            case ["storage-pools", "default", "volumes", "custom"]:
                return self._objects("volume")
            case ["instances", _name, "snapshots"]:
                return []
            case ["instances", name, "state"]:
                one = self.observed.found[Key("instance", query["project"], name)]
                address = one.fields["devices/eth0/ipv4.address"]
                return {"status": one.status, "network": {"eth0": _state(address, "24", 1500)}}
        key = _key(path, query)
        if key is None:
            raise KeyError(path)
        return self._body(self.observed.found[key])

    def write(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> None:
        """Keep what a write says; whatever it starts has ended at once."""
        found = dict(self.observed.found)
        if path.endswith("/state"):
            key = Key("instance", query["project"], path.split("/")[-2])
            found[key] = replace(found[key], status={"stop": "Stopped", "start": "Running"}[body["action"]])
        elif method == "POST" and path == "/1.0/networks" and "target" in query:
            self.defined.setdefault(body["name"], set()).add(query["target"])
        elif method == "POST" and "migration" in body:
            self.location[Key("instance", query["project"], path.rsplit("/", maxsplit=1)[-1])] = query["target"]
        elif key := _key(f"{path}/{body['name']}" if method == "POST" else path, query):
            if method == "DELETE":
                found.pop(key)
                self.bridges.discard(key.name)
                found.pop(Key("profile", key.name if key.kind == "project" else "", "default"), None)
            else:
                old = found.get(key, Found(key, status="Running" if body.get("start") else "", started=STARTED))
                found[key] = replace(old, fields=flatten(body), type=body.get("type", old.type))
                if method == "POST" and key.kind == "instance" and self.members:
                    self.location[key] = query.get("target") or next(iter(self.members))
                if key.kind == "network":
                    if method == "POST":
                        assert self.defined.pop(key.name, set()) == set(self.members), "not defined on all members"
                        if self.members:  # as 6.0.4 does
                            found[key] = replace(found[key], fields={**found[key].fields, "description": ""})
                    self.bridges.add(key.name)
                if key.kind == "project" and method == "POST":
                    default = Key("profile", key.name, "default")
                    found[default] = Found(default, {"description": ""})
        self.observed = Observed(found)

    def _body(self, one: Found) -> dict[str, Any]:
        at = one.key.member or self.location.get(one.key, "none")
        if one.key.kind == "instance" and self.members.get(at, {}).get("down") is not None:
            about = {"name": one.key.name, "project": one.key.project, "type": one.type, "location": at}
            return {**about, "status": "Error", "config": None, "devices": None, "profiles": None, "description": ""}
        return {**_body(one), "location": at}

    def _objects(self, kind: str) -> list[dict[str, Any]]:
        found = [self._body(one) for key, one in self.observed.found.items() if key.kind == kind]
        if kind == "profile" and ("default", "default") not in {(b["project"], b["name"]) for b in found}:
            root = {"root": {"type": "disk", "path": "/", "pool": "default"}}
            found.append({"name": "default", "project": "default", "config": {}, "devices": root, "description": ""})
        return found


def _key(path: str, query: Mapping[str, str]) -> Key | None:
    """Which object is at a path."""
    *collection, name = path.removeprefix("/1.0/").split("/")
    for kind, entry in KINDS.items():
        same = len(entry.collection) == len(collection)
        if same and all(part in ("*", said) for part, said in zip(entry.collection, collection, strict=True)):
            pool = f"{collection[1]}/" if "*" in entry.collection else ""
            member = query.get("target", "") if entry.per_member else ""
            return Key(kind, query.get("project", "default") if entry.home else "", pool + name, member)
    return None


def _body(one: Found) -> dict[str, Any]:
    body = {"name": one.key.own_name, "project": one.key.project, "config": {}, "devices": {}, "description": ""}
    body |= {**unflatten(one.fields), "status": one.status or "Created", "managed": True, "type": one.type}
    return {**body, "last_used_at": one.started, "architecture": "x86_64", "ephemeral": False}


def _state(address: str, netmask: str, mtu: int, *, scope: str = "global") -> dict[str, Any]:
    addresses = [
        {"family": "inet", "address": address, "netmask": netmask, "scope": scope},
        {"family": "inet6", "address": "fe80::1", "netmask": "64", "scope": "link"},
    ]
    return {"addresses": addresses, "mtu": mtu, "state": "up", "type": "broadcast"}


def _handler(remote: Remote) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            remote.asked.append(self.path)
            time.sleep(remote.silent)
            if url.path in remote.broken:
                self._say({"type": "error", "error": "broken", "error_code": remote.broken[url.path]})
                return
            try:
                found = remote.answer(unquote(url.path), dict(parse_qsl(url.query)))
            except KeyError:
                self._say({"type": "error", "error": "Not Found", "error_code": 404})
                return
            self._say({"type": "sync", "metadata": found})

        def _write(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            with remote.lock:
                remote.writes.append(f"{self.command} {url.path}{f' at {at}' if (at := query.get('target')) else ''}")
                if url.path == "/1.0/networks" and at in remote.defined.get(body["name"], ()):
                    said = f'The network is already defined on member "{at}"'
                    self._say({"type": "error", "error": said, "error_code": 400})
                    return
                remote.write(self.command, unquote(url.path), query, body)
            self._say({"type": "sync", "metadata": None})

        do_POST = do_PUT = do_DELETE = _write  # noqa: N815

        def _say(self, answer: Mapping[str, Any]) -> None:
            if not self.connection.getpeercert():  # type: ignore[attr-defined]
                answer = {"type": "error", "error": "not authorized", "error_code": 403}
            data = json.dumps(answer).encode()
            self.send_response(answer.get("error_code", 200))
            self.send_header("Content-Length", str(len(data)))
            with contextlib.suppress(OSError):  # the client gave up
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Into no log."""

    return Handler
