"""The search itself: small autoencoders, and objectives that are known functions of their options."""

import json

import optuna
import pytest
from helpers.toy import ToySet
from helpers.waves import ragged

import genaug
from genaug.errors import InputError, OutputExistsError, TrainingError
from genaug.searches import keep_best

pytestmark = pytest.mark.usefixtures("quick_objectives")

DATA = ToySet(20, seed=0)
SMALL = {"kind": "mlp", "width": 4, "max_width": 8, "conditional": True}
QUICK = {"config": {**SMALL, "hidden": 8}, "steps": 8, "batch_size": 8, "progress": False}


def size_of_latent(generator):
    """An objective whose best value is known: the largest latent."""
    return generator.config.latent_size


def search(folder, objective=size_of_latent, higher_is_better=True, **options):
    options = {"space": {"latent_size": (1, 64)}, "trials": 4, **QUICK, **options}
    return genaug.search("vae", DATA, out=folder, objective=objective, higher_is_better=higher_is_better, **options)


def test_the_best_trial_its_options_and_its_generator(tmp_path):
    result = search(tmp_path / "out")
    sizes = [trial["options"]["latent_size"] for trial in result.trials]
    assert sizes[0] == 32, "the default options come first"
    assert (result.value, result.default) == (max(sizes), 32)
    assert result.config == {**QUICK["config"], "latent_size": max(sizes)}
    assert result.generator().config.latent_size == max(sizes)
    assert f"of 4 trials (4 complete): {max(sizes)}, against 32 with the default options" in result.sentence
    assert {trial["state"] for trial in result.trials} == {"complete"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")) == [
        "best",
        "journal.log",
        "search.html",
        "search.json",
        "settings.json",
    ]
    saved = json.loads((tmp_path / "out" / "search.json").read_text())
    assert (saved["value"], saved["trials"], saved["config"]) == (result.value, result.trials, result.config)
    assert "size_of_latent" in (tmp_path / "out" / "search.html").read_text()


def mean(generator):
    return float(generator.sample(labels=[0, 1] * 4, seed=0)[0].nanmean())


def test_series_with_gaps_are_searched_by_a_function(tmp_path):
    options = {"trials": 1, "steps": 2, "batch_size": 8, "progress": False, "space": ["latent_size"]}
    result = genaug.search("timevae", ragged(), out=tmp_path / "out", objective=mean, higher_is_better=True, **options)
    sample = result.generator().spec.sample
    assert (sample.shortest, sample.has_missing, result.value) == (12, True, result.trials[0]["value"])
    assert result.generator().training["images"] == 48
    for call in (lambda: genaug.search("timevae", ragged(), out=tmp_path / "kid"), lambda: keep_best(ragged(), "kid")):
        with pytest.raises(InputError, match="'kid' works on images, and these are series"):
            call()


def test_lower_may_be_better(tmp_path):
    result = search(tmp_path / "out", higher_is_better=False, trials=3)
    assert result.value == min(trial["value"] for trial in result.trials)


def test_the_same_seed_gives_the_same_trials(tmp_path):
    first, second = (search(tmp_path / name, objective="kid", higher_is_better=None, trials=3) for name in "ab")
    assert first.trials == second.trials
    other = search(tmp_path / "c", objective="kid", higher_is_better=None, trials=3, seed=1)
    assert other.trials != first.trials


def test_unpromising_trials_are_pruned_and_their_steps_saved(tmp_path):
    result = search(tmp_path / "out", trials=16)
    pruned = [trial for trial in result.trials if trial["state"] == "pruned"]
    assert pruned
    assert all(trial["steps"] < 8 and trial["value"] is None for trial in pruned)
    assert result.saved_steps == pytest.approx(sum(8 - trial["steps"] for trial in pruned) / (16 * 8))
    assert search(tmp_path / "all", trials=6, prune=False).saved_steps == 0


@pytest.mark.parametrize("objective", ["kid", "coverage", "synthetic_only", "gain"])
def test_every_objective_is_measured_on_held_out_images(tmp_path, objective):
    result = search(tmp_path / "out", objective=objective, higher_is_better=None, trials=1)
    assert result.value == result.trials[0]["value"] == result.default
    assert result.settings["higher_is_better"] is (objective != "kid")
    measured = result.trials[0]["measured"]
    assert list(measured) == ([] if objective == "gain" else [str(step) for step in range(1, 9)])
    assert result.generator().training["images"] == 48


def test_unlabeled_images_are_compared_by_their_pixels(tmp_path):
    images = [DATA[index][0] for index in range(len(DATA))]
    options = {**QUICK, "config": {"kind": "mlp", "conditional": False}}
    result = genaug.search("vae", images, out=tmp_path / "out", trials=1, space=["lr"], **options)
    assert result.value > 0


def test_a_trial_that_fails_is_listed_and_the_search_goes_on(tmp_path):
    def fails_for_small(generator):
        if generator.config.latent_size < 32:
            raise InputError("too small.")
        return generator.config.latent_size

    result = search(tmp_path / "out", objective=fails_for_small, trials=5)
    failed = [trial for trial in result.trials if trial["state"] == "failed"]
    assert len(result.trials) == 5
    assert failed
    assert {trial["error"] for trial in failed} == {"too small."}


