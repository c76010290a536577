/** The number of nodes that make up a test's server. */
export const nodeCount = Number(process.env["RIALTO_E2E_NODES"] ?? 1);

/** Skip reason for tests of peer-to-peer traffic with several nodes. */
export const PEER_TO_PEER_SKIP_REASON = "peer-to-peer traffic passes no node: tested with one node";
