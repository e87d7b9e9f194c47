"""Names of one cell and of two: what files of a lab are called."""

import pytest

from ephysfit.data.cell_names import list_file_stems, may_be_one_cell

ONE = [
    ("DRN164_5ht_training", "DRN164_5ht_test"),
    ("DRN164_5ht", "DRN164_5ht_test"),
    ("DRN164", "DRN164_5ht_aec"),
    ("DRN164_1", "DRN164_2"),
    ("cell7_train", "cell7_test"),
    ("cell_7_run1", "cell_7_run2"),
    ("2024_03_12_0007", "2024_03_12_0009"),
    ("171116sh_0013", "171116sh_0018"),
    ("training", "test"),
    ("train", "held-out"),
    ("noise", "steps"),
    ("step 1", "step 2"),
    ("alpha_noise", "alpha_steps"),
    ("CELL7", "cell7"),
    ("cell", "DRN158"),
    ("", "DRN158"),
]
TWO = [
    ("DRN164", "DRN158"),
    ("DRN164_5ht_training", "DRN158_5ht_test"),
    ("DRN_164", "DRN_158"),
    ("cell_1", "cell_2"),
    ("cell1", "cell2"),
    ("mouse3_cell1", "mouse3_cell2"),
    ("mouse3_slice2_cell_1", "mouse3_slice2_cell_2"),
    ("2024_03_12", "2024_03_13"),
    ("2024_03_12_0007", "2024_04_12_0007"),
    ("alpha", "beta"),
    ("sub-601462951_ses-601808698", "sub-605642698_ses-605660322"),
]


@pytest.mark.parametrize(("a", "b"), ONE)
def test_files_of_one_cell_are_not_told_apart(a, b):
    assert may_be_one_cell([a], [b])
    assert may_be_one_cell([b], [a])


@pytest.mark.parametrize(("a", "b"), TWO)
def test_two_cells_are(a, b):
    assert not may_be_one_cell([a], [b])
    assert not may_be_one_cell([b], [a])


def test_one_shared_name_is_enough_and_nothing_known_is_no_accusation():
    assert may_be_one_cell(["alpha", "DRN164"], ["DRN164"])
    assert may_be_one_cell([], ["DRN164"])
    assert list_file_stems("C:\\day 1\\c7.train.abf, /data/c7_test.abf") == ("c7.train", "c7_test")
