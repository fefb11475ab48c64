"""A contract of an exported file, and an archive that holds one."""

import zipfile

from common.audio import AudioConfig
from hifigan.export.contract import CONTRACT_FILE, ExportContract
from tests.support.models import TINY

CONTRACT = ExportContract("aoti", TINY, AudioConfig(mel_fmax=None), 0.25, "bf16", "cuda", "abc", "2.0")


def archive(path, text):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"x/extra/{CONTRACT_FILE}", text)
    return path
