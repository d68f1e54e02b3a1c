#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the source of a program in a folder, whole and of exactly one git tree."""

from __future__ import annotations

DOCUMENTATION = r"""
module: source_tree
short_description: Unpack a program's source and check its git tree id
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Takes the source of a program from an archive, a mirror of one, a git repository or a folder, and puts it into a
    folder in one step, once its git tree id is the expected one.
  - The id is computed from the unpacked files, so that it does not matter who packed them and how.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  source:
    description:
      - The address of a tar archive (http or https), a git repository (an address that ends in C(.git)), or the path of
        an archive or folder on the target.
      - An archive may hold the files at its top or in one folder.
    type: str
    required: true
  dest:
    description: The folder. One that has the right id is left as it is; another is replaced.
    type: path
    required: true
  tree:
    description: The git tree id that the source must have.
    type: str
    required: true
  commit:
    description: The commit to fetch from a git repository.
    type: str
notes:
  - C(git) is needed on the target for a git repository only.
"""

EXAMPLES = r"""
- name: The source of a program at one commit
  anklume.stt.source_tree:
    source: https://git.example.org/program/archive/0123456789abcdef0123456789abcdef01234567.tar.gz
    tree: 89abcdef0123456789abcdef0123456789abcdef
    dest: /opt/program/source
"""

RETURN = r"""
tree:
  description: The git tree id of the folder.
  type: str
  returned: success
"""

import shutil
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, WriteError
from ansible_collections.anklume.stt.plugins.module_utils._services.source_tree import tree_id, unpacked


def download(module: AnsibleModule, address: str, folder: Path) -> Path:
    """The archive behind an address."""
    response, info = fetch_url(module, address, timeout=60)
    if info["status"] != 200:
        raise WriteError(f"{address}: {info['msg']}; give a mirror, a git repository, or a local archive")
    target = folder / "archive"
    with target.open("wb") as file:
        shutil.copyfileobj(response, file)
    return target


def clone(module: AnsibleModule, address: str, commit: str | None, folder: Path) -> Path:
    """One commit of a git repository."""
    target = folder / "clone"
    if not shutil.which("git"):
        raise WriteError(f"{address}: there is no git here; install it, or give an archive")
    for command in (
        ["init", "--quiet", str(target)],
        ["-C", str(target), "fetch", "--quiet", "--depth", "1", address, commit or "HEAD"],
        ["-C", str(target), "checkout", "--quiet", "FETCH_HEAD"],
    ):
        status, dummy, error = module.run_command(["git", *command])
        if status:
            raise WriteError(f"{address}: git cannot fetch {commit or 'HEAD'} from it: {error.strip()}")
    return target


def put(module: AnsibleModule, source: str, dest: Path, tree: str) -> None:
    """Fetch, unpack, check, and only then put in place."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=".source-") as work:
        folder = Path(work)
        if source.endswith(".git"):
            found = clone(module, source, module.params["commit"], folder)
        elif source.startswith(("http://", "https://")):
            found = unpacked(download(module, source, folder), folder / "unpacked")
        else:
            found = unpacked(Path(source), folder / "unpacked")
        actual = tree_id(found)
        if actual != tree:
            raise WriteError(f"{source}: its git tree id is {actual}, not {tree}: not the version that was asked for")
        shutil.rmtree(found / ".git", ignore_errors=True)
        shutil.rmtree(dest, ignore_errors=True)
        found.rename(dest)
        dest.chmod(0o755)


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "tree": {"type": "str", "required": True},
            "commit": {"type": "str"},
        },
        supports_check_mode=True,
    )
    dest, tree = Path(module.params["dest"]), module.params["tree"]
    before = tree_id(dest) if dest.is_dir() else ""
    try:
        if before != tree and not module.check_mode:
            put(module, module.params["source"], dest, tree)
    except (Error, OSError, EOFError, tarfile.TarError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": f"{before or 'nothing'}\n", "after": f"{tree}\n"} if before != tree else {}
    module.exit_json(changed=before != tree, tree=tree, diff=diff)


if __name__ == "__main__":
    main()
