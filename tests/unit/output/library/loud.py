# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that warns, deprecates, and then changes something, fails or does neither."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Warn."""
    flags = {name: {"type": "bool", "default": False} for name in ("changed", "failed")}
    module = AnsibleModule({"stage": {"type": "str", "required": True}, **flags}, supports_check_mode=True)
    module.warn(f"warning of {module.params['stage']}.")
    module.deprecate(f"deprecation of {module.params['stage']}.", version="99.0", collection_name="anklume.stt")
    if module.params["failed"]:
        module.fail_json(msg="as asked")
    module.exit_json(changed=module.params["changed"])


if __name__ == "__main__":
    main()
