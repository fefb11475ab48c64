"""The summary at the end of the quickstart."""

import importlib.util
import json

from tests.support.paths import REPOSITORY


def test_quickstart_report(tmp_path):
    spec = importlib.util.spec_from_file_location("quickstart_report", REPOSITORY / "scripts" / "quickstart_report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def write(name, *data):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("".join(f"DLLL {json.dumps({'step': [], 'data': d})}\n" for d in data))

    write("copy-synthesis/nvlog_infer.json", {"RTF": 1.0}, {"RTF": 2.5}, {"utterances": 0})
    write("scratch/nvlog.json", {"val_mel_loss": 88.0}, {"train_mel_loss": 70.0}, {"val_mel_loss": 61.25})
    write("fine-tuned/nvlog.json", {"val_mel_loss": 14.0}, {"val_mel_loss": 12.5})
    text = module.report(tmp_path)
    assert "2.50 seconds of speech per second" in text
    assert text.split("V3 from scratch")[1].split()[:2] == ["88.00", "61.25"]
    assert text.split("fine-tuned ")[1].split()[:2] == ["14.00", "12.50"]
    assert f"Open {tmp_path}/report/index.html in a browser" in text
