# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The languages that Whisper knows, by every name that people give them."""

from __future__ import annotations

import re
from typing import Any

from .errors import ApiError

# Whisper's code first, then the other codes of ISO 639, the English name, and for some the language's own name.
TABLE = """
af afr afrikaans; am amh amharic; ar ara arb arabic; as asm assamese; az aze azerbaijani; ba bak bashkir;
be bel belarusian; bg bul bulgarian; bn ben bengali bangla; bo bod tib tibetan; br bre breton; bs bos bosnian;
ca cat catalan valencian català; cs ces cze czech čeština; cy cym wel welsh; da dan danish dansk;
de deu ger german deutsch; el ell gre greek; en eng english; es spa spanish castilian español; et est estonian;
eu eus baq basque; fa fas per persian farsi; fi fin finnish suomi; fo fao faroese;
fr fra fre french français francais; gl glg galician; gu guj gujarati; ha hau hausa; haw hawaiian; he heb iw hebrew;
hi hin hindi; hr hrv croatian hrvatski; ht hat haitian haitian-creole; hu hun hungarian magyar; hy hye arm armenian;
id ind in indonesian; is isl ice icelandic; it ita italian italiano; ja jpn japanese 日本語; jw jv jav javanese;
ka kat geo georgian; kk kaz kazakh; km khm khmer; kn kan kannada; ko kor korean 한국어; la lat latin;
lb ltz luxembourgish letzeburgesch; ln lin lingala; lo lao; lt lit lithuanian; lv lav latvian; mg mlg malagasy;
mi mri mao maori; mk mkd mac macedonian; ml mal malayalam; mn mon mongolian; mr mar marathi; ms msa may malay;
mt mlt maltese; my mya bur myanmar burmese; ne nep nepali; nl nld dut dutch flemish nederlands;
nn nno nynorsk norwegian-nynorsk; no nor nb nob norwegian bokmål norsk; oc oci occitan; pa pan punjabi panjabi;
pl pol polish polski; ps pus pashto pushto; pt por portuguese português;
ro ron rum mo romanian moldavian moldovan română; ru rus russian русский; sa san sanskrit; sd snd sindhi;
si sin sinhala sinhalese; sk slk slo slovak; sl slv slovenian; sn sna shona; so som somali; sq sqi alb albanian;
sr srp serbian; su sun sundanese; sv swe swedish svenska; sw swa swahili; ta tam tamil; te tel telugu; tg tgk tajik;
th tha thai; tk tuk turkmen; tl tgl fil tagalog filipino; tr tur turkish türkçe; tt tat tatar;
uk ukr ukrainian українська; ur urd urdu; uz uzb uzbek; vi vie vietnamese; yi yid yiddish; yo yor yoruba;
yue cantonese; zh zho chi cmn chinese mandarin 中文
"""
CODES = {name: names.split()[0] for names in TABLE.split(";") for name in names.split()}
LANGUAGES = frozenset(CODES.values())
LONGEST = 100  # letters of a name; the patterns below take long over a very long text
LOCALE = re.compile(r"([a-z]{2,3})([-_][a-z0-9]{1,8})*([.@].*)?")  # en-US, zh_Hans_CN, fr_FR.UTF-8


def code(name: str) -> str | None:
    """Whisper's code for a language by any of its names, with or without a country; None where there is none."""
    name = name[: LONGEST + 1].strip().casefold()
    if len(name) > LONGEST:
        return None
    locale = LOCALE.fullmatch(name)
    in_brackets = re.sub(r"\s*\(.*\)$", "", name)  # English (United States)
    return CODES.get(locale[1] if locale else re.sub(r"\s+", "-", in_brackets))


def check_known(model: Any, language: str | None) -> None:
    """Refuse a language that this very model has never learnt: some are newer than most models."""
    if language and model.model.is_multilingual and model.hf_tokenizer.token_to_id(f"<|{language}|>") is None:
        raise ApiError(400, f"the model does not know the language '{language}'", "language")
