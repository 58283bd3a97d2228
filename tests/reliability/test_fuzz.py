"""Files spoiled at random are read or refused; nothing else happens."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from . import fuzz
from .mutations import whole

CASES = 330


def test_spoiled_files_are_read_or_refused():
    done = list(fuzz.run(CASES, seed=11))
    assert [case for case, *_ in done] == list(range(CASES))
    assert [(case, kind, reason) for case, kind, outcome, _, reason in done if outcome == "failures"] == []
    counts = Counter(outcome for _, _, outcome, *_ in done)
    assert counts["read"] > CASES / 5
    assert counts["refused"] > CASES / 5
    assert counts["corrected"] > 0
    assert {kind for _, kind, *_ in done} == set(fuzz.KINDS)


def test_a_case_is_the_same_again_and_another_with_another_seed():
    assert [fuzz.spoiled(case, 5) for case in range(50)] == [fuzz.spoiled(case, 5) for case in range(50)]
    assert fuzz.spoiled(7, 5) != fuzz.spoiled(7, 6)


def test_what_is_not_foreseen_is_a_failure(tmp_path):
    class Broken:
        def parameters(self):
            raise KeyError("surprise")

    assert fuzz.validate(whole("nifti1"), None, tmp_path) == ("read", "")
    assert fuzz.validate(whole("nifti1")[:300], None, tmp_path)[0] == "refused"
    assert fuzz.validate(whole("nifti1"), Broken(), tmp_path) == ("failures", "KeyError: 'surprise'")


def misbehave(answers, first, last, seed):
    """Answer for each case but the second, in which the process ends, and the third, which hangs."""
    for case in range(first, last):
        if case == 1:
            os._exit(7)
        if case == 2:
            time.sleep(3600)
        answers.send(("kind", "read", 0.0, ""))


@pytest.mark.slow
def test_a_process_that_dies_or_hangs_is_noticed_and_the_others_go_on():
    outcomes = [(case, outcome, reason) for case, _, outcome, _, reason in fuzz.run(4, 0, misbehave, patience=10)]
    assert outcomes == [
        (0, "read", ""),
        (1, "failures", "ended the process with 7"),
        (2, "failures", "hangs"),
        (3, "read", ""),
    ]


@pytest.mark.slow
def test_a_hundred_thousand():
    """Ten to 25 minutes on one core; a failure is named with its number, which the seed makes again."""
    failures = [
        (case, kind, reason) for case, kind, outcome, _, reason in fuzz.run(100_000, 1) if outcome == "failures"
    ]
    assert failures == []
