"""saereport's own stages: what each is asked, needs, checks and yields.

What they do is beside this folder, in modules that need torch and are imported when a stage runs.
"""
