# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for infra_apply: it writes a log and answers as the real one does, and makes nothing."""

from __future__ import annotations

import json
import time

from ansible.module_utils.basic import AnsibleModule

MEMORY = {"path": "config/limits.memory", "before": "2GiB", "after": "4GiB"}
RULE = {"action": "allow", "destination_port": "8000", "state": "enabled", "description": ""}
PLAN = [
    {"action": "create", "kind": "project", "project": "", "name": "lab", "reason": "", "changes": []},
    {
        "action": "create",
        "kind": "instance",
        "project": "lab",
        "name": "lab-ai",
        "reason": "",
        "changes": [{"path": "profiles", "before": None, "after": ["default", "gpu"]}, {**MEMORY, "before": None}],
    },
    {"action": "snapshot", "kind": "instance", "project": "lab", "name": "lab-old", "reason": "", "changes": []},
    {"action": "stop", "kind": "instance", "project": "lab", "name": "lab-old", "reason": "", "changes": []},
    {
        "action": "update",
        "kind": "instance",
        "project": "lab",
        "name": "lab-old",
        "reason": "",
        "changes": [MEMORY, {"path": "config/security.nesting", "before": "true", "after": None}],
    },
    {"action": "start", "kind": "instance", "project": "lab", "name": "lab-old", "reason": "", "changes": []},
    {
        "action": "update",
        "kind": "acl",
        "project": "lab",
        "name": "lab",
        "reason": "",
        "changes": [{"path": "ingress", "before": [RULE], "after": [RULE, {**RULE, "destination_port": "443"}]}],
    },
    {"action": "delete", "kind": "profile", "project": "lab", "name": "gone", "reason": "", "changes": []},
]
SUMMARY = [
    "+ create project lab",
    "+ create instance lab-ai in lab",
    "* snapshot instance lab-old in lab",
    "* stop instance lab-old in lab",
    "~ update instance lab-old in lab: config/limits.memory config/security.nesting",
    "* start instance lab-old in lab",
    "~ update acl lab in lab: ingress",
    "- delete profile gone in lab",
]
NOTES = ["instance lab-web in lab is no longer in infra.yml: prune=true (make: PRUNE=1) deletes it"]


def main() -> None:
    """Do nothing, step by step."""
    options = {name: {"type": "bool", "default": False} for name in ("there", "slow")}
    module = AnsibleModule({**options, "log_path": {"type": "path"}}, supports_check_mode=True)
    given = module.params
    if given["there"]:
        module.exit_json(changed=False, plan=[], summary=[], notes=NOTES)
    steps = list(zip(PLAN, SUMMARY, strict=True))[: 2 if given["slow"] else None]
    if given["log_path"] and not module.check_mode:
        with open(given["log_path"], "w") as log:  # noqa: PTH123

            def write(state: str, **entry: object) -> None:
                log.write(json.dumps({"state": state, **entry}) + "\n")
                log.flush()

            write("begin", steps=len(steps))
            for number, (step, text) in enumerate(steps):
                about = {"action": step["action"], "text": text}
                write("start", **about)
                time.sleep(2 if given["slow"] and number else 0)
                write("done", **about, seconds=0.1)
            write("end")
    diff = [{"before": "", "after": "x\n"}] if module._diff else []
    module.exit_json(changed=True, plan=[s for s, _t in steps], summary=[t for _s, t in steps], notes=NOTES, diff=diff)


if __name__ == "__main__":
    main()
