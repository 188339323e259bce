"""Circuits: what latents read from tokens and from one another, and what they do to the logits.

Everything here is about short prompts (or single examples of the text) on the true model:

- `active`: the active latents of a prompt, in the order that everything here uses;
- `gradients`: derivatives through the model between two places, by automatic differentiation
  (`derivatives` batches them, `splicing` puts reconstructions in place);
- `frozen`: one forward pass with attention patterns and norm scales held fixed, which makes the
  model linear from the residual stream onwards, and exact sums possible;
- `attribution`: direct attribution, components and influences, sums over a `FrozenRun`, on prompts
  and on top examples;
- `graph`: attribution graphs over a `FrozenRun`, their pruning and their scores;
- `interventions`: the same questions asked of the true model, by setting latents to zero;
- `prompts`, `collecting`, `averages`, `blind`: from what was asked for to the tables of a run.
"""
