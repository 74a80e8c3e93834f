"""Sample grids over latents, with a generator whose pixels are its latents, so that a grid shows what was varied."""

import math

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn
from torch.nn.functional import pad
from typer.testing import CliRunner

import genaug.reports.traverse
from genaug.backends import Backend, BackendConfig, Categorical, Normal, Spec, Uniform
from genaug.backends.latents import slerp
from genaug.cli import app
from genaug.errors import InputError, OutputExistsError, SaveError
from genaug.modalities.image import Image
from genaug.sources.generator import Generator

Z3 = Normal(size=3)
MEMBER = Categorical(name="member", size=3)
INFO = (
    Z3,
    Categorical(name="c1", size=4),
    *(Uniform(name=f"u{i}", size=1) for i in (1, 2)),
)
STEP = 2.1 / 255  # tolerance for rounding to pixels, in [-1, 1]


class Show(Backend):
    """Images 1x8x8 whose first pixels are the latents (normal ones divided by 4, categories as k / size), then the
    label (as y / 100)."""

    Config = BackendConfig

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Identity()})

    def generate(self, nets, inputs):
        first = {"z": lambda z: z / 4, "c1": lambda c: c[:, None] / 4, "member": lambda c: c[:, None] / 3}
        parts = [first.get(name, lambda u: u)(rows) for name, rows in sorted(inputs.latents.items())]
        if inputs.labels is not None:
            parts.append(inputs.labels[:, None] / 100)
        flat = torch.cat([part.float() for part in parts], 1)
        return pad(flat, (0, 64 - flat.shape[1])).reshape(-1, 1, 8, 8)


@pytest.fixture
def show(monkeypatch):
    """``show(latents, num_classes)``: a generator, its grids, and by their names the latents of their images."""

    def traverse(latents, num_classes=0, classes=None, **options):
        spec = Spec(sample=Image(1, 8, 8), classes=classes or num_classes, latents=latents)
        generator = Generator("show", Show(), BackendConfig(), spec, Show().build(None, spec), {})
        blocks, draw = [], genaug.reports.traverse.draw_sheet

        def spy(block, **kwargs):
            blocks.append((block, kwargs["columns"]))
            return draw(block, **kwargs)

        monkeypatch.setattr(genaug.reports.traverse, "draw_sheet", spy)
        sheets = generator.traverse(**options)
        names = [latent.name for latent in latents]
        widths = {latent.name: 1 if latent.kind == "categorical" else latent.size for latent in latents}
        inputs = {}
        for name, (block, columns) in zip(sheets, blocks, strict=True):
            flat = block.images.flatten(1).float() / 127.5 - 1
            numbers, start = {"columns": columns, "heading": block.heading}, 0
            for latent in sorted(names):
                numbers[latent] = flat[:, start : start + widths[latent]]
                start += widths[latent]
            numbers["label"] = (flat[:, start] * 100).round().int() if num_classes else None
            inputs[name] = numbers
        return generator, sheets, inputs

    return traverse


def close(a, b):
    return torch.allclose(a, b, atol=STEP)


