#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service role has to know about an instance before it changes anything, in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_info
short_description: Look at a service's release, user, unit and port on an instance
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Reads, in one task, what the roles of this collection decide by. A task costs about a third of a second per
    instance, whatever it does, so that one larger look is what makes a second run fast.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  service:
    description: The systemd unit, without its suffix, as V(speaches).
    type: str
    required: true
  user:
    description: The user that the service runs as.
    type: str
    required: true
  release:
    description:
      - The versioned folder that the service should run from, as V(/opt/speaches/1.0). A link C(current) stands
        beside it.
    type: path
    required: true
  lock:
    description: What RV(release_lock) is when the wanted release is whole.
    type: str
  port:
    description: The TCP port that the service should listen on.
    type: int
    required: true
  more_ports:
    description: Further TCP ports that the service should listen on.
    type: list
    elements: int
    default: []
  python:
    description: An interpreter to use instead of the first supported one on the path.
    type: path
  python_versions:
    description: The supported versions, best first. Nothing is looked for when empty.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the instance
  anklume.stt.service_info:
    service: speaches
    user: speaches
    release: /opt/speaches/faster_whisper-1
    port: 8000
    python_versions: ["3.11", "3.13"]
  register: look
"""

RETURN = r"""
machine:
  description: The processor's architecture.
  type: str
  returned: always
  sample: x86_64
cores:
  description: Number of processors the instance may use.
  type: int
  returned: always
python:
  description: Path of a supported interpreter; empty when there is none.
  type: str
  returned: always
  sample: /usr/bin/python3.11
python_version:
  description: Its version; empty when there is none.
  type: str
  returned: always
  sample: "3.11"
release_lock:
  description: What the file C(lock.sha256) in the release's folder says; empty when the release is not whole.
  type: str
  returned: always
installed:
  description: Whether RV(release_lock) is O(lock).
  type: bool
  returned: always
current:
  description: The release that C(current) points to; empty when there is none.
  type: str
  returned: always
under_way:
  description: Whether a change of release was begun, and neither proved nor taken back.
  type: bool
  returned: always
user_exists:
  description: Whether the user is known.
  type: bool
  returned: always
unit_exists:
  description: Whether the unit's file is there.
  type: bool
  returned: always
active:
  description: Whether the service runs.
  type: bool
  returned: always
port_owner:
  description:
    - The program that listens on RV(port_taken), as C(nginx, pid 123); empty when all ports are free or the service's
      own.
  type: str
  returned: always
port_taken:
  description: The first of the ports that another program listens on; 0 when there is none.
  type: int
  returned: always
free_mib:
  description: Free space where releases are kept, in MiB.
  type: int
  returned: always
"""

import os
import platform
import pwd
import re
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._services.release import KEPT, LOCK, RECORD


def find_python(module: AnsibleModule, given: str | None, versions: list[str]) -> tuple[str, str]:
    """Path and version of the interpreter to use, two empty texts when none fits."""
    for candidate in [given] if given else [*(f"python{version}" for version in versions), "python3"]:
        path = shutil.which(candidate)
        if not path:
            continue
        status, output, dummy = module.run_command([path, "-Ic", "import sys; print('%d.%d' % sys.version_info[:2])"])
        if status == 0 and output.strip() in versions:
            return path, output.strip()
    return "", ""


def port_owner(module: AnsibleModule, port: int, service: str) -> str:
    """Who listens on a port, unless it is a process of the service's own control group."""
    output = module.run_command(["ss", "-Hltnp", f"sport = :{port}"], check_rc=True)[1]
    for name, pid in re.findall(r'\("([^"]+)",pid=(\d+)', output):
        group = Path("/proc", pid, "cgroup")
        if not (group.exists() and f"/{service}.service" in group.read_text(encoding="utf-8")):
            return f"{name}, pid {pid}"
    return "" if not output or "pid=" in output else "another program"


def taken(module: AnsibleModule, ports: list[int], service: str) -> tuple[int, str]:
    """The first port that is another program's, and the program; 0 and an empty text when there is none."""
    owners = ((port, port_owner(module, port, service)) for port in ports)
    return next(((port, owner) for port, owner in owners if owner), (0, ""))


def user_exists(name: str) -> bool:
    """Whether a user is known."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def free_mib(folder: Path) -> int:
    """Free space in the nearest folder that exists, in MiB."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 2**20


def main() -> None:
    """Look and tell."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "release": {"type": "path", "required": True},
            "lock": {"type": "str"},
            "port": {"type": "int", "required": True},
            "more_ports": {"type": "list", "elements": "int", "default": []},
            "python": {"type": "path"},
            "python_versions": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    service, release = module.params["service"], Path(module.params["release"])
    lock, current = release / LOCK, release.parent / "current"
    release_lock = lock.read_text(encoding="utf-8").strip() if lock.is_file() else ""
    python, version = find_python(module, module.params["python"], module.params["python_versions"])
    port, owner = taken(module, [module.params["port"], *module.params["more_ports"]], service)
    module.exit_json(
        changed=False,
        machine=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        python=python,
        python_version=version,
        release_lock=release_lock,
        installed=bool(release_lock) and release_lock == module.params["lock"],
        current=current.readlink().name if current.is_symlink() else "",
        under_way=(release.parent / KEPT / RECORD).is_file(),
        user_exists=user_exists(module.params["user"]),
        unit_exists=Path(f"/etc/systemd/system/{service}.service").exists(),
        active=module.run_command(["systemctl", "is-active", "--quiet", service])[0] == 0,
        port_owner=owner,
        port_taken=port,
        free_mib=free_mib(release),
    )


if __name__ == "__main__":
    main()
