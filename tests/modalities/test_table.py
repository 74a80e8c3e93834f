"""Tables as the rest of the package uses a modality; none of this needs pandas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from genaug.errors import InputError
from genaug.modalities import Table
from genaug.modalities.columns import MISSING, Category, Identifier, Numeric
from genaug.modalities.known import parse
from genaug.modalities.scales import ByValue, Modes, Quantiles

MODES = Modes(weights=(0.5, 0.5), means=(0.25, 0.75), deviations=(0.05, 0.05))


def number(name="x", kind="continuous", low=0.0, high=1.0, scale=MODES, **fields):
    return Numeric(name=name, dtype="float64", kind=kind, low=low, high=high, scale=scale, **fields)


def bits(*values):
    return torch.tensor(values, dtype=torch.float64).view(torch.int64)


def mixed_table():
    """Two columns that are missing together or not at all, identifiers, constants, and a target."""
    columns = (
        number("a", missing=True),
        Category(name="b", dtype="object", missing=True, categories=("u", "v", "w"), levels=(0, 2)),
        Identifier(name="id", dtype="int64", last=41),
        Category(name="c", dtype="object", categories=("only",), levels=(0,)),
        number("none", missing=True, high=0.0, scale=ByValue(values=())),
        Category(name="y", kind="boolean", dtype="bool", categories=(False, True), levels=(0, 1)),
    )
    return Table(columns=columns, target="y", class_shares=(0.75, 0.25), patterns=((), (0, 1)))


class TestScales:
    def test_a_number_is_a_mode_and_a_distance_from_its_mean_in_four_deviations(self):
        scalars, slots = MODES.encode(torch.tensor([0.25, 0.35, 0.7, 0.99], dtype=torch.float64))
        assert slots.tolist() == [0, 0, 1, 1]
        assert scalars.tolist() == pytest.approx([0, 0.5, -0.25, 1])  # 0.99 is more than four deviations away
        assert MODES.decode(scalars, slots).tolist() == pytest.approx([0.25, 0.35, 0.7, 0.95])

    def test_the_likelier_mode_wins_where_modes_overlap(self):
        modes = Modes(weights=(0.99, 0.01), means=(0.4, 0.6), deviations=(0.1, 0.1))
        assert modes.encode(torch.tensor([0.5], dtype=torch.float64))[1].tolist() == [0]

    def test_modes_are_fitted_to_clusters(self):
        rng = np.random.default_rng(0)
        values = np.concatenate([rng.normal(0.2, 0.01, 500), rng.normal(0.8, 0.02, 500)])
        modes = Modes.fit(values)
        assert modes == Modes.fit(values)
        heavy = [(m, d) for w, m, d in zip(modes.weights, modes.means, modes.deviations, strict=True) if w > 0.2]
        assert min(abs(m - 0.2) for m, _ in heavy) < 0.02
        assert min(abs(m - 0.8) for m, _ in heavy) < 0.02

    def test_quantiles_spread_numbers_evenly_and_come_back(self):
        values = np.random.default_rng(0).random(1000) ** 4
        scale = Quantiles.fit(values)
        scalars, slots = scale.encode(torch.from_numpy(values))
        assert abs(float(scalars.mean())) < 0.02
        assert float(scalars.std()) == pytest.approx(2 / 12**0.5, abs=0.02)
        assert torch.allclose(scale.decode(scalars, slots), torch.from_numpy(values), atol=1e-4)

    def test_a_number_that_occurs_often_has_the_middle_of_its_levels(self):
        scale = Quantiles.fit(np.array([0.0] * 80 + list(np.linspace(0.5, 1, 20))))
        scalars, slots = scale.encode(torch.tensor([0.0], dtype=torch.float64))
        assert -0.3 < float(scalars) < -0.1  # the level 0.4 of [0, 0.8]
        near = torch.tensor([-1.0, -0.5, float(scalars), float(scalars) + 0.3])
        assert scale.decode(near, slots.expand(4)).tolist() == [0, 0, 0, 0]


class TestNumbers:
    @pytest.mark.parametrize(
        "values",
        [
            [0, 1, 2, 7],
            [2**53 + 1, 2**53 + 3, 2**53 + 7],
            [10**18 + 1, 10**18 + 12, 10**18 + 999],
            [-(2**63) + 1, 0, 2**63 - 1],
        ],
    )
    def test_integers_round_trip_to_the_last_digit_where_a_float64_can_tell_them_apart(self, values):
        unit = Modes(weights=(1.0,), means=(0.5,), deviations=(0.5,))
        column = number(kind="integer", low=values[0], high=values[-1], scale=unit)
        raw = torch.tensor([values[0], values[-1]])
        scalars, slots = column._encode(raw)
        assert column.decode(scalars, slots).tolist() == raw.tolist()
        by_value = number(kind="integer", low=values[0], high=values[-1], scale=ByValue(values=tuple(values)))
        raw = torch.tensor(values)
        assert by_value.decode(*by_value._encode(raw)).tolist() == values

    def test_decoded_numbers_stay_within_the_bounds_steps_and_decimals(self):
        scalars, slots = torch.linspace(-1, 1, 101), torch.arange(101) % 2
        whole = number(kind="integer", low=5, high=65, step=20).decode(scalars, slots)
        assert set(whole.tolist()) <= {5, 25, 45, 65}
        rounded = number(low=-1.5, high=1.0, decimals=1).decode(scalars, slots).view(torch.float64)
        assert torch.equal(rounded, (rounded * 10).round() / 10)
        assert float(rounded.min()) >= -1.5
        assert float(rounded.max()) <= 1

    def test_a_decoded_zero_is_not_taken_for_a_missing_value(self):
        column = number(low=-1.0, high=1.0, decimals=0)
        raw = column.decode(torch.tensor([0.9, -0.9]), torch.tensor([0, 1]))
        assert (raw.view(torch.float64) == 0).any()
        assert not (raw == MISSING).any()

    def test_bounds_of_the_wrong_type_are_rejected(self):
        for fields in (
            {"kind": "integer"},
            {"low": 2, "high": 3},
            {"low": 2.0, "high": 1.0},
            {"scale": ByValue(values=(1, 2))},
        ):
            with pytest.raises(ValidationError):
                number(**fields)


class TestTable:
    @pytest.fixture
    def table(self):
        return mixed_table()

    def test_the_target_and_identifiers_are_not_stored_and_constants_have_no_inputs(self, table):
        assert [column.name for column in table.stored] == ["a", "b", "c", "none"]
        assert (table.shape, table.encoded_shape) == ((4,), (1 + 3 + 3,))
        assert table.nbytes == 32
        assert [tuple(span) for span in table.spans] == [(0, 1, False), (1, 4, True), (4, 7, True)]

    def test_rows_are_encoded_as_numbers_and_one_hot_groups(self, table):
        raw = torch.tensor([[0, 2, 0, MISSING], [MISSING, MISSING, 0, MISSING]])
        raw[0, 0] = bits(0.35)[0]
        assert torch.allclose(
            table.encode(raw), torch.tensor([[0.5, 1, 0, 0, 0, 1, 0], [0.0, 0, 0, 1, 0, 0, 1]]), atol=1e-6
        )
        decoded = table.decode(table.encode(raw), torch.int64)
        assert torch.equal(decoded[:, 1:], raw[:, 1:])
        assert decoded[0, 0].view(torch.float64).item() == pytest.approx(0.35)
        assert decoded[1, 0] == MISSING

    @settings(max_examples=50)
    @given(st.integers(0, 2**32))
    def test_any_output_is_a_row_that_the_schema_allows(self, seed):
        table = mixed_table()
        outputs = torch.randn(64, 7, generator=torch.Generator().manual_seed(seed)) * 3
        outputs[:, 1:] = outputs[:, 1:].exp()
        raw = table.decode(outputs, torch.int64)
        absent = raw == MISSING
        assert torch.equal(absent[:, 0], absent[:, 1])  # no row in which only one of them is missing
        assert absent[:, 3].all()
        assert set(raw[:, 1].tolist()) <= {0, 2, MISSING}  # category 1 doesn't occur
        numbers = raw[:, 0][~absent[:, 0]].view(torch.float64)
        assert ((numbers >= 0) & (numbers <= 1)).all()

    def test_the_likeliest_allowed_combination_of_missing_values_is_chosen(self, table):
        def rows(first, second):  # the probabilities that a and b are missing
            return [0.0, (1 - first) / 2, (1 - first) / 2, first, 1 - second, 0.0, second]

        outputs = torch.tensor([rows(0.9, 0.4), rows(0.6, 0.1), rows(0.45, 0.6)])
        absent = table.decode(outputs, torch.int64) == MISSING
        assert absent[:, :2].tolist() == [[True, True], [False, False], [True, True]]

    def test_it_is_read_from_its_json(self, table):
        again = parse(table.model_dump(mode="json"))
        assert again == table
        assert Table.model_validate_json(table.model_dump_json()).spans == table.spans
        assert again.identity == table.identity

    def test_labels_are_drawn_as_frequent_as_in_the_data(self, table):
        labels = table.draw_labels(torch.tensor([0.0, 0.7499, 0.75, 0.9999], dtype=torch.float64))
        assert labels.tolist() == [0, 0, 1, 1]

    def test_a_schema_that_contradicts_itself_is_rejected(self, table):
        fields = table.model_dump(mode="json")
        for change in (
            {"target": "z"},
            {"bins": [0.5]},
            {"patterns": [[2]]},
            {"columns": fields["columns"] * 2},
            {"columns": fields["columns"][2:4], "target": None, "patterns": None},
            {"class_shares": [2.0]},
        ):
            with pytest.raises(ValidationError):
                Table.model_validate({**fields, **change})

    def test_a_target_in_intervals_is_moved_into_that_of_its_label(self):
        table = Table(columns=(number("a"), number("y")), target="y", bins=(0.5,))
        moved = table.within_bins(bits(0.2, 0.7, 0.2, 0.7), torch.tensor([0, 0, 1, 1])).view(torch.float64)
        assert moved[[0, 2, 3]].tolist() == [0.2, 0.5, 0.7]
        assert 0.4999 < moved[1].item() < 0.5
        whole = number("y", kind="integer", low=0, high=9, scale=MODES)
        table = Table(columns=(number("a"), whole), target="y", bins=(3.0, 5.0))
        moved = table.within_bins(torch.tensor([9, 9, 0, 0]), torch.tensor([0, 1, 1, 2]))
        assert moved.tolist() == [2, 4, 3, 5]

    def test_distances_are_those_of_numbers_in_their_range_and_of_different_categories(self, table):
        flat = table.flatten(torch.tensor([[0, 0, 0, MISSING], [0, 2, 0, MISSING]]))
        assert float(torch.pdist(flat)) == pytest.approx(1)

    def test_previews_and_pictures_are_drawn(self):
        table, raw = Table.example(torch.arange(60) % 3, ())
        assert table.preview(raw, raw[:10]).mode == "RGB"
        assert table.preview(raw[:1], raw[:0]).mode == "RGB"
        assert table.picture(raw[0]).width > 20

    def test_rows_are_not_read_one_by_one(self):
        for read in (lambda: Table.read(torch.zeros(3)), lambda: Table.of(torch.zeros(3))):
            with pytest.raises(InputError, match="TableDataset"):
                read()


def test_tables_are_equal_by_their_fields_whatever_they_have_cached():
    table, raw = Table.example(torch.arange(12) % 3, ())
    other = Table.model_validate_json(table.model_dump_json())
    table.decode(table.encode(raw), table.dtype)
    assert table == other
    other.decode(other.encode(raw), other.dtype)
    assert table == other
    assert hash(table) == hash(other)
    assert table.columns == other.columns
    assert table != Table(columns=table.columns[:2])
    assert table != "table"


def test_noise_moves_numbers_only_and_stays_in_their_range():
    table, raw = Table.example(torch.arange(300) % 3, ())
    noisy = table.with_noise(raw, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(noisy[:, [1, 3]], raw[:, [1, 3]]), "categories"
    size, moved = (samples[:, 0].contiguous().view(torch.float64) for samples in (raw, noisy))
    assert float((moved - size).std() / size.std()) == pytest.approx(0.1, abs=0.02)
    assert size.min() <= moved.min() <= moved.max() <= size.max()
    assert not torch.equal(noisy[:, 2], raw[:, 2])
    assert raw[:, 2].min() <= noisy[:, 2].min() <= noisy[:, 2].max() <= raw[:, 2].max()
