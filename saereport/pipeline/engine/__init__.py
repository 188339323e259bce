"""Where the long work of a build is done: in this process, or on the workers of a cluster.

Stages hand a `Job` to the build's `Engine` and take what it gives for each item, in the order in
which items are finished. Which engine it is changes no number.
"""
