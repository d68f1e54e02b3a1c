# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""infra_sync and infra_check, run as Ansible runs them, on real project folders."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra import sync
from ansible_collections.anklume.stt.plugins.module_utils._infra.following import judge_following
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
from ansible_collections.anklume.stt.plugins.modules import infra_sync
from module_runner import result_of, run_module, spawn_module

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = ROOT / "docs" / "examples"
GOLDEN = ROOT / "tests" / "unit" / "golden"
LONG = os.environ.get("ANKLUME_TEST_LONG") == "1"
KILLS = 200 if LONG else 10
FOLDERS = ("inventory", "group_vars", "host_vars")

INFRA = """\
global: {base_subnet: "10.100"}
domains:
  lab:
    subnet_id: 3
    machines:
      lab-ai: {ip: "10.100.3.10", roles: [base_system, stt_server]}
      lab-web: {ip: "10.100.3.30", description: "C:\\\\new\\\\1 – é"}
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "infra.yml").write_text(INFRA, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def warned(monkeypatch) -> list[str]:
    """What the module warns of: Ansible keeps warnings in one list per process, in a form of each release's own."""
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text, **_options: said.append(text))
    return said


def synced(project: Path, **params: object) -> dict:
    return run_module(infra_sync, project_dir=str(project), **params)


def tree(project: Path) -> dict[str, bytes]:
    """Every file that sync may write, by its path."""
    files = (path for folder in FOLDERS for path in (project / folder).glob("*"))
    return {str(path.relative_to(project)): path.read_bytes() for path in files if path.is_file()}


def stamps(project: Path) -> dict[str, tuple[int, int]]:
    return {name: ((project / name).stat().st_mtime_ns, (project / name).stat().st_ino) for name in tree(project)}


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_examples_have_their_golden_output(example, tmp_path, monkeypatch, warned):
    project = tmp_path / example
    shutil.copytree(EXAMPLES / example, project)
    mine = tree(project)
    monkeypatch.chdir(project)
    result = synced(project)
    assert not result.get("failed"), result.get("msg")
    made = tree(project)
    messages = [*warned, *result["notes"]]
    if messages:
        made["messages.txt"] = ("\n".join(messages) + "\n").encode()
    golden = GOLDEN / example
    if os.environ.get("ANKLUME_GOLDEN") == "write":
        shutil.rmtree(golden, ignore_errors=True)
        for name, content in made.items() if example != "demo" else ():
            (golden / name).parent.mkdir(parents=True, exist_ok=True)
            (golden / name).write_bytes(content)
    wanted = {str(path.relative_to(golden)): path.read_bytes() for path in golden.rglob("*") if path.is_file()}
    assert made == wanted or example == "demo"  # the demo changes with the services, and runs for real
    for name, content in mine.items():
        assert made[name].endswith(content.removeprefix(b"---\n")), f"{name} lost lines of the user"
    for link in ("host_vars", "group_vars"):
        assert str((project / "inventory" / link).readlink()) == f"../{link}"
    assert synced(project)["changed"] is False


def test_second_sync_writes_nothing(project):
    assert synced(project)["changed"] is True
    before = stamps(project)
    result = synced(project)
    assert result["changed"] is False
    assert result["written"] == []
    assert result["diff"] == []
    assert stamps(project) == before


def test_only_files_that_differ_are_written(project):
    synced(project)
    before = stamps(project)
    (project / "infra.yml").write_text(INFRA.replace("new", "old"), encoding="utf-8")
    assert synced(project)["written"] == ["host_vars/lab-web.yml"]
    changed = {name for name, stamp in stamps(project).items() if stamp != before[name]}
    assert changed == {"host_vars/lab-web.yml"}


def test_check_mode_shows_contents_and_writes_nothing(project):
    result = run_module(infra_sync, check=True, project_dir=str(project))
    assert result["changed"] is True
    assert sorted(path.name for path in project.iterdir()) == ["infra.yml"]
    shown = {entry["after_header"]: entry for entry in result["diff"]}
    assert 'instance_ip: "10.100.3.10"' in shown["host_vars/lab-ai.yml"]["after"]
    assert shown["host_vars/lab-ai.yml"]["before"] == ""
    synced(project)
    (project / "infra.yml").write_text(INFRA.replace("3.10", "3.11"), encoding="utf-8")
    before = stamps(project)
    result = run_module(infra_sync, check=True, project_dir=str(project))
    shown = {entry["after_header"]: entry for entry in result["diff"]}
    assert '"10.100.3.10"' in shown["host_vars/lab-ai.yml"]["before"]
    assert '"10.100.3.11"' in shown["host_vars/lab-ai.yml"]["after"]
    assert stamps(project) == before


