#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the Whisper models of a Hugging Face cache folder."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_model_info
short_description: List the models of an STT server
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Lists the models that lie in a Hugging Face cache folder, whether each can be loaded, and what takes up space there
    without being a model yet.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  cache:
    description: The cache folder, which the STT server knows as C(HF_HOME). Models lie in C(hub/) below it.
    type: path
    required: true
seealso:
  - module: anklume.stt.stt_model
"""

EXAMPLES = r"""
- name: What is there
  anklume.stt.stt_model_info:
    cache: /var/lib/speaches
  register: found

- name: What is there and not asked for
  ansible.builtin.debug:
    msg: "{{ found.models | map(attribute='name') | difference(wanted) }}"
"""

RETURN = r"""
models:
  description: Every model in the cache, by name.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Id of the model.
      type: str
    revision:
      description: Commit of the hub; follows from the content when the model came from a folder or an archive.
      type: str
    path:
      description: The folder that its files are read from.
      type: str
    size:
      description: Bytes of all its files.
      type: int
    files:
      description: Bytes of each file.
      type: dict
    source:
      description: Where it came from, if M(anklume.stt.stt_model) put it there.
      type: dict
    complete:
      description: Whether it can be loaded.
      type: bool
    problems:
      description: Why it cannot.
      type: list
      elements: str
unfinished:
  description: Downloads that were interrupted, as C(name) and C(size) in bytes.
  type: list
  elements: dict
  returned: always
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._models.cache import ModelCache

SPEC = {"cache": {"type": "path", "required": True}}


def main() -> None:
    """Spec → observe → exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    cache = ModelCache(Path(module.params["cache"]))
    try:
        models = [installed.described() for installed in cache.all()]
        module.exit_json(changed=False, models=models, unfinished=cache.unfinished())
    except (Error, OSError) as exc:
        module.fail_json(msg=f"{cache.root}: {exc}")


if __name__ == "__main__":
    main()
