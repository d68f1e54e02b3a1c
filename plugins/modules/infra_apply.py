#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra.yml into Incus objects: one plan, one apply."""

from __future__ import annotations

DOCUMENTATION = r"""
module: infra_apply
short_description: Makes Incus hold what infra.yml says
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Reads C(infra.yml), compares it with what Incus holds and makes the difference, in a second run none.
    Projects, bridges with their network ACLs, profiles, storage volumes and instances; instances run and have
    their address when it returns.
  - Check mode with C(--diff) prints exactly what would be done. Every step is in RV(ignore:plan).
  - Touches only objects that it made, which carry C(user.anklume.project), and in these only the keys that infra.yml
    names or named; what was set by hand beside them stays.
  - Before an instance is changed, a snapshot C(anklume-<time>) is taken; the last three are kept.
  - A change that the guest sees only after a restart restarts the instance once.
  - Refuses, before anything is made, a subnet that overlaps one of the host's, a GPU where there is none, a virtual
    machine where none can run, an image that is nowhere to be had, an object of the same name that is not ours, and a
    port to publish that something else on the host has.
  - Runs on the controller, which is the Incus host, but for domains on a server of C(global.remotes). Those are asked
    over HTTPS, with the certificate in C(secrets/incus) of the project (or in C(INCUS_CONF)); all servers are done at
    the same time, nothing is made on any as long as one refuses, and one that does not answer is named and left alone.
  - A server that is a cluster is found to be one by asking it. Each machine is on the member that its C(target) says;
    what is on a member that is down is named and left alone.
options:
  state:
    description:
      - V(present) makes what infra.yml says.
      - V(absent) deletes everything that carries the C(project_name) of this infra.yml, and nothing else.
    type: str
    choices: [present, absent]
    default: present
  prune:
    description:
      - Delete what an earlier infra.yml named and this one no longer does.
      - Without it such objects are listed in RV(ignore:notes).
    type: bool
    default: false
  confirm:
    description:
      - Instances and storage volumes that may be deleted though they are not C(ephemeral), by name.
      - Also allows an instance to be made anew when its C(type) or C(os_image) changed, and in a cluster to be moved
        when its C(target) changed.
      - V(*) stands for all.
    type: list
    elements: str
    default: []
  backup:
    description: Export what is deleted and not C(ephemeral) to a file in O(backup_dir) first.
    type: bool
    default: true
  backup_dir:
    description: Where exports go. By default the folder C(backups) in O(project_dir).
    type: path
  adopt:
    description:
      - Take over objects that have the right name and were not made by us, instead of refusing.
      - They then carry our mark, so that O(prune) and O(state=absent) delete them too.
    type: bool
    default: false
  workers:
    description: How many things Incus is asked to do at the same time. By default four for each CPU, at most 16.
    type: int
  log_path:
    description: A file that gets a line of JSON as each step begins and ends, to be followed while the module runs.
    type: path
  roles_follow:
    description:
      - What this run of Ansible has for the roles of the machines, where it applies them afterwards.
      - Then it refuses, before anything is made, C(inventory/), C(host_vars/) and C(group_vars/) that are older than
        C(infra.yml), a run that knows none of its machines, and roles that nobody has. In check mode the first is a
        warning, and the second is no fault. Variables beside them that change nothing in Incus are named in a warning.
    type: dict
    suboptions:
      machines:
        description: The machines that this run knows.
        type: list
        elements: str
        required: true
      roles_path:
        description: Where roles are installed.
        type: list
        elements: str
        required: true
      collections_path:
        description: Where collections are installed.
        type: list
        elements: str
        required: true
requirements:
  - PyYAML
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.incus
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
"""

EXAMPLES = r"""
- name: Make Incus hold what infra.yml says
  anklume.stt.infra_apply:
    project_dir: /home/me/my-infra

- name: Show what that would change
  anklume.stt.infra_apply:
    project_dir: /home/me/my-infra
  check_mode: true
  diff: true

- name: Delete what infra.yml no longer names, the instance old-ai included
  anklume.stt.infra_apply:
    project_dir: /home/me/my-infra
    prune: true
    confirm: [old-ai]

- name: Make Incus hold what infra.yml says, if the roles of the machines can follow
  anklume.stt.infra_apply:
    project_dir: /home/me/my-infra
    roles_follow:
      machines: "{{ groups.all }}"
      roles_path: "{{ lookup('ansible.builtin.config', 'DEFAULT_ROLES_PATH') }}"
      collections_path: "{{ lookup('ansible.builtin.config', 'COLLECTIONS_PATHS') }}"
"""

