from __future__ import annotations

from pathlib import Path

from getnet_bids.reports.records import RunHistory

ONE, TWO = "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"


def add(out: Path, run: str, *lines: str) -> None:
    folder = out / "logs" / run
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "status.tsv", "a") as file:
        file.writelines(line.replace(" ", "\t", 3) + "\n" for line in lines)


def test_the_last_word_counts_and_skipping_is_none(tmp_path):
    add(tmp_path, "20260101T000000-a", "source status seconds reason", f"{ONE} failed 1 cut short", f"{TWO} done 1 n/a")
    add(tmp_path, "20260102T000000-b", f"{ONE} done 2 n/a", f"{TWO} skipped n/a done before")
    history = RunHistory(tmp_path)
    assert history.of("sub-01")[ONE].status == "done"
    assert history.of("sub-02")[TWO].run == "20260101T000000-a"
    assert history.failed() == {}


def test_what_is_added_later_is_read(tmp_path):
    add(tmp_path, "20260101T000000-a", f"{ONE} done 1 n/a")
    history = RunHistory(tmp_path)
    assert history.of("sub-02") == {}
    add(tmp_path, "20260101T000000-a", f"{TWO} failed 1 of its own")
    assert history.of("sub-02")[TWO].reason == "of its own"
    with open(tmp_path / "logs" / "20260101T000000-a" / "status.tsv", "a") as file:
        file.write("sub-03/anat/sub-0")  # half a line
    assert history.of("sub-03") == {}
    assert set(history.failed()) == {TWO}


def test_a_folder_that_could_not_be_read_is_forgotten_once_it_is(tmp_path):
    add(tmp_path, "20260101T000000-a", "sub-01/anat failed n/a cannot be read", "sub-02 failed n/a cannot be read")
    history = RunHistory(tmp_path)
    assert set(history.failed()) == {"sub-01/anat", "sub-02"}
    add(tmp_path, "20260102T000000-b", f"{ONE} skipped n/a done before")
    assert set(history.failed()) == {"sub-02"}


def test_no_logs_and_stray_files(tmp_path):
    assert RunHistory(tmp_path).of("sub-01") == {}
    (tmp_path / "logs" / "empty").mkdir(parents=True)
    (tmp_path / "logs" / "CITATION.md").write_text("x")
    assert RunHistory(tmp_path).failed() == {}
