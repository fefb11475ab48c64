"""Programs that generators can be written for, without PyTorch: the flags of export.py need them."""

PROGRAMS = {
    "hifigan-authors": "a file, and config.json beside it",
    "transformers": "a folder of a SpeechT5HifiGan",
    "coqui": "a file for Coqui TTS, and config.json beside it",
    "parallel-wavegan": "a file, and config.yml and stats.npy beside it",
}
COMPANIONS = {
    "hifigan-authors": ("config.json",),
    "transformers": (),
    "coqui": ("config.json",),
    "parallel-wavegan": ("config.yml", "stats.npy"),
}