class TestGrid:
    def test_one_code_goes_across_and_the_other_down(self, show):
        _, sheets, inputs = show(INFO, steps=5)
        assert [name for name in sheets if name.startswith("grid")] == ["grid_u1_u2"]
        grid, line = inputs["grid_u1_u2"], torch.linspace(-1, 1, 5)
        assert grid["columns"] == 5
        assert close(grid["u1"][:, 0], line.repeat(5))
        assert close(grid["u2"][:, 0], line.repeat_interleave(5))
        assert "u1 across, u2 down" in grid["heading"]

    def test_latents_that_arent_varied_are_those_of_sample_0(self, show):
        for seed in (0, 7):
            generator, _, inputs = show(INFO, seed=seed)
            sample = generator.sample(1, seed=seed)[0].flatten(1).float() / 127.5 - 1
            assert close(inputs["grid_u1_u2"]["c1"], sample[:, :1].expand(100, 1))
            assert close(inputs["grid_u1_u2"]["z"], sample[:, 3:6].expand(100, 3))

    def test_three_codes_make_three_pairs_with_the_third_at_0(self, show):
        _, _, inputs = show((Z3, Uniform(name="u", size=3)))
        assert [name for name in inputs if name.startswith("grid")] == ["grid_u.0_u.1", "grid_u.0_u.2", "grid_u.1_u.2"]
        assert close(inputs["grid_u.0_u.2"]["u"][:, 1], torch.zeros(100))
        assert close(inputs["grid_u.0_u.2"]["u"][:10, 0], torch.linspace(-1, 1, 10))

    def test_without_codes_two_dimensions_of_the_noise_by_their_quantiles(self, show):
        _, _, inputs = show((Z3,), steps=3)
        assert list(inputs) == ["grid_z.0_z.1", "interpolation"]
        ends = 2.0537 / 4  # the normal distribution's 98% quantile
        assert close(inputs["grid_z.0_z.1"]["z"][:3, 0], torch.tensor([-ends, 0, ends]))
        assert inputs["grid_z.0_z.1"]["z"][:, 2].unique().numel() == 1

    def test_axes_are_chosen_by_name(self, show):
        _, _, inputs = show(INFO, axes=["z.2", "u1"])
        assert [name for name in inputs if name.startswith("grid")] == ["grid_z.2_u1"]
        assert close(inputs["grid_z.2_u1"]["u2"], torch.zeros(100, 1))

    def test_a_single_axis_has_a_row_for_each_of_several_samples(self, show):
        generator, _, inputs = show((Z3, Uniform(name="u1", size=1)), steps=4)
        grid = inputs["grid_u1"]
        assert close(grid["u1"][:, 0], torch.linspace(-1, 1, 4).repeat(4))
        samples = generator.sample(4, seed=0)[0].flatten(1).float() / 127.5 - 1
        assert close(grid["z"], samples[:, 1:4].repeat_interleave(4, dim=0))

    def test_each_label_has_its_own_grid(self, show):
        _, _, inputs = show((Z3,), num_classes=5, classes=("a", "b", "c", "d", "e"), labels=[3, 1])
        assert list(inputs) == ["grid_z.0_z.1_label_1", "grid_z.0_z.1_label_3", "interpolation"]
        assert set(inputs["grid_z.0_z.1_label_3"]["label"].tolist()) == {3}
        assert inputs["grid_z.0_z.1_label_3"]["heading"].startswith("d")

    @pytest.mark.parametrize(("classes", "count"), [(4, 4), (10, 10), (1000, 10)])
    def test_up_to_ten_labels_are_shown(self, show, classes, count):
        _, sheets, _ = show((Z3,), num_classes=classes, steps=2)
        assert sum(name.startswith("grid") for name in sheets) == count


class TestCategories:
    def test_a_grid_over_the_codes_for_each_category(self, show):
        _, _, inputs = show(INFO)
        assert [name for name in inputs if name.startswith("category")] == [f"category_c1_{k}" for k in range(4)]
        for k in range(4):
            sheet = inputs[f"category_c1_{k}"]
            assert close(sheet["c1"], torch.full((100, 1), k / 4))
            assert close(sheet["u2"][:, 0], torch.linspace(-1, 1, 10).repeat_interleave(10))
            assert torch.equal(sheet["z"], inputs["category_c1_0"]["z"])
            assert f"c1 = {k}" in sheet["heading"]

    def test_the_grid_of_a_generator_index_holds_its_samples_of_the_same_noise(self, show):
        _, _, inputs = show((Z3, MEMBER))
        for k in range(3):
            sheet = inputs[f"category_member_{k}"]
            assert close(sheet["member"], torch.full((100, 1), k / 3))
            assert torch.equal(sheet["z"], inputs["category_member_0"]["z"])
            assert len(sheet["z"].unique(dim=0)) > 90

    def test_each_label_has_a_row(self, show):
        _, _, inputs = show((Z3, MEMBER), num_classes=4, steps=6, labels=torch.tensor([0, 2]))
        assert inputs["category_member_1"]["label"].tolist() == [0] * 6 + [2] * 6
        assert close(inputs["category_member_1"]["member"], torch.full((12, 1), 1 / 3))

    def test_at_most_twenty_categories_are_shown(self, show):
        _, sheets, _ = show((Z3, Categorical(name="c1", size=300)), steps=2)
        names = [name for name in sheets if name.startswith("category")]
        assert len(names) == 20
        assert names == sorted(names)
        assert names[1] == "category_c1_015"


