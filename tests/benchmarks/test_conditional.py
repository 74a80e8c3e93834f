"""benchmarks/papers/conditional.py on the embedded digits, with a handful of steps, and its measures by hand."""

import json

import PIL.Image
import pytest
import torch

from benchmarks.papers import conditional, conditional_measures as measures
from genaug.backends import Categorical, Spec
from genaug.data import load_data
from genaug.data.reading import read_samples
from genaug.evaluation import kid
from genaug.modalities import Image

TINY = ["--data", "digits", "--seeds", "1", "--steps", "3", "--judge-updates", "20", "--updates", "3", "--json"]
TINY += ["--samples", "400", "--pool", "400", "--set", "width=4", "--set", "max_width=8", "--set", "latent_size=4"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(conditional, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(conditional, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(conditional, "BATCH", 16)
    monkeypatch.setattr(measures, "fid", lambda a, b: float((a.mean(0) - b.mean(0)).norm()))  # 500 digits are too few
    monkeypatch.setattr(measures, "kid", lambda a, b: kid(a, b, subsets=1, subset_size=200))

    def call(*arguments):
        conditional.main([*TINY, *arguments])
        captured = capsys.readouterr()
        lines = (tmp_path / "results" / "conditional.jsonl").read_text().splitlines()
        return (
            json.loads(captured.out.splitlines()[-1]),
            [json.loads(line) for line in lines],
            captured.out + captured.err,
        )

    return call


def test_from_start_to_figure_and_on_from_there(run, tmp_path, monkeypatch):
    methods = ["--methods", "cgan", "mad-gan-3", "mad-gan-10"]
    one, lines, _ = run("--methods", "mad-gan-3")
    assert [line["method"] for line in lines] == ["mad-gan-3"]
    result, lines, output = run(*methods)
    assert [line["method"] for line in lines] == ["mad-gan-3", "cgan", "mad-gan-10"]
    assert all(isinstance(value, int | float | str) for value in result.values())
    three, cgan, ten = lines
    assert result["mad_gan_3_fid_median"] == one["mad_gan_3_fid_median"] == three["fid"]
    assert result["fid_ratio_k10_k3"] == pytest.approx(ten["fid"] / three["fid"])
    assert result["cgan_synthetic_only_met"] == (cgan["synthetic_only"] >= 0.98)
    assert (cgan["k"], three["k"], ten["k"]) == (1, 3, 10)
    assert cgan["named_by_cnn"] is None
    assert all(0 <= line[name] <= 1 for line in (three, ten) for name in ("named_by_cnn", "named_by_discriminator"))
    assert len({line["judge"] for line in lines}) == 1
    assert len(list((tmp_path / "results").glob("conditional_judge_*_20.safetensors"))) == 1
    assert " h" in output
    assert "FID 110.6" in output
    for name in ("conditional_digits", "conditional_digits_cgan", "conditional_digits_mad-gan-10"):
        assert (tmp_path / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(conditional, "fixed_judge", lambda *_: pytest.fail("everything was done already"))
    assert run(*methods)[0] == result
    figure = (tmp_path / "results" / "conditional_digits.png").read_bytes()
    run("--methods", "cgan")  # one of several processes draws what the others have finished too
    assert (tmp_path / "results" / "conditional_digits.png").read_bytes() == figure


def test_a_training_that_was_finished_is_measured_without_another(run, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(conditional, "measure", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("--methods", "cgan")
    (folder,) = (tmp_path / "runs" / "conditional").iterdir()
    weights = (folder / "model.safetensors").read_bytes()
    _, (line,), _ = run("--methods", "cgan")
    assert line["steps_made"] == 3
    assert (folder / "model.safetensors").read_bytes() == weights


def test_cifar10_runs_for_some_minutes_on_class_folders_and_keeps_to_its_plan(run, tmp_path, monkeypatch):
    root = tmp_path / "cifar10"
    for split, each in (("train", 12), ("test", 100)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(each):
                PIL.Image.effect_noise((8, 8), 90).convert("RGB").save(root / split / name / f"{number}.png")
    tiny = ["--data", "cifar10", "--seeds", "0", "--steps", "0", "--root", str(root), "--max-minutes", "0.05"]
    with monkeypatch.context() as broken:
        broken.setattr(conditional, "measure", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(*tiny)
    (folder,) = (tmp_path / "runs" / "conditional").iterdir()
    planned = json.loads((folder / "run.json").read_text())["planned_steps"]
    result, (line,), _ = run(*tiny)
    assert (line["method"], line["steps"], line["max_minutes"]) == ("cgan", None, 0.05)
    assert line["steps_made"] == planned
    assert result["cgan_kid_median"] == line["kid"]
    assert (tmp_path / "results" / "conditional_cifar10_cgan.png").is_file()
    assert not (tmp_path / "results" / "conditional_cifar10.png").exists(), "a figure of one dot"
    assert not [name for name in result if name.endswith("_met")], "there is no target"


@pytest.mark.parametrize("name", ["wgan-gp", "mad-gan", "mad-gan-x"])
def test_a_method_that_is_none(name, capsys):
    with pytest.raises(SystemExit):
        conditional.main(["--methods", name])
    assert "is none of cgan, r3gan and mad-gan-K" in capsys.readouterr().err


class Digits:
    """Real digits as if they were generated; generator 1 draws upside down."""

    def __init__(self, members):
        data = read_samples(load_data("digits"))
        self.images, self.labels = data.x, data.labels
        latents = (Categorical(name="member", size=members),) if members > 1 else ()
        self.spec = Spec(sample=Image(1, 8, 8), classes=10, latents=latents)

    def sample(self, n=None, *, labels=None, seed=None, member=None):
        draws, images = torch.Generator().manual_seed(seed), torch.empty(len(labels), 1, 8, 8, dtype=torch.uint8)
        for label in labels.unique().tolist():
            here = labels == label
            rows = torch.nonzero(self.labels == label).flatten()
            images[here] = self.images[rows[torch.randint(len(rows), (int(here.sum()),), generator=draws)]]
        if member is not None:
            images[member == 1] = images[member == 1].flip(2)
        return images, labels


@pytest.fixture(scope="module")
def judge_row(tmp_path_factory):
    options = conditional.parse(["--data", "digits", "--judge-updates", "150", "--updates", "150", "--steps", "1"])
    options.samples, options.pool = 1000, 2000
    train, test = (read_samples(load_data("digits", split=split)) for split in ("train", "test"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "fid", lambda a, b: float((a.mean(0) - b.mean(0)).norm()))
        judge, of_judge = measures.fixed_judge(train, test, options, tmp_path_factory.mktemp("judge"))
        return {
            "options": options,
            "judge_accuracy": of_judge["judge_accuracy"],
            "perfect": measures.measure(Digits(1), judge, test, options),
            "two": measures.measure(Digits(2), judge, test, options),
        }


def test_real_images_score_as_well_as_the_classifier_and_others_worse(judge_row):
    perfect, two = judge_row["perfect"], judge_row["two"]
    assert judge_row["judge_accuracy"] > 0.9
    assert perfect["agreement"] > 0.95
    assert perfect["synthetic_only"] > 0.88
    assert perfect["synthetic_only_classic"] > 0.88
    assert perfect["synthetic_only_classic"] != perfect["synthetic_only"]
    assert perfect["diversity_ratio"] == pytest.approx(1, abs=0.1)
    assert two["agreement"] < perfect["agreement"] - 0.1
    assert two["agreement_of_worst_member"] < two["agreement"] - 0.1
    assert two["fid"] > 1.5 * perfect["fid"]


def test_generators_that_differ_are_told_apart(judge_row):
    two = judge_row["two"]
    assert two["named_by_cnn"] > 0.8
    assert two["class_mean_distance"] > 3 * two["class_mean_distance_by_chance"]


def test_the_fixed_classifier_is_trained_once_for_all_machines(tmp_path, monkeypatch):
    options = conditional.parse(["--data", "digits", "--judge-updates", "5"])
    monkeypatch.setattr(measures, "fid", lambda a, b: 0.0)
    sets = [read_samples(load_data("digits", split=split)) for split in ("train", "test")]
    _, first = measures.fixed_judge(*sets, options, tmp_path)
    (weights,) = tmp_path.iterdir()
    with monkeypatch.context() as trained:
        trained.setattr(measures, "train_judge", lambda *_, **__: pytest.fail("it was trained already"))
        assert measures.fixed_judge(*sets, options, tmp_path)[1] == first
    _, other = measures.fixed_judge(*reversed(sets), options, tmp_path)
    assert other["judge"] != first["judge"], "of other images"
    assert len(list(tmp_path.iterdir())) == 2
    assert weights.is_file()


def test_class_mean_distance_by_hand():
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    images[1] = 255
    images[2, 0, 0, 0] = 51
    labels, members = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert measures.class_mean_distance(images, labels, members) == pytest.approx((2 + 0.2) / 2)


def test_targets():
    def rows(fids, agreement):
        blank = dict.fromkeys(("named_by_cnn", "named_by_discriminator", "class_mean_distance"), None)
        blank |= {"judge_accuracy": 0.99, "fid_of_real": 0.1, "class_mean_distance_by_chance": None, "kid": 0}
        return [
            {
                **blank,
                "seed": s,
                "fid": f,
                "agreement": agreement,
                "synthetic_only": 0.975,
                "synthetic_only_classic": 0.98,
            }
            for s, f in enumerate(fids)
        ]

    figures = measures.summary(
        {"cgan": rows([1, 1], 0.975), "mad-gan-3": rows([1, 2, 2], 0.975), "mad-gan-10": rows([3, 2], 0.9)},
        measures.TARGETS,
    )
    assert figures["fid_ratio_k10_k3"] == 2  # of the seeds that both have: 3 / 1 and 2 / 2
    assert not figures["fid_ratio_met"]
    assert not figures["cgan_agreement_met"]
    assert figures["mad_gan_3_agreement_met"]
    assert figures["mad_gan_3_synthetic_only_met"]
    assert not figures["mad_gan_10_agreement_met"]
    by_two_judges = {f"mad-gan-{k}": [{"seed": 0, "fid": k, "judge": f"judge {k}"}] for k in (3, 10)}
    assert measures.fid_ratios(by_two_judges) == {}, "not in the same features"


def test_a_training_has_a_folder_of_its_own_settings():
    timed = ["--data", "cifar10", "--max-minutes"]
    options = [
        conditional.parse(words) for words in ([*timed, "60"], [*timed, "10"], [*timed, "60", "--set", "width=8"])
    ]
    hashes = [conditional.settings_hash("cgan", each) for each in options]
    assert len(set(hashes)) == 3
    assert hashes[0] == conditional.settings_hash("cgan", conditional.parse([*timed, "60", "--updates", "5"]))


def test_the_log_tells_the_time_whatever_came_between(tmp_path):
    lines = [{"step": 50, "seconds": 40.0}, {"step": 60, "seconds": 50.0}]
    lines += [{"step": 70, "seconds": 9.0}, {"step": 80, "seconds": 20.0, "generators_named": 0.4}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert conditional.log_of(tmp_path) == {"seconds": 50 + 20, "generators_named": 0.4}
