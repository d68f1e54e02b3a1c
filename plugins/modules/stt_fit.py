#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a speech-to-text model fits a machine, before anything is installed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_fit
short_description: Tell whether a speech-to-text model fits a GPU or a processor, and what to choose if not
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Estimates what a model needs under CTranslate2 (faster-whisper, Speaches) from its shapes, and compares it with
    what the machine has to share out.
  - The verdict is V(fits) when there is room for the worst case, V(tight) when there is room for ordinary speech
    alone, V(does_not_fit), or V(unsupported) when CTranslate2 refuses the compute type on this device.
  - A GPU is judged by its total memory less what the driver keeps and what O(others) take. Free memory is reported
    and never judged by, so that a service that runs already cannot refuse itself.
  - The machine's memory and, with O(models_dir), its disk are judged too.
  - No verdict fails the task unless O(fail_on) says so.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  engine:
    description:
      - V(parakeet) judges Parakeet under onnxruntime, V(vosk) a model of Vosk, any other a Whisper under CTranslate2.
        It is never changed, whatever the verdict.
    type: str
    default: speaches
  model:
    description:
      - A short name (V(large-v3-turbo)), a hub id (V(owner/name)), a folder that holds C(model.bin), or V(auto).
      - A model that is not in the table is read from its folder, or from O(models_dir), or judged by
        O(model_file_mib). Without any of these it is taken for large-v3, and then it is V(tight) at worst.
    type: str
    default: auto
  compute_type:
    description:
      - CTranslate2's word (V(float16), V(int8), V(int8_float16), V(float32) …), or V(auto) for the fastest that fits.
      - A Parakeet runs in V(int8) on a processor and in V(float32) on a GPU, which V(auto) and V(float16) both mean; a
        model of Vosk in V(float32), and on the processor alone.
    type: str
    default: auto
  device:
    description: V(auto) is V(cuda) where there is an NVIDIA GPU or O(gpu) is given, else V(cpu).
    type: str
    choices: [auto, cpu, cuda]
    default: auto
  gpu:
    description:
      - The GPU to judge by, instead of the first one of this machine.
      - A name (V(RTX 3060)), a dictionary with C(memory_mib) and C(capability), or an entry of
        M(anklume.stt.gpu_info)'s list. Empty means this machine's.
    type: raw
  others:
    description: What else is on the GPU, as C(name) and C(mib).
    type: list
    elements: dict
    default: []
  batch_size:
    description: Windows of 30 s that are decoded at once. V(1) is plain transcription.
    type: int
    default: 8
  beam_size:
    description: Hypotheses that are followed at once.
    type: int
    default: 5
  workers:
    description: Requests that are decoded at once.
    type: int
    default: 1
  policy:
    description: The least verdict that is good enough; RV(accepted), RV(alternatives) and V(auto) go by it.
    type: str
    choices: [fits, tight]
    default: tight
  language:
    description: The language of the speech. Models that know English alone are chosen for V(en) alone.
    type: str
    default: ""
  speech_models:
    description:
      - Models that speak beside it, by name. They run on the processor, and take of the machine's memory alone.
    type: list
    elements: str
    default: []
  variables:
    description:
      - Variables of the role C(stt_server), in place of the options that they stand for; filter
        P(anklume.stt.judged_variables#filter) picks them.
    type: dict
    suboptions:
      stt_server_engine:
        description: In place of O(engine).
        type: str
      stt_server_model:
        description: In place of O(model).
        type: str
      stt_server_quantization:
        description: In place of O(compute_type).
        type: str
      stt_server_device:
        description: In place of O(device).
        type: str
        choices: [auto, cpu, cuda]
      stt_server_gpu:
        description: In place of O(gpu).
        type: raw
      stt_server_vram_others:
        description: In place of O(others).
        type: list
        elements: dict
      stt_server_batch_size:
        description: In place of O(batch_size).
        type: int
      stt_server_beam_size:
        description: In place of O(beam_size).
        type: int
      stt_server_workers:
        description: In place of O(workers).
        type: int
      stt_server_vram_policy:
        description: In place of O(policy).
        type: str
        choices: [fits, tight]
      stt_server_language:
        description: In place of O(language).
        type: str
      stt_server_tts_models:
        description: In place of O(speech_models).
        type: list
        elements: str
  ctranslate2:
    description: The version of CTranslate2.
    type: str
    default: "4.8.5"
  models_dir:
    description: Where models are kept. Its disk is judged, unless the model lies there already.
    type: path
  model_file_mib:
    description: The size of C(model.bin) in MiB, for a model that is not in the table.
    type: float
  check_host:
    description: Whether the machine's memory and disk are judged. Set to V(false) when planning for another machine.
    type: bool
    default: true
  ollama_version:
    description: The version of Ollama on the same GPU; RV(ollama_reserve) is returned for it.
    type: str
    default: ""
  keeps_model:
    description: Whether the model is loaded at start and never unloaded, so that Ollama finds its memory taken.
    type: bool
    default: true
  table:
    description: Whether RV(table) is returned, every model in every compute type.
    type: bool
    default: false
  fail_on:
    description: The verdicts that fail the task, with RV(explanation) as the message.
    type: list
    elements: str
    choices: [fits, tight, does_not_fit, unsupported]
    default: []
  nvidia_smi:
    description: The program to ask for GPUs, where it is not on the path.
    type: path
  timeout:
    description: Seconds to wait for it.
    type: int
    default: 20
seealso:
  - module: anklume.stt.gpu_info
"""

EXAMPLES = r"""
- name: Ask about this machine
  anklume.stt.stt_fit:
    model: large-v3-turbo
    compute_type: float16
  register: fit

- name: Plan for a GPU beside Ollama, and fail if it does not fit
  anklume.stt.stt_fit:
    model: large-v3
    compute_type: int8_float16
    gpu: RTX 3060
    others:
      - {name: llama3.1, mib: 5600}
    ollama_version: 0.30.0
    check_host: false
    fail_on: [does_not_fit, unsupported]

- name: Let it choose
  anklume.stt.stt_fit:
    gpu: {memory_mib: 6144, capability: "7.5"}
    language: en
"""

RETURN = r"""
verdict:
  description: V(fits), V(tight), V(does_not_fit) or V(unsupported).
  type: str
  returned: always
accepted:
  description: Whether the verdict is good enough for O(policy).
  type: bool
  returned: always
device:
  description: V(cuda) or V(cpu).
  type: str
  returned: always
model:
  description: The model judged.
  type: dict
  returned: always
  contains:
    name:
      description: Its short name, or what was given.
      type: str
    hub_id:
      description: Where it is had.
      type: str
    known_from:
      description: Where its shapes are from, V(table), V(model.bin), V(config.json), V(file size) or V(assumed).
      type: str
    parameters:
      description: How many numbers it has; 0 where that is not known.
      type: int
    english_only:
      description: Whether it knows English alone.
      type: bool
    here:
      description: Whether it lies in O(models_dir), or is a folder of this machine.
      type: bool
compute_type:
  description: The compute type to configure, as asked for or as chosen.
  type: str
  returned: always
effective_compute_type:
  description: What CTranslate2 makes of it on this device; empty when it refuses.
  type: str
  returned: always
  sample: int8_float16
estimate:
  description: Memory in MiB. Null when the compute type is refused.
  type: dict
  returned: always
  contains:
    context:
      description: The process itself.
      type: int
    weights:
      description: The model.
      type: int
    projection:
      description: The padded copy of the output projection.
      type: int
    encoder:
      description: One worker while it listens.
      type: int
    decoder:
      description: One worker while it writes.
      type: int
    alignment:
      description: One worker while it times words.
      type: int
    activations:
      description: All workers.
      type: int
    idle:
      description: With the model loaded and nothing heard yet.
      type: int
    usual:
      description: On ordinary speech.
      type: int
    worst:
      description: At most.
      type: int
    ram:
      description: Of the machine's own memory.
      type: int
    disk:
      description: Of its disk.
      type: int
available_mib:
  description: What the device has for it, in MiB. Null on a processor whose memory is not judged.
  type: int
  returned: always
gpu:
  description: The GPU judged by. Null on a processor.
  type: dict
  returned: always
cores:
  description: Number of processors this machine may use.
  type: int
  returned: always
reasons:
  description: Why it is not V(fits).
  type: list
  elements: str
  returned: always
notes:
  description: What to know beside the verdict.
  type: list
  elements: str
  returned: always
alternatives:
  description:
    - What is good enough instead, best first. The same model with a smaller batch, then in a leaner type, then other
      models by accuracy.
  type: list
  elements: dict
  returned: always
  contains:
    verdict:
      description: Its verdict.
      type: str
    model:
      description: Its short name.
      type: str
    compute_type:
      description: Its compute type.
      type: str
    batch_size:
      description: Windows at once.
      type: int
    beam_size:
      description: Hypotheses at once.
      type: int
    workers:
      description: Requests at once.
      type: int
    worst_mib:
      description: What it needs at most, in MiB.
      type: int
    variables:
      description: The role variables that differ from what was asked for.
      type: dict
variables:
  description: The variables of the role C(stt_server) for what was judged.
  type: dict
  returned: always
ollama_reserve:
  description: What Ollama must leave free. Null without O(ollama_version), on a processor, or when nothing fits.
  type: dict
  returned: always
  contains:
    variable:
      description: C(OLLAMA_GPU_OVERHEAD) before 0.30.0, C(LLAMA_ARG_FIT_TARGET) from then on.
      type: str
    value:
      description: Its value, in bytes for the first and MiB for the second.
      type: int
    line:
      description: The line of Ollama's environment file.
      type: str
    reserved_mib:
      description: What is reserved for speech-to-text, in MiB.
      type: int
    left_mib:
      description: What is left for language models, in MiB.
      type: int
    left:
      description: The same in words.
      type: str
explanation:
  description: The verdict in one paragraph.
  type: str
  returned: always
table:
  description: Every model in every compute type.
  type: str
  returned: when O(table) is true
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._vram.gather import VARIABLES, ask

ASKED: dict[str, Any] = {
    "engine": {"type": "str", "default": "speaches"},
    "model": {"type": "str", "default": "auto"},
    "compute_type": {"type": "str", "default": "auto"},
    "device": {"type": "str", "choices": ["auto", "cpu", "cuda"], "default": "auto"},
    "gpu": {"type": "raw"},
    "others": {"type": "list", "elements": "dict", "default": []},
    "batch_size": {"type": "int", "default": 8},
    "beam_size": {"type": "int", "default": 5},
    "workers": {"type": "int", "default": 1},
    "policy": {"type": "str", "choices": ["fits", "tight"], "default": "tight"},
    "language": {"type": "str", "default": ""},
    "speech_models": {"type": "list", "elements": "str", "default": []},
    "ctranslate2": {"type": "str", "default": "4.8.5"},
    "models_dir": {"type": "path"},
    "model_file_mib": {"type": "float"},
    "check_host": {"type": "bool", "default": True},
    "ollama_version": {"type": "str", "default": ""},
    "keeps_model": {"type": "bool", "default": True},
    "table": {"type": "bool", "default": False},
    "fail_on": {
        "type": "list",
        "elements": "str",
        "choices": ["fits", "tight", "does_not_fit", "unsupported"],
        "default": [],
    },
    "nvidia_smi": {"type": "path"},
    "timeout": {"type": "int", "default": 20},
}
SAME: dict[str, Any] = {
    name: {key: value for key, value in ASKED[option].items() if key != "default"} for name, option in VARIABLES.items()
}
"""The same under the names of the role's variables."""
ARGUMENTS: dict[str, Any] = ASKED | {"variables": {"type": "dict", "options": SAME}}


def main() -> None:
    """Ask, and fail where the verdict is one that must not be."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = ask(module.params)
    except Error as error:
        module.fail_json(msg=str(error))
    for note in result["notes"]:
        module.warn(note)
    if result["verdict"] == "tight":
        module.warn(result["explanation"])
    if result["verdict"] in module.params["fail_on"]:
        module.fail_json(msg=result["explanation"], **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