RETURN = r"""
plan:
  description: The steps in an order that works; in check mode those that would be done.
  returned: success
  type: list
  elements: dict
  contains:
    server:
      description: The name of the server in C(global.remotes), empty for the Incus of this machine.
      type: str
      returned: always
    action:
      description: V(create), V(snapshot), V(stop), V(move), V(release), V(update), V(start), V(export) or V(delete).
      type: str
      returned: always
    kind:
      description: V(folder), V(project), V(acl), V(network), V(profile), V(volume) or V(instance).
      type: str
      returned: always
    project:
      description: The Incus project of the object, empty for projects and folders.
      type: str
      returned: always
    name:
      description: The name of the object; a volume's is C(pool/name).
      type: str
      returned: always
    reason:
      description: Why, where the changes do not say so.
      type: str
      returned: always
    changes:
      description: The fields, each with C(path), C(before) and C(after) (null where it is not there).
      type: list
      elements: dict
      returned: always
  sample: [{"server": "", "action": "start", "kind": "instance", "project": "homelab", "name": "homelab-ai",
    "reason": "is stopped", "changes": []}]
summary:
  description: The plan as one line of text per step.
  returned: success
  type: list
  elements: str
  sample: ["~ update instance homelab-ai in homelab: config/limits.memory"]
new:
  description: The instances that the plan creates.
  returned: success
  type: list
  elements: str
  sample: [homelab-ai]
unreached:
  description:
    - The machines on servers, or on members of a cluster, that did not answer, and those that are not made yet because
      of that. They were left alone; RV(ignore:notes) says why.
  returned: success
  type: list
  elements: str
  sample: []
notes:
  description: What was left as it is and what to do about it, one text each.
  returned: success
  type: list
  elements: str
  sample: ["instance old-ai in homelab is no longer in infra.yml: prune=true (make: PRUNE=1) deletes it"]
project_name:
  description: Whose objects these are.
  returned: success
  type: str
  sample: homelab
published:
  description: What C(publish) opens at the host's addresses in the local network.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address of the host.
      type: str
      returned: always
    port:
      description: The port there.
      type: int
      returned: always
    protocol:
      description: V(tcp) or V(udp).
      type: str
      returned: always
    machine:
      description: The machine that it leads to.
      type: str
      returned: always
    to:
      description: The machine's port.
      type: int
      returned: always
    from:
      description: Who may come in, V(lan), V(any) or networks.
      type: list
      elements: str
      returned: always
  sample: [{"address": "192.168.1.5", "port": 443, "protocol": "tcp", "machine": "homelab-webui", "to": 443,
    "from": ["lan"]}]
announced:
  description: The names of C(publish_name), for the host to announce in its local network.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      returned: always
    address:
      description: An address of the host.
      type: str
      returned: always
  sample: [{"name": "voice.local", "address": "192.168.1.5"}]
exports:
  description: The files that deleted instances and volumes were exported to.
  returned: success
  type: list
  elements: str
  sample: ["/home/me/my-infra/backups/homelab_old-ai_20260101-120000.tar.gz"]
"""

import contextlib
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._base.lock import project_lock
from ansible_collections.anklume.stt.plugins.module_utils._incus.known_keys import settled
from ansible_collections.anklume.stt.plugins.module_utils._incus.plan import Options
from ansible_collections.anklume.stt.plugins.module_utils._incus.reconcile import reconcile
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import servers
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import SOCKET
from ansible_collections.anklume.stt.plugins.module_utils._infra.following import judge_following
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import PROJECT_DIR, read_project

SPEC = {
    **PROJECT_DIR,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "prune": {"type": "bool", "default": False},
    "confirm": {"type": "list", "elements": "str", "default": []},
    "backup": {"type": "bool", "default": True},
    "backup_dir": {"type": "path"},
    "adopt": {"type": "bool", "default": False},
    "workers": {"type": "int"},
    "log_path": {"type": "path"},
    "roles_follow": {
        "type": "dict",
        "options": {
            name: {"type": "list", "elements": "str", "required": True}
            for name in ("machines", "roles_path", "collections_path")
        },
    },
    **SOCKET,
}


def main() -> None:
    """Read, plan, apply."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    absent = given["state"] == "absent"
    options = Options(
        prune=given["prune"] or absent,
        adopt=given["adopt"],
        confirm=frozenset(given["confirm"]),
        confirm_all=absent or "*" in given["confirm"],
        backup=given["backup"],
    )
    try:
        model, diagnostics = read_project(given["project_dir"])
        warnings = [one.render() for one in diagnostics if one.level == "warning" and not one.doubt]
        if given["roles_follow"]:
            following = given["roles_follow"]
            warnings += judge_following(given["project_dir"], model, **following, check=module.check_mode)
        for warning in warnings:
            module.warn(warning)
        with (
            contextlib.nullcontext() if module.check_mode else project_lock(given["project_dir"]),
            servers(model, given["project_dir"], given["socket"]) as found,
        ):
            doubts = [one for one in diagnostics if one.doubt and not absent]
            for text in {one.render(): None for server in found for one in settled(server.client, doubts)}:
                module.warn(text)
            result = reconcile(
                found,
                model,
                options,
                absent=absent,
                check=module.check_mode,
                workers=given["workers"] or min(16, 4 * (os.cpu_count() or 1)),
                backup_dir=Path(given["backup_dir"] or Path(given["project_dir"]) / "backups"),
                log_path=given["log_path"],
            )
    except Error as error:
        module.fail_json(msg=str(error))
    diff = result.pop("diff")
    module.exit_json(**result, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
