"""A voice is not shared before its card says whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InputError
from voice.consent import consent_line, require_consent
from voice.folder import VoiceFiles


def voice_with(folder: Path, *lines: str) -> VoiceFiles:
    voice = VoiceFiles("ann", folder)
    voice.card.write_text("\n".join(["# ann", *lines, "## Training"]))
    return voice


@pytest.mark.parametrize("words", ["", "  \n "])
def test_missing_consent_is_refused(tmp_path: Path, words: str) -> None:
    with pytest.raises(InputError, match="--consent"):
        require_consent(voice_with(tmp_path, "- Licence: CC0", consent_line(words)))


def test_the_user_fills_it_in(tmp_path: Path) -> None:
    voice = voice_with(tmp_path, consent_line("Ann Lee,\nfor any use"))
    assert "- Consent: Ann Lee, for any use\n" in voice.card.read_text()
    require_consent(voice)


def test_cards_of_earlier_voices_pass(tmp_path: Path) -> None:
    require_consent(voice_with(tmp_path))
    require_consent(VoiceFiles("ann", tmp_path / "without a card"))
