"""The line of a model card that says whose voice it is, and with what permission it may be used."""

from __future__ import annotations

from common.errors import InputError
from common.files.text_files import read_lines
from voice.folder import VoiceFiles

LINE = "- Consent: "
MISSING = "MISSING. Fill in whose voice this is, and with what permission it may be used."
QUESTION = "Whose voice is this, and with what permission may it be used? (one line, for the model card)\n> "


def consent_line(words: str) -> str:
    """Return the line of the card."""
    return LINE + (" ".join(words.split()) or MISSING)


def require_consent(voice: VoiceFiles) -> None:
    """Refuse a voice whose card still lacks the consent. Cards without such a line, of earlier voices, pass.

    Raises:
        InputError: the line is not filled in. The message says how.
    """
    if voice.card.is_file() and consent_line("") in map(str.rstrip, read_lines(voice.card)):
        raise InputError(
            f"{voice.card}: its line 'Consent' is not filled in: whose voice is this, and with what permission may it "
            "be used? Edit the line, or give --consent to the command that trained the voice"
        )
