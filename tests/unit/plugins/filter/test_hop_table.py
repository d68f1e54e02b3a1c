# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the filter, as Ansible calls it."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter import hop_table as plugin

HOP = {"host": "demo-ai", "hop": "model", "ok": False, "detail": "none", "next_step": "make apply-stt", "spoken": ""}


def test_the_filter_lays_out_the_hops() -> None:
    filters = plugin.FilterModule().filters()
    assert filters["hop_table"]([HOP]) == (
        "demo-ai  model  FAILED  none\n                        next: make apply-stt\n\n1 of 1 hops FAILED"
    )
    assert "\033[31m" in filters["hop_table"]([HOP], colour=True)


def test_a_wrong_list_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="no hop to show"):
        plugin.FilterModule().filters()["hop_table"]([])


def test_the_documentation_can_be_read() -> None:
    assert yaml.safe_load(plugin.DOCUMENTATION)["name"] == "hop_table"
    yaml.safe_load(plugin.EXAMPLES)
    yaml.safe_load(plugin.RETURN)
