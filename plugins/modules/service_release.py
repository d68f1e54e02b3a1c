#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches a service to another release, and proves it or takes it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_release
short_description: Switch a service to another release, with a way back
version_added: 0.1.0
description:
  - A release is a folder in O(home), filled beside the others; the link C(current) points to the one that serves.
  - Called once a release is filled, with O(state=switched); after the proof, with O(state=proved); and with
    O(state=taken_back) where the proof fails.
  - A run that is killed in between is taken up by the next one, to the same release or another. What was kept of the
    release that served is never overwritten by what nobody has proved.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  service:
    description: The systemd unit, without its suffix, as V(ollama).
    type: str
    required: true
  home:
    description: The folder of the releases, as V(/opt/ollama).
    type: path
    required: true
  state:
    description:
      - V(switched) keeps O(files), points C(current) to O(release) and writes O(files) as it needs them, so that no
        restart in between starts it with those of the old one. Nothing is restarted; until the caller does, the old
        release goes on running. It is changed, too, wherever an earlier change was not ended, since nobody
        knows what runs.
      - V(proved) says that O(release) serves. What was kept is dropped, and of the other releases only the one before
        it stays. A folder that cannot be removed is a warning.
      - V(taken_back) puts files and link back and restarts the service. The release that failed is marked as not
        whole, so that it is installed anew before it is tried again. Nothing happens when nothing was switched.
      - V(moved) brings all releases from O(former_home) to O(home), and leaves a link there, for they hold paths of
        their own. Nothing is restarted. Nothing happens where O(home) is there already.
    type: str
    choices: [switched, proved, taken_back, moved]
    required: true
  former_home:
    description:
      - The folder that the releases lay in before, for O(state=moved). In check mode the releases are looked at there,
        for as long as they were not moved.
    type: path
  release:
    description: The release, a folder in O(home). It is whole when it holds a file C(lock.sha256).
    type: str
  files:
    description:
      - The files that a release runs with, unit and settings, for O(state=switched), in the words of
        M(anklume.stt.service_files).
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
  releases:
    description: Names of folders in O(home) that are releases, as patterns of a shell. Others are never removed.
    type: list
    elements: str
    default: ["*"]
  drain:
    description:
      - Commands to run before a switch, as V(/usr/local/sbin/drain stt). Where one fails, nothing is switched.
      - They can be run again after a run that was killed.
    type: list
    elements: str
    default: []
  keep:
    description:
      - Commands that keep what a new release changes for good, as a database, for O(state=switched). They run before
        the link leaves the release that serves. Where one fails, nothing is switched.
      - They can be run again after a run that was killed. What they kept before counts no more then.
    type: list
    elements: str
    default: []
  back:
    description:
      - Commands that bring back what O(keep) kept, for O(state=taken_back), before the old release is started; and for
        O(state=switched) where a change that was not ended gives way to another. They stop the service first.
      - They can be run again, and where O(keep) found nothing to keep there is nothing to bring back.
    type: list
    elements: str
    default: []
  ready:
    description: Commands to run once O(release) is proved, and once the one before it was taken back and restarted.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Switch to the installed release
  anklume.stt.service_release:
    service: ollama
    home: /opt/ollama
    release: 0.32.7
    files:
      - {path: /etc/ollama/ollama.env, content: "{{ settings }}", mode: "0640"}
      - {path: /etc/systemd/system/ollama.service, content: "{{ unit }}"}
    state: switched

- name: Prove it
  block:
    - name: Restart it
      ansible.builtin.systemd_service:
        name: ollama
        state: restarted
        daemon_reload: true

    - name: Wait until it answers
      anklume.stt.ollama_model:
        version: 0.32.7
  rescue:
    - name: Take it back
      anklume.stt.service_release:
        service: ollama
        home: /opt/ollama
        state: taken_back
      register: back

    - name: Say what serves
      ansible.builtin.fail:
        msg: "0.32.7 does not answer{{ ', so ' ~ back.current ~ ' serves again' if back is changed }}"

