"""Download data sets by name (called by scripts/download_dataset.sh).

To add a data set in LJSpeech layout (`metadata.csv` and `wavs/`), add its archive to `DATASETS`. Another layout also
needs a reader beside `common/data/metadata.py`, called by `prepare_dataset.py` and `evaluation/clips.py`.

Environment variables replace its address, checksum, and number of clips: NAME_URL, NAME_SHA256, and NAME_CLIPS.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from common.cli import ArgumentParser, run
from common.download.archives import count_files, extract_tar
from common.download.environment import replace_from_environment
from common.download.http import download
from common.errors import InputError
from common.files.locks import lock_folder

CLIPS = "wavs/*.wav"


@dataclasses.dataclass(frozen=True)
class DatasetArchive:
    """A tar archive of a data set in LJSpeech layout.

    Attributes:
        folder: top folder in the archive, and the data set's folder below DATA_DIR.
        archive: file name of the archive below DATA_DIR.
        url: its address.
        sha256: its checksum, "" for none.
        clips: number of wav files.
    """

    folder: str
    archive: str
    url: str
    sha256: str
    clips: int


DATASETS = {
    "ljspeech": DatasetArchive(
        folder="LJSpeech-1.1",
        archive="LJSpeech-1.1.tar.bz2",
        url="https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
        # As published with torchaudio's data set of the same address.
        sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        clips=13100,
    ),
}


def fetch_dataset(name: str, data_dir: Path, *, keep_archive: bool = False) -> None:
    """Download and extract a data set, unless it is already complete. Prints the progress.

    Raises:
        InputError: the data set exists but is incomplete, or the archive is damaged or not the expected one.
        OSError: the server or the disk failed.
    """
    source = replace_from_environment(name, DATASETS[name], ("url", "sha256", "clips"))
    folder, archive = data_dir / source.folder, data_dir / source.archive
    if not folder.exists():
        remedy = "wait until it has downloaded the data set"
        with lock_folder(data_dir, remedy, name=f".{source.folder}.lock", wait_sec=0):
            if not folder.exists():
                download(source.url, archive, sha256=source.sha256)
                print(f"{folder}: extracting, this takes some minutes", flush=True)
                extract_tar(archive, folder, root=source.folder, expect=CLIPS, count=source.clips)
                if not keep_archive:
                    archive.unlink()
    metadata, clips = folder / "metadata.csv", count_files(folder, CLIPS)
    if clips != source.clips or not metadata.is_file() or not metadata.stat().st_size:
        raise InputError(
            f"{folder}: incomplete ({clips} of {source.clips} clips, or no metadata.csv); move it away and run again"
        )
    print(f"{folder}: complete, {source.clips} clips")


def main() -> None:
    parser = ArgumentParser(prog="download_dataset", description="Download a data set and extract it.")
    parser.add_argument("name", metavar="NAME", choices=tuple(DATASETS), help=f"one of: {', '.join(DATASETS)}")
    args = parser.parse_args()
    data_dir = Path(os.environ.get("DATA_DIR") or "data")
    fetch_dataset(args.name, data_dir, keep_archive=os.environ.get("KEEP_ARCHIVE") == "true")


if __name__ == "__main__":
    run(main, "download_dataset")
