#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is on an Incus server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: incus_info
short_description: Lists the projects, networks, instances and snapshots of an Incus server
version_added: 0.1.0
author: the anklume.stt authors (@anklume)
description:
  - Asks Incus what it holds, all of it or only what the infra.yml of one project made, there on all its servers.
options:
  project_dir:
    description:
      - The folder of a project's C(infra.yml). Only the objects that carry its C(project_name) are listed.
      - Without it everything is.
    type: path
    required: false
extends_documentation_fragment:
  - anklume.stt.project
  - anklume.stt.incus
  - anklume.stt.attributes
  - anklume.stt.attributes.info
"""

EXAMPLES = r"""
- name: See what infra.yml made
  anklume.stt.incus_info:
    project_dir: /home/me/my-infra
  register: incus
"""

RETURN = r"""
server:
  description: The server itself.
  returned: success
  type: dict
  contains:
    version: {description: Of Incus., type: str, returned: always}
    storage: {description: The storage drivers in use., type: str, returned: always}
    firewall: {description: The firewall driver., type: str, returned: always}
    virtual_machines: {description: Whether it can run virtual machines., type: bool, returned: always}
    gpus: {description: How many GPUs Incus sees., type: int, returned: always}
projects:
  description: The names of the Incus projects.
  returned: success
  type: list
  elements: str
  sample: [homelab]
networks:
  description: The managed networks.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Of the bridge., type: str, returned: always}
    server: {description: "The remote that it is on, empty for this host.", type: str, returned: always}
    address: {description: The host's address in it in CIDR form., type: str, returned: always}
    project_name: {description: Whose it is., type: str, returned: always}
instances:
  description: The instances.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Of the instance., type: str, returned: always}
    server: {description: "The remote that it is on, empty for this host.", type: str, returned: always}
    project: {description: Its Incus project., type: str, returned: always}
    project_name: {description: Whose it is., type: str, returned: always}
    type: {description: V(container) or V(virtual-machine)., type: str, returned: always}
    status: {description: "V(Running), V(Stopped), V(Frozen) or V(Error).", type: str, returned: always}
    image: {description: What it was made from in the words of infra.yml., type: str, returned: always}
    profiles: {description: In the order in which they apply., type: list, elements: str, returned: always}
    addresses: {description: IPv4., type: list, elements: str, returned: always}
    snapshots:
      description: Each with C(name) and C(created) (ISO 8601), oldest first.
      type: list
      elements: dict
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._incus.info import info, info_of_all
from ansible_collections.anklume.stt.plugins.module_utils._incus.servers import servers
from ansible_collections.anklume.stt.plugins.module_utils._incus.transport import SOCKET
from ansible_collections.anklume.stt.plugins.module_utils._infra.load import HAS_YAML
from ansible_collections.anklume.stt.plugins.module_utils._infra.model import Model
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project


def main() -> None:
    """Ask and answer."""
    module = AnsibleModule(argument_spec={"project_dir": {"type": "path"}, **SOCKET}, supports_check_mode=True)
    folder = module.params["project_dir"]
    if folder and not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    try:
        model = read_project(folder)[0] if folder else Model("")
        with servers(model, folder or "", module.params["socket"]) as there:
            found = info_of_all(there, model.project_name) if folder else info(there[0].client)
    except Error as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
