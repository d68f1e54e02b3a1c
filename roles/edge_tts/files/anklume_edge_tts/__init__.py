# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's text to speech in front of Microsoft's Edge TTS: whatever is to be spoken goes to Microsoft.

What it has in common with the STT server (errors, keys, guards, connections, what of a text is spoken) are links to
that server's files.
"""
