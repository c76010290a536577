/** How many programs a test's server is made of. */
export const nodeCount = Number(process.env["RIALTO_E2E_NODES"] ?? 1);

/** Why a test of what goes from browser to browser, past the server, is left out with several nodes. */
export const PEER_TO_PEER_SKIP_REASON = "what goes from browser to browser passes no node: with one it was looked at";
