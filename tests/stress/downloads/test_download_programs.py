"""The download scripts as a whole: status 0 only with the whole right content in its place."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from common.download import models
from common.download.models import PublishedModel, fetch_models
from tests.support.paths import REPOSITORY
from tests.support.stress import cases, record
from tests.support.web.raw_http import Reply, ranged, reply, replying

CLIPS = 200


def start(script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "no_proxy": "127.0.0.1", **variables}
    command = ["bash", str(REPOSITORY / "scripts" / script), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd="/", env=environment, text=True, **pipes)  # type: ignore[call-overload]


def data_set() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:bz2") as package:
        for name in [*(f"wavs/{number}.wav" for number in range(CLIPS)), "metadata.csv"]:
            item = tarfile.TarInfo(f"LJSpeech-1.1/{name}")
            item.size = 4
            package.addfile(item, io.BytesIO(b"RIFF"))
    return buffer.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        package.writestr(name, content)
    return buffer.getvalue()


def complete(folder: Path) -> bool:
    return (folder / "metadata.csv").is_file() and len(list((folder / "wavs").iterdir())) == CLIPS


@pytest.mark.slow
@pytest.mark.alone
def test_data_sets_at_once_and_killed(tmp_path: Path) -> None:
    """Three processes fetch and extract one data set, one of them is killed, and the next run completes it."""
    count = cases(1, 40)
    archive = data_set()
    refused = 0
    for seed in range(count):
        data = tmp_path / str(seed)
        with replying(ranged(archive, ETag='"1"')) as site:
            variables = {
                "DATA_DIR": str(data),
                "LJSPEECH_URL": f"{site.url}/archive",
                "LJSPEECH_CLIPS": str(CLIPS),
                "LJSPEECH_SHA256": hashlib.sha256(archive).hexdigest() if seed % 2 else "",
            }
            processes = [start("download_dataset.sh", **variables) for _ in range(3)]
            time.sleep(0.05 * (seed % 20))
            processes[0].kill()
            for process in processes:
                _, said = process.communicate(timeout=120)
                assert "Traceback" not in said
                assert process.returncode != 0 or complete(data / "LJSpeech-1.1")
                refused += process.returncode == 1
                if process.returncode == 1:
                    assert "is at work there" in said or "another download of this file is running" in said, said
            last = start("download_dataset.sh", **variables)
            assert last.communicate(timeout=120)
            assert last.returncode == 0
        assert complete(data / "LJSpeech-1.1")
        assert [path.name for path in data.iterdir()] == ["LJSpeech-1.1"]
    record(
        "Data sets fetched by several processes, one killed", count, f"{refused} refused, all complete after a rerun"
    )


WRONG: dict[str, Reply] = {
    "404": reply(status="404 Not Found"),
    "a page": reply(b"<!doctype html><p>Sign in", Content_Type="text/html"),
    "another file": reply(b"x" * 1000),
    "half an archive": reply(zipped("hifigan_gen_checkpoint_6500.pt", b"w" * 5000)[:3000]),
    "another archive": reply(zipped("other.pt", b"w")),
    "an archive of a page": reply(zipped("hifigan_gen_checkpoint_6500.pt", b"")),
}


@pytest.mark.medium
@pytest.mark.parametrize("name", WRONG)
def test_models_that_are_not_there(name: str, tmp_path: Path) -> None:
    with replying(WRONG[name]) as site:
        checks = {"HIFIGAN_SHA256": "0" * 64} if name == "an archive of a page" else {}
        process = start(
            "download_models.sh", "hifigan", MODELS_DIR=str(tmp_path), HIFIGAN_URL=f"{site.url}/z", **checks
        )
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert said.splitlines()[-1].startswith("download_models: error: ")
    assert "Traceback" not in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_complete_models_need_neither_network_nor_a_writable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PublishedModel("GitHub", "--hifigan", "m", "g.pt", "http://127.0.0.1:9")
    monkeypatch.setitem(models.MODELS, "m", model)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "g.pt").write_bytes(b"weights")
    (tmp_path / "m" / "config.json").write_bytes(b"{}")
    before = tmp_path.stat().st_mtime_ns
    assert fetch_models(["m"], tmp_path) == {"m": tmp_path / "m" / "g.pt"}
    assert tmp_path.stat().st_mtime_ns == before, "it wrote to the folder"
