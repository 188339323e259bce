"""`python -m saereport`."""

from saereport.cli import main

if __name__ == "__main__":
    main()
