/** Files sent during a call. */
import { createHash, randomFillSync } from "node:crypto";
import { createReadStream, writeFileSync } from "node:fs";
import { type Locator, test } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** Creates a file of random bytes in the test's output folder, and returns its path. */
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

export function fileTransferRow(visitor: Visitor, name: string): Locator {
  return visitor.calls.dock.getByRole("list", { name: "Files" }).getByRole("listitem").filter({ hasText: name });
}
