"""The backends for tables: their losses by hand, options, and what trained ones generate."""

import json

import numpy as np
import pytest
import torch
from helpers.players import loss_of, step_of
from pydantic import ValidationError
from torch import nn

import genaug
from genaug.backends import Batch, Inputs, Normal, Spec, registry
from genaug.data import TableDataset
from genaug.errors import DataWarning, InputError
from genaug.modalities import Table
from genaug.testing import parametrize_with_checks
from genaug_tabular.networks import activated, drawn, pack
from genaug_tabular.tvae import TVAE, TVAEConfig, row_misfit
from genaug_tabular.wgan_gp import TableWGANGP, TableWGANGPConfig

BACKENDS = ["tvae", "wgan-gp-table"]
TABLE, RAW = Table.example(torch.arange(12) % 3, ())
WIDTH = TABLE.encoded_shape[0]


@parametrize_with_checks(["wgan-gp-table"], config={"packing": 3, "draw": True, "class_sampling": "frequency"})
def test_contract_with_other_options(backend, check):
    pytest.importorskip("pandas")  # a saved and loaded generator is compared by its DataFrames
    check(backend)


def batch(classes=3):
    return Batch(TABLE.encode(RAW), torch.arange(12) % classes if classes else None)


def spec(backend, config, classes=3):
    return backend.describe(config, Spec(sample=TABLE, classes=classes))


class TestNetworks:
    spans = TABLE.spans[:3]  # a number, its two modes, and four slots

    def test_numbers_are_bounded_and_groups_are_probabilities(self):
        outputs = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
        rows = activated(outputs, self.spans)
        assert torch.equal(rows[:, 0], outputs[:, 0].tanh())
        assert torch.equal(rows[:, 1:3], outputs[:, 1:3].softmax(1))
        assert torch.allclose(rows[:, 3:].sum(1), torch.ones(5))

    def test_slots_are_drawn_as_often_as_their_probabilities_say(self):
        logits = torch.tensor([0.3, 0.0, 1.0, 0.0, 0.0, -100.0, 2.0]).expand(20_000, -1)
        noise = torch.randn(20_000, 7, generator=torch.Generator().manual_seed(0))
        rows = drawn(logits, self.spans, noise)
        assert torch.equal(rows[:, 0], logits[:, 0])
        expected = torch.cat([logits[0, 1:3].softmax(0), logits[0, 3:].softmax(0)])
        assert torch.allclose(rows[:, 1:].mean(0), expected, atol=0.015)
        assert set(rows[:, 1:].unique().tolist()) == {0, 1}

    def test_packs_are_consecutive_rows_without_the_rest(self):
        assert pack(torch.arange(7), 3).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert pack(torch.arange(8).view(4, 2), 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


class Rows(nn.Module):
    """Outputs that are 0.3 z_0 everywhere; ``spans`` are those of the table."""

    spans, draw = TABLE.spans, False

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, z, labels):
        return (self.weight * z[:, :1]).expand(-1, WIDTH)