def test_backslashes_survive_the_second_sync(project):
    synced(project)
    synced(project)
    content = yaml.safe_load((project / "host_vars" / "lab-web.yml").read_bytes())
    assert content["instance_description"] == "C:\\new\\1 – é"


def test_a_file_of_the_user_keeps_its_lines_mode_and_place(project):
    (project / "host_vars").mkdir()
    mine = project / "elsewhere.yml"
    mine.write_bytes(b"stt_server_model: medium\r\n# \\1 caf\xc3\xa9\t")
    mine.chmod(0o640)
    (project / "host_vars" / "lab-ai.yml").symlink_to("../elsewhere.yml")
    synced(project)
    assert (project / "host_vars" / "lab-ai.yml").is_symlink()
    assert mine.read_bytes().endswith(b"\r\n\r\nstt_server_model: medium\r\n# \\1 caf\xc3\xa9\t")
    assert mine.stat().st_mode & 0o777 == 0o640
    assert yaml.safe_load(mine.read_bytes())["instance_ip"] == "10.100.3.10"


BLOCK = "# === MANAGED BY infra.yml ===\n# old\nold: 1\n# === END MANAGED ===\n"

REFUSED = {
    "lone marker": ("host_vars/lab-ai.yml", "---\n# === END MANAGED ===\n", "ends here and never begins"),
    "vault": ("host_vars/lab-ai.yml", "$ANSIBLE_VAULT;1.1;AES256\n61\n", "is encrypted as a whole"),
    "flow mapping": ("host_vars/lab-ai.yml", "{port: 1}\n", "cannot stand in one file"),
    "indented mapping": ("host_vars/lab-ai.yml", "  port: 1\n", "cannot stand in one file"),
    "content on the start line": ("group_vars/all.yml", "--- {port: 1}\n", "cannot stand in one file"),
    "folder of the same name": ("host_vars/lab-ai/vault.yml", "a: 1\n", "Ansible reads only one of lab-ai and"),
    "another ending": ("group_vars/lab.yaml", "a: 1\n", "Ansible reads only one of lab.yaml and lab.yml"),
    "no ending": ("group_vars/all", "a: 1\n", "Ansible reads only one of all and all.yml"),
    "real host_vars in inventory": ("inventory/host_vars/lab-ai.yml", "a: 1\n", "must be a link to ../host_vars"),
    "folder in place of a file": ("host_vars/lab-ai.yml/x", "a: 1\n", "cannot be read: is a directory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_stops_everything(name, project):
    path, content, says = REFUSED[name]
    (project / path).parent.mkdir(parents=True)
    (project / path).write_text(content, encoding="utf-8")
    before = {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}
    result = synced(project)
    assert result["failed"] is True
    assert says in result["msg"]
    after = {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_every_reason_not_to_write_is_told_at_once(project):
    for name in ("lab-ai", "lab-web"):
        (project / "host_vars").mkdir(exist_ok=True)
        (project / "host_vars" / f"{name}.yml").write_text("# === END MANAGED ===\n", encoding="utf-8")
    assert synced(project)["msg"].count("never begins") == 2


def test_a_link_that_leads_elsewhere_is_refused(project):
    (project / "inventory").mkdir()
    (project / "inventory" / "host_vars").symlink_to("/tmp")
    assert "is a link to /tmp, not to ../host_vars" in synced(project)["msg"]


def test_a_link_to_the_same_place_is_kept(project):
    (project / "inventory").mkdir()
    (project / "host_vars").mkdir()
    (project / "inventory" / "host_vars").symlink_to(project / "host_vars")
    assert not synced(project).get("failed")
    assert (project / "inventory" / "host_vars").readlink() == project / "host_vars"


def without_web(project: Path) -> None:
    lines = INFRA.splitlines(keepends=True)
    (project / "infra.yml").write_text("".join(line for line in lines if "lab-web" not in line), encoding="utf-8")


def test_leftovers_are_reported_and_removed_only_by_clean(project, warned):
    synced(project)
    without_web(project)
    result = synced(project)
    assert result["leftovers"] == ["host_vars/lab-web.yml"]
    assert any("host_vars/lab-web.yml" in warning for warning in warned)
    assert (project / "host_vars" / "lab-web.yml").exists()
    result = run_module(infra_sync, check=True, project_dir=str(project), state="clean")
    assert result["removed"] == ["host_vars/lab-web.yml"]
    assert (project / "host_vars" / "lab-web.yml").exists()
    assert synced(project, state="clean")["removed"] == ["host_vars/lab-web.yml"]
    assert not (project / "host_vars" / "lab-web.yml").exists()
    assert synced(project, state="clean")["changed"] is False


def test_leftovers_with_content_of_the_user_are_moved_to_a_backup(project):
    synced(project)
    gone = project / "host_vars" / "lab-web.yml"
    content = gone.read_bytes() + b"open_webui_port: 8080"
    gone.write_bytes(content)
    without_web(project)
    result = synced(project, state="clean")
    assert result["removed"] == []
    (target,) = result["moved"].values()
    assert re.fullmatch(r"backups/sync-\d{8}T\d{6}Z/host_vars/lab-web.yml", target)
    assert not gone.exists()
    assert (project / target).read_bytes() == content


def test_a_backup_never_replaces_another(project, monkeypatch):
    monkeypatch.setattr(sync.time, "strftime", lambda *_: "same")
    for word in (b"first", b"second"):
        (project / "infra.yml").write_text(INFRA, encoding="utf-8")
        synced(project)
        with (project / "host_vars" / "lab-web.yml").open("ab") as file:
            file.write(word)
        without_web(project)
        synced(project, state="clean")
    kept = [path.read_bytes() for path in (project / "backups").rglob("*.yml")]
    assert sorted(content.split(b"below:\n")[-1] for content in kept) == [b"first", b"second"]


def test_files_without_a_block_are_never_touched(project):
    synced(project)
    mine = {
        "host_vars/other.yml": b"a: 1\n",
        "group_vars/role_stt_server.yml": b"b: 1\n",
        "inventory/more.yml": b"all: {}\n",
    }
    for name, content in mine.items():
        (project / name).write_bytes(content)
    result = synced(project, state="clean")
    assert result["changed"] is False
    assert result["leftovers"] == []
    for name, content in mine.items():
        assert (project / name).read_bytes() == content


def test_a_domain_that_is_gone_leaves_no_hosts_in_the_inventory(project):
    synced(project)
    (project / "infra.yml").write_text("domains: {}\n", encoding="utf-8")
    result = synced(project)
    assert "inventory/lab.yml" in result["leftovers"]
    assert yaml.safe_load((project / "inventory" / "lab.yml").read_bytes()) == {
        "all": {"children": {"lab": {"hosts": {}}}}
    }
    assert synced(project)["changed"] is False
    assert "inventory/lab.yml" in synced(project, state="clean")["removed"]


def test_a_disabled_domain_keeps_its_variables(project):
    synced(project)
    with (project / "host_vars" / "lab-ai.yml").open("a") as file:
        file.write("stt_server_model: medium\n")
    before = (project / "host_vars" / "lab-ai.yml").read_bytes()
    (project / "infra.yml").write_text(
        INFRA.replace("subnet_id: 3", "subnet_id: 3\n    enabled: false"), encoding="utf-8"
    )
    result = synced(project, state="clean")
    assert result["leftovers"] == []
    assert (project / "host_vars" / "lab-ai.yml").read_bytes() == before
    assert b"lab-ai" not in (project / "inventory" / "lab.yml").read_bytes()
    (project / "infra.yml").write_text(INFRA, encoding="utf-8")
    synced(project)
    assert (project / "host_vars" / "lab-ai.yml").read_bytes() == before
    assert b"lab-ai" in (project / "inventory" / "lab.yml").read_bytes()


def test_faults_change_nothing_and_name_their_lines(project):
    (project / "infra.yml").write_text(INFRA.replace("3.30", "3.999").replace("roles", "rolls"), encoding="utf-8")
    result = synced(project)
    assert result["msg"].startswith("2 faults in infra.yml, nothing was changed\ninfra.yml:6:")
    assert "infra.yml:7:21: domains.lab.machines.lab-web.ip: " in result["msg"]
    assert not (project / "inventory").exists()


def test_no_infra_yml(tmp_path):
    result = run_module(infra_sync, project_dir=str(tmp_path))
    assert result["msg"] == f"there is no infra.yml in {tmp_path}; make init writes one"


def names(folder: Path, *paths: str) -> Path:
    """A folder with files of these names."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("a: {subnet_id: 1}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("paths", "project", "says"),
    [
        (["infra.yaml"], ".", "infra.yaml is not read: rename it to infra.yml"),
        (["Infra.yml"], ".", "Infra.yml is not read: rename it to infra.yml"),
        (["infra.yml.txt"], ".", "infra.yml.txt is not read: rename it to infra.yml"),
        (["infra/base.yaml", "infra/domains/a.yml"], ".", "infra/base.yaml is not read: rename it to infra/base.yml"),
        (["infra/domains/a.yml"], ".", "the folder infra/ has no base.yml"),
        (["base.yml", "domains/a.yml"], ".", "base.yml is not read: it has to be in a folder infra/"),
        (["infra/base.yml"], "infra", "is a folder infra/: PROJECT is the folder that holds it"),
        (["infra/base.yml", "infra/domains/a.yml"], "infra/domains", "PROJECT is the folder that holds it"),
        (["infra.yml"], "infra.yml", "is a file: PROJECT is the folder that holds infra.yml"),
        (["infra.yml", "inventory/a.yml"], "inventory", "there is one in the folder above: PROJECT="),
        (["other.yml"], ".", "make init writes one"),
    ],
)
def test_a_name_that_looks_right_is_named(paths, project, says, tmp_path):
    result = run_module(infra_sync, project_dir=str(names(tmp_path, *paths) / project))
    assert result["failed"] is True
    assert says in result["msg"]


@pytest.mark.parametrize("name", ["infra.yml", "infra/base.yml"])
def test_a_link_that_leads_nowhere_is_named(name, tmp_path):
    (tmp_path / "infra").mkdir()
    (tmp_path / name).symlink_to("gone.yml")
    assert "is a link to gone.yml, which is not there" in run_module(infra_sync, project_dir=str(tmp_path))["msg"]


def test_files_of_the_folder_form_that_are_not_read_are_named(project):
    (project / "infra.yml").unlink()
    folder_form(project)
    not_read = {
        "infra.yaml": "is not read; infra/ is",
        "infra/base.yaml": "is not read; infra/base.yml is",
        "infra/domain/d.yml": "is not read; domains are in infra/domains/",
        "infra/domains.yml": "is not read; domains are in infra/domains/*.yml",
        "infra/domains/c.yaml": "is not read; give it the ending .yml",
        "infra/domains/sub/y.yml": "is not read; move it to infra/domains/ itself",
        "infra/network_policies.yml": "is not read; policies are in infra/policies.yml",
        "infra/other.yml": "is not read; only base.yml, policies.yml and domains/*.yml are",
    }
    names(project, *not_read, "infra/README.md", "infra/.hidden.yml")
    _, found = read_project(str(project))
    assert {one.file: one.message for one in found if one.level == "warning"} == not_read


def test_policies_of_another_ending_are_named(project):
    (project / "infra.yml").unlink()
    names(folder_form(project, **{"policies.yml": None}), "infra/policies.yaml")
    assert [one.message for one in read_project(str(project))[1]] == ["is not read; rename it to policies.yml"]


def test_a_folder_infra_without_a_base_beside_infra_yml_is_named(project):
    names(project, "infra/domains/a.yml", "infra.yaml")
    assert [(one.file, one.message) for one in read_project(str(project))[1]] == [
        ("infra", "is not read, because it has no base.yml"),
        ("infra.yaml", "is not read; infra.yml is"),
    ]


def test_a_fault_that_names_a_place_in_another_file_names_the_file(project):
    (project / "infra.yml").unlink()
    message = synced(folder_form(project, **{"domains/b.yml": "b: {subnet_id: 1}\n"}))["msg"]
    assert message.startswith("1 fault in infra/, nothing was changed\n")
    assert "1 is already the subnet_id of domain a, infra/domains/a.yml:1" in message


def test_no_folder(tmp_path):
    result = run_module(infra_sync, project_dir=str(tmp_path / "gone"))
    assert "gone" in result["msg"]


def checked(project: Path, *options: str) -> dict[str, Any]:
    """What infra_check says in a run of Ansible."""
    tool = str(Path(sys.executable).with_name("ansible"))
    command = [tool, "localhost", "-i", "localhost,", "-c", "local", "-m", "anklume.stt.infra_check", *options]
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said, _, result = done.stdout.rpartition("localhost | ")[2].partition(" => ")
    assert said == ("FAILED!" if done.returncode else "SUCCESS"), done
    return {**json.loads(result), "told": " ".join(done.stderr.split())}


def test_infra_check(project):
    given = ("-a", f"project_dir={project}")
    result = checked(project, *given)
    assert (result["changed"], result["domains"], result["machines"]) == (False, 1, 2)
    (project / "infra.yml").write_text("domains:\n  lab:\n", encoding="utf-8")
    assert "infra.yml:2:3: domains.lab: the domain is empty" in checked(project, *given)["msg"]
    assert sorted(path.name for path in project.iterdir()) == ["infra.yml"]


def test_infra_check_of_an_inventory(project):
    given = ("-a", f"project_dir={project} inventory=true")
    older = "the inventory is older than infra.yml: run make sync"
    assert older in checked(project, *given)["msg"]
    told = checked(project, *given, "--check")
    assert not told["changed"] and older in told["told"]
    assert "unsupported" in checked(project, "-a", f"project_dir={project} inventories=true")["msg"].lower()


def following(project: Path, *, check: bool = False) -> list[str]:
    """What infra_apply says before the roles of the machines follow."""
    run = {"machines": ["lab-ai"], "roles_path": [], "collections_path": []}
    return judge_following(str(project), read_project(str(project))[0], **run, check=check)


def test_an_inventory_older_than_infra_yml_is_a_fault_and_in_check_mode_a_warning(project):
    renamed = "group_vars/all.yml, host_vars/lab-stt.yml, inventory/lab.yml"
    older = (
        "the inventory is older than infra.yml: run make sync (ansible-playbook anklume.stt.sync), which would write "
    )
    with pytest.raises(InfraError, match=f"^{re.escape(older)}"):
        following(project)
    synced(project)
    assert following(project) == []
    (project / "infra.yml").write_text(INFRA.replace("lab-ai", "lab-stt"), encoding="utf-8")
    with pytest.raises(InfraError, match=f"^{re.escape(older + renamed)}$"):
        following(project)
    assert following(project, check=True) == [older + renamed]


def test_what_is_left_over_makes_no_inventory_older(project):
    synced(project)
    without_web(project)
    synced(project)
    assert following(project) == []


def test_an_inventory_that_sync_cannot_write_is_told(project):
    synced(project)
    (project / "host_vars" / "lab-ai.yml").write_text("# === END MANAGED ===\n", encoding="utf-8")
    with pytest.raises(InfraError, match="sync cannot write the inventory"):
        following(project)
    (warning,) = following(project, check=True)
    assert "ends here and never begins" in warning


def test_a_propagated_volume_is_in_the_variables_of_machines_in_which_others_run(project):
    infra = (
        "domains: {xa: {subnet_id: 5, machines: {owner: {}}}, xb: {subnet_id: 6, machines: {nest: {profiles: [n]}}, "
    )
    infra += "profiles: {n: {config: {security.nesting: true}}}}}\n"
    infra += "shared_volumes: {docs: {propagate: true, consumers: {owner: rw}}}\n"
    (project / "infra.yml").write_text(infra, encoding="utf-8")
    synced(project)
    found = {name: yaml.safe_load((project / "host_vars" / f"{name}.yml").read_bytes()) for name in ("owner", "nest")}
    disk = {"type": "disk", "source": "/srv/anklume/shares/docs", "path": "/shared/docs", "shift": "true"}
    assert found["owner"]["instance_devices"] == {"sv-docs": disk}
    assert found["nest"]["instance_devices"] == {"sv-docs": disk | {"readonly": "true"}}


FOLDER_FORM = {
    "base.yml": "global: {base_subnet: '10.9'}\n",
    "domains/b.yml": "b: {subnet_id: 2, machines: {m-b: {}}}\n",
    "domains/a.yml": "a: {subnet_id: 1}\n",
    "policies.yml": "network_policies: [{from: a, to: b}]\n",
}


def folder_form(project: Path, **files: str | None) -> Path:
    for name, content in {**FOLDER_FORM, **files}.items():
        if content is not None:
            (project / "infra" / name).parent.mkdir(parents=True, exist_ok=True)
            (project / "infra" / name).write_text(content, encoding="utf-8")
    return project


def test_a_file_that_is_not_read_beside_an_empty_base_is_no_fault(project):
    folder_form(project, **{"base.yml": "", "notes.yml": "x", "policies.yml": None})
    model, found = read_project(str(project))
    assert [one.name for one in model.domains] == ["a", "b"]
    assert {one.level for one in found} == {"warning"}


def test_the_folder_form(project):
    folder_form(project)
    model, found = read_project(str(project))
    assert [one.name for one in model.domains] == ["a", "b"]
    assert len(model.policies) == 1
    assert [one.message for one in found] == ["is not read, because infra/base.yml exists; keep one of the two"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"domains/b.yml": "b: {subnet: 2}\n"}, 'infra/domains/b.yml:1:5: domains.b: unknown key "subnet"'),
        ({"domains/b.yml": "- b\n"}, "infra/domains/b.yml:1:1: must be domains by name, like lab:"),
        (
            {"domains/b.yml": "domains:\n  b: {subnet_id: 2}\n"},
            "b.yml:1:1: a file in infra/domains/ holds",
        ),
        ({"domains/b.yml": "domains:\n- b\n"}, "without domains: around them"),
        ({"domains/b.yml": "subnet_id: 2\nmachines: {}\n"}, "write b: above, and indent this"),
        ({"domains/b.yml": "global: {base_subnet: '10.8'}\n"}, "global belongs in infra/base.yml"),
        ({"domains/b.yml": "b: [\n"}, "infra/domains/b.yml:1:4: not valid YAML"),
        ({"policies.yml": "policies: []\n"}, 'infra/policies.yml:1:1: unknown key "policies"'),
        ({"policies.yml": "network_policies: [{from: a, to: c}]\n"}, "infra/policies.yml:1:34: network_policies[0].to"),
        ({"base.yml": "globals: {}\n"}, 'infra/base.yml:1:1: unknown key "globals"'),
        ({"base.yml": "domains: [a]\n"}, "infra/base.yml:1:10: domains: must be a mapping, not a list"),
        ({"base.yml": "- a\n"}, "infra/base.yml:1:1: must be a mapping"),
    ],
)
def test_faults_of_the_folder_form_name_their_file(files, says, project):
    (project / "infra.yml").unlink()
    assert says in synced(folder_form(project, **files))["msg"]


def test_a_later_file_of_the_folder_form_wins_with_a_warning(project, warned):
    (project / "infra.yml").unlink()
    folder_form(project, **{"domains/c.yml": "a: {subnet_id: 7}\n", "base.yml": "domains: {x: {subnet_id: 9}}\n"})
    synced(project)
    assert 'domain "a" replaces the one of infra/domains/a.yml' in warned[0]
    assert yaml.safe_load((project / "group_vars" / "a.yml").read_bytes())["subnet_id"] == 7
    assert (project / "group_vars" / "x.yml").exists()


def test_an_empty_base_is_enough(project):
    (project / "infra.yml").unlink()
    assert not synced(folder_form(project, **{"base.yml": "---\n# nothing\n"})).get("failed")


def test_a_second_writer_is_told_who_works(project):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from ansible_collections.anklume.stt.plugins.module_utils._base.lock import project_lock\n"
            "with project_lock(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n",
            str(project),
        ],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        result = synced(project)
        assert f"process {holder.pid} (" in result["msg"]
        assert "is working on this project" in result["msg"]
        assert not run_module(infra_sync, check=True, project_dir=str(project)).get("failed")
    finally:
        holder.kill()
        holder.communicate()
    assert not synced(project).get("failed")


def test_a_change_by_someone_else_meanwhile_is_not_overwritten(project):
    model, _ = read_project(str(project))
    synced(project)
    (project / "infra.yml").write_text(INFRA.replace("3.10", "3.11"), encoding="utf-8")
    model, _ = read_project(str(project))
    made = sync.plan(str(project), model)
    (project / "host_vars" / "lab-ai.yml").write_text("mine: 1\n", encoding="utf-8")
    with pytest.raises(sync.WriteError, match="was changed by someone else meanwhile"):
        sync.apply(made)
    assert (project / "host_vars" / "lab-ai.yml").read_text(encoding="utf-8") == "mine: 1\n"


def test_a_folder_that_cannot_be_written(project):
    (project / "inventory").write_text("a file\n", encoding="utf-8")
    result = synced(project)
    assert result["failed"] is True
    assert "inventory" in result["msg"]


TOUCHING = [
    (Path, "mkdir"), (Path, "unlink"), (Path, "rename"), (Path, "replace"), (Path, "hardlink_to"), (Path, "symlink_to"),
    (Path, "chmod"), (os, "fsync"), (os, "fchmod"), (tempfile, "mkstemp"),
]  # fmt: skip
"""What can fail while files are written."""


def everything(project: Path) -> dict[str, object]:
    """Every file, link and folder of a project with its mode."""
    found: dict[str, object] = {}
    for path in project.rglob("*"):
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(project))] = (path.lstat().st_mode, content)
    return found


def failing(patch: pytest.MonkeyPatch, at: int) -> list[str]:
    """Let the call number `at` of those that write fail as on a full disk; returns the list of what was called."""
    called: list[str] = []

    def wrapped(name: str, original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            called.append(name)
            if len(called) == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*arguments, **options)

        return call

    for owner, name in TOUCHING:
        patch.setattr(owner, name, wrapped(name, getattr(owner, name)))
    return called


def many_changes(project: Path) -> sync.SyncPlan:
    """A plan that creates, replaces, removes, moves, links and makes private."""
    (project / "infra.yml").write_text(INFRA, encoding="utf-8")
    synced(project)
    for name in ("lab-web", "lab-ai"):
        with (project / "host_vars" / f"{name}.yml").open("a", encoding="utf-8") as file:
            file.write("mine: 1\n" * (name == "lab-web"))
    (project / "inventory" / "host_vars").unlink()
    changed = (
        INFRA.replace("lab-web", "lab-new").replace("3.10", "3.11") + "  more: {subnet_id: 4, machines: {m: {}}}\n"
    )
    (project / "infra.yml").write_text(changed, encoding="utf-8")
    (project / "infra.yml").chmod(0o600)
    (project / "group_vars" / "old.yml").write_text(f"{sync.blocks.BEGIN.decode()}\n{sync.blocks.END.decode()}\n")
    model, _ = read_project(str(project))
    return sync.plan(str(project), model, clean=True)


def test_a_failure_at_any_point_changes_nothing(project):
    made = many_changes(project)
    assert made.written and made.removed and made.moves and made.links and made.modes
    shutil.copytree(project, project.parent / "before", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        calls = failing(patch, 0)
        sync.apply(made)
    wanted = everything(project)
    rng = random.Random(7)
    points = range(1, len(calls) + 1) if LONG else rng.sample(range(1, len(calls) + 1), min(100, len(calls)))
    failed = 0
    for at in points:
        shutil.rmtree(project)
        shutil.copytree(project.parent / "before", project, symlinks=True)
        before = everything(project)
        with pytest.MonkeyPatch.context() as patch:
            failing(patch, at)
            try:
                sync.apply(made)
            except sync.WriteError as error:
                assert re.match(rf"cannot change {project}/\S+: no space left on device$", str(error))
                assert everything(project) == before, calls[at - 1]
                failed += 1
            else:
                # a file system without hard links gets a copy; what was kept is removed by the next sync
                assert calls[at - 1] in ("hardlink_to", "unlink")
                assert {name for name in wanted if name not in everything(project)} == set()
    assert failed > 0.6 * len(points)
    shutil.rmtree(project)
    shutil.copytree(project.parent / "before", project, symlinks=True)
    sync.apply(made)
    assert everything(project).keys() - wanted.keys() == set()


def test_what_cannot_be_taken_back_is_named(project, monkeypatch):
    made = many_changes(project)
    replace = Path.replace

    def once(path: Path, target: Path) -> Path:
        if path.name.startswith(".lab.yml"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(sync.WriteError, match=r"cannot change \S+lab.yml: input/output error$"):
        sync.apply(made)


def test_files_are_no_more_readable_than_infra_yml(project, warned):
    secret = INFRA.replace("roles: [base", 'config: {cloud-init.user-data: "password: hunter2"}, roles: [base')
    synced(project)
    assert (project / "host_vars" / "lab-ai.yml").stat().st_mode & 0o777 == 0o644
    (project / "infra.yml").write_text(secret, encoding="utf-8")
    (project / "infra.yml").chmod(0o640)
    result = synced(project)
    assert "host_vars/lab-ai.yml" in result["restricted"]
    assert "host_vars/lab-ai.yml: mode 0644 to 0640" in result["summary"]
    assert {mode & 0o777 for name, (mode, _) in everything(project).items() if name.endswith(".yml")} == {0o640}
    assert synced(project)["changed"] is False
    (project / "infra.yml").chmod(0o600)
    (project / "host_vars" / "lab-ai.yml").unlink()
    synced(project)
    assert {mode & 0o777 for name, (mode, _) in everything(project).items() if name.endswith(".yml")} == {0o600}


def test_the_folder_form_is_as_private_as_its_most_private_file(project):
    (project / "infra.yml").unlink()
    folder_form(project)
    (project / "infra" / "domains" / "b.yml").chmod(0o600)
    synced(project)
    assert (project / "host_vars" / "m-b.yml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("file", "line", "hint"),
    [
        ("host_vars/lab-ai.yml", "instance_config: {limits.memory: 1GiB}", "write it there: config"),
        ("host_vars/lab-ai.yml", "instance_os_image: images:debian/12", "write it there: os_image"),
        ("group_vars/lab.yml", "subnet_id: 4", "write it there: subnet_id"),
        ("group_vars/all.yml", "network_policies: []", "write it there: network_policies"),
        ("group_vars/role_stt_server.yml", "instance_devices: {}", "write it there: devices"),
    ],
)
def test_a_variable_of_the_user_s_that_nobody_reads_is_named(file, line, hint, project, warned):
    synced(project)
    with (project / file).open("a", encoding="utf-8") as text:
        text.write(f"stt_server_model: medium\n{line}\n")
    number = (project / file).read_text(encoding="utf-8").count("\n")
    synced(project)
    (said,) = warned
    assert said.startswith(f"{file}:{number}:1: {line.partition(':')[0]} here changes nothing in Incus")
    assert hint in said


def test_variables_for_roles_are_not_named(project, warned):
    synced(project)
    with (project / "host_vars" / "lab-ai.yml").open("a", encoding="utf-8") as text:
        text.write("my_instance_config: 1\ninstance_mine: 1\nx:\n  instance_config: 1\n# instance_config: 1\n")
    synced(project)
    assert warned == []


def test_sync_names_what_it_writes_and_moves(project):
    summary = synced(project)["summary"]
    assert "wrote host_vars/lab-ai.yml" in summary
    assert "made inventory/host_vars, a link" in summary
    with (project / "host_vars" / "lab-web.yml").open("a", encoding="utf-8") as text:
        text.write("mine: 1\n")
    without_web(project)
    summary = synced(project, state="clean")["summary"]
    assert re.fullmatch(r"moved host_vars/lab-web.yml to backups/sync-\w+/host_vars/lab-web.yml", summary[-1])


def test_the_lock_is_no_file_in_the_user_s_git(project):
    synced(project)
    assert not (project / ".lock").exists()


NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """What a user may do who is not root."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def of_nobody():
    """A project of another user's, in a folder that they can get at."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        project = Path(folder) / "project"
        project.mkdir()
        (project / "infra.yml").write_text(INFRA, encoding="utf-8")
        for path in (project, project / "infra.yml"):
            os.chown(path, NOBODY, NOBODY)
        yield project


def test_what_root_makes_in_a_user_s_project_is_the_user_s(of_nobody):
    assert not synced(of_nobody).get("failed")
    assert {path.lstat().st_uid for path in of_nobody.rglob("*")} == {NOBODY}


def test_a_user_goes_on_after_root(of_nobody):
    synced(of_nobody)
    (of_nobody / ".lock").write_text("1\n", encoding="utf-8")  # as an earlier release left it, root's
    (of_nobody / "infra.yml").write_text(INFRA.replace("3.10", "3.11"), encoding="utf-8")
    with as_nobody():
        result = synced(of_nobody)
    assert result.get("written") == ["group_vars/all.yml", "host_vars/lab-ai.yml", "inventory/lab.yml"], result
    assert not (of_nobody / ".lock").exists()


def test_a_folder_that_belongs_to_root_names_root(of_nobody):
    os.chown(of_nobody, 0, 0)
    with as_nobody():
        message = synced(of_nobody)["msg"]
    assert f"cannot lock {of_nobody}/.lock: permission denied; {of_nobody} belongs to root: run this as root" in message


def test_a_folder_that_cannot_be_written_to_changes_nothing(of_nobody):
    synced(of_nobody)
    os.chown(of_nobody / "host_vars", 0, 0)
    before = everything(of_nobody)
    (of_nobody / "infra.yml").write_text(INFRA.replace("3.10", "3.11"), encoding="utf-8")
    with as_nobody():
        message = synced(of_nobody)["msg"]
    assert message == f"cannot change {of_nobody}/host_vars/lab-ai.yml: permission denied"
    after = everything(of_nobody)
    assert {name for name in before if before[name] != after[name]} == {"infra.yml"}


WRITER = """
import sys
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import InfraError
from ansible_collections.anklume.stt.plugins.module_utils._infra import sync
from ansible_collections.anklume.stt.plugins.module_utils._infra.following import judge_following
from ansible_collections.anklume.stt.plugins.module_utils._infra.project import read_project
project, texts = sys.argv[1], sys.argv[2:]
models = []
for text in texts:
    Path(project, "infra.yml").write_text(text)
    models.append(read_project(project)[0])
print("ready", flush=True)
while True:
    for model in models:
        sync.apply(sync.plan(project, model))
"""


def test_a_kill_at_any_moment_leaves_old_or_new_files(project):
    machines = "".join(f'      m{n}: {{ip: "10.100.3.{n}"}}\n' for n in range(1, 31))
    texts = [f"domains:\n  lab:\n    description: {word}\n    subnet_id: 3\n    machines:\n{machines}" for word in "ab"]
    texts[1] = texts[1].replace("ip:", "description: other, ip:")
    versions = []
    for text in texts:
        (project / "infra.yml").write_text(text, encoding="utf-8")
        synced(project)
        with (project / "host_vars" / "m1.yml").open("ab") as file:
            file.write(b"mine: \\1\n" if not versions else b"")
        versions.append(tree(project))
    assert versions[0]["host_vars/m2.yml"] != versions[1]["host_vars/m2.yml"]
    rng = random.Random()
    hit = 0
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(project), *texts],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.001, 0.25))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        left = tree(project)
        found = {name: content for name, content in left.items() if not name.endswith(".anklume-tmp")}
        hit += found != left
        assert set(found) == set(versions[1])
        for name, content in found.items():
            assert content in (versions[0][name], versions[1][name]), name
        (project / "infra.yml").write_text(texts[1], encoding="utf-8")
        assert not synced(project).get("failed")
        assert tree(project) == versions[1], "the next sync repairs, temporary files included"
    assert hit, "no kill hit the writing: the test shows nothing"


def test_in_a_process_of_its_own(project):
    result = result_of(spawn_module(infra_sync, project_dir=str(project)))
    assert result["managed"] == len(result["written"]) == 5
    assert json.dumps(result)
