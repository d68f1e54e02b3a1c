#!/usr/bin/python
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converges the live settings of an installed Open WebUI."""

from __future__ import annotations

DOCUMENTATION = r"""
module: open_webui_config
short_description: Converge the live settings of Open WebUI
version_added: 0.1.0
description:
  - Compares settings in Open WebUI's database with what is wanted, and changes those that differ.
  - A change is live at once, without a restart and without an administrator's password. Settings that are not named
    stay as they are.
  - Open WebUI reads its environment at the first start only, so this is how a later change reaches it.
  - Works with Open WebUI 0.11.4 and later, on SQLite and PostgreSQL, whether the service runs or not.
author:
  - the anklume.stt authors (@anklume)
extends_documentation_fragment:
  - anklume.stt.attributes
  - anklume.stt.attributes.writes
  - anklume.stt.open_webui
options:
  settings:
    description: Settings by their name in the database, such as V(audio.stt.engine), with the wanted value.
    type: dict
    required: true
  secret_settings:
    description: More settings, whose values are shown nowhere.
    type: dict
    default: {}
  stt_server:
    description:
      - The STT server that Open WebUI is to use. It is asked over the way that Open WebUI takes, so that an address, a
        key or a model that cannot work changes nothing; in check mode a server that does not answer is a warning.
      - Sets C(audio.stt.engine), C(audio.stt.openai.api_base_url), C(audio.stt.openai.api_key) and C(audio.stt.model).
    type: dict
    suboptions:
      url:
        description: Its address, with or without C(/v1). Empty turns speech to text off.
        type: str
        required: true
      api_key:
        description: The key that it wants.
        type: str
      model:
        description: The model to ask for.
        type: str
      aliases:
        description: Names that it understands beside those of its models, to be taken when no model is given.
        type: list
        elements: str
        default: []
  tts_server:
    description:
      - The server that Open WebUI is to read aloud with. Before a change it has to speak a word over the way that Open
        WebUI takes, so that what cannot work changes nothing; in check mode a server that does not is a warning.
      - Sets C(audio.tts.engine), C(audio.tts.openai.api_base_url), C(audio.tts.openai.api_key), C(audio.tts.model) and
        C(audio.tts.voice).
    type: dict
    suboptions:
      url:
        description: Its address, with or without C(/v1). Empty turns it off, and the browser itself reads aloud.
        type: str
        required: true
      api_key:
        description: The key that it wants.
        type: str
      model:
        description: The model. When not given V(tts-1), or the only one that the server lists.
        type: str
      voice:
        description: The voice. When not given, the first that the server lists, or V(alloy) where it lists none.
        type: str
      aliases:
        description: Names of models that it understands beside those that it lists.
        type: list
        elements: str
        default: []
      hosts:
        description:
          - With an empty O(tts_server.url), turn off only what leads to one of these hosts. What leads elsewhere was
            set on the page by somebody, and stays. When not given, all of it is turned off.
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: Let Open WebUI use an STT server
  anklume.stt.open_webui_config:
    settings:
      ui.enable_signup: false
    stt_server:
      url: http://homelab-ai:8000/v1
      api_key: "{{ vault_stt_key }}"

- name: Let it read aloud with another server
  anklume.stt.open_webui_config:
    settings: {}
    tts_server:
      url: http://tts.example.org:8880/v1
      voice: af_sky
"""

RETURN = r"""
changed_settings:
  description: The names of the settings that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [audio.stt.engine]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import (
    ARGUMENTS,
    SECRETS,
    TTS_OFF,
    Settings,
    changes,
    choose_model,
    choose_speaker,
    of_somebody_else,
    shown,
    stt_settings,
    tts_settings,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import AudioClient, normalise_base_url

WORD = "Yes."
"""What a server has to speak before it is used."""

SERVER = {
    "url": {"type": "str", "required": True},
    "api_key": {"type": "str", "no_log": True},
    "model": {"type": "str"},
    "aliases": {"type": "list", "elements": "str", "default": []},
}
STT_SERVER = {"type": "dict", "options": SERVER}
TTS_SERVER = {
    "type": "dict",
    "options": {**SERVER, "voice": {"type": "str"}, "hosts": {"type": "list", "elements": "str"}},
}


def settings_of(module: AnsibleModule, server: dict[str, Any]) -> dict[str, Any]:
    """The settings for an STT server, once it has answered; none in check mode when it does not."""
    if not server["url"]:
        return stt_settings("", "")
    try:
        base_url, dummy = normalise_base_url(server["url"])
        listed = AudioClient(base_url, api_key=server["api_key"] or "", timeout=10).models()
        return stt_settings(base_url, choose_model(server["model"] or "", server["aliases"], listed))
    except Error as error:
        if not module.check_mode:
            raise
        module.warn(str(error))
        return {}


def speech_of(module: AnsibleModule, server: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """The settings for a server that speaks, once it has where they differ; none in check mode when it does not."""
    if not server["url"]:
        return {} if of_somebody_else(server["hosts"], current) else TTS_OFF
    try:
        base_url, dummy = normalise_base_url(server["url"])
        client = AudioClient(base_url, api_key=server["api_key"] or "", timeout=60)
        model, voice = choose_speaker(server, client.speaking_models(), client.voices())
        wanted = tts_settings(base_url, server["api_key"] or "", model, voice)
        if changes(current, wanted):
            client.speak(WORD, model=model, voice=voice)
        return wanted
    except Error as error:
        if not module.check_mode:
            raise
        module.warn(str(error))
        return {}


def main() -> None:
    """Spec, desired, reconcile, exit."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "required": True},
            "secret_settings": {"type": "dict", "default": {}, "no_log": True},
            "stt_server": STT_SERVER,
            "tts_server": TTS_SERVER,
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    secrets, server, speaker = (module.params[name] for name in ("secret_settings", "stt_server", "tts_server"))
    wanted = module.params["settings"]
    try:
        settings = Settings(module.params)
        if server:
            wanted |= settings_of(module, server)
            wanted |= {"audio.stt.openai.api_key": (server["url"] and server["api_key"]) or ""}
        wanted |= secrets
        current = settings.read([*wanted, *(TTS_OFF if speaker else ())])
        if speaker:
            wanted |= speech_of(module, speaker, current)
        changed = changes(current, wanted)
        if changed and not module.check_mode:
            settings.write(changed)
    except (Error, OSError) as error:
        module.fail_json(msg=str(error))
    hidden = (*SECRETS, *secrets)
    diff = {"before": shown(current, changed, hidden), "after": shown(wanted, changed, hidden)}
    module.exit_json(changed=bool(changed), changed_settings=sorted(changed), diff=diff)


if __name__ == "__main__":
    main()
