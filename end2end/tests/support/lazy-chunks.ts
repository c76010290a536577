/** The parts that the browser's program comes in. */
import type { Route } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** The program's beginning. */
export const MAIN_CHUNK_URL = /\/pkg\/\w+\/rialto\.[\w-]+\.wasm$/;
/** What comes later. */
export const CALLS_CHUNK_URL = /\/pkg\/\w+\/split_calls\.[\w-]+\.wasm$/;
export const PAGES_CHUNK_URL = /\/pkg\/\w+\/split_pages\.[\w-]+\.wasm$/;

/** Has requests for a file fail until what it gives is called. */
export async function blockChunk({ context, browserErrors }: Visitor, chunk: RegExp): Promise<() => Promise<void>> {
  browserErrors.allow(/net::ERR_FAILED|Failed to fetch/, "a part of the program does not come");
  const fail = (route: Route) => route.abort();
  await context.route(chunk, fail);
  return () => context.unroute(chunk, fail);
}
