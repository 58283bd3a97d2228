from __future__ import annotations

import pytest

from getnet_bids.bids.names import ON_REQUEST, ORDER, WEIGHTED, Name


def schema():
    return pytest.importorskip("bidsschematools.schema").load_schema()


def test_entities_stand_in_the_order_of_the_schema():
    official = schema()
    order = [official.objects.entities[entity].name for entity in official.rules.entities]
    assert [*(key for key in order if key in ORDER), "stat"] == list(ORDER)  # which the schema does not have yet


def test_every_raw_anatomical_entity_is_known():
    official = schema()
    for rule in official.rules.files.raw.anat.values():
        if set(rule.suffixes) & {*WEIGHTED, *ON_REQUEST}:
            assert {official.objects.entities[entity].name for entity in rule.entities} <= set(ORDER)


def test_suffixes_are_those_of_the_schema_less_the_maps():
    anat = schema().rules.files.raw.anat
    images = {suffix for rule in anat.values() for suffix in rule.suffixes}
    maps = {*anat.parametric.suffixes, *anat.defacemask.suffixes} - {"UNIT1"}
    ambiguous = {"T2star", "PD"}  # maps or weighted images: deprecated for that
    assert {*WEIGHTED, *ON_REQUEST} == images - maps - ambiguous


@pytest.mark.parametrize(
    "text",
    [
        "sub-01_T1w.nii.gz",
        "sub-01_ses-a_acq-x+y_run-02_T2w.nii",
        "sub-01_echo-1_part-mag_MEGRE.nii.gz",
        "sub-01_acq-a_ce-b_rec-c_run-1_echo-2_flip-3_inv-4_mt-on_part-mag_chunk-5_MP2RAGE.nii.gz",
        "T1w.json",
    ],
)
def test_names_come_back_as_they_were(text):
    assert str(Name.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sub-01_run-1_acq-x_T1w.nii.gz", "order sub-01_acq-x_run-1"),
        ("sub-01_run-a_T1w.nii.gz", "run-a"),
        ("sub-0_1_T1w.nii.gz", "'1'"),
        ("sub-01_foo-1_T1w.nii.gz", "foo-1"),
        ("sub-01_acq-_T1w.nii.gz", "acq-"),
        ("sub-01_acq-a_acq-b_T1w.nii.gz", "twice"),
        ("sub-01_T1-w.nii.gz", "not a suffix"),
        (".nii.gz", "not a suffix"),
    ],
)
def test_other_names_are_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        Name.parse(text)


def test_mod_comes_before_echo_and_desc_last():
    name = Name.parse("sub-01_run-1_echo-2_part-mag_MEGRE.nii.gz")
    field = name.derived("biasfield", mod="MEGRE", desc="preproc")
    assert str(field) == "sub-01_run-1_mod-MEGRE_echo-2_part-mag_desc-preproc_biasfield.nii.gz"
