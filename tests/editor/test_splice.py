import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpusim.editor.splice import SpliceError, put, remove
from gpusim.scenario.reading import read_value

TEXT = """\
# A virus of our own.
extends: [melanoma, desert]  # without T cells

fields:
  # from the plaques of March
  virus: {diffusion: 5 um^2/min, decay: 0.005 /min}  # fast

rules:
  infection:
    rate: 0.01 /min  # measured
    modulators:
      - {field: virus, half: 5 PFU/voxel}
      - field: ifn1  # interferon
        half: 5 ng/mL

# where the numbers come from
sources:
  fields.virus.decay: {kind: assumed}
"""


def changed(before, after):
    """The lines that are gone, and those that are new."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_a_number_changes_and_its_comment_stays():
    after = put(TEXT, ("rules", "infection", "rate"), "1/(3 hour)")
    assert changed(TEXT, after) == (
        ["    rate: 0.01 /min  # measured"],
        ["    rate: 1/(3 hour)  # measured"],
    )


def test_a_key_of_a_table_in_one_line_is_added_in_this_line():
    after = put(TEXT, ("fields", "virus", "unit"), "PFU")
    assert changed(TEXT, after)[1] == ["  virus: {diffusion: 5 um^2/min, decay: 0.005 /min, unit: PFU}  # fast"]


def test_a_new_rule_is_written_below_the_others_before_the_comment_of_what_follows():
    rule = "{transition: ctl -> none, rate: 1/(2 day), modulators: [{field: virus, half: 1 PFU/voxel}]}"
    after = put(TEXT, ("rules", "death"), rule)
    assert after == TEXT.replace(
        "        half: 5 ng/mL\n",
        "        half: 5 ng/mL\n"
        "  death:\n"
        "    transition: ctl -> none\n"
        "    rate: 1/(2 day)\n"
        "    modulators:\n"
        "      - {field: virus, half: 1 PFU/voxel}\n",
    )


def test_an_item_is_added_to_a_list_at_its_column():
    after = put(TEXT, ("rules", "infection", "modulators", 2), "{contact: ctl}")
    assert after == TEXT.replace("        half: 5 ng/mL\n", "        half: 5 ng/mL\n      - {contact: ctl}\n")


def test_a_new_section_takes_its_place_among_the_others():
    after = put(TEXT, ("states", "ctl", "layer"), "immune", order=["extends", "fields", "states", "rules", "sources"])
    assert "decay: 0.005 /min}  # fast\nstates:\n  ctl: {layer: immune}\n\nrules:\n" in after


def test_what_is_removed_takes_the_tables_along_that_are_then_empty():
    assert "fields:" not in remove(TEXT, ("fields", "virus"))
    assert "virus: {diffusion: 5 um^2/min}  # fast" in remove(TEXT, ("fields", "virus", "decay"))
    assert "      - {half: 5 ng/mL}\n" in remove(TEXT, ("rules", "infection", "modulators", 1, "field"))


def test_numbers_keep_their_spelling():
    assert put("", ("seed",), "1e3") == "seed: 1e3\n"
    assert put("seed: 1\n", ("fields", "virus", "decay"), "'1'") == "seed: 1\nfields:\n  virus: {decay: '1'}\n"


def test_a_path_through_a_number_is_refused():
    with pytest.raises(SpliceError):
        put(TEXT, ("rules", "infection", "rate", "half"), "1")
    with pytest.raises(SpliceError):
        remove(TEXT, ("rules", "death"))


KEYS = st.sampled_from(["a", "b", "c", "rate"])
SCALARS = st.one_of(
    st.integers(-9, 9), st.sampled_from(["x", "1 /min", "1e6", "true", "# no comment", "a: b", "", "two\nlines"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def paths(value, path=()):
    """All paths to values, and from tables and lists to one more value."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
        yield (*path, "new")
    if isinstance(value, list):
        for i, inner in enumerate(value):
            yield from paths(inner, (*path, i))
        yield (*path, len(value))


def at(data, path):
    for part in path:
        data = data[part]
    return data


@given(TABLES, VALUES, st.data(), st.sampled_from([None, False, True]))
def test_a_change_of_the_text_is_the_change_of_its_data(table, value, data, flow):
    text = yaml.safe_dump(table, default_flow_style=flow, sort_keys=False)
    read = read_value(text)
    path = data.draw(st.sampled_from(list(paths(read))))
    wanted = copy.deepcopy(read)
    new = read_value(yaml.safe_dump(value))
    holder = at(wanted, path[:-1])
    if isinstance(holder, list) and path[-1] == len(holder):
        holder.append(new)
    else:
        holder[path[-1]] = new
    assert read_value(put(text, path, yaml.safe_dump(value))) == wanted


def pruned(data, path):
    while len(path) > 1 and len(at(data, path[:-1])) == 1:
        path = path[:-1]
    del at(data, path[:-1])[path[-1]]
    return data


@given(TABLES, st.data(), st.sampled_from([None, False, True]))
def test_a_removal_from_the_text_is_a_removal_from_its_data(table, data, flow):
    text = yaml.safe_dump(table, default_flow_style=flow, sort_keys=False)
    read = read_value(text)
    path = data.draw(st.sampled_from([path for path in paths(read) if path[-1] != "new"]))
    try:
        at(read, path)
    except IndexError:
        with pytest.raises(SpliceError):
            remove(text, path)
        return
    wanted = pruned(copy.deepcopy(read), path)
    after = remove(text, path)
    assert (read_value(after) or {}) == wanted
