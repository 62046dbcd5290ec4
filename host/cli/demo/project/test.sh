#!/bin/sh
# The project's whole test suite.
got=$(sh greet.sh World)
if [ "$got" != "Hello, World!" ]; then
    echo "FAIL greeting: expected 'Hello, World!', got '$got'"
    exit 1
fi
echo "ok greeting"
