#!/bin/sh
# Installs the study's packages, checked by their hashes, and the project itself into the Python that is active.
set -e
cd "$(dirname "$0")"
export PIP_DISABLE_PIP_VERSION_CHECK=1
hashed="pip install --quiet --no-deps --require-hashes"
$hashed -r build.lock
# torch's build for the CPU where pip finds it, else the index's, which on Linux needs CUDA's libraries.
$hashed -r cpu.lock 2>/dev/null || $hashed -r torch.lock -r cuda.lock
$hashed --no-build-isolation -r study.lock
pip install --quiet --no-deps --no-build-isolation -e ..
