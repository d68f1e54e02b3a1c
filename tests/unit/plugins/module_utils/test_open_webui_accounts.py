# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets an account in Open WebUI, who is shut out, and whose account is nobody's business."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_users import (
    Account,
    Change,
    faults,
    named_accounts,
    plan,
)

ADMIN = "admin@localhost"
HERSELF = Account("eve@example.org", "Eve", id=str(uuid.uuid4()))


def named(*users: dict[str, Any]) -> list[Account]:
    return named_accounts(users)


ANNA, BEN = named(
    {"email": "Anna@Example.org", "name": "Anna", "role": "admin"}, {"email": "ben@localhost", "name": "Ben"}
)


def test_an_e_mail_says_who_it_is_however_it_is_written() -> None:
    assert (ANNA.email, ANNA.role, BEN.role) == ("anna@example.org", "admin", "user")
    assert named({"email": "anna@example.org", "name": "Anne"})[0].id == ANNA.id != BEN.id
    assert ANNA.ours
    assert not HERSELF.ours


def test_who_is_named_is_made_or_changed_and_then_left() -> None:
    assert plan([ANNA, BEN], [HERSELF, BEN], ADMIN) == [Change(None, ANNA)]
    by_hand = replace(ANNA, name="Her Majesty", role="user", email="anna@palace.example.org")
    assert plan([ANNA], [by_hand], ADMIN) == [Change(by_hand, ANNA)]
    assert plan([ANNA, BEN], [BEN, ANNA, HERSELF], ADMIN) == []


def test_who_is_no_longer_named_is_shut_out_and_comes_back() -> None:
    [out] = plan([BEN], [ANNA, BEN], ADMIN)
    assert (out.after.role, out.after.active, out.taken_out) == ("pending", False, True)
    assert plan([BEN], [out.after, BEN], ADMIN) == []
    [back] = plan([ANNA, BEN], [out.after, BEN], ADMIN)
    assert (back.after, back.taken_out) == (ANNA, False)


def test_who_was_let_in_on_the_page_and_is_not_named_is_shut_out_again() -> None:
    out = replace(BEN, role="pending", active=False)
    assert plan([], [replace(out, role="user")], ADMIN) == [Change(replace(out, role="user"), out)]


def test_whoever_made_an_account_keeps_it() -> None:
    assert plan([], [HERSELF], ADMIN) == []
    with pytest.raises(ServiceError, match=r"eve@example\.org has an account already .* did not make"):
        plan(named({"email": "EVE@example.org", "name": "Eve", "role": "admin"}), [HERSELF], ADMIN)


def test_the_administrator_stays_even_where_the_account_is_one_of_ours() -> None:
    assert plan([], [ANNA], "ANNA@example.org") == []


def test_an_account_gets_its_e_mail_back_before_another_is_made_with_it() -> None:
    swapped = replace(ANNA, email=BEN.email)
    assert plan([BEN, ANNA], [swapped], ADMIN) == [Change(swapped, ANNA), Change(None, BEN)]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([("anna", "Anna")], "open_webui_users names anna, which is no e-mail of the form"),
        ([("", "Anna")], "open_webui_users names nobody, which is no e-mail"),
        ([("a/../b@example.org", "Anna")], "which is no e-mail"),
        ([("anna@home", "Anna")], "which is no e-mail"),
        ([("a@b.org", "A"), ("A@B.org", "B")], "names A@B.org twice: an e-mail is one account"),
        ([(ADMIN, "A")], "who is the administrator of open_webui_admin_email"),
        ([("a@b.org", " ")], "names a@b.org without a name: say what the others see"),
    ],
)
def test_what_cannot_be_is_refused(users: list[tuple[str, str]], message: str) -> None:
    [found] = faults([{"email": email, "name": name} for email, name in users], ADMIN)
    assert message in found


def test_the_usual_is_taken() -> None:
    emails = ("anna.b+stt@mail.example.org", "ben@localhost", "zoë@example.org", "o'neil@example.co.uk")
    assert faults([{"email": email, "name": "X"} for email in emails], ADMIN) == []
