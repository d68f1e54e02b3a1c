#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converges the live settings of an installed Open WebUI."""

from __future__ import annotations

DOCUMENTATION = r"""
module: open_webui_config
short_description: Converge the live settings of Open WebUI
version_added: 0.1.0
description:
  - Compares settings in Open WebUI's database with what is wanted, and changes those that differ.
  - A change is live at once, without a restart and without an administrator's password. Settings that are not named
    stay as they are.
  - Open WebUI reads its environment at the first start only, so this is how a later change reaches it.
  - Works with Open WebUI 0.11.4 and later, on SQLite and PostgreSQL, whether the service runs or not.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  settings:
    description: Settings by their name in the database, such as V(audio.stt.engine), with the wanted value.
    type: dict
    required: true
  secret_settings:
    description: More settings, whose values are shown nowhere.
    type: dict
    default: {}
  python:
    description: The interpreter of Open WebUI's virtual environment.
    type: path
    default: /opt/open-webui/current/bin/python
  environment_files:
    description: The service's environment files, read in this order.
    type: list
    elements: path
    default: [/etc/open-webui/open-webui.env, /etc/open-webui/secrets.env]
  user:
    description: The service's user, as whom the database is opened.
    type: str
    default: open-webui
"""

EXAMPLES = r"""
- name: Let Open WebUI use an STT server
  anklume.stt.open_webui_config:
    settings:
      audio.stt.engine: openai
      audio.stt.openai.api_base_url: http://homelab-ai:8000/v1
      audio.stt.model: whisper-1
    secret_settings:
      audio.stt.openai.api_key: "{{ vault_stt_key }}"
"""

RETURN = r"""
changed_settings:
  description: The names of the settings that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [audio.stt.engine]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import (
    Settings,
    changes,
    read_environment,
    shown,
)


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "required": True},
            "secret_settings": {"type": "dict", "default": {}, "no_log": True},
            "python": {"type": "path", "default": "/opt/open-webui/current/bin/python"},
            "environment_files": {
                "type": "list",
                "elements": "path",
                "default": ["/etc/open-webui/open-webui.env", "/etc/open-webui/secrets.env"],
            },
            "user": {"type": "str", "default": "open-webui"},
        },
        supports_check_mode=True,
    )
    secrets = module.params["secret_settings"]
    wanted = module.params["settings"] | secrets
    try:
        environment: dict[str, str] = {}
        for path in module.params["environment_files"]:
            environment |= read_environment(Path(path).read_text(encoding="utf-8"))
        settings = Settings(module.params["python"], module.params["user"], environment)
        current = settings.read(list(wanted))
        changed = changes(current, wanted)
        if changed and not module.check_mode:
            settings.write(changed)
    except (Error, OSError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": shown(current, changed, secrets), "after": shown(wanted, changed, secrets)}
    module.exit_json(changed=bool(changed), changed_settings=sorted(changed), diff=diff)


if __name__ == "__main__":
    main()
