"""Ancestry of clones: families, gathering, and trees that another program reads."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusim.analysis.ancestry import Ancestry

#     1 (60 of 100 cells at the end)     2 (entered; gone at the end)
#   3 (5)    4 (10)
#   6 (5)    5 (20)
TREE = Ancestry(
    parents=np.array([0, 0, 0, 1, 1, 4, 3]),
    born=np.array([0, 0, 10.5, 20, 30, 40, 40]),
    minutes=np.array([0.0, 30, 60]),
    present=[
        (np.array([1]), np.array([10])),
        (np.array([1, 2, 3]), np.array([30, 9, 1])),
        (np.array([1, 3, 4, 5, 6]), np.array([60, 5, 10, 20, 5])),
    ],
)


def test_families_are_clones_with_their_descendants():
    assert TREE.families(TREE.cells(2)).tolist() == [100, 100, 0, 10, 30, 20, 5]
    assert TREE.families(TREE.cells(1)).tolist() == [40, 31, 9, 1, 0, 0, 0]


def test_small_families_are_gathered_into_the_nearest_large_one():
    large = TREE.large(0.15)
    assert np.flatnonzero(large).tolist() == [0, 1, 2, 4, 5]
    into = TREE.gathered(large)
    assert into.tolist() == [0, 1, 2, 1, 4, 5, 1]
    assert TREE.ranked(into) == [1, 5, 4, 2]
    assert TREE.gathered(TREE.large(0)).tolist() == list(range(7))


def test_other_programs_read_the_tree():
    phylo = pytest.importorskip("Bio.Phylo", reason="Biopython is not installed")
    tree = phylo.read(io.StringIO(TREE.newick()), "newick")
    assert tree.root.name is None
    parents = {child.name: clade.name for clade in tree.find_clades() for child in clade.clades}
    assert parents == {f"clone{i}": f"clone{j}" if j else None for i, j in enumerate(TREE.parents[1:], 1)}
    depths = {clade.name: depth for clade, depth in tree.depths().items()}
    assert [depths[f"clone{clone}"] for clone in range(1, 7)] == [0, 10.5, 20, 30, 40, 40]


def test_a_single_clone_without_parent_is_the_root():
    tree = Ancestry(np.array([0, 0, 1]), np.array([0.0, 0, 1.25]), np.zeros(1), [(np.array([1]), np.array([1]))])
    assert tree.newick() == "(clone2:1.25)clone1:0;\n"


@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 50)), min_size=1, max_size=40), st.floats(0, 1))
def test_gathering_keeps_all_cells_and_their_families(clones, least):
    parents = np.array([0, *(drawn % (i + 1) for i, (drawn, _) in enumerate(clones))])
    cells = np.array([0, *(count for _, count in clones)])
    alive = np.flatnonzero(cells)
    tree = Ancestry(parents, np.zeros(len(parents)), np.zeros(1), [(alive, cells[alive])])
    shown = tree.large(least)
    assert shown[parents[shown]].all()
    gathered = np.bincount(tree.gathered(shown), cells, len(cells)).astype(np.int64)
    assert gathered.sum() == cells.sum()
    assert not gathered[~shown].any()
    assert np.array_equal(tree.families(gathered)[shown], tree.families(cells)[shown])
