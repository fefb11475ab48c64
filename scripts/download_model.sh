#!/usr/bin/env bash
# Another name of scripts/download_models.sh.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/download_models.sh" "$@"
