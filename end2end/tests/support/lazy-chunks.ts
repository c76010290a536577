/** The WebAssembly chunks of the browser's program. */
import type { Route } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** The chunk that every page loads. */
export const MAIN_CHUNK_URL = /\/pkg\/\w+\/rialto\.wasm$/;
/** The lazily loaded chunks. */
export const CALLS_CHUNK_URL = /\/pkg\/\w+\/split_calls\w*\.wasm$/;
export const PAGES_CHUNK_URL = /\/pkg\/\w+\/split_pages\w*\.wasm$/;

/** Makes requests for a chunk fail until the returned function is called. */
export async function blockChunk({ context, browserErrors }: Visitor, chunk: RegExp): Promise<() => Promise<void>> {
  browserErrors.allow(/net::ERR_FAILED|Failed to fetch/, "a chunk is blocked");
  const fail = (route: Route) => route.abort();
  await context.route(chunk, fail);
  return () => context.unroute(chunk, fail);
}
