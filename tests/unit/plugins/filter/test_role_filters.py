# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that find a project's folder, and turn the `roles:` of a machine into what include_role takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.anklume.stt.plugins.filter.roles import project_dir, role_name, service_roles


def test_our_roles_are_named_in_full_even_where_the_project_has_one_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "roles" / "stt_server").mkdir(parents=True)
    assert role_name("stt_server", str(tmp_path)) == "anklume.stt.stt_server"


def test_a_role_of_the_project_is_found_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "roles" / "mine").mkdir(parents=True)
    assert role_name("mine", str(tmp_path)) == str(tmp_path / "roles" / "mine")


@pytest.mark.parametrize("folder", ["roles_custom", "roles_vendor"])
def test_the_role_folders_of_anklume_s_users_count(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder / "mine").mkdir(parents=True)
    assert role_name("mine", str(tmp_path)) == str(tmp_path / folder / "mine")


def test_other_roles_keep_their_name(tmp_path: Path) -> None:
    assert role_name("acme.web.nginx", str(tmp_path)) == "acme.web.nginx"


def test_roles_with_a_service_come_from_the_groups_in_the_order_of_the_table() -> None:
    groups = ["all", "homelab", "role_open_webui", "role_base_system", "role_mine", "role_stt_server", "stt_server"]
    assert service_roles(groups) == ["stt_server", "open_webui"]


def test_secrets_lie_beside_an_inventory_that_is_written_by_hand() -> None:
    assert project_dir("/home/me/stt") == "/home/me/stt"
    assert project_dir("/home/me/my-infra/inventory") == "/home/me/my-infra"


def test_an_inventory_without_a_file_means_where_one_stands() -> None:
    assert project_dir(None) == str(Path.cwd())
