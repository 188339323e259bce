"""`python -m saereport`."""

from saereport.cli.main import main

if __name__ == "__main__":
    main()
