#!/bin/bash -eu
exec bash -eu ci/oss-fuzz/build.sh
