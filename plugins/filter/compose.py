# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role stt_compose: the files of a service of Docker Compose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.stt_server import role_defaults
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._doctor import beside_docker
from ansible_collections.anklume.stt.plugins.module_utils._infra.render import to_yaml
from ansible_collections.anklume.stt.plugins.module_utils._services import compose
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import role_folder

Given = Mapping[str, Any]
ROLES = Path(role_folder("stt_server")).parent
HEAD = "# Written by the role stt_compose: change its variables, and those of stt_server, and not this file.\n"
LOCK = ROLES / "stt_server/files/speaches/requirements-py312.txt"
"""The image has Python 3.12."""
FACTORY = {
    "factory": ("stt_server/files/speaches/*.py", "stt_compose/files/*.py"),
    "factory/anklume_stt_server": ("stt_server/files/server/anklume_stt_server/*.py",),
}


def refusals(given: Given, values: Given) -> list[str]:
    """Why what the variables ask for cannot be had in a container."""
    return list(compose.refusals(values, given, role_defaults("stt_server")))


def placed(given: Given, told: Given) -> dict[str, Any]:
    """The files, as service_files takes them (files, secret_contents), and those of the factory (factory)."""
    folder, uid, gid = given["stt_compose_folder"], str(given["stt_compose_uid"]), str(given["stt_compose_gid"])
    theirs = {"owner": uid, "group": gid}
    try:
        made = compose.files(told, given, LOCK.read_text(encoding="utf-8"))
    except Error as exc:
        raise AnsibleFilterError(str(exc)) from exc
    factory = {
        f"{beside}/{path.name}": path.read_text(encoding="utf-8")
        for beside, patterns in FACTORY.items()
        for path in sorted(path for pattern in patterns for path in ROLES.glob(pattern))
    }
    # Compose makes a container anew where its own words have changed, and does not look into what is mounted
    mounted = {name: text for name, text in made.texts.items() if name != "speaches.env"} | factory
    digest = hashlib.sha256(json.dumps(mounted).encode()).hexdigest()
    made.document["services"]["speaches"]["labels"] = {"anklume.mounted": digest}
    folders: list[dict[str, Any]] = [{"path": folder, "state": "directory"}]
    packages = compose.packages_folder(made.texts["requirements.txt"])
    folders += [{"path": f"{folder}/{name}", "state": "directory", **theirs} for name in ("hub", packages)]
    texts = {"compose.yaml": HEAD + to_yaml(made.document), **made.texts}
    secrets = f"{folder}/secrets.json"
    return {
        "names": [*texts, "secrets.json", "factory"],
        "packages": packages,
        "files": [*folders, *_texts(folder, texts), {"path": secrets, "mode": "0400", **theirs}],
        "secret_contents": {secrets: made.secrets},
        "factory": _texts(folder, factory),
    }


def _texts(folder: str, texts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"path": f"{folder}/{name}", "content": text} for name, text in texts.items()]


def warnings(nft: str, interfaces: str, host: str) -> list[str]:
    """What to know of the firewall where a port is published on an address of the host."""
    return list(beside_docker.warnings(nft, interfaces, host))


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them as Ansible asks for them."""
        return {
            "stt_compose_files": placed,
            "stt_compose_refusals": refusals,
            "stt_compose_url": compose.local_url,
            "stt_compose_warnings": warnings,
        }