class LinearCritic(nn.Module):
    """D(pack, labels) = sum of the pack / 2 + sum of its labels: its slope is sqrt(size) / 2."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, packs, labels):
        return self.weight * packs.sum(1, keepdim=True) + labels.sum(1, keepdim=True)


class TestWGANGP:
    @pytest.mark.parametrize("packing", [1, 4])
    def test_losses_by_hand(self, packing):
        config = TableWGANGPConfig(latent_size=4, packing=packing, penalty_weight=7)
        nets, real = nn.ModuleDict({"generator": Rows(), "critic": LinearCritic()}), batch()
        its_spec = spec(TableWGANGP(), config)
        draws = step_of(config, its_spec)
        first = draws.latents(12)["z"]
        draws.uniform(12, 1)
        second = draws.latents(12)["z"]
        step = step_of(config, its_spec)
        critic, generator = (loss_of(name, TableWGANGP(), nets, real, step) for name in ("critic", "generator"))

        def scores(x):
            sums = x.double().numpy().sum(1).reshape(-1, packing).sum(1)
            return sums / 2 + real.labels.numpy().reshape(-1, packing).sum(1)

        fakes = [activated((0.3 * z[:, :1]).expand(-1, WIDTH), TABLE.spans) for z in (first, second)]
        estimate = scores(real.x).mean() - scores(fakes[0]).mean()
        penalty = (np.sqrt(WIDTH * packing) / 2 - 1) ** 2
        assert critic.log["wasserstein_estimate"].item() == pytest.approx(estimate, rel=1e-4)
        assert critic.log["gradient_penalty"].item() == pytest.approx(penalty, rel=1e-4)
        assert critic.value.item() == pytest.approx(-estimate + 7 * penalty, rel=1e-4)
        assert generator.value.item() == pytest.approx(-scores(fakes[1]).mean(), rel=1e-4)

    def test_the_critic_gets_softmax_outputs_as_they_are(self):
        seen = []

        class Critic(LinearCritic):
            def forward(self, packs, labels):
                seen.append(packs.detach())
                return super().forward(packs, labels)

        config = TableWGANGPConfig(latent_size=4, draw=True)  # which is for samples only
        nets = nn.ModuleDict({"generator": Rows(), "critic": Critic()})
        loss_of("generator", TableWGANGP(), nets, batch(), step_of(config, spec(TableWGANGP(), config)))
        groups = torch.cat([seen[0][:, start:stop] for start, stop, is_softmax in TABLE.spans if is_softmax], 1)
        assert ((groups > 0.2) & (groups < 0.55)).all()

    def test_packs_larger_than_a_batch_are_rejected(self):
        config = TableWGANGPConfig(packing=20)
        its_spec = spec(TableWGANGP(), config)
        nets = TableWGANGP().build(config, its_spec)
        with pytest.raises(InputError, match="packing=20 needs batches of at least 20 rows"):
            loss_of("critic", TableWGANGP(), nets, batch(), step_of(config, its_spec))

    def test_classes_are_trained_on_by_the_logarithm_of_their_count(self):
        labels = torch.tensor([0] * 990 + [1] * 10)
        from genaug.data.reading import Samples
        from genaug.training.trainer import Trainer

        table, x = Table.example(labels, ())
        shares = {}
        for sampling in ("frequency", "log_frequency"):
            config = TableWGANGPConfig(latent_size=4, hidden=8, class_sampling=sampling)
            data = Samples(x, labels, Spec(sample=table, classes=2))
            trainer = Trainer(TableWGANGP(), config, data, batch_size=100)
            drawn_labels = torch.cat([trainer.batches.batch(index).labels for index in range(100)])
            shares[sampling] = float(drawn_labels.double().mean())
        assert shares["frequency"] == pytest.approx(0.01)
        assert shares["log_frequency"] == pytest.approx(np.log(11) / (np.log(11) + np.log(991)), abs=1e-3)

    def test_options_have_bounds(self):
        for options in ({"packing": 0}, {"n_critic": 0}, {"class_sampling": "uniform"}, {"conditional": False}):
            with pytest.raises(ValidationError):
                TableWGANGPConfig(**options)


class TestTVAE:
    def test_the_misfit_of_a_row_by_hand(self):
        spans = TABLE.spans[:2]  # a number and two slots
        outputs, x = torch.tensor([[0.5, 1.0, -1.0]]), torch.tensor([[0.1, 0.0, 1.0]])
        log_scales = torch.tensor([-1.0, 9.0, 9.0])
        scale = np.exp(-1)
        normal = 0.4**2 / (2 * scale**2) + np.log(scale) + np.log(2 * np.pi) / 2
        slot = -np.log(np.exp(-1) / (np.exp(1) + np.exp(-1)))
        assert row_misfit(outputs, x, log_scales, spans).item() == pytest.approx(normal + slot, rel=1e-5)

    def test_the_loss_is_the_misfit_and_the_weighted_divergence(self):
        config = TVAEConfig(latent_size=4, hidden=8, beta=0.25)
        its_spec = spec(TVAE(), config)
        torch.manual_seed(0)
        nets = TVAE().build(config, its_spec)
        loss = loss_of("autoencoder", TVAE(), nets, batch(), step_of(config, its_spec))
        mean, log_variance = nets["encoder"](batch().x, batch().labels).detach().double().numpy().T.reshape(2, 4, 12)
        divergence = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(0).mean() / 2
        assert loss.log["divergence"].item() == pytest.approx(divergence, rel=1e-4)
        assert loss.value.item() == pytest.approx(loss.log["misfit"].item() + 0.25 * divergence, rel=1e-4)

    def test_drawn_rows_vary_for_the_same_latents_and_the_likeliest_do_not(self):
        for draw in (True, False):
            config = TVAEConfig(latent_size=4, hidden=8, draw=draw)
            its_spec = spec(TVAE(), config)
            nets = TVAE().build(config, its_spec).eval()
            generator = torch.Generator().manual_seed(0)
            inputs = Inputs(
                {"z": torch.zeros(500, 4)},
                torch.zeros(500, dtype=torch.int64),
                lambda *shape, generator=generator: torch.randn(500, *shape, generator=generator),
            )
            rows = TVAE().generate(nets, inputs).detach()
            assert (len(rows.unique(dim=0)) > 400) == draw
            if draw:
                assert float(rows[:, 0].std()) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_spec_takes_the_classes_of_the_target(name):
    backend = registry.resolve(name)
    assert backend.modalities == ("table",)
    its_spec = spec(backend, backend.Config(latent_size=4), ("a", "b"))
    assert its_spec == Spec(sample=TABLE, classes=("a", "b"), latents=(Normal(size=4),))


@pytest.fixture(scope="module")
def table():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    rare = rng.random(1000) < 0.05
    return pd.DataFrame(
        {
            "level": np.where(rare, rng.normal(10, 1, 1000), rng.normal(-10, 1, 1000)),
            "site": np.where(rare, "north", rng.choice(["south", "west"], 1000)),
            "fault": rare,
            "count": pd.array(np.where(rng.random(1000) < 0.2, None, rng.poisson(50, 1000)), dtype="Int64"),
        }
    )


@pytest.fixture(scope="module", params=BACKENDS)
def generator(request, table, tmp_path_factory):
    steps = {"tvae": 600, "wgan-gp-table": 500}[request.param]
    out = tmp_path_factory.mktemp("runs") / "run"
    config = {"hidden": 64, "latent_size": 16} | ({"n_critic": 2, "lr": 1e-3} if "gan" in request.param else {})
    data = TableDataset(table, "fault")
    genaug.fit(request.param, data, out=out, steps=steps, config=config, device="cpu", progress=False)
    return genaug.load(out, device="cpu")


class TestTrained:
    """A run from start to load, on a table in which a rare class differs clearly."""

    def test_it_generates_tables_like_the_data(self, generator, table):
        rows, labels = generator.sample(400, seed=0)
        assert list(rows) == list(table)
        assert rows.dtypes.equals(table.dtypes)
        assert labels.bool().tolist() == rows["fault"].tolist()
        assert rows["fault"].mean() == pytest.approx(0.05, abs=0.04)  # as frequent as in the data
        assert 0.05 < rows["count"].isna().mean() < 0.4
        assert not rows[["level", "site", "fault"]].isna().any().any()
        more, _ = generator.sample(401, seed=0)
        assert more[:400].equals(rows)

    def test_a_rare_class_is_generated_on_demand(self, generator, table):
        rows, labels = generator.sample(labels=[1] * 200, seed=1)
        assert rows["fault"].all()
        assert labels.tolist() == [1] * 200
        assert (rows["site"] == "north").mean() > 0.9
        assert rows["level"].mean() == pytest.approx(10, abs=2.5)

    def test_previews_and_curves_are_logged(self, generator):
        assert list((generator.folder / "samples").glob("*.png"))
        lines = [json.loads(line) for line in (generator.folder / "metrics.jsonl").read_text().splitlines()]
        curve = "misfit" if generator.backend_name == "tvae" else "wasserstein_estimate"
        assert all(np.isfinite(line[curve]) for line in lines)

    def test_pools_hold_raw_rows_and_return_tables(self, generator, table):
        pool = genaug.SamplePool(generator, size=30)
        assert pool.images.dtype == torch.int64
        rows, labels = pool.sample(10, seed=0)
        assert rows.dtypes.equals(table.dtypes)
        assert rows["fault"].tolist() == labels.bool().tolist()

    def test_real_rows_can_be_encoded(self, generator, table):
        if not generator.offers("encode"):
            pytest.skip("it has no encoder")
        codes = generator.encode(table[:5], table["fault"][:5].astype(int))
        assert codes["z"].shape == (5, 16)
        varied = generator.vary(table[:5], table["fault"][:5].astype(int), strength=0.1, seed=0)
        assert varied.dtypes.equals(table.dtypes)
        with pytest.raises(InputError, match="the category 'east' in column 'site', which has no such category"):
            generator.encode(table[:5].assign(site="east"), [0] * 5)


def test_a_table_without_a_target_trains_a_generator_without_classes(tmp_path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"x": np.linspace(0, 1, 50) ** 2, "c": ["a", "b"] * 25})
    config = {"hidden": 8, "latent_size": 4}
    for backend in BACKENDS:
        data = TableDataset(table)
        run = genaug.fit(backend, data, out=tmp_path / backend, steps=2, config=config, device="cpu", progress=False)
        rows, labels = run.sample(5)
        assert labels is None
        assert rows.dtypes.equals(table.dtypes)


class TestFineTuning:
    def frames(self, shift=0.0):
        pd = pytest.importorskip("pandas")
        tables = []
        for seed in (0, 1):
            rng = np.random.default_rng(seed)
            size = rng.normal(0, 1, 80).round(3) + seed * shift
            color = rng.choice(["red", "green"], 80)
            tables.append(pd.DataFrame({"size": size, "color": color, "label": rng.choice(["yes", "no"], 80)}))
        return tables

    def fit(self, frame, out, **options):
        data = TableDataset(frame, "label")
        small = {"batch_size": 16, "device": "cpu", "progress": False, "config": {"hidden": 8, "latent_size": 4}}
        options = {"steps": 2, **({} if "init" in options or "resume" in options else small), **options}
        return genaug.fit("tvae", data, out=out, **{"device": "cpu", "progress": False, **options})

    def test_other_rows_keep_the_scales_of_the_columns(self, tmp_path):
        first, second = self.frames()
        ancestor = self.fit(first, tmp_path / "a")
        with pytest.warns(DataWarning, match=r"become the nearest ones that it generates: 'size' \(\d+\)"):
            tuned = self.fit(second, tmp_path / "b", init=tmp_path / "a", batch_size=16)
        assert tuned.spec.sample.columns[0] == ancestor.spec.sample.columns[0]
        assert tuned.spec.sample.class_shares != ancestor.spec.sample.class_shares
        rows = tuned.sample(50, seed=0)[0]
        assert rows["size"].between(first["size"].min(), first["size"].max()).all()
        with pytest.warns(DataWarning, match="the generator of this run"):
            resumed = self.fit(second, tmp_path / "b", resume=True, steps=4)
        assert resumed.spec == tuned.spec

    def test_rows_of_the_same_table_need_no_warning(self, tmp_path):
        first, _ = self.frames()
        self.fit(first, tmp_path / "a")
        half = first.iloc[::2].reset_index(drop=True)
        rare = half[half["label"] == "yes"].reset_index(drop=True)
        for number, rows in enumerate((half, rare.assign(label="yes"), half[["label", "color", "size"]])):
            if number != 1:  # a single class is no column to learn
                tuned = self.fit(rows, tmp_path / str(number), init=tmp_path / "a", batch_size=16)
                assert list(tuned.sample(5, seed=0)[0]) == ["size", "color", "label"]

    def test_intervals_of_the_target_are_the_ancestors(self, tmp_path):
        first, second = (frame.drop(columns="label") for frame in self.frames())
        options = {"device": "cpu", "progress": False, "batch_size": 16, "steps": 2}
        small = {"hidden": 8, "latent_size": 4}
        sets = [TableDataset(frame, "size", bins=3) for frame in (first, second)]
        ancestor = genaug.fit("tvae", sets[0], out=tmp_path / "a", config=small, **options)
        with pytest.warns(DataWarning, match="nearest"):
            tuned = genaug.fit("tvae", sets[1], out=tmp_path / "b", init=ancestor, **options)
        assert tuned.spec.sample.bins == ancestor.spec.sample.bins

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.assign(color="blue").assign(size=t["size"]), "the category 'blue' in column 'color'"),
            (lambda t: t.assign(color=[None, *t["color"][1:]]), "missing values in column 'color', which has none"),
            (lambda t: t.assign(color=[1, 2] * 40), "they have column 'color' of kind integer; expected category"),
            (lambda t: t.rename(columns={"size": "length"}), "length, size only occur on one side"),
        ],
    )
    def test_rows_that_do_not_fit_are_rejected(self, tmp_path, change, message):
        first, second = self.frames()
        ancestor = self.fit(first, tmp_path / "a")
        other = change(second)
        if other["color"].nunique() == 1:
            other.loc[0, "color"] = "red"
        with pytest.raises(InputError, match=message):
            self.fit(other, tmp_path / "b", init=ancestor, batch_size=16)
        assert not (tmp_path / "b" / "config.json").exists()

    def test_another_target_is_rejected(self, tmp_path):
        first, second = self.frames()
        ancestor = self.fit(first, tmp_path / "a")
        with pytest.raises(InputError, match="conditioned on the target 'label', and the training data have"):
            genaug.fit("tvae", TableDataset(second, "color"), out=tmp_path / "b", init=ancestor, steps=1, device="cpu")


def test_hints_name_backends_for_tables_only(tmp_path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"size": np.arange(40) % 7, "label": ["yes", "no"] * 20})
    options = {"device": "cpu", "progress": False, "steps": 1, "batch_size": 8}
    data, small = TableDataset(table, "label"), {"hidden": 8, "latent_size": 4}
    generator = genaug.fit("wgan-gp-table", data, out=tmp_path / "run", config=small, **options)
    with pytest.raises(InputError, match=r"Installed backends that can: tvae\.$"):
        generator.encode(table.drop(columns="label"), [0] * 40)
    with pytest.raises(InputError, match=r"Installed backends that can: none\.$"):
        generator.classify(table.drop(columns="label"))
    with pytest.raises(
        InputError, match=r"can't be trained on rows.* for rows: (tvae, wgan-gp-table|wgan-gp-table, tvae)\.$"
    ):
        genaug.fit("cgan", data, out=tmp_path / "other", **options)
