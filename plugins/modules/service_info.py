#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service role has to know about an instance before it changes anything, and what differs, in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_info
short_description: Look at a service's release, user, files, units and ports on an instance, and say what differs
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Reads, in one task, what the roles of this collection decide by. A task costs about a third of a second per
    instance, whatever it does, so that one larger look is what makes a second run fast.
  - Told how files and units should be, it says which are not, so that a role whose service is as it should be has
    nothing to do after the look. What is to be done is done, and shown in a diff, by M(anklume.stt.service_files)
    and others.
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
      - The versioned folder that the service should run from, as V(/opt/stt-server/1.0). A link C(current) stands
        beside it. Not for a service out of the distribution's packages, which has no releases.
    type: path
  former_home:
    description:
      - The folder that the releases lay in before. It is looked at in the place of the one of O(release) as long as
        they lie there.
    type: path
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
  url:
    description: An address of the service, to be asked once. Certificates are not checked, and no proxy is used.
    type: str
  host:
    description: The name that it is asked by, where O(url) names an address of the machine itself.
    type: str
  enabled:
    description: Whether the service should run, and start with the machine. RV(started) goes by it.
    type: bool
    default: true
  reads:
    description: Files that the service reads at its start alone. RV(needs_restart) goes by them.
    type: list
    elements: path
    default: []
  units:
    description: Other units that belong to the service, as a proxy before it or a timer.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The unit, without its suffix if that is C(.service).
        type: str
        required: true
      user:
        description: The user that it runs as.
        type: str
      ports:
        description: The TCP ports that it should listen on.
        type: list
        elements: int
        default: []
      enabled:
        description: Whether it should run, and start with the machine.
        type: bool
        default: true
      reads:
        description: Files that it reads at its start alone.
        type: list
        elements: path
        default: []
  files:
    description:
      - Files and folders as they should be, in the words of M(anklume.stt.service_files). RV(differing) names those
        that are not.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file lies.
        type: path
        required: true
      content:
        description: What it holds. Not for secrets; these go to O(secret_contents).
        type: str
      sha256:
        description: The digest of what it holds, instead of the content, for a file that is copied by another task.
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
    description: The content of those files of O(files) that have none, by path. Shown nowhere.
    type: dict
    default: {}
  speech_models:
    description: A cache of speech models, in the words of M(anklume.stt.stt_model_info), for RV(speech_models).
    type: dict
    suboptions:
      cache:
        description: The cache folder.
        type: path
        required: true
      wanted:
        description: The models that there should be.
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
  python:
    description: An interpreter to use instead of the first supported one on the path.
    type: path
  python_versions:
    description: The supported versions, best first. Nothing is looked for when empty.
    type: list
    elements: str
    default: []
seealso:
  - module: anklume.stt.service_files
  - module: anklume.stt.service_release
"""

EXAMPLES = r"""
- name: Look at the instance
  anklume.stt.service_info:
    service: speaches
    user: speaches
    release: /opt/stt-server/faster_whisper-1
    port: 8000
    python_versions: ["3.11", "3.13"]
  register: look

- name: Look at all that the service is made of
  anklume.stt.service_info:
    service: open-webui
    user: open-webui
    release: /opt/open-webui/0.12.4
    lock: 0123abcd
    port: 8080
    files: "{{ service_files + proxy_files }}"
    secret_contents: "{{ secrets }}"
    reads: [/etc/open-webui/open-webui.env]
    units:
      - {name: caddy, user: caddy, ports: [443, 80], reads: [/etc/caddy/Caddyfile]}
      - {name: open-webui-backup.timer}
  register: look

- name: Write what differs
  anklume.stt.service_files:
    files: "{{ service_files + proxy_files }}"
    secret_contents: "{{ secrets }}"
  when: look.differing | length > 0
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
release:
  description:
    - The folder that the wanted release lies in, or is to be filled in, by its name. It is that of O(release), or one
      beside it where that one serves and holds something else than O(lock) says, for what serves is not emptied.
  type: str
  returned: always
  sample: "1.0"
release_lock:
  description: What the file C(lock.sha256) in RV(release)'s folder says; empty when the release is not whole.
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
before:
  description: The release that served before such a change; empty when none is under way.
  type: str
  returned: always
answer:
  description: The C(status) that O(url) answers with, 0 when there is no answer, and in C(msg) why.
  type: dict
  returned: with O(url)
  sample: {status: 200, msg: ""}
moves:
  description: Whether the releases lie in O(former_home) still. M(anklume.stt.service_release) moves them.
  type: bool
  returned: always
differing:
  description: The paths of O(files) that are not as they should be.
  type: list
  elements: str
  returned: always
