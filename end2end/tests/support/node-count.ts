/** The number of nodes that make up a test's server. */
export const nodeCount = Number(process.env["RIALTO_E2E_NODES"] ?? 1);
