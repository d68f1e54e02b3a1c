#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the speech models of a Hugging Face cache folder."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_model_info
short_description: List the models of an STT server
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Lists the models that lie in a Hugging Face cache folder, whether each can be loaded, and what takes up space there
    without being a model yet. Told which there should be, it says what M(anklume.stt.stt_model) would find to do.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  cache:
    description: The cache folder, which the STT server knows as C(HF_HOME). Models lie in C(hub/) below it.
    type: path
    required: true
  wanted:
    description: The models that there should be, as ids or short names.
    type: list
    elements: str
    default: []
  group:
    description: Group that their files should belong to. Not looked at when not given.
    type: str
  mode:
    description: Permissions that their files should have.
    type: str
    default: "0644"
  precision:
    description: In which precision a model has to be there that comes in both, as Parakeet.
    type: str
    choices: [int8, float32]
    default: int8
seealso:
  - module: anklume.stt.stt_model
"""

EXAMPLES = r"""
- name: What is there
  anklume.stt.stt_model_info:
    cache: /var/lib/speaches
  register: found

- name: What is there and not asked for
  anklume.stt.stt_model_info:
    cache: /var/lib/speaches
    wanted: [small]
  register: found

- name: Tell it
  ansible.builtin.debug:
    msg: "{{ found.unnamed }}"
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
    licence:
      description: The licence of its weights, as their publisher gives it. Empty where it is not known here.
      type: str
    complete:
      description: Whether it can be loaded.
      type: bool
    problems:
      description: Why it cannot.
      type: list
      elements: str
differing:
  description:
    - Ids of those of O(wanted) that are not there, cannot be loaded, or are not as the module would leave them.
  type: list
  elements: str
  returned: always
unnamed:
  description: Ids of the models that are there and not in O(wanted).
  type: list
  elements: str
  returned: always
unfinished:
  description: Downloads that were interrupted, as C(name) and C(size) in bytes.
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.speech_models import OPTIONS as SPEC
from ansible_collections.anklume.stt.plugins.module_utils._services.speech_models import observe


def main() -> None:
    """Spec → observe → exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        seen = observe(module.params)
    except (Error, OSError) as exc:
        module.fail_json(msg=f"{module.params['cache']}: {exc}")
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
