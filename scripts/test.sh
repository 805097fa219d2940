#!/usr/bin/env bash
# Installs what the tests need and runs them. Arguments go to pytest:
#   bash scripts/test.sh [-m slow] [tests/search_test.py] ...
# Two processes run them, a file at a time each: a test rarely keeps two cores
# busy, and each process takes up to 4 GiB. -n 0 runs all in one.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_extras test
exec "$VENV/bin/python" -m pytest -n 2 --dist loadfile "$@"
