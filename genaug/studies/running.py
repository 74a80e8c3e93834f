"""The course of a study: the inner splits, the selection, the test set, the judgement and the report."""

from collections.abc import Mapping
from typing import Any

from genaug.errors import InputError
from genaug.progress import Progress
from genaug.studies.advice import advice_code
from genaug.studies.arms import Arm, arms_of, arms_to_test, baselines_of
from genaug.studies.cells import Ledger
from genaug.studies.compare import overlap_correction
from genaug.studies.decide import judge, select
from genaug.studies.diagnosis import examine
from genaug.studies.findings import findings, inference
from genaug.studies.jobs import Job, Phase, Work, cost, left_to_do, total_cost
from genaug.studies.report import Report, from_details
from genaug.studies.splits import Subsets
from genaug.studies.study_page import study_html
from genaug.studies.workers import run_jobs


def run_study(
    work: Work, settings: dict[str, Any], subsets: Subsets, workers: int, progress: bool, origin: Mapping[str, Any]
) -> Report:
    """The inner splits, the selection, the test set, the judgement."""
    seeds: list[int] = settings["seeds"]
    arms, baselines = arms_of(settings), baselines_of(settings)
    inner = [Job("inner", seed, tuple(arms)) for seed in seeds]
    others = arms if settings["explore"] else []
    first = next(arm for arm in arms if arm.candidate)
    expected = [*inner, *(Job("test", seed, tuple(arms_to_test(first, others, baselines))) for seed in seeds)]
    with Progress("study", total_cost(work, expected), progress, 10.0) as bar:
        for note in work.notes:
            bar.say(note)
        bar.start_at(sum(cost(cell["name"]) for cell in work.folder.read() if "error" not in cell))

        def finish(jobs: list[Job], phase: Phase) -> dict[Arm, dict[int, float]]:
            ledger = Ledger(work.folder.read())
            settled = phase == "inner" and ledger.of("test")  # the choice stands, so failed arms aren't tried again
            run_jobs(work, left_to_do(jobs, ledger.tried if settled else ledger.done), workers, bar)
            ledger = Ledger(work.folder.read())
            return {arm: ledger.scores(phase, arm.name, work.metric.key) for arm in jobs[0].arms}

        held_out = finish(inner, "inner")
        try:
            chosen = select(held_out, seeds, baselines)
        except InputError as error:
            failures = Ledger(work.folder.read()).failures()
            cell = next(cell for cell in failures if cell["name"] in [arm.name for arm in baselines])
            raise InputError(f"{error} First: {cell['name']}, seed {cell['seed']}: {cell['error']}") from None
        table = finish([Job("test", seed, tuple(arms_to_test(chosen, others, baselines))) for seed in seeds], "test")
    modality = work.spec.sample
    statistics: dict[str, Any] = {
        "method": inference(subsets.overlap, modality.item, modality.noun),
        "n_train": min(len(rows) for rows in subsets.rows.values()),
        "n_test": len(work.test),
        "overlap": subsets.overlap,
        "correction": overlap_correction(subsets.overlap),
        "resolution": work.metric.resolution(work.test.labels),
        "n_generated": work.most_generated,
        "classes": work.spec.num_classes,
        "samples": modality.noun,
        "item": modality.item,
    }
    judgement = judge(
        chosen,
        table,
        seeds,
        correction=statistics["correction"],
        resolution=statistics["resolution"],
        baselines=baselines,
        inner=held_out,
    )
    details = findings(
        judgement,
        Ledger(work.folder.read()),
        arms,
        settings,
        statistics,
        examination=examine(work, chosen, judgement.advised),
        origin=origin,
    )
    details["warnings"] = [*work.notes, *details["warnings"]]
    details["code"] = advice_code(details, work)
    return from_details(details, study_html(details, work, chosen))
