#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of an Ollama: pulled where they are missing, deleted only when that is asked for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Keep the models that an Ollama has
version_added: 0.1.0
description:
  - Talks to Ollama's HTTP API on the host where the module runs. Nothing is pulled that is there already.
  - With no O(models) it only waits until Ollama answers, and tells its version and its models.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  url:
    description: Where Ollama answers.
    type: str
    default: http://127.0.0.1:11434
  models:
    description:
      - The models that are to be there, as V(llama3.2) or V(llama3.2:1b).
      - V(llama3.2:1b@a80c4f17acd5) insists on the build whose digest begins so. A different one is pulled again, and
        it is an error when the registry has moved on.
    type: list
    elements: str
    default: []
  update:
    description:
      - Whether to ask the registry for newer builds of models that are there. Changed is what got another digest.
    type: bool
    default: false
  prune:
    description: Whether to delete models that are not in O(models).
    type: bool
    default: false
  wait:
    description: How long to wait until Ollama answers, in seconds.
    type: float
    default: 30
  version:
    description: The version that has to answer. Any when not given.
    type: str
  progress:
    description: A file that tells how far a pull is, for C(tail -f).
    type: path
"""

EXAMPLES = r"""
- name: Two models, and no others
  anklume.stt.ollama_model:
    models: ["llama3.2:1b", qwen2.5]
    prune: true
    progress: /run/ollama-pull

- name: Wait until Ollama answers
  anklume.stt.ollama_model:
    wait: 60
  register: ollama
"""

RETURN = r"""
version:
  description: The version of Ollama.
  type: str
  returned: success
  sample: 0.32.7
models:
  description: The models that are there, digests by name. In check mode, those that are there now.
  type: dict
  returned: success
pulled:
  description: The models that were pulled and got another digest, or would be pulled in check mode.
  type: list
  elements: str
  returned: success
deleted:
  description: The models that were deleted, or would be.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._models.cache import ProgressLines
from ansible_collections.anklume.stt.plugins.module_utils._services.ollama import Ollama, Wish, Work, wish, work


def reconcile(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Observe, pull and delete what differs, and tell both."""
    wishes = [wish(text) for text in params["models"]]
    ollama = Ollama(params["url"])
    version = ollama.wait(params["wait"])
    if params["version"] and version != params["version"]:
        raise ServiceError(f"Ollama {version} answers at {params['url']} and not {params['version']}: restart it")
    before = ollama.models()
    todo = work(wishes, before, update=params["update"], prune=params["prune"])
    if check_mode:
        pulled = [one.name for one in todo.pull if not one.met_by(before)]
        after = {name: digest for name, digest in before.items() if name not in todo.delete}
        after |= dict.fromkeys(pulled, "(to be pulled)")
    else:
        progress = ProgressLines(Path(params["progress"]) if params["progress"] and todo.pull else None)
        after = carry_out(ollama, wishes, todo, progress)
        pulled = [one.name for one in todo.pull if before.get(one.name) != after[one.name]]
    return {
        "changed": before != after,
        "version": version,
        "models": before if check_mode else after,
        "pulled": pulled,
        "deleted": list(todo.delete),
        "diff": {"before": before, "after": after},
    }


def carry_out(ollama: Ollama, wishes: list[Wish], todo: Work, progress: ProgressLines) -> dict[str, str]:
    """Pull and delete; the models that are there afterwards."""
    for one in todo.pull:
        ollama.pull(one, progress)
    for name in todo.delete:
        ollama.delete(name)
    models = ollama.models()
    for one in wishes:
        if not one.met_by(models):
            raise ServiceError(
                f"{one.name} has the digest {models.get(one.name, '')[:12]} in the registry today and not "
                f"{one.digest}: take that one, or leave the digest out"
            )
    return models


def main() -> None:
    """Spec → desired → reconcile → exit."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "models": {"type": "list", "elements": "str", "default": []},
            "update": {"type": "bool", "default": False},
            "prune": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 30},
            "version": {"type": "str"},
            "progress": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        result = reconcile(module.params, module.check_mode)
    except Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
