"""`python -m gpusim`, for where scripts are not on the path."""

from gpusim.cli import main

if __name__ == "__main__":
    main()
