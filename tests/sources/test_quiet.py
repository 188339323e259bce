"""What libraries say while they load: off the terminal, and not thrown away."""

from __future__ import annotations

import logging
import warnings

import pytest

from saereport.sources.quiet import LONGEST, Said, listening, quietly, sentence
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.source import SaeSource
from tests.factories import save_sae


def warn(message, module, category=UserWarning):
    warnings.warn_explicit(message, category, f"/x/site-packages/{module}/loading.py", 7)


def test_everything_is_heard_once_and_nothing_is_seen(capfd):
    with listening() as heard:
        for _ in range(2):
            with quietly():
                warn("The CLT is summed. It is a long story.", "sae_lens")
                warn("something odd", "transformers")
                logging.warning("float16 on a CPU may be wrong")
                logging.getLogger("transformers.modeling_utils").warning(
                    "Some weights are new: %s", 3
                )
                logging.getLogger("transformers").error("worse")
                logging.getLogger("sae_lens.x").warning("a\nb   c")
                print("WARNING: printed, not logged")
                print("Loaded pretrained model gpt2 into HookedTransformer")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert list(heard) == [
        Said("The CLT is summed. It is a long story.", "SAELens"),
        Said("something odd", "Transformers"),
        Said("float16 on a CPU may be wrong", "TransformerLens"),
        Said("Some weights are new: 3", "Transformers"),
        Said("worse", "Transformers"),
        Said("a b c", "SAELens"),
        Said("printed, not logged", "a library"),
    ]


def test_banners_and_advice_to_programmers_are_left_out():
    with listening() as heard, quietly():
        warn("old way", "torch", DeprecationWarning)
        warn("`torch_dtype` is deprecated! Use `dtype` instead!", "transformers", FutureWarning)
        warn("\nThis SAE has non-empty model_from_pretrained_kwargs. \nFor", "sae_lens")
        logging.getLogger("transformers").info("all well")
        print("100%|####| 3/3")
    assert not heard


def test_afterwards_all_is_as_before(capfd):
    root = logging.getLogger()
    handlers, level, shown = list(root.handlers), root.level, warnings.showwarning
    own = logging.getLogger("of.a.library")
    own.addHandler(logging.StreamHandler())
    kept = list(own.handlers)
    with pytest.raises(ZeroDivisionError), quietly():  # noqa: PT012
        own.warning("quiet")
        _ = 1 / 0
    assert (root.handlers, root.level, own.handlers) == (handlers, level, kept)
    assert warnings.showwarning is shown
    own.handlers.clear()
    assert capfd.readouterr().err == ""


def test_nobody_has_to_listen_and_listeners_nest():
    with quietly():
        warn("unheard", "torch")
    with listening() as outer:
        with listening() as inner, quietly():
            warn("both hear", "torch")
        with quietly():
            warn("one hears", "torch")
    assert [said.text for said in inner] == ["both hear"]
    assert [said.text for said in outer] == ["both hear", "one hears"]


@pytest.mark.parametrize(
    ("message", "cut"),
    [
        ("One sentence that is long enough. Another one.", "One sentence that is long enough."),
        ("Version 2.0 is used. Then more.", "Version 2.0 is used. Then more."),
        ("the file model.layers.3 of v1.2 is odd", "the file model.layers.3 of v1.2 is odd"),
        ("WARNING: look out", "look out"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("x" * 999, "x" * (LONGEST - 1) + "…"),
        ("", ""),
    ],
)
def test_a_sentence(message, cut):
    assert sentence(message) == cut


def test_an_sae_keeps_what_was_said_of_it(tmp_path, monkeypatch):
    from sae_lens import SAE

    load = SAE.load_from_disk.__func__

    def warning(cls, *args, **kwargs):
        warn("This SAE is not what you think", "sae_lens")
        return load(cls, *args, **kwargs)

    monkeypatch.setattr(SAE, "load_from_disk", classmethod(warning))
    sae = load_sae(SaeSource(path=str(save_sae(tmp_path / "sae"))))
    assert sae.said == (Said("This SAE is not what you think", "SAELens"),)
