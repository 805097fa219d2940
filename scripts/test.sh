#!/usr/bin/env bash
# Installs what the tests need and runs them. Arguments go to pytest:
#   bash scripts/test.sh [-m slow] [tests/search_test.py] ...
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_extras test
exec "$VENV/bin/python" -m pytest "$@"
