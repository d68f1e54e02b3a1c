#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A first infra.yml with its host_vars, for the machine that it runs on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: infra_init
short_description: Writes an infra.yml and host_vars that end in speech on this machine
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Looks at this machine (GPU and memory, networks, taken ports, Incus, the hub of models) and writes C(infra.yml) and
    the C(host_vars/) of its two machines, one with the STT server and one with Open WebUI.
  - The folder is made where it is missing. Nothing that exists is overwritten. Where there is an C(infra.yml) or a
    folder C(infra/) already, nothing is changed; where one of the C(host_vars/) alone is there, that is an error.
  - Runs on the controller, which is the Incus host.
options:
  name:
    description: What the project and its domain are called; the machines are C(<name>-ai) and C(<name>-webui).
    type: str
    default: homelab
  gpu:
    description:
      - Whether the STT server gets the GPU. Left out, it gets one that works in a container. V(true) is refused where
        there is none.
    type: bool
  ollama:
    description: Whether there is an Ollama beside the STT server. Left out, there is one where there is a GPU.
    type: bool
  port:
    description:
      - The port of this host that leads to the page, for the host's own local network; V(0) for none. Left out, it is
        443, or the next of 8443, 9443 and 10443 that is free, and none where the host has no private network behind a
        default route.
    type: int
  base_subnet:
    description: The first two numbers of all addresses. Empty for a range that this host has no route to.
    type: str
    default: ""
  engine:
    description:
      - The engine of the STT server. Left out, it is V(speaches) with a GPU, and V(faster_whisper) without one or where
        the hub cannot be reached.
    type: str
    choices: [speaches, faster_whisper]
  model:
    description: The model, as a short name or a hub id. Empty for C(auto), the best that fits.
    type: str
    default: ""
  model_source:
    description: A folder or an archive on the controller that holds O(model), instead of the hub.
    type: str
    default: ""
  language:
    description: The language that people speak, as a two-letter code. Empty, it is recognised.
    type: str
    default: ""
  hub:
    description: A mirror of the hub of models. Empty for C(https://huggingface.co).
    type: str
    default: ""
  stand_in:
    description:
      - An archive of a small model to begin with where the hub cannot be reached and no O(model) is given. It is warned
        of.
    type: path
  schema:
    description: Where editors find the schema of C(infra.yml), for the first line of the file.
    type: str
    default: infra.schema.json
requirements:
  - PyYAML
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
"""

EXAMPLES = r"""
- name: Begin a project
  anklume.stt.infra_init:
    project_dir: /home/me/my-infra

- name: Begin one with Ollama, at another port
  anklume.stt.infra_init:
    project_dir: /home/me/my-infra
    ollama: true
    port: 8443
"""

RETURN = r"""
written:
  description: The files that were written, relative to O(project_dir).
  returned: success
  type: list
  elements: str
  sample: [infra.yml, host_vars/homelab-ai.yml, host_vars/homelab-webui.yml]
summary:
  description: What was seen and chosen, a line each; or why nothing was written.
  returned: success
  type: list
  elements: str
  sample: ["GPU: none, speech runs on the processor (no NVIDIA GPU may be used here)", "network: 10.100.3.0/24"]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._base.files import changing
from ansible_collections.anklume.stt.plugins.module_utils._incus.first_look import look, what_is_there
from ansible_collections.anklume.stt.plugins.module_utils._infra.first import First, Wishes, compose
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR

ARGUMENTS: dict[str, Any] = {
    **PROJECT_DIR,
    "name": {"type": "str", "default": "homelab"},
    "gpu": {"type": "bool"},
    "ollama": {"type": "bool"},
    "port": {"type": "int"},
    "base_subnet": {"type": "str", "default": ""},
    "engine": {"type": "str", "choices": ["speaches", "faster_whisper"]},
    "model": {"type": "str", "default": ""},
    "model_source": {"type": "str", "default": ""},
    "language": {"type": "str", "default": ""},
    "hub": {"type": "str", "default": ""},
    "stand_in": {"type": "path"},
    "schema": {"type": "str", "default": "infra.schema.json"},
}
ASKED = ("name", "gpu", "ollama", "port", "base_subnet", "engine", "model", "model_source", "language")


def main() -> None:
    """Look, compose, write."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    params = module.params
    project = Path(params["project_dir"])
    try:
        wishes = Wishes(**{name: params[name] for name in ASKED})
        there = what_is_there(project, wishes.name)
        made = First({}, (there,)) if there else _first(wishes, params)
        if made.files and not module.check_mode:
            with changing() as files:
                for name, content in made.files.items():
                    files.write(project / name, content.encode())
    except Error as error:
        module.fail_json(msg=str(error))
    for warning in made.warnings:
        module.warn(warning)
    diff = [{"after_header": name, "before": "", "after": content} for name, content in made.files.items()]
    result = {"changed": bool(made.files), "written": list(made.files), "summary": list(made.summary)}
    module.exit_json(**result, **({"diff": diff} if module._diff else {}))


def _first(wishes: Wishes, params: dict[str, Any]) -> First:
    seen = look(
        gpu=wishes.gpu,
        port=wishes.port,
        language=wishes.language,
        hub=params["hub"],
        stand_in=params["stand_in"] or "",
    )
    return compose(wishes, seen, params["schema"])


if __name__ == "__main__":
    main()
