"""A run, a cache and an export leave files alone that are not their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from getnet_bids.files import part_of
from getnet_bids.marks import write_marked
from getnet_bids.training import record
from getnet_bids.training.evaluation.cli import check_out
from getnet_bids.training.export import check_replaced
from getnet_bids.training.photographs import photographs
from getnet_bids.training.recipe import load_recipe, to_toml
from getnet_bids.weights import default_weights

from .conftest import jpeg, scene

TEXT = "a user's"


@pytest.mark.parametrize("name", ["recipe.toml", "run.json", "figures.csv", "curves.png", "best.pt"])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TEXT)
    with pytest.raises(ValueError, match=rf"its {name} would be replaced; give another --run"):
        record.begin(tmp_path, load_recipe("default"), {}, "cpu", 0)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == TEXT


def test_a_recipe_written_by_hand_stays_as_it_is(tmp_path: Path) -> None:
    text = "# mine\n" + to_toml(load_recipe("simko2019"))
    (tmp_path / "recipe.toml").write_text(text)
    for step in (0, 7):
        record.begin(tmp_path, load_recipe(tmp_path / "recipe.toml"), {}, "cpu", step)
    assert (tmp_path / "recipe.toml").read_text() == text
    assert len(record.read(tmp_path)["sessions"]) == 2


def test_a_session_removes_what_a_killed_one_was_writing_and_nothing_else(tmp_path: Path) -> None:
    part = part_of(tmp_path / "checkpoint.pt")
    part.write_bytes(b"half")
    (tmp_path / "checkpoint.pt.part").write_text(TEXT)
    record.begin(tmp_path, load_recipe("default"), {}, "cpu", 0)
    assert not part.exists()
    assert (tmp_path / "checkpoint.pt.part").read_text() == TEXT


def test_a_damaged_cache_is_not_removed_with_other_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.jpg").write_bytes(jpeg(scene(0)))
    photographs([tmp_path / "data"], tmp_path / "caches")
    (cache,) = (tmp_path / "caches").iterdir()
    (cache / "pixels.bin").write_bytes(b"")
    (cache / "thesis.txt").write_text(TEXT)
    with pytest.raises(ValueError, match=r"it holds thesis\.txt; name another --cache"):
        photographs([tmp_path / "data"], tmp_path / "caches")
    assert (cache / "thesis.txt").read_text() == TEXT
    (cache / "thesis.txt").unlink()
    assert len(photographs([tmp_path / "data"], tmp_path / "caches")) == 1


def test_weights_and_card_replace_their_own_kind_only(tmp_path: Path) -> None:
    out, card = tmp_path / "paper.safetensors", tmp_path / "paper.md"
    check_replaced(out, card)
    card.write_text(TEXT)
    with pytest.raises(ValueError, match=r"paper\.md: is an existing file, not a model card"):
        check_replaced(out, card)
    card.write_text("# Model card: GetNet\n")
    check_replaced(out, card)
    write_marked(card, "# Model card: GetNet\n", b"# Model card")
    check_replaced(out, card)
    edited = card.read_text() + TEXT
    card.write_text(edited)
    with pytest.raises(ValueError, match=r"paper\.md was changed after getnet_bids wrote it, and is not replaced"):
        check_replaced(out, card)
    assert card.read_text() == edited
    card.unlink()
    out.write_text(TEXT)
    with pytest.raises(ValueError, match="is an existing file without weights of GetNet"):
        check_replaced(out, card)
    out.write_bytes(default_weights().read_bytes())
    check_replaced(out, card)
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        check_replaced(card, card)


@pytest.mark.parametrize("name", ["table1.tsv", "figure2.png"])
def test_an_evaluation_replaces_its_own_table_only(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TEXT)
    with pytest.raises(ValueError, match=rf"{name}: was not made by getnet-evaluate, and would be replaced"):
        check_out(tmp_path)
    (tmp_path / "table1.tsv").write_text("method\tscale\t...")
    check_out(tmp_path)
    check_out(tmp_path / "new")
    check_out(None)
