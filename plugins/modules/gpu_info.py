#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GPUs a machine has and whether CTranslate2 can use them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Tell which GPUs a machine or an instance may use
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Asks C(nvidia-smi) for every NVIDIA GPU, and reads the PCI bus for GPUs that CTranslate2 cannot use.
  - A machine without a GPU is an answer. A GPU that is there but cannot be asked is an error that says what to do.
  - An Incus instance sees the whole memory of a GPU that is handed to it, but not the programs of other instances.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  nvidia_smi:
    description: The program to ask, where it is not on the path.
    type: path
  timeout:
    description: Seconds to wait for it. A driver that hangs does not answer at all.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Look at the GPUs
  anklume.stt.gpu_info:
  register: gpus

- name: Show the memory of the first
  ansible.builtin.debug:
    msg: "{{ gpus.gpus[0].name }} has {{ gpus.gpus[0].memory_total_mib }} MiB"
  when: gpus.gpus | length > 0
"""

RETURN = r"""
gpus:
  description: The NVIDIA GPUs that may be used here, in the order of C(nvidia-smi).
  type: list
  elements: dict
  returned: always
  contains:
    index:
      description: Its number.
      type: int
    uuid:
      description: Its identity, which stays the same over reboots.
      type: str
    name:
      description: Its trade name.
      type: str
    memory_total_mib:
      description: All of its memory, in MiB.
      type: int
    memory_free_mib:
      description: What is free at this moment, in MiB.
      type: int
    memory_used_mib:
      description: What programs hold at this moment, in MiB.
      type: int
    memory_reserved_mib:
      description: What the driver keeps for itself, in MiB. Null where the driver does not say.
      type: int
    compute_capability:
      description: What it can compute, as V(8.6).
      type: str
    driver:
      description: The version of its driver.
      type: str
    mig:
      description: Whether it is cut into MIG slices.
      type: bool
    ecc:
      description: Whether its memory is error-corrected. Null where it cannot be.
      type: bool
mig_slices:
  description: The MIG slices that may be used here.
  type: list
  elements: dict
  returned: always
  contains:
    profile:
      description: Its size, as V(1g.10gb).
      type: str
    uuid:
      description: Its identity.
      type: str
    memory_mib:
      description: Its memory, in MiB.
      type: int
unusable:
  description:
    - Display controllers on the PCI bus that CTranslate2's packages cannot use, with the reason. In a container these
      are the host's.
  type: list
  elements: str
  returned: always
  sample: ["AMD GPU 1002:744c at 0000:03:00.0: CTranslate2's packages know NVIDIA GPUs alone"]
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._vram.probe import gpu_facts


def main() -> None:
    """Look and tell."""
    module = AnsibleModule(
        argument_spec={
            "nvidia_smi": {"type": "path"},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        facts = gpu_facts(module.params["nvidia_smi"] or "", module.params["timeout"])
    except Error as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **asdict(facts))


if __name__ == "__main__":
    main()
