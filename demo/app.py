"""A web page that speaks: text in, speech out, with pace and pitch. `python demo/app.py` (needs gradio, see --help)."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # `python demo/app.py` puts demo/ on the path of modules, not the repository
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.cli import ArgumentParser, add_flags, flag, from_flags, run
from common.errors import InputError
from voice.folder import DEFAULT_VOICE

# Modules that import PyTorch, which takes seconds, are imported where they are used: --help does not need them.
if TYPE_CHECKING:
    import numpy as np

    from voice import Voice

MAX_CHARACTERS = 500  # about half a minute of speech
SLOWEST, FASTEST = 0.5, 2.0
MAX_SHIFT_HZ = 60
KEPT_AUDIO_SEC, CLEANED_EVERY_SEC = 3600, 600  # Gradio writes each answer to a temporary file
EXAMPLE = "The quick brown fox jumps over the lazy dog, at 7 p.m. on May 3rd."
FONTS = ("system-ui", "sans-serif")  # of the reader's system: the page loads nothing from other servers
# Wide tables of the model card scroll on a phone. Gradio breaks them within words, one letter a line.
STYLE = """
#card table { display: block; overflow-x: auto; border: 0; padding: 0; word-break: normal; overflow-wrap: normal; }
#card td, #card th { min-width: 6rem; word-break: normal; overflow-wrap: normal; }
"""


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """The voice, and where the page is served."""

    voice: str = flag(
        DEFAULT_VOICE,
        "voice that speaks, a name in pretrained/, a folder or a hub name (org/name)",
        metavar="NAME|PATH",
    )
    port: int = flag(7860, "port of the page")
    host: str = flag("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines connect")
    share: bool = flag(False, "make a public address too, through Gradio's servers")
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise InputError(f"--port: {self.port} is not between 1 and 65535")


def speak(voice: Voice, text: str, pace: float, shift_hz: float) -> tuple[int, np.ndarray]:
    """Return the sampling rate in Hz and the speech, 16-bit samples [T].

    Raises:
        InputError: an empty or long text, one without anything to speak, or a bad value.
    """
    if not text.strip():
        raise InputError("the text is empty: write something to speak")
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the text has {len(text)} characters, and this page speaks at most {MAX_CHARACTERS}")
    from common.audio_files import to_int16

    wav = voice.speak(text, pace=pace, pitch_transform_shift=shift_hz)
    return voice.sampling_rate, to_int16(wav, "speech")


def build_page(voice: Voice) -> Any:
    """Return the page as Gradio's blocks."""
    gr = _import_gradio()

    def answer(text: str, pace: float, shift_hz: float) -> tuple[int, np.ndarray]:
        try:
            return speak(voice, text, pace, shift_hz)
        except InputError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    title = f"Speak with {voice.name}"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(CLEANED_EVERY_SEC, KEPT_AUDIO_SEC)) as page:
        gr.Markdown(f"# Speak\n\nVoice: **{voice.name}**, {voice.sampling_rate} Hz")
        text = gr.Textbox(EXAMPLE, label="Text", lines=3, max_length=MAX_CHARACTERS, elem_id="text")
        with gr.Row():
            pace = gr.Slider(SLOWEST, FASTEST, 1.0, step=0.05, label="Pace (2 is twice as fast)", elem_id="pace")
            shift = gr.Slider(-MAX_SHIFT_HZ, MAX_SHIFT_HZ, 0, step=5, label="Pitch, Hz higher or lower")
        button = gr.Button("Speak", variant="primary", elem_id="speak")
        speech = gr.Audio(label="Speech", interactive=False, autoplay=True, elem_id="speech", buttons=["download"])
        with gr.Accordion("About this voice", open=False):
            gr.Markdown(model_card(voice), elem_id="card")
        # A voice serves one thread at a time.
        gr.on([button.click, text.submit], answer, [text, pace, shift], speech, api_name="speak", concurrency_limit=1)
    return page


def model_card(voice: Voice) -> str:
    """Return the model card, without the metadata at the top that the Hugging Face hub reads."""
    if not voice.files.card.is_file():
        return "This voice has no model card."
    text = voice.files.card.read_text(encoding="utf-8")
    if text.startswith("---\n"):
        return text.removeprefix("---\n").partition("\n---\n")[2].lstrip("\n")
    return text


def serve(page: Any, cfg: DemoConfig) -> None:
    """Serve the page in other threads, until it is closed.

    Raises:
        OSError: the port is taken.
        InputError: the page does not answer, perhaps because of a proxy.
    """
    gr = _import_gradio()
    try:
        page.launch(
            server_name=cfg.host,
            server_port=cfg.port,
            share=cfg.share,
            prevent_thread_lock=True,
            quiet=True,
            theme=gr.themes.Default(font=FONTS, font_mono=("monospace",)),
            css=STYLE,
            footer_links=[],
            ssr_mode=False,
        )
    except ValueError as error:
        raise InputError(
            f"the page does not answer at {cfg.host}:{cfg.port} on this machine; a proxy may be in the way "
            "(set NO_PROXY=127.0.0.1,localhost), or the machine is overloaded: start again"
        ) from error


def _import_gradio() -> Any:
    try:
        import gradio
    except ImportError as error:
        raise InputError("the demo needs the package gradio: pip install gradio") from error
    return gradio


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="demo/app.py",
        usage="python demo/app.py [flags]",
        description="Serves a web page: text in, speech out, with pace and pitch. Needs the package gradio.",
    )
    add_flags(parser, DemoConfig, "demo")
    cfg = from_flags(DemoConfig, vars(parser.parse_args(argv)))
    _import_gradio()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request that Gradio makes to itself
    from common import distributed
    from voice import load_voice

    device = distributed.select_device(cfg.cuda)
    voice = load_voice(cfg.voice, device)
    page = build_page(voice)
    serve(page, cfg)
    addresses = " and ".join(filter(None, (page.local_url, page.share_url)))
    print(f"{voice.name} speaks at {addresses} (Ctrl-C ends it)", flush=True)
    page.block_thread()
    return 0


if __name__ == "__main__":
    run(main, "demo/app.py")
