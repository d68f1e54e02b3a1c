#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the small files and folders of a service (units, settings, certificates) in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_files
short_description: Write several small files and folders at once
version_added: 0.1.0
description:
  - Brings a set of text files to the given content, owner and mode, each atomically, makes folders, and removes other
    files.
  - A task costs about a third of a second per instance, whatever it does, so one task for all files of a service is
    what makes a second run fast.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  files:
    description:
      - The files and folders, each after those that it lies in. Folders that are missing above a file are made, for
        everybody to read.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file lies.
        type: path
        required: true
      content:
        description: What it holds. Not for secrets; these go to O(secret_contents).
        type: str
      state:
        description: Whether the file is there, or a folder in its place.
        type: str
        choices: [present, absent, directory]
        default: present
      owner:
        description: Its user.
        type: str
        default: root
      group:
        description: Its group.
        type: str
        default: root
      mode:
        description: Its mode, in octal digits; C(0644) when not given, of a folder C(0755).
        type: str
  secret_contents:
    description: The content of those files of O(files) that have none, by path. Shown nowhere, in no diff either.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Write the settings
  anklume.stt.service_files:
    files:
      - path: /etc/open-webui/open-webui.env
        content: "{{ lookup('ansible.builtin.template', 'open-webui.env.j2') }}"
        group: open-webui
        mode: "0640"
      - path: /etc/open-webui/secrets.env
        mode: "0600"
    secret_contents:
      /etc/open-webui/secrets.env: "{{ lookup('ansible.builtin.template', 'secrets.env.j2') }}"
"""

RETURN = r"""
changed_files:
  description: The paths of the files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/open-webui/open-webui.env]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.placed import FILE_OPTIONS, wanted
from ansible_collections.anklume.stt.plugins.module_utils._services.placing import converge


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": FILE_OPTIONS},
            "secret_contents": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        files = wanted(module.params["files"], module.params["secret_contents"])
        changes = {str(file.path): converge(module, file) for file in files}
    except Error as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}")
    diff = [change for change in changes.values() if change]
    result = {"changed": bool(diff), "changed_files": [path for path, change in changes.items() if change]}
    module.exit_json(**result, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
