# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The internal authority and a certificate of it: whether that will do, and what may be signed. Changes nothing."""

from __future__ import annotations

import datetime
import ipaddress
import textwrap
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    MISSING = None
except ImportError:
    MISSING = traceback.format_exc()

RENEW_DAYS = 90
"""How long before its end a certificate is made anew, unless asked otherwise."""


def subtree(name: str) -> Any:
    """A name, an address or a network as it stands in name constraints."""
    try:
        return x509.IPAddress(ipaddress.ip_network(name))
    except ValueError:
        return x509.DNSName(name)


def alternative(name: str) -> Any:
    """A name or an address as it stands in a certificate."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def permitted_by(authority: Any) -> list[str]:
    """What an authority may sign for; empty when that is everything."""
    try:
        found = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in found.permitted_subtrees or []]


def may_sign_for(permitted: list[str], name: str) -> bool:
    """Whether a name or an address lies in what an authority may sign for."""
    wanted, trees = alternative(name), [subtree(one) for one in permitted]
    if isinstance(wanted, x509.IPAddress):
        networks: list[Any] = [tree.value for tree in trees if isinstance(tree, x509.IPAddress)]
        return any(wanted.value in network for network in networks)
    below = [f".{tree.value}".lower() for tree in trees if isinstance(tree, x509.DNSName)]
    return f".{name}".lower().endswith(tuple(below))


def why_anew(path: Path, names: Iterable[str], renew_days: int, authority: Any) -> str:
    """Why the certificate in place will not do; empty when it does."""
    if authority is None or not path.is_file():
        return "there is none yet"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(authority)
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:
        return "it is unreadable or from another authority"
    if set(named) != {alternative(name) for name in names}:
        return "its names have changed"
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return "it is about to run out" if left < datetime.timedelta(days=renew_days) else ""


def refuse_strangers(authority: Path, permitted: list[str], names: list[str]) -> None:
    """Refuse names that the authority may not sign for: no browser would take the certificate."""
    strangers = [name for name in names if permitted and not may_sign_for(permitted, name)]
    if strangers:
        may = textwrap.shorten(", ".join(permitted), 300, placeholder=" …")
        raise ValueError(
            f"{authority} may not sign for {', '.join(strangers)} (it may for {may}): leave that out, or make a new "
            "authority with `make ca-renew`, which every device has to trust anew"
        )


def read_authority(folder: Path) -> Any:
    """The authority's certificate; None before it is made."""
    path = folder / "ca.crt"
    return x509.load_pem_x509_certificate(path.read_bytes()) if path.is_file() else None


def left_out(authority: Path, names: list[str]) -> str:
    """What to say of names of the host that the authority may not sign for."""
    return (
        f"{authority} may not sign for {', '.join(names)}, as this host is called now: browsers that open the page "
        "there warn; `make ca-renew` makes an authority that may, which every device has to trust anew"
    )


def look(folder: Path, path: Path | None, names: list[str], found: list[str], renew_days: int) -> dict[str, Any]:
    """Why the certificate at `path` has to be made, for which `names`, and what is seen of the authority in `folder`.

    Of the `found` names those that the authority may not sign for are left out, with a warning. A ValueError says what
    else it may not sign for, an OSError or a ValueError what is not readable.
    """
    authority = read_authority(folder)
    permitted = permitted_by(authority) if authority else []
    strange = [name for name in found if permitted and not may_sign_for(permitted, name)]
    names = [*names, *(name for name in found if name not in strange)]
    if path:
        refuse_strangers(folder / "ca.crt", permitted, names)
    return {
        "reason": why_anew(path, names, renew_days, authority) if path else "",
        "authority_certificate": str(folder / "ca.crt"),
        "fingerprint": authority.fingerprint(hashes.SHA256()).hex(":").upper() if authority else "",
        "permitted": permitted,
        "names": names,
        "warnings": [left_out(folder / "ca.crt", strange)] if strange else [],
    }