- name: Remove the releases before the last
  anklume.stt.service_release:
    service: ollama
    home: /opt/ollama
    release: 0.32.7
    state: proved
"""

RETURN = r"""
current:
  description: The release that C(current) points to, or would in check mode; empty when there is none.
  type: str
  returned: success
  sample: 0.32.7
before:
  description: The release that C(current) pointed to when the module came.
  type: str
  returned: success
  sample: 0.32.6
steps:
  description: What was done, or would be in check mode, in order.
  type: list
  elements: str
  returned: success
  sample: ["keep the files that the old release runs with, until 0.32.7 is proved", "point current to 0.32.7"]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import sync_path
from ansible_collections.anklume.stt.plugins.module_utils._services.placed import FILE_OPTIONS, Wanted, wanted
from ansible_collections.anklume.stt.plugins.module_utils._services.placing import converge
from ansible_collections.anklume.stt.plugins.module_utils._services.release import (
    LOCK,
    State,
    Step,
    after,
    prove,
    show,
    switch,
    take_back,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.release_files import Releases, lie_in, moves


def runner(module: AnsibleModule) -> Any:
    """What runs a command, and says why where it fails."""

    def run(command: str) -> None:
        status, output, error = module.run_command(command)
        if status:
            raise ServiceError(f"`{command}` failed: {(error or output).strip() or f'status {status}'}")

    return run


def plan(params: dict[str, Any], state: State) -> list[Step]:
    """The steps to the wanted state."""
    if params["state"] == "moved":
        there = moves(Path(params["former_home"]), Path(params["home"]))
        return [Step("move", params["former_home"])] if there else []
    if params["state"] == "switched":
        return switch(state, params["release"], params["drain"], params["keep"], params["back"])
    if params["state"] == "proved":
        return prove(state, params["release"], params["releases"], params["ready"])
    return take_back(state, params["service"], params["ready"], params["back"])


def write(module: AnsibleModule, files: list[Wanted]) -> list[dict[str, Any]]:
    """Write the settings of the release, durably as the switch itself is; what differed, for the diff."""
    changes = [(file, converge(module, file)) for file in files]
    for file in [file for file, change in changes if change and not module.check_mode]:
        if file.state == "present":
            sync_path(file.path)
        sync_path(file.path.parent)
    return [change for dummy, change in changes if change]


def reconcile(module: AnsibleModule) -> dict[str, Any]:
    """Observe, plan, do, and tell."""
    params = module.params
    home = Path(params["home"])
    if module.check_mode and params["former_home"]:
        home = lie_in(Path(params["former_home"]), home)
    files = wanted(params["files"], params["secret_contents"])
    releases = Releases(home, [str(file.path) for file in files], runner(module))
    before = releases.observe()
    steps = plan(params, before)
    if not module.check_mode:
        if params["state"] == "switched" and steps and not releases.whole(params["release"]):
            raise ServiceError(f"{releases.home}/{params['release']} is not whole (it has no {LOCK}): install it first")
        for step in steps:
            releases.apply(step)
    written = write(module, files) if params["state"] == "switched" and steps else []
    end = after(before, steps)
    for reason in releases.stayed:
        module.warn(reason)
    return {
        "changed": bool(steps),
        "current": end.current,
        "before": before.current,
        "steps": [str(step) for step in steps],
        "diff": [{"before": show(before), "after": show(end)}, *written],
    }


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["switched", "proved", "taken_back", "moved"], "required": True},
            "former_home": {"type": "path"},
            "release": {"type": "str"},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
            "secret_contents": {"type": "dict", "default": {}, "no_log": True},
            "releases": {"type": "list", "elements": "str", "default": ["*"]},
            "drain": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "back": {"type": "list", "elements": "str", "default": []},
            "ready": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[
            ("state", "switched", ["release"]),
            ("state", "proved", ["release"]),
            ("state", "moved", ["former_home"]),
        ],
        supports_check_mode=True,
    )
    try:
        result = reconcile(module)
    except (Error, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