configured:
  description: Whether C(current) points to RV(release), no change of release is under way, and no file differs.
  type: bool
  returned: always
speech_models:
  description:
    - In C(differing) the models of O(speech_models) that are not there or not as they should be, in C(unnamed) those
      that are there and not asked for. All differ where the user is not there yet.
  type: dict
  returned: with O(speech_models)
  sample: {differing: [], unnamed: [Systran/faster-whisper-tiny]}
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
enabled:
  description: Whether the service starts with the machine.
  type: bool
  returned: always
needs_restart:
  description: Whether the service runs, and one of O(reads) was written after its start.
  type: bool
  returned: always
started:
  description:
    - Whether the service runs and starts with the machine, or neither, as O(enabled) says, and needs no restart.
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
units:
  description: The same of the O(units), by name.
  type: dict
  returned: always
  sample:
    caddy:
      user_exists: true
      unit_exists: true
      active: true
      enabled: true
      needs_restart: false
      started: true
      port_owner: ""
      port_taken: 0
free_mib:
  description:
    - Free space where releases are kept, in MiB. On btrfs no system call tells what a quota leaves, as that of an Incus
      instance. There, where the release is not installed, room is reserved in a file without a name and given back at
      once; a file system that gives 8192 MiB is believed what it says of the rest.
  type: int
  returned: always
"""

import json
import os
import platform
import pwd
import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.free_space import free_mib, within_quota
from ansible_collections.anklume.stt.plugins.module_utils._services.placed import FILE_OPTIONS, differing, wanted
from ansible_collections.anklume.stt.plugins.module_utils._services.release import KEPT, LOCK, RECORD, folder_of
from ansible_collections.anklume.stt.plugins.module_utils._services.release_files import lie_in, moves
from ansible_collections.anklume.stt.plugins.module_utils._services.speech_models import OPTIONS, observe
from ansible_collections.anklume.stt.plugins.module_utils._services.units import (
    PROPERTIES,
    Unit,
    listeners,
    units_of,
)

UNIT_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "user": {"type": "str"},
    "ports": {"type": "list", "elements": "int", "default": []},
    "enabled": {"type": "bool", "default": True},
    "reads": {"type": "list", "elements": "path", "default": []},
}


def find_python(module: AnsibleModule, given: str | None, versions: list[str]) -> tuple[str, str]:
    """Path and version of the interpreter to use, two empty texts when none fits."""
    for candidate in [given] if given else [*(f"python{version}" for version in versions), "python3"]:
        path = shutil.which(candidate) if versions else None
        if not path:
            continue
        status, output, dummy = module.run_command([path, "-Ic", "import sys; print('%d.%d' % sys.version_info[:2])"])
        if status == 0 and output.strip() in versions:
            return path, output.strip()
    return "", ""


def file_of(unit: str) -> str:
    """The name of a unit's file."""
    return unit if Path(unit).suffix in (".service", ".timer", ".socket", ".path") else f"{unit}.service"


def owner_of(listening: list[tuple[str, str]], unit: str) -> str:
    """Who listens, unless it is a process of the unit's own control group."""
    for name, pid in listening:
        group = Path("/proc", pid, "cgroup")
        if not pid or not (group.exists() and f"/{file_of(unit)}" in group.read_text(encoding="utf-8")):
            return f"{name}, pid {pid}" if pid else name
    return ""


def taken(listening: dict[int, list[tuple[str, str]]], ports: list[int], unit: str) -> tuple[int, str]:
    """The first port that another program listens on, and the program; 0 and an empty text when there is none."""
    owners = ((port, owner_of(listening.get(port, []), unit)) for port in ports)
    return next(((port, owner) for port, owner in owners if owner), (0, ""))


def user_exists(name: str | None) -> bool:
    """Whether a user is known."""
    try:
        pwd.getpwnam(name or "")
    except KeyError:
        return False
    return True


