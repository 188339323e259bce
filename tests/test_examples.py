"""The ready configurations name SAEs that exist, checked against what SAELens ships."""

from pathlib import Path

import pytest

from saereport.config.build import make_config, read_config
from saereport.sources.hooks import parse_hook

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sae_is_in_the_release_directory(path: Path) -> None:
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    directory = get_pretrained_saes_directory()
    config = make_config(read_config(path)).checked()
    models = set()
    for sae in config.saes:
        assert sae.release in directory, sae.release
        release = directory[sae.release]
        assert sae.sae_id in release.saes_map, sae.sae_id
        assert release.neuronpedia_id.get(sae.sae_id), "the example should show Neuronpedia links"
        models.add(release.model)
    assert len(models) == 1
    assert config.dataset is not None


def test_there_is_one_of_each_kind_that_the_readme_promises() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.yaml")}
    assert names >= {"gpt2-small-res-jb", "gpt2-small-hook-z-kk", "gemma-scope"}
    assert any("transcoder" in name for name in names)
    assert parse_hook("blocks.4.attn.hook_z").kind == "z"
