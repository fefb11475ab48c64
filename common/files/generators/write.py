"""Write generators for other programs. To add one, give its module in `programs` a `WRITER` and list it here."""

from __future__ import annotations

from common.files.generators.programs import coqui, hifigan_authors, parallel_wavegan, transformers
from common.files.generators.writing import Writer

WRITERS: dict[str, Writer] = {
    "hifigan-authors": hifigan_authors.WRITER,
    "transformers": transformers.WRITER,
    "coqui": coqui.WRITER,
    "parallel-wavegan": parallel_wavegan.WRITER,
}
