#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has an Open WebUI ask another STT server, by its API."""

from __future__ import annotations

DOCUMENTATION = r"""
module: open_webui_stt
short_description: Have Open WebUI ask an STT server on another port
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - For an Open WebUI that this collection has not installed, as in Docker. It asks by the API that the page of the
    administrator's settings uses, and changes the address of the STT server alone, from one port of its host to
    another.
  - The change is live with the next sentence; one that is being transcribed is ended by the server that has it.
  - An Open WebUI that asks something else is left alone, with an error.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  url:
    description: The address of Open WebUI, as V(http://192.168.1.20:3000).
    type: str
    required: true
  api_key:
    description: An API key of an administrator's, or the token of a session.
    type: str
    required: true
  port:
    description: The port of the STT server to ask. Without it nothing is changed.
    type: int
  instead_of:
    description: The port that is asked so far.
    type: int
seealso:
  - module: anklume.stt.open_webui_config
"""

EXAMPLES = r"""
- name: Have Open WebUI ask the new server
  anklume.stt.open_webui_stt:
    url: http://192.168.1.20:3000
    api_key: "{{ vault_open_webui_key }}"
    port: 8001
    instead_of: 8000
"""

RETURN = r"""
address:
  description: The address of the STT server that is asked now.
  returned: success
  type: str
  sample: http://attic:8001/v1
model:
  description: The model that is asked for; empty for none.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_audio import AudioSettings, moved

ADDRESS = "OPENAI_API_BASE_URL"


def main() -> None:
    """Spec, compare, change, exit."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "api_key": {"type": "str", "required": True, "no_log": True},
            "port": {"type": "int"},
            "instead_of": {"type": "int"},
        },
        required_together=[("port", "instead_of")],
        supports_check_mode=True,
    )
    params = module.params
    try:
        page = AudioSettings(params["url"], params["api_key"])
        settings = page.read()
        before = str(settings["stt"].get(ADDRESS) or "")
        after = moved(before, params["port"], params["instead_of"]) if params["port"] else before
        if after != before and not module.check_mode:
            page.write(settings | {"stt": settings["stt"] | {ADDRESS: after}})
    except Error as error:
        module.fail_json(msg=str(error))
    result = {"changed": after != before, "address": after, "model": settings["stt"].get("MODEL") or ""}
    diff = {"before": f"{before}\n", "after": f"{after}\n"}
    module.exit_json(**result, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
