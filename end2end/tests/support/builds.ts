/** The builds of the program that tests run. */
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

/** A program and its browser files. */
export interface Build {
  binary: string;
  siteRoot: string;
}

const repositoryRoot = resolve(import.meta.dirname, "../../..");

/** The program that was built last, which `cargo leptos end-to-end` has just done. */
function findLatestBinary(): string {
  const builds = ["debug", "release"].map((profile) => join(repositoryRoot, "target", profile, "rialto"));
  const [latest] = builds.filter((path) => existsSync(path)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (latest === undefined) throw new Error("there is no program to test: run `cargo leptos build` first");
  return latest;
}

/** The build under test. */
export const currentBuild: Build = {
  binary: resolve(process.env["RIALTO_BIN"] ?? findLatestBinary()),
  siteRoot: resolve(process.env["LEPTOS_SITE_ROOT"] ?? join(repositoryRoot, "target/site")),
};

/** A build of an earlier commit, which only tests tagged @previous start (scripts/test-upgrade.sh). */
export function previousBuild(): Build {
  const folder = process.env["RIALTO_E2E_PREVIOUS"];
  if (folder === undefined) throw new Error("RIALTO_E2E_PREVIOUS names no build: see scripts/test-upgrade.sh");
  return { binary: join(folder, "target/release/rialto"), siteRoot: join(folder, "target/site") };
}
