#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a server certificate from an authority of one's own, both in a folder of the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: internal_certificate
short_description: Keep a server certificate from an internal authority
version_added: 0.1.0
description:
  - Makes a certificate authority once, and from it a certificate for a server's names and addresses.
  - The certificate is made anew when its names change, when its authority changes, or when it is about to run out. The
    authority is never made anew by itself, because people have put their trust in it.
  - The authority carries critical name constraints (RFC 5280, 4.2.1.10). Nobody can make a certificate with it for any
    other site that a browser or OpenSSL takes. One that was made before it had these stays as it is.
  - Runs on the controller, with the library that Ansible itself brings.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
requirements:
  - cryptography
options:
  authority:
    description: The folder of the authority, with C(ca.crt) for everybody to trust and C(ca.key) for nobody to see.
    type: path
    required: true
  authority_name:
    description: What people see in the list of authorities that they trust, with the day on which it was made.
    type: str
    default: anklume.stt internal authority
  permitted:
    description:
      - What an authority made now may sign for, besides O(names). A name stands for itself and all names below it, an
        address or a network (C(10.0.0.0/8)) for itself.
      - An authority that is there already is not changed.
    type: list
    elements: str
    default: []
  renew_authority:
    description:
      - Whether to make a new authority in the place of the one that is there, at every run. The old one is kept beside,
        in a folder of its own with the date in its name. Devices have to trust the new one.
    type: bool
    default: false
  path:
    description: The file with the server's key and certificate, in PEM. Without it only the authority is kept.
    type: path
  names:
    description: The host names and addresses that the certificate is for. The authority has to permit them.
    type: list
    elements: str
    default: []
  found_names:
    description:
      - Names and addresses that nobody chose, as those of the host. The certificate is for them too where the authority
        permits them, and goes without the others, with a warning.
    type: list
    elements: str
    default: []
  days:
    description: How long a certificate is good for. More than 825 is refused by Apple's systems.
    type: int
    default: 820
  renew_days:
    description: How long before its end it is made anew.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: Keep the certificate
  anklume.stt.internal_certificate:
    authority: secrets/ca
    path: secrets/homelab-webui.pem
    names: [homelab-webui, 10.100.3.30]
    permitted: [local, 10.0.0.0/8, 192.168.0.0/16]
  delegate_to: localhost

- name: Make a new authority
  anklume.stt.internal_certificate:
    authority: secrets/ca
    permitted: [homelab-webui, local, 10.0.0.0/8, 192.168.0.0/16]
    renew_authority: true
  delegate_to: localhost
"""

RETURN = r"""
authority_certificate:
  description: The path of the certificate to trust.
  returned: success
  type: str
fingerprint:
  description: Its SHA-256 fingerprint, as browsers and phones show it. Empty in check mode before it is made.
  returned: success
  type: str
permitted:
  description: What the authority may sign for. Empty where that is any site, and in check mode before it is made.
  returned: success
  type: list
  elements: str
  sample: [homelab-webui, local, 10.0.0.0/8]
old_authority:
  description: The folder in which the old authority is kept. Empty when no new one took its place.
  returned: success
  type: str
reason:
  description: Why the certificate was made, or would be in check mode. Empty when it was not.
  returned: success
  type: str
"""

import datetime
import fcntl
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.anklume.stt.plugins.module_utils._services.internal_authority import (
    MISSING,
    RENEW_DAYS,
    alternative,
    look,
    may_sign_for,
    read_authority,
    subtree,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    pass  # MISSING says so

AUTHORITY_DAYS = 3650


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, never with a wider mode than wanted."""
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    staged.replace(path)


def private_pem(key: Any) -> bytes:
    """A private key as text."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def builder(subject: str, issuer: Any, key: Any, days: int) -> Any:
    """What every certificate has: names, key, serial number, and a day's tolerance for clocks that are late."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*allowed: str) -> Any:
    """A key usage extension that allows these uses."""
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    uses += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{use: use in allowed for use in uses})


