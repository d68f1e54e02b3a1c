#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a recording to an STT server, or through Open WebUI, and compare what comes back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stt_transcribe
short_description: Transcribe a recording and compare the text with what was spoken
version_added: 0.1.0
author:
  - the anklume.stt authors (@anklume)
description:
  - Uploads an audio file to an OpenAI-compatible STT server (Speaches or this collection's own) and returns the text.
  - With O(open_webui), signs in to Open WebUI and uploads the file as its microphone button does, so that the whole way
    from the browser to the STT server is used.
  - With O(expect), fails when the text differs from it by more than O(max_wer). C(/health) proves nothing; this does.
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.info
options:
  url:
    description:
      - Base URL of the STT server, as V(http://homelab-ai:8000/v1). A missing C(/v1) is added, a final slash removed.
      - With O(open_webui), the address of Open WebUI, as V(http://homelab-webui:8080).
    type: str
    required: true
  path:
    description: The recording, on the host where the module runs. Not needed with O(open_webui.speak).
    type: path
  minutes:
    description:
      - Have the recording, a WAV file, said again and again until it is this long, as one long recording.
      - Speech that repeats itself is no measure of words; so O(expect) has to be heard somewhere, and something up to
        the last minute of the recording.
    type: float
  model:
    description:
      - Name of the model. V(whisper-1) when not given, which the servers of this collection take for their default.
    type: str
  language:
    description: Language of the speech, as V(fr). Detected when not given.
    type: str
  task:
    description: Write down what is said, or translate it into English.
    type: str
    choices: [transcribe, translate]
    default: transcribe
  response_formats:
    description: Formats of the answer to ask for, one request each. V(json) when not given.
    type: list
    elements: str
    choices: [json, text, verbose_json, srt, vtt]
  api_key:
    description: The STT server's API key, if it wants one.
    type: str
  expect:
    description:
      - The sentence that was spoken. Case and punctuation are not compared; accents and numbers are.
      - An empty text means that nothing may be recognised (silence, noise).
    type: str
  max_wer:
    description: Highest word error rate to accept, from 0 (every word right) to 1.
    type: float
    default: 0.2
  wait:
    description: Seconds to wait for C(/health) before the first request.
    type: float
    default: 0
  retries:
    description: How often to ask again when the server answers that it is busy (503, 429).
    type: int
    default: 3
  timeout:
    description: Seconds to wait for each answer. A long recording on a slow machine needs more.
    type: float
    default: 120
  ca_path:
    description: File with the certificate authority that signed the service's certificate.
    type: path
  validate_certs:
    description: Whether to check the service's certificate.
    type: bool
    default: true
  speak:
    description: Also have the STT server speak a sentence of its own, and hear what it has spoken.
    type: dict
    suboptions:
      text:
        description: The sentence.
        type: str
        required: true
      language:
        description: Its language. Detected when not given.
        type: str
  open_webui:
    description: Go through Open WebUI, with its own address, key and model of the STT server.
    type: dict
    suboptions:
      email:
        description: Email of the account to sign in with.
        type: str
        required: true
      password:
        description: Password of that account. Open WebUI allows 15 sign-ins in 3 minutes.
        type: str
        required: true
      ollama:
        description: Also ask Open WebUI which Ollama it reaches.
        type: bool
        default: false
      speak:
        description:
          - Also have Open WebUI speak this sentence, as its page reads aloud.
        type: str
      speak_language:
        description:
          - The language of that sentence, as V(pl). With it and a recording at O(path), so that there is an STT server,
            what was spoken is sent back through Open WebUI and compared.
        type: str
seealso:
  - module: anklume.stt.stt_model
"""

EXAMPLES = r"""
- name: The STT server understands a known sentence
  anklume.stt.stt_transcribe:
    url: http://localhost:8000/v1
    path: /var/lib/speaches/verify.wav
    model: large-v3-turbo
    expect: The quick brown fox jumps over the lazy dog.
    wait: 60

- name: All answers of the API
  anklume.stt.stt_transcribe:
    url: http://localhost:8000/v1
    path: /tmp/audio.wav
    response_formats: [json, text, verbose_json, srt, vtt]

- name: Half an hour of it
  anklume.stt.stt_transcribe:
    url: http://localhost:8000/v1
    path: /var/lib/speaches/verify.wav
    minutes: 30
    expect: The quick brown fox jumps over the lazy dog.
    timeout: 3600

- name: The same sentence, the way a browser sends it
  anklume.stt.stt_transcribe:
    url: http://localhost:8080
    path: /tmp/audio.wav
    expect: The quick brown fox jumps over the lazy dog.
    open_webui:
      email: admin@example.org
      password: "{{ open_webui_admin_password }}"
"""

RETURN = r"""
text:
  description: The recognised sentence, from the first format asked for.
  type: str
  returned: when the server answered
texts:
  description: The answer in each format, as the server gave it.
  type: dict
  returned: when the server answered
wer:
  description: Word error rate against O(expect), the highest of all formats (0 is every word right).
  type: float
  returned: when O(expect) is given and the server answered
heard_back:
  description: What was heard of O(speak). That nothing is spoken does not fail the task.
  type: dict
  returned: when O(speak) is given and the server answered
  contains:
    text:
      description: The recognised sentence.
      type: str
    wer:
      description: Its word error rate; 1 where nothing was spoken.
      type: float
    error:
      description: Why nothing was spoken or heard; empty when something was.
      type: str
seconds:
  description: Seconds from the upload to the answer, the fastest of all formats.
  type: float
  returned: when the server answered
audio_seconds:
  description: Duration of a WAV file in seconds; of others, if V(verbose_json) is among the formats; else none.
  type: float
  returned: when the server answered
real_time_factor:
  description: RV(seconds) per second of audio; below 1 is faster than speech. None without a duration.
  type: float
  returned: when the server answered
models:
  description: Ids of the models that the server lists.
  type: list
  elements: str
  returned: without O(open_webui), once the server is healthy
healthy:
  description: Whether C(/health) answered.
  type: bool
  returned: always
ollama:
  description:
    - What Open WebUI says of Ollama. C(version) is a text, empty when it is switched off in Open WebUI or out of reach.
    - C(error) says why, and is empty when all is well.
  type: dict
  returned: when O(open_webui.ollama) is true and signing in worked
heard_until:
  description: Of a recording that O(minutes) made long, the seconds at which the last recognised speech ends.
  type: float
  returned: when O(minutes) is given and the server answered
speech:
  description:
    - What became of O(open_webui.speak). C(kind) and C(bytes) of the sound, C(seconds) from the text to the sound.
    - C(text) is what was heard of it, and C(wer) the word error rate, where it was sent back.
    - C(error) says why there is none, and is empty when all is well.
  type: dict
  returned: when O(open_webui.speak) is given and signing in worked
url:
  description: The address used, after corrections.
  type: str
  returned: always
notes:
  description: What was corrected in O(url).
  type: list
  elements: str
  returned: always
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import (
    RESPONSE_FORMATS,
    AudioClient,
    OpenWebUIClient,
    heard_until,
    is_in,
    normalise_base_url,
    normalise_origin,
    readable_file,
    said_again,
    sound_kind,
    spoken_text,
    told_seconds,
    wav_seconds,
    word_error_rate,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import WORST_WER

SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "path": {"type": "path"},
    "minutes": {"type": "float"},
    "model": {"type": "str"},
    "language": {"type": "str"},
    "task": {"type": "str", "choices": ["transcribe", "translate"], "default": "transcribe"},
    "response_formats": {"type": "list", "elements": "str", "choices": list(RESPONSE_FORMATS)},
    "api_key": {"type": "str", "no_log": True},
    "expect": {"type": "str"},
    "max_wer": {"type": "float", "default": WORST_WER},
    "wait": {"type": "float", "default": 0},
    "retries": {"type": "int", "default": 3},
    "timeout": {"type": "float", "default": 120},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "speak": {
        "type": "dict",
        "options": {"text": {"type": "str", "required": True}, "language": {"type": "str"}},
    },
    "open_webui": {
        "type": "dict",
        "options": {
            "email": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "ollama": {"type": "bool", "default": False},
            "speak": {"type": "str"},
            "speak_language": {"type": "str"},
        },
    },
}


def connection_options(params: dict[str, Any]) -> dict[str, Any]:
    """Return what both clients take."""
    return {
        "timeout": params["timeout"],
        "ca_path": params["ca_path"] or "",
        "validate_certs": params["validate_certs"],
    }


def ask_server(params: dict[str, Any], result: dict[str, Any]) -> Callable[[str], str]:
    """Wait for the STT server, list its models and return what asks it in one format."""
    result["url"], result["notes"] = normalise_base_url(params["url"])
    client = AudioClient(result["url"], api_key=params["api_key"] or "", **connection_options(params))
    client.wait_healthy(params["wait"])
    result["healthy"] = True
    result["models"] = client.models()
    if params["speak"]:
        result["heard_back"] = heard_back(client, params["speak"]["text"], params["speak"]["language"] or "")
    return lambda response_format: client.transcribe(
        Path(params["path"]),
        model=params["model"] or "whisper-1",
        language=params["language"] or "",
        response_format=response_format,
        translate=params["task"] == "translate",
        retries=params["retries"],
    )


def heard_back(client: AudioClient, text: str, language: str) -> dict[str, Any]:
    """Have a sentence spoken and transcribe it; a server that cannot is an answer and no failure of this module."""
    try:
        with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
            file.write(client.speak(text, model="tts-1", voice="alloy"))
            file.flush()
            answer = client.transcribe(Path(file.name), model="whisper-1", language=language)
    except ServiceError as exc:
        return {"text": "", "wer": 1.0, "error": str(exc)}
    heard = spoken_text("json", answer)
    return {"text": heard, "wer": round(word_error_rate(text, heard), 3), "error": ""}


def ask_open_webui(params: dict[str, Any], result: dict[str, Any]) -> Callable[[str], str]:
    """Wait for Open WebUI, sign in and return what uploads to it; its answer is a text."""
    result["url"], result["notes"] = normalise_origin(params["url"])
    client = OpenWebUIClient(result["url"], **connection_options(params))
    client.wait_healthy(params["wait"])
    result["healthy"] = True
    client.sign_in(params["open_webui"]["email"], params["open_webui"]["password"])
    if params["open_webui"]["ollama"]:
        result["ollama"] = ollama_seen_by(client)
    if params["open_webui"]["speak"]:
        result["speech"] = speech_of(
            client, params["open_webui"], hear=bool(params["path"] and params["open_webui"]["speak_language"])
        )
    return lambda _format: client.transcribe(
        Path(params["path"]), language=params["language"] or "", retries=params["retries"]
    )


def ollama_seen_by(client: OpenWebUIClient) -> dict[str, str]:
    """Ask for Ollama; not to reach it is an answer and no failure of this module."""
    try:
        version = client.ollama_version()
    except ServiceError as exc:
        return {"version": "", "error": str(exc)}
    return {"version": version, "error": "" if version else "Ollama is switched off in Open WebUI"}


def speech_of(client: OpenWebUIClient, account: dict[str, Any], *, hear: bool) -> dict[str, Any]:
    """Have a sentence spoken, and heard back; not to get it is an answer and no failure of this module."""
    spoken: dict[str, Any] = {"error": ""}
    try:
        start = time.monotonic()
        sound = client.speak(account["speak"])
        spoken |= {"kind": sound_kind(sound), "bytes": len(sound), "seconds": round(time.monotonic() - start, 3)}
        if hear:
            with tempfile.NamedTemporaryFile(suffix=f".{spoken['kind']}") as file:
                file.write(sound)
                file.flush()
                spoken["text"] = client.transcribe(Path(file.name), language=account["speak_language"])
            spoken["wer"] = round(word_error_rate(account["speak"], spoken["text"]), 3)
    except ServiceError as exc:
        spoken["error"] = str(exc)
    return spoken


def transcribe(params: dict[str, Any], result: dict[str, Any]) -> None:
    """Fill ``result`` step by step, so that a failure still tells how far it came."""
    if not params["path"]:
        ask_open_webui(params, result)
        return
    recording = readable_file(Path(params["path"]))
    ask = ask_open_webui(params, result) if params["open_webui"] else ask_server(params, result)
    formats = ["text"] if params["open_webui"] else params["response_formats"] or ["json"]
    answers: dict[str, str] = {}
    seconds = []
    for response_format in formats:
        start = time.monotonic()
        answers[response_format] = ask(response_format)
        seconds.append(time.monotonic() - start)
    sentences = [spoken_text(response_format, answer) for response_format, answer in answers.items()]
    duration = wav_seconds(recording) or told_seconds(answers.get("verbose_json", "{}"))
    result.update(
        text=sentences[0],
        texts=answers,
        seconds=round(min(seconds), 3),
        audio_seconds=duration,
        real_time_factor=round(min(seconds) / duration, 3) if duration else None,
    )
    if params["expect"] is not None:
        compare(params["expect"], params["max_wer"], dict(zip(answers, sentences, strict=True)), result)


def transcribe_long(params: dict[str, Any], result: dict[str, Any]) -> None:
    """The same with the recording said again and again: it has to be heard, and heard to the end."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        said_again(readable_file(Path(params["path"])), Path(file.name), params["minutes"] * 60)
        transcribe({**params, "path": file.name, "expect": None, "response_formats": ["verbose_json"]}, result)
    result["heard_until"] = heard_until(result["texts"]["verbose_json"])
    if params["expect"] and not is_in(params["expect"], result["text"]):
        raise ServiceError(f"{result['url']}: heard {result['text']!r:.300}, and never {params['expect']!r:.300}")
    if result["heard_until"] < result["audio_seconds"] - 60:
        raise ServiceError(
            f"{result['url']}: of {result['audio_seconds']:.0f} s the last speech was heard at"
            f" {result['heard_until']:.0f} s"
        )


def compare(expected: str, limit: float, sentences: dict[str, str], result: dict[str, Any]) -> None:
    """Fail when one of the sentences differs from the expected one by more than the limit."""
    rates = {response_format: word_error_rate(expected, text) for response_format, text in sentences.items()}
    worst = max(rates, key=lambda response_format: rates[response_format])
    result["wer"] = round(rates[worst], 3)
    if rates[worst] > limit:
        raise ServiceError(
            f"{result['url']}: heard {sentences[worst]!r:.300} instead of {expected!r:.300} (format {worst}):"
            f" word error rate {rates[worst]:.2f} is above {limit:g}: is this the right model for this language"
        )


def main() -> None:
    """Spec → request → comparison → exit."""
    module = AnsibleModule(
        argument_spec=SPEC,
        mutually_exclusive=[
            ("open_webui", "model"),
            ("open_webui", "api_key"),
            ("open_webui", "response_formats"),
            ("open_webui", "speak"),
        ],
        required_one_of=[("path", "open_webui")],
        required_by={"minutes": "path"},
        supports_check_mode=True,
    )
    result: dict[str, Any] = {"changed": False, "healthy": False, "url": module.params["url"], "notes": []}
    try:
        if module.params["minutes"]:
            transcribe_long(module.params, result)
        else:
            transcribe(module.params, result)
    except Error as exc:
        module.fail_json(msg=str(exc), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
