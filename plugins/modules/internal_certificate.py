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
    description: What people see in the list of authorities that they trust.
    type: str
    default: anklume.stt internal authority
  path:
    description: The file with the server's key and certificate, in PEM.
    type: path
    required: true
  names:
    description: The host names and addresses that the certificate is for.
    type: list
    elements: str
    required: true
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
reason:
  description: Why the certificate was made, or would be in check mode. Empty when it was not.
  returned: success
  type: str
"""

import datetime
import fcntl
import ipaddress
import os
import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    MISSING = None
except ImportError:
    MISSING = traceback.format_exc()

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


def make_authority(folder: Path, name: str) -> None:
    """Make the authority's key and certificate; the certificate last, because it says that all is there."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        builder(name, None, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    write(folder / "ca.key", private_pem(key), 0o600)
    write(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def alternative(name: str) -> Any:
    """A name or an address as it stands in a certificate."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def make_certificate(params: dict[str, Any], authority: Any, authority_key: Any) -> bytes:
    """A new key and its certificate, as one PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [alternative(name) for name in params["names"]]
    certificate = (
        builder(params["names"][0], authority.subject, key, params["days"])
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def why_anew(params: dict[str, Any], authority: Any) -> str:
    """Why the certificate in place will not do; empty when it does."""
    path = Path(params["path"])
    if authority is None or not path.is_file():
        return "there is none yet"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:
        return "it is unreadable or from another authority"
    if set(names) != {alternative(name) for name in params["names"]}:
        return "its names have changed"
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return "it is about to run out" if left < datetime.timedelta(days=params["renew_days"]) else ""


def reconcile(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make what is missing, one process at a time."""
    folder = Path(params["authority"])
    certificate_path = folder / "ca.crt"
    lock = None
    if not check_mode:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not certificate_path.is_file():
            make_authority(folder, params["authority_name"])
    authority = x509.load_pem_x509_certificate(certificate_path.read_bytes()) if certificate_path.is_file() else None
    reason = why_anew(params, authority)
    if reason and not check_mode:
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        write(Path(params["path"]), make_certificate(params, authority, key), 0o600)
    if lock:
        lock.close()
    return {
        "changed": bool(reason),
        "reason": reason,
        "authority_certificate": str(certificate_path),
        "fingerprint": authority.fingerprint(hashes.SHA256()).hex(":").upper() if authority else "",
        "diff": {"before": "", "after": f"{params['path']}: {', '.join(params['names'])}\n"} if reason else {},
    }


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "authority": {"type": "path", "required": True},
            "authority_name": {"type": "str", "default": "anklume.stt internal authority"},
            "path": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "days": {"type": "int", "default": 820},
            "renew_days": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("cryptography"), exception=MISSING)
    try:
        module.exit_json(**reconcile(module.params, module.check_mode))
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"the certificate {module.params['path']} cannot be kept: {error}")


if __name__ == "__main__":
    main()