def release_before(home: Path) -> str:
    """The release that served before a change that is under way; a record that is damaged tells none."""
    try:
        return str(json.loads((home / KEPT / RECORD).read_text(encoding="utf-8"))["before"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def lock_in(release: Path) -> str:
    """What a release says that it is made of; nothing where it is not whole."""
    lock = release / LOCK
    return lock.read_text(encoding="utf-8", errors="replace").strip() if lock.is_file() else ""


def ask(url: str, host: str | None) -> dict[str, Any]:
    """What an address answers, in a few words."""
    # who asks nothing need not wait until all this is compiled
    from ansible_collections.anklume.stt.plugins.module_utils._base.http import Server  # noqa: PLC0415

    try:
        server = Server(url, timeout=5, validate_certs=False, proxies=False)
        status = server.request("GET", "", headers={"Host": host} if host else {}).status
    except ServiceError as error:
        return {"status": 0, "msg": str(error)}
    return {"status": status, "msg": "" if status == 200 else f"{url} answers with status {status}"}


def look_at_models(params: dict[str, Any], user: str) -> dict[str, list[str]]:
    """Which speech models are not as they should be, and which nobody asks for."""
    if not user_exists(user):
        return {"differing": params["wanted"], "unnamed": []}
    try:
        seen = observe(params)
    except OSError as error:
        raise ServiceError(f"{params['cache']}: {error}") from error
    return {name: seen[name] for name in ("differing", "unnamed")}


def look_at_units(module: AnsibleModule, units: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is so of each unit, by name."""
    names = [file_of(unit["name"]) for unit in units]
    shown = module.run_command(["systemctl", "show", f"--property={','.join(PROPERTIES)}", *names])[1]
    seen = dict(zip(names, units_of(shown), strict=False))
    listening = listeners(module.run_command(["ss", "-Hltnp"], check_rc=True)[1])
    return {unit["name"]: look_at(unit, seen.get(file_of(unit["name"]), Unit()), listening) for unit in units}


def look_at(wish: dict[str, Any], unit: Unit, listening: dict[int, list[tuple[str, str]]]) -> dict[str, Any]:
    """What is so of one unit."""
    now = time.time()
    times = [path.stat().st_mtime for path in map(Path, wish["reads"]) if path.exists()]
    needs_restart = unit.needs_restart(now - time.monotonic(), now, times)
    port, owner = taken(listening, wish["ports"], wish["name"])
    return {
        "user_exists": user_exists(wish["user"]),
        "unit_exists": unit.known or Path("/etc/systemd/system", file_of(wish["name"])).exists(),
        "active": unit.active,
        "enabled": unit.enabled,
        "needs_restart": needs_restart,
        "started": unit.as_wanted(wish["enabled"]) and not needs_restart,
        "port_owner": owner,
        "port_taken": port,
    }


def look(module: AnsibleModule) -> dict[str, Any]:
    """What is so, and what differs from what is wanted."""
    params = module.params
    release = Path(params["release"] or "/usr/lib")  # where packages lie
    former = Path(params["former_home"] or release.parent)
    home = lie_in(former, release.parent)
    current = home / "current"
    served = current.readlink().name if current.is_symlink() else ""
    under_way, before = (home / KEPT / RECORD).is_file(), release_before(home)
    name = release.name
    if params["lock"]:
        name = folder_of(name, served, before, lambda one: lock_in(home / one) == params["lock"])
    release_lock = lock_in(home / name)
    different = differing(wanted(params["files"], params["secret_contents"]))
    models = params["speech_models"]
    python, version = find_python(module, params["python"], params["python_versions"])
    own = {name: params[name] for name in ("user", "enabled", "reads")}
    own |= {"name": params["service"], "ports": [params["port"], *params["more_ports"]]}
    units = look_at_units(module, [own, *params["units"]])
    installed = bool(release_lock) and release_lock == params["lock"]
    free = free_mib(release)
    return {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": python,
        "python_version": version,
        "release": name if params["release"] else "",
        "release_lock": release_lock,
        "installed": installed,
        "current": served,
        "under_way": under_way,
        "before": before,
        "moves": moves(former, release.parent),
        "differing": different,
        "configured": (served == name or not params["release"]) and not under_way and not different,
        "free_mib": free if installed or (served and name in (served, "current")) else within_quota(release, free),
        **({"answer": ask(params["url"], params["host"])} if params["url"] else {}),
        **({"speech_models": look_at_models(models, params["user"])} if models else {}),
        **units.pop(params["service"]),
        "units": units,
    }


def main() -> None:
    """Look and tell."""
    files = FILE_OPTIONS | {"sha256": {"type": "str"}}
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "release": {"type": "path"},
            "former_home": {"type": "path"},
            "lock": {"type": "str"},
            "port": {"type": "int", "required": True},
            "more_ports": {"type": "list", "elements": "int", "default": []},
            "url": {"type": "str"},
            "host": {"type": "str"},
            "enabled": {"type": "bool", "default": True},
            "reads": {"type": "list", "elements": "path", "default": []},
            "units": {"type": "list", "elements": "dict", "default": [], "options": UNIT_OPTIONS},
            "files": {"type": "list", "elements": "dict", "default": [], "options": files},
            "secret_contents": {"type": "dict", "default": {}, "no_log": True},
            "speech_models": {"type": "dict", "options": OPTIONS},
            "python": {"type": "path"},
            "python_versions": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        seen = look(module)
    except (Error, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
