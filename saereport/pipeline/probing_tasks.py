"""The labelled texts that are asked for, read before torch is loaded."""

from __future__ import annotations

from saereport.config.build import BuildConfig
from saereport.evaluate.labelled import LabelledTexts, files_of, read_task
from saereport.run.probing import ALL
from saereport.util.errors import UsageError, shortened


def read_tasks(config: BuildConfig) -> list[LabelledTexts]:
    """The tasks that are asked for, with their texts.

    Raises:
        SaereportError: A file cannot be used; says why.
        UsageError: Two tasks are called the same.
    """
    keys = {"text": config.probing.text, "label": config.probing.label}
    found: list[LabelledTexts] = []
    for given in config.probe:
        task = read_task(files_of(given), keys)
        if task.name in {one.name for one in found}:
            raise UsageError(
                f"Two files of labelled texts are called '{shortened(task.name, 60)}'.",
                "Their names are the tasks' names: rename one.",
            )
        if ALL in (task.name, *task.labels):
            raise UsageError(f"'{ALL}' stands for all tasks and labels.", "Call it otherwise.")
        found.append(task)
    return found
