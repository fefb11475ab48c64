"""Names on the hub: the real package huggingface_hub against an imitated hub, its cache, and one-line errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from common.download import hub as module
from common.download.hub import HubOptions, download_files, fetch_model, find_generator, is_hub_name, upload_folder
from common.errors import InputError
from tests.support.models import make_model_folder
from tests.support.web.hub_server import Hub

FILES = ("config.json", "model.safetensors", "README.md")


@pytest.mark.parametrize(
    ("words", "is_name"),
    [
        ("org/name", True),
        ("my-org/hifi_gan.v1", True),
        ("name", False),
        ("/org/name", False),
        ("./org/name", False),
        ("../name", False),
        ("a/b/c", False),
        ("org/", False),
        ("output/generator.pt", False),
        ("output/g.safetensors", False),
        ("models/v1.ONNX", False),
        ("o rg/name", False),
        ("", False),
    ],
)
def test_names(words: str, is_name: bool) -> None:
    assert is_hub_name(words) == is_name


def test_weights_are_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    source = make_model_folder(tmp_path / "source")
    commit = hub.add("org/name", source)
    folder = fetch_model("org/name", "generator")
    assert folder.name == commit
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: (source / name).read_bytes() for name in FILES
    }
    assert sorted(hub.downloaded()) == sorted(FILES)
    assert fetch_model("org/name") == folder
    assert len(hub.downloaded()) == len(FILES)


def test_the_cache_serves_without_the_network(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/name", make_model_folder(tmp_path / "source"))
    offline = HubOptions(local_files_only=True)
    with pytest.raises(OSError, match="org/name: not a local file or folder; the network may not be used, and"):
        fetch_model("org/name", options=offline)
    assert hub.requests == []
    folder = fetch_model("org/name")
    asked = len(hub.requests)
    assert fetch_model("org/name", options=offline) == folder
    assert len(hub.requests) == asked
    other = HubOptions(cache_dir=tmp_path / "cache")
    assert fetch_model("org/name", options=other).is_relative_to(tmp_path / "cache")


def test_revisions(hub: Hub, tmp_path: Path) -> None:
    first = hub.add("org/name", make_model_folder(tmp_path / "first"))
    hub.add("org/name", make_model_folder(tmp_path / "second", "fp16"))
    newest = fetch_model("org/name") / "model.safetensors"
    older = fetch_model("org/name", options=HubOptions(revision=first)) / "model.safetensors"
    assert newest.read_bytes() == (tmp_path / "second" / "model.safetensors").read_bytes()
    assert older.read_bytes() == (tmp_path / "first" / "model.safetensors").read_bytes()
    with pytest.raises(OSError, match=r"org/name: http.* has no revision 'v9' of it"):
        fetch_model("org/name", options=HubOptions(revision="v9"))


def test_local_paths_win(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/name", make_model_folder(tmp_path / "source", "fp16"))
    monkeypatch.chdir(tmp_path)
    local = make_model_folder(tmp_path / "org" / "name")
    assert fetch_model("org/name").resolve() == local
    assert find_generator("org/name") == "org/name/model.safetensors"
    (tmp_path / "org" / "file").touch()
    assert find_generator("org/file") == "org/file"
    assert find_generator("missing.pt") == "missing.pt"
    assert find_generator("") == ""
    assert hub.requests == []
    with pytest.raises(InputError, match="org/file: is a file; give the folder that save_pretrained wrote"):
        fetch_model("org/file")
    with pytest.raises(FileNotFoundError, match=r"missing: no such folder, and not a name on the Hugging Face hub"):
        fetch_model("missing")


def test_flags_download(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/name", make_model_folder(tmp_path / "source"))
    path = Path(find_generator("org/name"))
    assert path.read_bytes() == (tmp_path / "source" / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="org/name: holds a HiFi-GAN generator, not a FastPitch model"):
        module.find_fastpitch("org/name")


def test_repositories_of_other_programs_are_refused_before_their_weights_are_sent(hub: Hub, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "speecht5_hifigan"}')
    (other / "model.safetensors").write_bytes(b"0" * 1000)
    hub.add("org/other", other)
    with pytest.raises(InputError, match=r"^org/other: config.json is of another program \(model_type speecht5_hifi"):
        fetch_model("org/other")
    assert hub.downloaded() == ["config.json"]


def test_errors_take_one_line(hub: Hub) -> None:
    hub.gated.add("org/gated")
    for name, message in (
        ("org/absent", r"org/absent: neither a local file or folder, nor a public model at http.*private ones need hf"),
        ("org/gated", r"org/gated: ask for access at http://.*/org/gated, then run hf auth login"),
        ("org/a--b", r"org/a--b: http.*: .*--"),
    ):
        with pytest.raises(OSError, match=message) as caught:
            download_files(name, FILES, HubOptions())
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("hub")
def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"not a local file or folder; http.* does not answer, and it was not down"):
        download_files("org/name", FILES, HubOptions())
    with pytest.raises(OSError, match="org/name: http"):
        upload_folder(Path(), "org/name", FILES)


def test_the_network_is_switched_off(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/name", make_model_folder(tmp_path / "source"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OSError, match="org/name: not a local file or folder; the network may not be used, and it was"):
        fetch_model("org/name")
    assert hub.requests == []


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="org/name: no such file or folder here; to load it from the Hugging"):
        find_generator("org/name")
    with pytest.raises(InputError, match="org/name: to upload to the Hugging Face hub, pip install huggingface_hub"):
        upload_folder(tmp_path, "org/name", FILES)
    assert fetch_model(make_model_folder(tmp_path / "model")) == tmp_path / "model"


def test_uploads(hub: Hub, tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    (folder / "private.txt").write_text("stays here")
    assert upload_folder(folder, "org/new", FILES, kept=["README.md"], private=True) == f"{hub.url}/org/new"
    assert hub.private == {"org/new"}
    sent = hub.repositories["org/new"][-1]
    assert sent == {name: (folder / name).read_bytes() for name in FILES}
    (folder / "README.md").write_text("Changed here.\n")
    upload_folder(folder, "org/new", FILES, kept=["README.md"])
    assert hub.repositories["org/new"][-1]["README.md"] == sent["README.md"]
    upload_folder(folder, "org/new", FILES)
    assert hub.repositories["org/new"][-1]["README.md"] == b"Changed here.\n"
    with pytest.raises(InputError, match=r"model: not a name on the Hugging Face hub \(org/name\)"):
        upload_folder(folder, "model", FILES)
