#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the accounts of people in an installed Open WebUI."""

from __future__ import annotations

DOCUMENTATION = r"""
module: open_webui_users
short_description: Keep the accounts of people in Open WebUI
version_added: 0.1.0
description:
  - Makes an account for each person that is named, with a first password, and keeps its name and its role. The password
    is the person's own from then on, and is never changed here.
  - An account that this module made and that nobody names any more is shut. It can't sign in, its sessions end at once,
    and it waits with its chats until it is named again. No account is ever deleted.
  - Accounts that people made themselves, or that were made on the pages of Open WebUI, are not touched.
  - It needs no administrator's password, and works whether the service runs or not. Accounts are written by Open
    WebUI's own classes, as of 0.12.4.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
  - anklume.stt.open_webui
options:
  users:
    description: All people that are to have an account.
    type: list
    elements: dict
    required: true
    suboptions:
      email:
        description: What the person signs in with. It says who it is, so another e-mail is another account.
        type: str
        required: true
      name:
        description: What the others see.
        type: str
        required: true
      role:
        description: What the account may do; V(pending) signs in and sees nothing until an administrator lets it in.
        type: str
        choices: [user, admin, pending]
        default: user
  passwords:
    description: The first passwords, by e-mail. Only those of accounts that are to be made are looked at.
    type: dict
    default: {}
  administrator:
    description: The e-mail of an account that is left alone whatever is named.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Let the family in
  anklume.stt.open_webui_users:
    users:
      - email: anna@example.org
        name: Anna
        role: admin
      - email: ben@localhost
        name: Ben
    passwords:
      anna@example.org: "{{ vault_anna }}"
      ben@localhost: "{{ vault_ben }}"
"""

RETURN = r"""
made:
  description: The e-mails of the accounts that were made, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [anna@example.org]
changed_users:
  description: The e-mails of the accounts whose name or role was set, or that came back.
  returned: success
  type: list
  elements: str
  sample: []
taken_out:
  description: The e-mails of the accounts that were shut because nobody names them.
  returned: success
  type: list
  elements: str
  sample: [ben@localhost]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import ARGUMENTS
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_users import (
    ROLES,
    Users,
    faults,
    named_accounts,
    plan,
)

PERSON: dict[str, Any] = {
    "email": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "role": {"type": "str", "choices": list(ROLES), "default": "user"},
}


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "users": {"type": "list", "elements": "dict", "required": True, "options": PERSON},
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "administrator": {"type": "str", "default": ""},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    people, administrator = module.params["users"], module.params["administrator"]
    try:
        if wrong := faults(people, administrator):
            raise Error("; ".join(wrong))
        users = Users(module.params)
        changes = plan(named_accounts(people), users.read(), administrator)
        if changes and not module.check_mode:
            users.write(changes, module.params["passwords"])
    except (Error, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changes),
        made=[change.after.email for change in changes if change.before is None],
        changed_users=[change.after.email for change in changes if change.before and not change.taken_out],
        taken_out=[change.after.email for change in changes if change.taken_out],
        diff={side: {one.after.email: one.shown(side) for one in changes} for side in ("before", "after")},
    )


if __name__ == "__main__":
    main()
