#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps files of a service once they were proved, and puts them back where what came after them fails."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kept_files
short_description: Keep files that were proved, and put them back
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Keeps the files of a service, once it was proved with them, in the folder C(proved) beside them, which only root
    may read. After a change that fails, they are put back as they were, with their owners and modes.
  - In check mode with O(state=kept) it says what was changed since.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  folder:
    description: The folder that the files lie in.
    type: path
    required: true
  names:
    description: The files, and folders with files, by their path in O(folder).
    type: list
    elements: str
    required: true
  state:
    description: Whether to keep them as they are now, or to bring them back to what was kept.
    type: str
    choices: [kept, put_back]
    default: kept
"""

EXAMPLES = r"""
- name: Keep what serves
  anklume.stt.kept_files:
    folder: /opt/stt-compose
    names: [compose.yaml, speaches.env, factory]

- name: Go back to it
  anklume.stt.kept_files:
    folder: /opt/stt-compose
    names: [compose.yaml, speaches.env, factory]
    state: put_back
"""

RETURN = r"""
differing:
  description: The files that were not as they had been kept.
  returned: success
  type: list
  elements: str
  sample: [compose.yaml]
kept_before:
  description: Whether anything had been kept. Without it nothing is put back.
  returned: success
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._services.kept import differing, keep, kept_in, put_back


def main() -> None:
    """Spec, compare, keep or put back, exit."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["kept", "put_back"], "default": "kept"},
        },
        supports_check_mode=True,
    )
    folder, names, back = Path(module.params["folder"]), module.params["names"], module.params["state"] == "put_back"
    try:
        before, found = kept_in(folder).is_dir(), differing(folder, names)
        changed = bool(found) and (before or not back)
        if changed and not module.check_mode:
            (put_back if back else keep)(folder, names)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {(error.strerror or str(error)).lower()}")
    result = {"changed": changed, "differing": found, "kept_before": before}
    lines = "".join(f"{name}\n" for name in found) if changed else ""
    module.exit_json(**result, **({"diff": {"before": "", "after": lines}} if module._diff else {}))


if __name__ == "__main__":
    main()
