"""`python -m agent` is `git-pipeline`."""

from agent.cli.main import main

if __name__ == "__main__":
    main()