def test_a_search_without_a_complete_trial_says_why(tmp_path):
    with pytest.raises(TrainingError, match=r"no trial .* could be completed. The first one: the objective is nan"):
        search(tmp_path / "out", objective=lambda generator: float("nan"), trials=2)


def test_an_interrupted_search_continues_with_the_same_trial(tmp_path):
    def dies(generator):
        if generator.training["steps"] == 5 and generator.config.latent_size != 32:
            raise KeyboardInterrupt
        return size_of_latent(generator)

    dies.__name__ = "size_of_latent"
    undisturbed = search(tmp_path / "undisturbed", trials=2)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "out", objective=dies, trials=2)
    with pytest.raises(OutputExistsError, match="resume"):
        search(tmp_path / "out", trials=2)
    result = search(tmp_path / "out", trials=2, resume=True)
    assert [trial["options"] for trial in result.trials] == [trial["options"] for trial in undisturbed.trials]
    assert [trial["measured"] for trial in result.trials] == [trial["measured"] for trial in undisturbed.trials]
    more = search(tmp_path / "out", trials=3, resume=True)
    assert more.trials[:2] == result.trials
    assert more.trials[2]["options"] not in [trial["options"] for trial in result.trials]


def test_a_search_is_not_continued_with_other_settings(tmp_path):
    search(tmp_path / "out", trials=1)
    with pytest.raises(InputError, match=r"the search in .* can't be resumed: steps was 8, now it is 9"):
        search(tmp_path / "out", trials=1, steps=9, resume=True)
    assert search(tmp_path / "out", trials=1, steps=9, overwrite=True).settings["steps"] == 9


def test_processes_share_the_trials_of_a_storage(tmp_path):
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    first = search(tmp_path / "a", storage=storage, trials=2)
    second = search(tmp_path / "b", storage=storage, trials=4)
    assert second.trials[:2] == first.trials
    assert len(second.trials) == 4
    assert optuna.study.get_all_study_names(storage) == optuna.study.get_all_study_names(storage)[:1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "fid"}, "unknown objective 'fid'. Expected 'kid', 'coverage', 'synthetic_only', 'gain'"),
        ({"objective": "kid"}, "higher_is_better is for a function as the objective"),
        ({"higher_is_better": None}, "a function as the objective needs higher_is_better"),
        ({"trials": 0}, "trials must be"),
        ({"held_out": 1}, "between 0 and 1"),
        ({"space": ["depth"]}, "no option 'depth'"),
        ({"config": {"depth": 3}}, "depth is unknown"),
        ({"resume": True, "overwrite": True}, "pass only one of them"),
        ({"storage": "nowhere"}, "storage of the search can't be opened"),
    ],
)
def test_bad_arguments_are_one_sentence_and_nothing_is_written(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        search(tmp_path / "out", **options)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".html"]


class TestKeepBest:
    def fit(self, folder, measure, **options):
        train, keep = keep_best(DATA, measure, higher_is_better=True, patience=options.pop("patience", None))
        options = {"config": QUICK["config"], "batch_size": 8, "steps": 12, "checkpoint_every": 2, **options}
        return genaug.fit("vae", train, out=folder, keep=keep, progress=False, **options)

    @staticmethod
    def nearest_to_six(generator):
        return -abs(generator.training["steps"] - 6)

    def test_the_best_generator_is_returned_and_in_the_folder(self, tmp_path):
        generator = self.fit(tmp_path / "run", self.nearest_to_six)
        assert generator.training["steps"] == 6
        assert genaug.load(tmp_path / "run").training["steps"] == 6
        assert generator.training["keep"] == {
            "objective": "nearest_to_six",
            "higher_is_better": True,
            "patience": None,
        }
        lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
        measured = {line["step"]: line.get("objective/nearest_to_six") for line in lines}
        assert measured == {1: None, 2: -4, 4: -2, 5: None, 6: 0, 8: -2, 10: -4, 12: -6}

    def test_a_training_that_no_longer_improves_ends(self, tmp_path):
        generator = self.fit(tmp_path / "run", self.nearest_to_six, patience=2)
        assert generator.training["steps"] == 6
        assert sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[-1].name == "step-00000010.pt"
        again = self.fit(tmp_path / "run", self.nearest_to_six, patience=2, resume=True)
        assert again.training["steps"] == 6

    def test_an_interrupted_training_remembers_the_best(self, tmp_path):
        def stops(snapshot):
            if snapshot.step == 10:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.fit(tmp_path / "run", self.nearest_to_six, callbacks=[stops])
        assert self.fit(tmp_path / "run", self.nearest_to_six, resume=True).training["steps"] == 6
        with pytest.raises(InputError, match="keep was"):
            genaug.fit("vae", DATA, out=tmp_path / "run", resume=True, progress=False)

    def test_the_held_out_images_are_not_trained_on(self):
        train, keep = keep_best(DATA, "kid")
        assert len(train) == 48
        assert sorted(train[index][1] for index in range(48)) == sorted(list(range(3)) * 16)
        assert (keep.name, keep.higher) == ("kid", False)

    def test_the_gain_of_a_study_takes_too_long(self):
        with pytest.raises(InputError, match="'gain' takes too long"):
            keep_best(DATA, "gain")

    def test_a_measure_of_nan_ends_the_training(self, tmp_path):
        with pytest.raises(TrainingError, match="of the generator of step 2 is NaN"):
            self.fit(tmp_path / "run", lambda generator: float("nan"))
