from __future__ import annotations

from pathlib import Path

from saereport.diff.facts import changed_facts
from saereport.exchange import export_report, import_files
from saereport.report.rendering import describe
from saereport.run import Run, RunInfo, open_run
from tests.synthetic import Shape, write_run


def test_an_imported_run_differs_by_what_its_files_say_alone(tmp_path: Path) -> None:
    shape = Shape(d_sae=40, n_chosen=7, context=16, n_sequences=30, n_vocabulary=500)
    write_run(tmp_path / "was", shape)
    export_report(tmp_path / "was", tmp_path / "files", format="saedashboard")
    import_files([tmp_path / "files"], tmp_path / "now")
    was, now = open_run(tmp_path / "was").info, open_run(tmp_path / "now").info
    pairs = ((was.saes[0].slug, now.saes[0].slug),)
    for one, two, order in ((was, now, pairs), (now, was, ((pairs[0][1], pairs[0][0]),))):
        facts = changed_facts(one, two, order)
        named = {fact.name.split(".")[-1]: fact for fact in facts}
        # The files name the model otherwise, which is told; what they do not say is not.
        assert "name" in named
        assert not {"n_layers", "d_model", "d_vocab", "n_counted"} & set(named)
        assert not any(fact.matters for fact in facts if fact.name.endswith(("digest", "weights")))
        assert not [fact for fact in facts if fact.topic == "configuration" and fact.matters]


def test_a_measured_run_differs_by_all_that_was_set(tmp_path: Path) -> None:
    write_run(tmp_path / "was", Shape(d_sae=40, n_chosen=7, n_sequences=30, n_vocabulary=500))
    was = open_run(tmp_path / "was").info
    model = was.model.model_copy(update={"n_layers": was.model.n_layers + 1})
    now = was.model_copy(update={"model": model})
    slug = was.saes[0].slug
    (fact,) = changed_facts(was, now, ((slug, slug),))
    assert (fact.topic, fact.name, fact.matters) == ("model", "n_layers", True)
    assert (fact.before, fact.after) == (str(was.model.n_layers), str(was.model.n_layers + 1))


def test_a_run_of_packed_weights_is_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "was", Shape(d_sae=40, n_chosen=7, n_sequences=30, n_vocabulary=500))
    was = open_run(tmp_path / "was").info
    model = was.model.model_copy(update={"quantization": "nf4"})
    config = was.config | {"quantize": "nf4", "device_map": "auto"}
    now = was.model_copy(update={"model": model, "config": config})
    slug = was.saes[0].slug
    facts = changed_facts(was, now, ((slug, slug),))
    said = {fact.name: (fact.before, fact.after, fact.matters) for fact in facts}
    assert said["quantization"] == ("", "nf4", True)
    assert said["quantize"][2]
    assert not said["device_map"][2]
    assert "float32, weights in nf4)" in describe(replaced(tmp_path / "was", now))


def test_names_of_files_matter_only_where_what_is_in_them_is_not_known(tmp_path: Path) -> None:
    write_run(tmp_path / "was", Shape(d_sae=40, n_chosen=7, n_sequences=30, n_vocabulary=500))
    was, slug = open_run(tmp_path / "was").info, open_run(tmp_path / "was").info.saes[0].slug
    files = [
        {
            "probe": [f"{name}.csv", ["pos.txt", f"{name}.txt"]],
            "bias": f"{name}.tsv",
            "steering": {"samples": number, "directions": [{"file": name}]},
            **({"token_sets": "s.yaml"} if number else {}),
        }
        for number, name in enumerate("ab")
    ]
    for inputs, matter in (({}, {"steering.samples", "token_sets"}), (None, None)):
        one, two = (
            was.model_copy(update={"config": was.config | held, "inputs": inputs}) for held in files
        )
        facts = changed_facts(one, two, ((slug, slug),))
        assert {"bias", "steering.directions[0].file"} < {fact.name for fact in facts}
        assert len(facts) == 6
        assert {f.name for f in facts if f.matters} == (matter or {f.name for f in facts})


def replaced(path: Path, info: RunInfo) -> Run:
    """A run with another description."""
    run = open_run(path)
    run.info = info
    return run