class TestInterpolation:
    def test_a_row_leads_from_one_sample_to_the_next(self, show):
        generator, _, inputs = show(INFO, steps=7, seed=3)
        sheet = inputs["interpolation"]
        samples = generator.sample(20, seed=3)[0].flatten(1).float() / 127.5 - 1
        rows = {name: sheet[name].unflatten(0, (10, 7)) for name in ("c1", "u1", "u2", "z")}
        for part, columns in (("u1", slice(1, 2)), ("u2", slice(2, 3)), ("z", slice(3, 6))):
            assert close(rows[part][:, 0], samples[0::2, columns])
            assert close(rows[part][:, -1], samples[1::2, columns])
        assert close(rows["c1"], samples[0::2, None, :1].expand(10, 7, 1))
        assert close(rows["u1"][:, 3], (samples[0::2, 1:2] + samples[1::2, 1:2]) / 2)

    def test_a_row_has_a_single_label(self, show):
        _, _, inputs = show((Z3,), num_classes=3, steps=4)
        assert inputs["interpolation"]["label"].tolist() == [0] * 4 + [1] * 4 + [2] * 4

    def test_normal_latents_are_interpolated_along_an_arc(self):
        ends = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
        assert torch.allclose(slerp(*ends, torch.tensor([1 / 3])), 3 * torch.tensor([[math.cos(math.pi / 6), 0.5]]))

    @given(st.integers(0, 2**31), st.floats(0, 1), st.integers(1, 40))
    def test_the_length_changes_linearly(self, seed, weight, size):
        first, second = torch.randn(2, 1, size, generator=torch.Generator().manual_seed(seed)).double()
        between = slerp(first, second, torch.tensor([weight], dtype=torch.float64))
        assert bool(between.isfinite().all())
        if abs(torch.nn.functional.cosine_similarity(first, second).item()) < 0.9999:
            length = (1 - weight) * float(first.norm()) + weight * float(second.norm())
            assert float(between.norm()) == pytest.approx(length)

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_it_is_a_line_if_there_is_no_arc(self, sign):
        first = torch.tensor([[2.0, 1.0]])
        assert torch.allclose(slerp(first, sign * 3 * first, torch.tensor([0.5])), (1 + 3 * sign) / 2 * first)
        assert torch.equal(slerp(torch.zeros(1, 2), first, torch.tensor([0.0])), torch.zeros(1, 2))


class TestInvalidArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"axes": ["u3"]}, "no axis 'u3'.*z, u1, u2"),
            ({"axes": ["c1"]}, "no axis 'c1'"),
            ({"axes": ["z"]}, "z.0 to z.2"),
            ({"axes": ["z.3"]}, "from 0 to 2"),
            ({"axes": ["z.x"]}, "no axis 'z.x'"),
            ({"axes": ["u1", "u1"]}, "an axis is repeated"),
            ({"axes": "u1"}, "a list of names"),
            ({"labels": [0]}, "takes no labels"),
            ({"steps": 1}, "steps must be an integer of 2 or more, got 1"),
            ({"steps": 2.5}, "steps must be an integer of 2 or more, got 2.5"),
            ({"steps": 51}, "steps must be 50 at most, got 51"),
            ({"seed": -1}, "seed must be"),
        ],
    )
    def test_invalid_options_are_named(self, show, options, message):
        with pytest.raises(InputError, match=message):
            show(INFO, **options)

    @pytest.mark.parametrize("labels", [[3], [], [0.5], ["a"]])
    def test_labels_outside_the_range_are_rejected(self, show, labels):
        with pytest.raises(InputError, match="labels"):
            show((Z3,), num_classes=3, labels=labels)

    def test_a_generator_without_latents_is_rejected(self, show):
        with pytest.raises(InputError, match="no latents"):
            show(())


