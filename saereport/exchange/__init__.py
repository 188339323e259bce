"""Other tools' files: Neuronpedia's and SAEDashboard's formats, written and read.

    files ──finding──▶ gathering ──▶ given ──tabulating──▶ run        `import_files`
    run ──reading_runs──▶ given ──▶ dashboard, neuronpedia ──▶ files  `export_report`

`given` is what both formats can say, `dashboard` and `neuronpedia` are the formats themselves, and
`docs/exchange.md` says which field is what.
"""

from saereport.exchange.exporting import export_report
from saereport.exchange.importing import import_files

__all__ = ["export_report", "import_files"]
