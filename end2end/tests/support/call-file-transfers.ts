/** Files that are sent in a call. */
import { createHash, randomFillSync } from "node:crypto";
import { createReadStream, writeFileSync } from "node:fs";
import { type Locator, test } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** A file of random bytes, in the folder of this test. */
export function createRandomFile(name: string, bytes: number): string {
  const file = test.info().outputPath(name);
  const chunk = Buffer.alloc(1_000_000);
  writeFileSync(file, "");
  for (let at = 0; at < bytes; at += chunk.length) {
    randomFillSync(chunk);
    writeFileSync(file, chunk.subarray(0, Math.min(chunk.length, bytes - at)), { flag: "a" });
  }
  return file;
}

export async function sha256Hex(file: string): Promise<string> {
  const sha = createHash("sha256");
  for await (const chunk of createReadStream(file)) sha.update(chunk as Buffer);
  return sha.digest("hex");
}

/** How a file stands, on a page. */
export function fileTransferRow(who: Visitor, name: string): Locator {
  return who.calls.dock.getByRole("list", { name: "Files" }).getByRole("listitem").filter({ hasText: name });
}
