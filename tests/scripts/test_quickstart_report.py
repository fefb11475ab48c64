"""The summary at the end of the quickstart."""

import json

from scripts.quickstart_report import main, report

METRICS = {
    "mel_l1": {"title": "mel L1", "better": "LOWER", "digits": 4},
    "pesq": {"title": "PESQ", "better": "HIGHER", "digits": 2},
}


def means(mel_l1, pesq):
    return {"mel_l1": {"mean": mel_l1, "low": 0.0}, "pesq": {"mean": pesq, "low": 0.0}}


def write_results(out):
    def write(name, text):
        (out / name).parent.mkdir(exist_ok=True, parents=True)
        (out / name).write_text(text)

    def speeds(*data):
        return "".join(f"DLLL {json.dumps({'step': [], 'data': d})}\n" for d in data)

    write("copies/kathleen/nvlog_infer.json", speeds({"RTF": 1.0}, {"RTF": 12.5}, {"utterances": 0}))
    systems = {"ground-truth": means(0.0, 4.644), "kathleen": means(0.25, 3.5), "fine-tuned": means(0.24, None)}
    write("evaluation/results.json", json.dumps({"metrics": METRICS, "means": systems}))
    write("hello.wav", "x" * 2_000_000)
    write("report/index.html", "x" * 500_000)


def test_quickstart_report(tmp_path):
    write_results(tmp_path)
    lines = report(tmp_path, 9, 321).splitlines()
    assert lines[0].startswith("first sound after 9 s, everything after 5 min 21 s")
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["ground-truth"] == ["0.0000", "4.64"]
    assert rows["kathleen"] == ["0.2500", "3.50", "12.5"]
    assert rows["fine-tuned"] == ["0.2400"]  # PESQ failed for all clips
    assert f"{tmp_path} takes 3 MB:" in lines
    assert rows["2.0"][:2] == ["MB", "hello.wav"]
    assert rows["0.5"][:2] == ["MB", "report"]
    assert not any("universal" in line for line in lines)  # it could not be downloaded
    assert f"Listen: {tmp_path / 'hello.wav'}" in lines
    assert any(f"open {tmp_path}/report/index.html" in line for line in lines)


def test_command_line(tmp_path, monkeypatch, capsys):
    write_results(tmp_path)
    monkeypatch.setattr("sys.argv", ["quickstart_report", str(tmp_path), "--first-sound", "9", "--total", "321"])
    main()
    assert capsys.readouterr().out == report(tmp_path, 9, 321) + "\n"
