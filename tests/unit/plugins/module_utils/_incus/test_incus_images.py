# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image comes from: this Incus first, then an image server; a clear word when neither has it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._incus import images
from ansible_collections.anklume.stt.plugins.module_utils._incus.client import IncusNotFoundError
from ansible_collections.anklume.stt.plugins.module_utils._incus.images import resolve

FINGERPRINT = "f" * 64
PUBLISHED = {"products": {"a": {"aliases": "debian/13/default,debian/13,debian/trixie"}, "b": {"aliases": "fedora/42"}}}


class Local:
    """An Incus with one image, whose alias is debian/12."""

    def get(self, path: str, **_query: str) -> Any:
        if path == "/1.0/images/aliases/debian%2F12":
            return {"target": FINGERPRINT, "type": "container"}
        if path == f"/1.0/images/{FINGERPRINT}":
            return {"fingerprint": FINGERPRINT, "type": "container"}
        raise IncusNotFoundError(path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/streams/v1/images.json" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(PUBLISHED).encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setattr(images, "SERVERS", {"images": address})
        yield address
        http.shutdown()


def one(image: str, kind: str = "container") -> Any:
    sources, faults = resolve(Local(), [(image, kind)])
    return faults[0] if faults else sources[image, kind]


@pytest.mark.parametrize("image", ["images:debian/12", "local:debian/12", "debian/12", FINGERPRINT])
def test_a_local_image_comes_first(image: str) -> None:
    assert one(image) == {"type": "image", "fingerprint": FINGERPRINT, "project": "default"}


def test_the_image_server_comes_second(server: str) -> None:
    assert one("images:debian/13") == {
        "type": "image",
        "mode": "pull",
        "protocol": "simplestreams",
        "server": server,
        "alias": "debian/13",
    }


def test_an_alias_nobody_knows_gets_the_nearest(server: str) -> None:
    assert (
        one("images:debian/31")
        == f"image images:debian/31: neither in this Incus nor on {server}, did you mean images:debian/13?"
    )


def test_an_image_server_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SERVERS", {"images": "http://127.0.0.1:9"})
    assert "not in this Incus, and http://127.0.0.1:9 cannot be reached (" in one("images:debian/13")
    assert "make host" in one("images:debian/13")


def test_a_name_without_a_server_is_local_only() -> None:
    assert "this Incus has no container image of that alias" in one("debian/13")
    assert "this Incus has no virtual-machine image of that alias" in one("debian/12", "virtual-machine")


def test_an_unknown_server() -> None:
    assert "unknown image server ubuntu: use images:" in one("ubuntu:24.04")