def constraints(permitted: list[str]) -> Any:
    """The extension that permits these alone. A kind without any entry would be free, so it is shut."""
    subtrees = [subtree(name) for name in dict.fromkeys(permitted)]
    everything = {x509.DNSName: [""], x509.IPAddress: ["0.0.0.0/0", "::/0"]}
    shut = [
        subtree(name) for kind, all_of_it in everything.items() for name in all_of_it if kind not in map(type, subtrees)
    ]
    return x509.NameConstraints(subtrees, shut or None)


def make_authority(folder: Path, name: str, permitted: list[str]) -> None:
    """Make the authority's key and certificate; the certificate last, because it says that all is there."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        builder(f"{name}, {datetime.date.today()}", None, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(constraints(permitted), critical=True)
        .add_extension(usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    write(folder / "ca.key", private_pem(key), 0o600)
    write(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def put_aside(folder: Path) -> Path:
    """Keep the authority in a folder beside; its certificate goes last, so that a run that is cut off loses nothing."""
    aside = folder.with_name(f"{folder.name}-{datetime.datetime.now():%Y-%m-%d-%H%M%S}")
    aside.mkdir(mode=0o700)
    for name, mode in (("ca.key", 0o600), ("ca.crt", 0o644)):
        write(aside / name, (folder / name).read_bytes(), mode)
    (folder / "ca.crt").unlink()
    return aside


def make_certificate(params: dict[str, Any], authority: Any, authority_key: Any) -> bytes:
    """A new key and its certificate, as one PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [alternative(name) for name in params["names"]]
    # OpenSSL holds a subject that looks like a host name against the names that the authority permits, an address too
    subject = params["names"][0] if isinstance(names[0], x509.DNSName) else f"address {params['names'][0]}"
    certificate = (
        builder(subject, authority.subject, key, params["days"])
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def reconcile(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make what is missing, one process at a time."""
    folder, path = Path(params["authority"]), Path(params["path"]) if params["path"] else None
    certificate_path = folder / "ca.crt"
    lock, old, reason = None, "", ""
    if not check_mode:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    if params["renew_authority"] or not certificate_path.is_file():
        reason = "a new authority was asked for" if certificate_path.is_file() else "there is none yet"
        if not check_mode:
            strangers = [name for name in params["names"] if not may_sign_for(params["permitted"], name)]
            old = str(put_aside(folder)) if certificate_path.is_file() else ""
            make_authority(folder, params["authority_name"], params["permitted"] + strangers)
    # one that will be renewed may sign for more
    renews = check_mode and params["renew_authority"]
    seen = look(folder, None if renews else path, params["names"], params["found_names"], params["renew_days"])
    names, reason = seen.pop("names"), seen["reason"] or reason
    if path and reason and not check_mode:
        authority = read_authority(folder)
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if key.public_key() != authority.public_key():
            raise ValueError(f"{folder / 'ca.key'} is not the key of {certificate_path}: put the right one there")
        write(path, make_certificate(params | {"names": names}, authority, key), 0o600)
    if lock:
        lock.close()
    made = f"{path}: {', '.join(names)}" if path else f"{certificate_path}: {reason}"
    diff = {"before": "", "after": f"{made}\n"} if reason else {}
    return seen | {"changed": bool(reason), "reason": reason, "old_authority": old, "diff": diff}


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "authority": {"type": "path", "required": True},
            "authority_name": {"type": "str", "default": "anklume.stt internal authority"},
            "permitted": {"type": "list", "elements": "str", "default": []},
            "renew_authority": {"type": "bool", "default": False},
            "path": {"type": "path"},
            "names": {"type": "list", "elements": "str", "default": []},
            "found_names": {"type": "list", "elements": "str", "default": []},
            "days": {"type": "int", "default": 820},
            "renew_days": {"type": "int", "default": RENEW_DAYS},
        },
        required_by={"path": ["names"]},
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("cryptography"), exception=MISSING)
    try:
        result = reconcile(module.params, module.check_mode)
        for warning in result.pop("warnings"):
            module.warn(warning)
        module.exit_json(**result)
    except (OSError, ValueError) as error:
        kept = module.params["path"] or module.params["authority"]
        module.fail_json(msg=f"the certificate {kept} cannot be kept: {error}")


if __name__ == "__main__":
    main()
