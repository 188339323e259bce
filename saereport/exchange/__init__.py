"""Other tools' files: Neuronpedia's and SAEDashboard's formats, written and read."""
