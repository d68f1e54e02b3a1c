#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables for an STT server, out of a faster-whisper-server or an older Speaches in Docker."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_migration
short_description: Takes over a faster-whisper-server in variables of the role stt_server
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Reads how a faster-whisper-server, or an older Speaches, is run in Docker, and writes C(host_vars/) that say the
    same, with a report as a comment above them. Keys and tokens go into C(secrets/), and are shown nowhere.
  - A compose file is resolved by C(docker compose) where that is there, and otherwise as far as its common forms go;
    what is beyond them is refused.
  - Nothing that exists is overwritten. Runs on the controller, and changes nothing in Docker.
options:
  source:
    description: A compose file, an env file, or a file with what C(docker inspect NAME) prints.
    type: path
    required: true
  name:
    description: The host that the variables are for.
    type: str
    required: true
  service:
    description: The service that is meant, where a compose file has several.
    type: str
    default: ""
  keep:
    description: Whether files of the host that are there stay as they are, in place of an error.
    type: bool
    default: false
requirements:
  - PyYAML
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
"""

EXAMPLES = r"""
- name: Take over the old server
  anklume.stt.stt_migration:
    project_dir: /home/me/my-infra
    source: /home/me/whisper/compose.yaml
    name: attic
"""

RETURN = r"""
written:
  description: The files that were written, relative to O(project_dir).
  returned: success
  type: list
  elements: str
  sample: [host_vars/attic.yml, secrets/attic-speaches-api-key]
report:
  description: What was taken over, what was left out and why, and what clients have to know, a line each.
  returned: success
  type: list
  elements: str
  sample: ["taken over:", "  WHISPER__MODEL: stt_server_model"]
port:
  description: The port of the host at which the old server is asked.
  returned: success
  type: int
  sample: 8000
"""

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import changing
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR
from ansible_collections.anklume.stt.plugins.module_utils._migration.mapping import (
    Moved,
    host_vars,
    move,
    report,
    secret_file,
)
from ansible_collections.anklume.stt.plugins.module_utils._migration.sources import override, read

LARGEST = 1_000_000
"""Bytes of a file that is read."""


def text_of(path: Path) -> str | None:
    """What a file holds; None where there is none."""
    if not path.is_file():
        return None
    if path.stat().st_size > LARGEST:
        raise Error(f"{path} is larger than any compose file or env file: is it the right one?")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Error(f"{path} is no UTF-8 text: save it as UTF-8") from error
    except OSError as error:
        raise Error(f"{path}: {(error.strerror or str(error)).lower()}") from error


def resolved(module: Any, source: Path, text: str) -> str:
    """A compose file as Compose itself resolves it, where it is here; otherwise as it is."""
    docker = module.get_bin_path("docker")
    if not docker or not re.search(r"^services[ \t]*:", text, re.MULTILINE):
        return text
    over = override(source.name, lambda path: text_of(source.parent / path))
    files = ["-f", source.name, *(("-f", over) if over else ())]
    command = [docker, "compose", *files, "config", "--format", "json"]
    status, out, _err = module.run_command(command, cwd=str(source.parent))
    return text if status else out


def wanted(module: Any) -> tuple[dict[str, str], Moved]:
    """The files that there should be, and what became of the old server."""
    source, name = Path(module.params["source"]), module.params["name"]
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise Error(f"{name} is no name of a host: it has letters, digits, - and .")
    text = text_of(source)
    if text is None:
        raise Error(f"{source} is not there: give a compose file, an env file, or what docker inspect NAME prints")
    text = resolved(module, source, text)
    moved = move(read(text, source.name, lambda path: text_of(source.parent / path), module.params["service"]))
    files = {f"host_vars/{name}.yml": host_vars(moved, name, source.name)}
    files |= {secret_file(variable, name): f"{value}\n" for variable, value in moved.secrets.items()}
    return files, moved


def missing(project: Path, files: dict[str, str], keep: bool) -> list[str]:
    """Those that are not there yet; what is there and says something else is not overwritten."""
    found = []
    for name, content in files.items():
        there = text_of(project / name)
        if there is None:
            found.append(name)
        elif there != content and not keep:
            raise WriteError(f"{project / name} is there and says something else: move it away, or give another NAME")
    return found


def main() -> None:
    """Read, take over, write."""
    module = AnsibleModule(
        argument_spec={
            **PROJECT_DIR,
            "source": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "service": {"type": "str", "default": ""},
            "keep": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    project = Path(module.params["project_dir"])
    try:
        files, moved = wanted(module)
        written = missing(project, files, module.params["keep"])
        if written and not module.check_mode:
            (project / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
            with changing() as changes:
                for name in written:
                    mode = 0o600 if name.startswith("secrets/") else 0o644
                    changes.write(project / name, files[name].encode(), mode=mode)
    except Error as error:
        module.fail_json(msg=str(error))
    shown = {name: "(secret)\n" if name.startswith("secrets/") else files[name] for name in written}
    diff = [{"after_header": name, "before": "", "after": text} for name, text in shown.items()]
    result = {"changed": bool(written), "written": written, "report": report(moved), "port": moved.port}
    module.exit_json(**result, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
