#!/usr/bin/env bash
# The same as download_models.sh, under the name that the singular suggests.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/download_models.sh" "$@"
