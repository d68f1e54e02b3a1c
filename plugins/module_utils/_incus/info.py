# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is on an Incus server, in the words of this collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._incus.client import Client, path_of
from ansible_collections.anklume.stt.plugins.module_utils._incus.objects import IMAGE_MARK, PROJECT_MARK, flatten
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import Server

MARK = PROJECT_MARK.partition("/")[2]


def info_of_all(servers: Iterable[Server], project_name: str) -> dict[str, Any]:
    """The first server, and what one `project_name` has on all of them."""
    first, *others = [info(server.client, project_name, server.name) for server in servers]
    for other in others:
        for name in ("projects", "networks", "instances"):
            first[name] += other[name]
    return first


def info(client: Client, project_name: str | None = None, server_name: str = "") -> dict[str, Any]:
    """The server and its objects, all or those of one `project_name`."""
    server = client.get(path_of())
    resources = client.get(path_of("resources"))

    def wanted(body: Any) -> bool:
        return project_name is None or (body["config"] or {}).get(MARK) == project_name

    everywhere = {"all_projects": "true"}
    return {
        "server": {
            "version": server["environment"]["server_version"],
            "storage": server["environment"]["storage"],
            "firewall": server["environment"]["firewall"],
            "virtual_machines": "qemu" in server["environment"]["driver"],
            "gpus": len((resources.get("gpu") or {}).get("cards") or ()),
        },
        "projects": sorted(body["name"] for body in client.get(path_of("projects"), recursion="1") if wanted(body)),
        "networks": [
            {
                "name": body["name"],
                "server": server_name,
                "address": body["config"].get("ipv4.address", ""),
                "project_name": body["config"].get(MARK, ""),
            }
            for body in client.get(path_of("networks"), recursion="1")
            if body["managed"] and wanted(body)
        ],
        "instances": [
            {**_instance(body), "server": server_name}
            for body in client.get(path_of("instances"), recursion="2", **everywhere)
            if wanted(body)
        ],
    }


def _instance(body: Any) -> dict[str, Any]:
    fields = flatten(body)
    state = body.get("state") or {}
    return {
        "name": body["name"],
        "project": body["project"],
        "project_name": fields.get(PROJECT_MARK, ""),
        "type": body["type"],
        "status": body["status"],
        "image": fields.get(f"config/{IMAGE_MARK}", ""),
        "profiles": body["profiles"],
        "addresses": [
            address["address"]
            for name, interface in (state.get("network") or {}).items()
            if name != "lo"
            for address in interface["addresses"]
            if address["family"] == "inet"
        ],
        "snapshots": [
            {"name": one["name"], "created": one["created_at"]}
            for one in sorted(body.get("snapshots") or (), key=lambda one: str(one["created_at"]))
        ],
    }
