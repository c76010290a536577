/** The parts that the browser's program comes in. */
import type { Route } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** The program's beginning. */
export const beginning = /\/pkg\/\w+\/rialto\.[\w-]+\.wasm$/;
/** What comes later. */
export const calls = /\/pkg\/\w+\/split_calls\.[\w-]+\.wasm$/;
export const pages = /\/pkg\/\w+\/split_pages\.[\w-]+\.wasm$/;

/** Has requests for a file fail until what it gives is called. */
export async function without({ context, trouble }: Visitor, file: RegExp): Promise<() => Promise<void>> {
  trouble.allow(/net::ERR_FAILED|Failed to fetch/, "a part of the program does not come");
  const fail = (route: Route) => route.abort();
  await context.route(file, fail);
  return () => context.unroute(file, fail);
}
