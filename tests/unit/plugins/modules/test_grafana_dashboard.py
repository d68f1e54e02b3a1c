# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard in a Grafana, for which a stand-in takes its place: Debian, PyPI and npm have none."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.modules import grafana_dashboard
from module_runner import run_module

ROOT = Path(__file__).resolve().parents[4]
BOARD = json.loads((ROOT / "data/monitoring/dashboard.json").read_text(encoding="utf-8"))
SOURCE = {"name": "monitor", "url": "http://10.1.1.60:9090"}
TOKEN, PASSWORD = "glsa-4711", "sesame-4712"
BASIC = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()


class StandIn:
    """Not Grafana: its HTTP API for data sources and dashboards, as documented, on loopback."""

    def __init__(self) -> None:
        self.sources: dict[str, dict[str, Any]] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.role = "Admin"
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.say(*stand_in.answer("GET", self.path, {}, self.headers["Authorization"]))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand_in.writes.append(f"{self.command} {self.path}")
                self.say(*stand_in.answer(self.command, self.path, body, self.headers["Authorization"]))

            def do_PUT(self) -> None:
                self.do_POST()

            def say(self, status: int, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, method: str, path: str, body: dict[str, Any], account: str) -> tuple[int, Any]:
        if account not in (f"Bearer {TOKEN}", f"Basic {BASIC}"):
            return 401, {"message": "Invalid API key"}
        if self.role != "Admin":
            return 403, {"message": "You'll need additional permissions to perform this action"}
        uid = path.rpartition("/")[2]
        match method, path.rpartition("/")[0]:
            case "GET", "/api/datasources/uid":
                return (200, self.sources[uid]) if uid in self.sources else (404, {"message": "Data source not found"})
            case "POST", "/api":
                self.sources[body["uid"]] = {"id": 7, "orgId": 1, "readOnly": False, **body}
                return 200, {"id": 7, "message": "Datasource added", "datasource": body}
            case "PUT", "/api/datasources/uid":
                self.sources[uid] |= body
                return 200, {"message": "Datasource updated"}
            case "GET", "/api/dashboards/uid":
                found = self.boards.get(uid)
                return (200, {"dashboard": found, "meta": {}}) if found else (404, {"message": "Dashboard not found"})
            case "POST", "/api/dashboards":
                board = body["dashboard"]
                before = self.boards.get(board["uid"])
                if before and not body.get("overwrite"):
                    return 412, {
                        "message": "The dashboard has been changed by someone else",
                        "status": "version-mismatch",
                    }
                version = before["version"] + 1 if before else 1
                self.boards[board["uid"]] = {**board, "id": 12, "version": version}
                return 200, {"id": 12, "uid": board["uid"], "status": "success", "version": version}
        return 404, {"message": "Not found"}


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    stand_in = StandIn()
    threading.Thread(target=stand_in.server.serve_forever, daemon=True).start()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


def keep(grafana: StandIn, *, check: bool = False, **more: Any) -> dict[str, Any]:
    account = {} if "user" in more or "token" in more else {"token": TOKEN}
    given = {"url": grafana.url, "dashboard": BOARD, "source": SOURCE, **account, **more}
    return run_module(grafana_dashboard, check=check, **given)


def test_the_first_run_makes_both_and_the_second_changes_nothing(grafana: StandIn) -> None:
    planned = keep(grafana, check=True)
    assert planned["changed"] and grafana.writes == []
    done = keep(grafana)
    assert (done["changed"], done["diff"]) == (True, planned["diff"])
    assert done["page"] == f"{grafana.url}/d/anklume-stt"
    assert grafana.writes == ["POST /api/datasources", "POST /api/dashboards/db"]
    (source,) = grafana.sources.values()
    assert (source["type"], source["url"], source["access"]) == ("prometheus", SOURCE["url"], "proxy")
    (board,) = grafana.boards.values()
    assert board["panels"] == BOARD["panels"]
    assert board["templating"]["list"][0]["current"] == {"text": "monitor", "value": source["uid"]}
    again = keep(grafana)
    assert (again["changed"], again["diff"]["after"]) == (False, "") and len(grafana.writes) == 2


def test_what_differs_is_changed_and_nothing_else(grafana: StandIn) -> None:
    keep(grafana)
    moved = keep(grafana, source={**SOURCE, "url": "http://10.1.1.61:9090"})
    assert moved["diff"]["after"] == "~ data source monitor: url http://10.1.1.60:9090 → http://10.1.1.61:9090\n"
    grafana.boards["anklume-stt"]["title"] = "by hand"
    keep(grafana, source={**SOURCE, "url": "http://10.1.1.61:9090"})
    assert grafana.boards["anklume-stt"]["title"] == BOARD["title"]
    assert grafana.writes[2:] == ["PUT /api/datasources/uid/anklume-prometheus", "POST /api/dashboards/db"]


def test_an_account_with_a_password_serves_too(grafana: StandIn) -> None:
    assert keep(grafana, user="admin", password=PASSWORD)["changed"]


@pytest.mark.parametrize(
    ("role", "more", "message"),
    [
        ("Admin", {"token": "wrong"}, "does not know this account"),
        ("Viewer", {}, "the account needs the role Admin"),
        ("Admin", {"user": "admin", "password": PASSWORD, "token": TOKEN}, "mutually exclusive"),
    ],
)
def test_why_it_cannot_be_kept(grafana: StandIn, role: str, more: dict[str, Any], message: str) -> None:
    grafana.role = role
    failed = keep(grafana, **more)
    assert failed["failed"] and message in failed["msg"]
    assert grafana.writes == [] and "4711" not in str(failed["msg"])


def test_something_that_is_no_grafana(grafana: StandIn) -> None:
    failed = keep(grafana, url=f"{grafana.url}/elsewhere")
    assert failed["failed"] and "refuses /api/datasources" in failed["msg"]
    assert "10.255.255.1" not in keep(grafana, url="not an address")["msg"]
