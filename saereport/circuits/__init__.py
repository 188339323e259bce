"""Circuits: what latents read from tokens and from one another, and what they do to the logits.

Everything here is about short prompts (or single examples of the text) on the true model:

- `gradients`: derivatives through the model between two places, by automatic differentiation;
- `frozen`: one forward pass with attention patterns and norm scales held fixed, which makes the
  model linear from the residual stream onwards, and exact sums possible;
- `attribution`: direct attribution, components and influences, sums over a `FrozenRun`;
- `graph`: attribution graphs over a `FrozenRun`, their pruning and their scores;
- `interventions`: the same questions asked of the true model, by setting latents to zero;
- `collecting`: prompts in, tables out.
"""
