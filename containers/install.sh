#!/bin/sh
# The installation steps of Dockerfile and Apptainer.def; run from the repository's root.
#   install.sh dependencies   install the versions in containers/lock.txt into /opt/getnet
#   install.sh package        install getnet_bids, and remove everything that only an installation needs
# TORCH_INDEX: the package index for torch; empty: pip's default.
set -eu
umask 022
home=/opt/getnet
lock=containers/lock.txt
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

case $1 in
dependencies)
    python3 -m venv "$home"
    grep -v '^torch==' "$lock" > /tmp/lock.txt
    "$home/bin/pip" install --no-deps --requirement /tmp/lock.txt
    # With its dependencies, since a CUDA build pins the versions of NVIDIA's libraries.
    "$home/bin/pip" install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' "$lock")"
    rm /tmp/lock.txt
    ;;
package)
    "$home/bin/pip" install --no-deps .
    # Fails if the lock file lacks a new dependency of the package.
    "$home/bin/pip" check
    "$home/bin/pip" uninstall --yes pip
    # Unused here: headers for extensions of torch, its compiled tests and protoc, and other packages' tests.
    packages=$(echo "$home"/lib/python3*/site-packages)
    rm -rf "$packages/torch/include" "$packages/torch/test"
    find "$packages/torch/bin" -mindepth 1 ! -name torch_shm_manager -delete
    find "$packages" -type d -name tests -prune -exec rm -rf {} +
    chmod -R go+rX "$home"
    ;;
*)
    echo "install.sh: unknown step: $1" >&2
    exit 64
    ;;
esac
