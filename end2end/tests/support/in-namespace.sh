#!/bin/sh
# Runs a browser inside of the network namespace that RIALTO_NAMESPACE names.
exec ip netns exec "$RIALTO_NAMESPACE" "$RIALTO_BROWSER" "$@"
