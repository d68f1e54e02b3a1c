#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a speech model in a Hugging Face cache folder, whole or not at all."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_model
short_description: Manage the models of an STT server
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Puts a model that hears (Whisper, in CTranslate2's format, Parakeet or Vosk) or speaks (a voice of Piper, or Kokoro)
    into a Hugging Face cache folder, from where the servers load it without a network.
  - Its kind follows from its name, as V(speaches-ai/piper-pl_PL-gosia-medium).
  - It comes from a model hub or a mirror of one, from a folder, or from an archive on the target. A model of Vosk comes
    as a zip archive from its publisher, or a mirror of the publisher's folder; C(--dither=0) is added to its
    C(conf/mfcc.conf), without which the text varies from run to run.
  - Files are fetched into C(staging/) beside C(hub/), verified against the publisher's digests, and put in place by one
    rename. What serves goes on serving, and what is interrupted goes on where it stopped.
  - A model that is whole is not looked up again, so the second run needs no network.
  - The README.md of the model is given the metadata without which Speaches does not list it.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
options:
  cache:
    description: The cache folder, which the STT server knows as C(HF_HOME). Models lie in C(hub/) below it.
    type: path
    required: true
  model:
    description:
      - The model, as its id on the hub (V(Systran/faster-whisper-base)) or its short name (V(large-v3-turbo),
        V(piper-gosia)).
    type: str
    required: true
    aliases: [name]
  state:
    description: V(present) has the whole model there, V(absent) nothing of it.
    type: str
    choices: [present, absent]
    default: present
  endpoint:
    description:
      - Address of the model hub, or of a mirror of it; of a model of Vosk that of the folder with the archives.
      - Without it V(https://huggingface.co), or V(https://alphacephei.com/vosk/models).
    type: str
  token:
    description: Token for models that the hub does not give to everybody. It is shown to the hub alone.
    type: str
  revision:
    description:
      - Commit, branch or tag on the hub. A whole commit id is the only one that can never mean something else.
      - A branch or tag is looked up when it is first asked for, and not again.
    type: str
    default: main
  source:
    description:
      - Take the model from this path on the target instead of the hub. It is a folder with the files of one model, or a
        tar (plain, gzip, bzip2 or xz) or zip archive that holds them at its top or in one folder, and no links.
      - A voice of Piper may lie there as Piper gives it, C(NAME.onnx) and C(NAME.onnx.json).
      - Once the model is there the source may be removed.
    type: path
  sha256:
    description:
      - The SHA-256 of the archive in O(source), or of the one that a model of Vosk comes as. With any other nothing is
        unpacked.
      - Models of Vosk that have a short name have theirs already.
    type: str
  owner:
    description: User that the files belong to. Left as it is when not given.
    type: str
  group:
    description: Group that the files belong to. Left as it is when not given.
    type: str
  mode:
    description: Permissions of the files. Folders can be entered by whoever may read files.
    type: str
    default: "0644"
  precision:
    description: Which files to take of a model that comes in both, as Parakeet. Others have one set of files.
    type: str
    choices: [int8, float32]
    default: int8
  progress:
    description: A file for the progress of a download, one line at a time, for C(tail -f).
    type: path
  timeout:
    description: Seconds without a single byte after which a connection to the hub is given up and made anew.
    type: float
    default: 30
  ca_path:
    description: File with the certificate authority that signed the certificate of O(endpoint).
    type: path
notes:
  - Free space is checked before anything is fetched.
  - Proxies are taken from the environment, as C(https_proxy).
seealso:
  - module: anklume.stt.stt_model_info
  - module: anklume.stt.stt_transcribe
"""

EXAMPLES = r"""
- name: The model that the service uses by default
  anklume.stt.stt_model:
    model: large-v3-turbo
    cache: /var/lib/speaches
    owner: speaches
    group: speaches
    mode: "0640"

- name: The same from a mirror, at one commit
  anklume.stt.stt_model:
    model: Systran/faster-whisper-base
    revision: 0123456789abcdef0123456789abcdef01234567
    endpoint: https://hub.example.org
    cache: /var/lib/speaches

- name: A model of one's own
  anklume.stt.stt_model:
    model: example/whisper-medical
    source: /srv/models/whisper-medical.tar.xz
    sha256: 5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592
    cache: /var/lib/speaches

- name: A Polish voice
  anklume.stt.stt_model:
    model: piper-gosia
    cache: /var/lib/speaches

- name: A French model of Vosk
  anklume.stt.stt_model:
    model: vosk-small-fr
    cache: /var/lib/speaches

- name: A model that is no longer used
  anklume.stt.stt_model:
    model: medium
    cache: /var/lib/speaches
    state: absent
"""

RETURN = r"""
model:
  description: The model as it is there now. In check mode, what is known of it beforehand.
  type: dict
  returned: when O(state=present)
  contains:
    name:
      description: Id of the model.
      type: str
    revision:
      description: Commit of the hub; follows from the content when the model came from a folder or an archive.
      type: str
    path:
      description: The folder that its files are read from.
      type: str
    size:
      description: Bytes of all its files.
      type: int
    files:
      description: Bytes of each file.
      type: dict
    source:
      description: Where it came from, if this module put it there.
      type: dict
    licence:
      description: The licence of its weights, as their publisher gives it. Empty where it is not known here.
      type: str
    complete:
      description: Whether it can be loaded.
      type: bool
    problems:
      description: Why it cannot.
      type: list
      elements: str
received:
  description: Bytes that came from the hub in this run.
  type: int
  returned: when O(state=present)
resumed:
  description: Bytes that an earlier, interrupted run had brought.
  type: int
  returned: when O(state=present)
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._models.cache import (
    HubSource,
    ModelCache,
    Outcome,
    Ownership,
    ProgressLines,
    PublishedSource,
    Source,
    ensure_absent,
    ensure_present,
    local_source,
)
from ansible_collections.anklume.stt.plugins.module_utils._models.hub import Hub
from ansible_collections.anklume.stt.plugins.module_utils._services.speech_models import licence_of, model_id
from ansible_collections.anklume.stt.plugins.module_utils._vram.vosks import OWNER, PUBLISHER, find_vosk, is_vosk

HUB = "https://huggingface.co"
SPEC: dict[str, Any] = {
    "cache": {"type": "path", "required": True},
    "model": {"type": "str", "required": True, "aliases": ["name"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "endpoint": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "revision": {"type": "str", "default": "main"},
    "source": {"type": "path"},
    "sha256": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0644"},
    "precision": {"type": "str", "choices": ["int8", "float32"], "default": "int8"},
    "progress": {"type": "path"},
    "timeout": {"type": "float", "default": 30},
    "ca_path": {"type": "path"},
}


def hub_of(params: dict[str, Any], model: str) -> Hub:
    """Return the server that has the model; the token is the hub's."""
    of_vosk = is_vosk(model)
    return Hub(
        params["endpoint"] or (PUBLISHER if of_vosk else HUB),
        token="" if of_vosk else params["token"] or "",
        timeout=params["timeout"],
        ca_path=params["ca_path"] or "",
    )


def source_of(params: dict[str, Any], model: str, hub: Hub) -> Source:
    """Return where the model is to come from."""
    sha256 = (params["sha256"] or "").lower()
    if params["source"]:
        return local_source(Path(params["source"]), sha256)
    if is_vosk(model):
        return published(model, hub, sha256)
    if sha256:
        raise Error("sha256 is the digest of an archive, and a hub has its own: give source too, or leave it out")
    return HubSource(hub, model, params["revision"])


def published(model: str, hub: Hub, sha256: str) -> PublishedSource:
    """Return the archive that a model of Vosk comes as."""
    if known := find_vosk(model):
        return PublishedSource(hub, known.archive, sha256 or known.sha256)
    if not model.startswith(OWNER):
        raise Error(f"{model}: Vosk's publisher has the models of {OWNER} alone: give its archive or folder as source")
    return PublishedSource(hub, f"{model.removeprefix(OWNER)}.zip", sha256)


def ownership_of(params: dict[str, Any], check_mode: bool) -> Ownership:
    """Return the ownership; in check mode a user that an earlier task would have made may be missing."""
    try:
        return Ownership.named(params["owner"], params["group"], params["mode"])
    except Error:
        if check_mode:
            return Ownership()
        raise


def reconcile(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Observe, change what differs, and describe both."""
    cache = ModelCache(Path(params["cache"]), ownership_of(params, check_mode), params["precision"])
    model = model_id(params["model"])
    if params["state"] == "absent":
        return described(ensure_absent(cache, model, check_mode=check_mode))
    progress = ProgressLines(Path(params["progress"]) if params["progress"] and not check_mode else None)
    hub = hub_of(params, model)
    outcome = ensure_present(cache, model, source_of(params, model, hub), progress, check_mode=check_mode)
    found = {**outcome.after, "licence": licence_of(model)}
    return {**described(outcome), "model": found, "received": hub.received, "resumed": hub.resumed}


def described(outcome: Outcome) -> dict[str, Any]:
    """Return the part of the result that every change has."""
    return {"changed": outcome.changed, "diff": {"before": outcome.before, "after": outcome.after}}


def main() -> None:
    """Spec → desired → reconcile → exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = reconcile(module.params, module.check_mode)
    except (Error, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