class TestFolder:
    @pytest.fixture
    def generator(self, make_generator):
        return make_generator(num_classes=2)

    def test_every_grid_is_a_png_under_its_name(self, generator, tmp_path):
        sheets = generator.traverse(tmp_path / "new" / "sheets", steps=3)
        files = sorted((tmp_path / "new" / "sheets").glob("[!.]*"))
        assert [file.name for file in files] == sorted(f"{name}.png" for name in sheets)
        assert set(sheets) == {"grid_z.0_z.1_label_0", "grid_z.0_z.1_label_1", "interpolation"}
        for file in files:
            assert np.array_equal(np.asarray(PIL.Image.open(file)), np.asarray(sheets[file.stem]))
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheets"]

    def test_the_same_seed_gives_the_same_grids(self, generator):
        first, again, other = (generator.traverse(steps=3, seed=seed)["interpolation"] for seed in (1, 1, 2))
        assert first.tobytes() == again.tobytes() != other.tobytes()

    def test_overwriting_replaces_grids_and_nothing_else(self, generator, tmp_path):
        out = tmp_path / "sheets"
        generator.traverse(out, steps=3)
        (out / "category_c1_7.png").write_bytes(b"of another generator")
        with pytest.raises(OutputExistsError, match="overwrite"):
            generator.traverse(out, steps=3)
        assert len(list(out.glob("[!.]*"))) == 4
        (out / "thesis.txt").write_text("years of work")
        generator.traverse(out, steps=3, labels=[1], overwrite=True)
        names = {"grid_z.0_z.1_label_1.png", "interpolation.png", "category_c1_7.png", "thesis.txt"}
        assert {path.name for path in out.glob("[!.]*")} == names
        assert (out / "thesis.txt").read_text() == "years of work"
        (out / "grid_z.0_z.1_label_0.png").write_bytes(b"mine")
        with pytest.raises(OutputExistsError, match=r"label_0\.png is needed"):
            generator.traverse(out, steps=3, overwrite=True)
        assert (out / "grid_z.0_z.1_label_0.png").read_bytes() == b"mine"
        with pytest.raises(OutputExistsError, match="is a file"):
            generator.traverse(out / "thesis.txt", overwrite=True)

    def test_the_old_grids_stay_if_writing_fails(self, generator, tmp_path, monkeypatch):
        out = tmp_path / "sheets"
        generator.traverse(out, steps=3)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        encode, calls = genaug.reports.traverse.encode_png, []

        def fail(sheet):
            calls.append(sheet)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            return encode(sheet)

        monkeypatch.setattr(genaug.reports.traverse, "encode_png", fail)
        with pytest.raises(SaveError, match="free some space"):
            generator.traverse(out, steps=2, overwrite=True)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        assert [path.name for path in tmp_path.iterdir()] == ["sheets"]


class TestCommand:
    @pytest.fixture
    def saved(self, make_generator, tmp_path):
        return make_generator(num_classes=4).save(tmp_path / "saved")

    @staticmethod
    def run(*arguments):
        return CliRunner().invoke(app, ["traverse", *map(str, arguments)])

    def test_it_writes_the_grids_and_names_them(self, saved, tmp_path):
        out = tmp_path / "sheets"
        options = ["--labels", "1,3", "--axes", "z.0, z.2", "--steps", "3", "--seed", "5", "--device", "cpu"]
        result = self.run(saved, "--out", out, *options)
        assert result.exit_code == 0, result.output
        names = ["grid_z.0_z.2_label_1", "grid_z.0_z.2_label_3", "interpolation"]
        assert sorted(path.stem for path in out.glob("[!.]*")) == names
        assert all(name in result.output for name in names)
        expected = genaug.load(saved, device="cpu").traverse(labels=[1, 3], axes=["z.0", "z.2"], steps=3, seed=5)
        written = np.asarray(PIL.Image.open(out / "interpolation.png"))
        assert np.array_equal(written, np.asarray(expected["interpolation"]))

    def test_it_fails_before_loading_anything(self, tmp_path):
        (tmp_path / "note.txt").write_text("mine")
        result = self.run(tmp_path / "no generator", "--out", tmp_path)
        assert result.exit_code == 1
        assert "--overwrite" in result.output
        assert self.run(tmp_path / "no generator", "--out", tmp_path / "new", "--labels", "one").exit_code == 2
        assert not (tmp_path / "new").exists()
