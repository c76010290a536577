#!/bin/sh
# Runs the browser RIALTO_BROWSER in the network namespace RIALTO_NAMESPACE.
exec ip netns exec "$RIALTO_NAMESPACE" "$RIALTO_BROWSER" "$@"
