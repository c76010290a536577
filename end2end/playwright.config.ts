// Browser tests: real browsers against the real server. Each test starts its own server on a free port, so there is no
// `webServer` here. Fixtures and page objects are in tests/support/.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { defineConfig } from "@playwright/test";
import { nodeCount } from "./tests/support/node-count.ts";

/** Fake devices and real connections, so that calls work in a headless browser on a machine with loopback only. */
const chromiumFlags = [
  // Half the frame rate of a real camera: one machine encodes and decodes all streams.
  "--use-fake-device-for-media-stream=fps=15",
  "--allow-loopback-in-peer-connection",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--disable-background-networking",
  "--disable-component-update",
  "--no-first-run",
];

/** Tests that need the machine to themselves run one at a time, after all others: see scripts/e2e.sh. */
const isExclusiveRun = process.env["RIALTO_E2E_EXCLUSIVE"] === "1";

/** Tests that take long and show little more than a shorter one run only on request. */
const isLongRun = process.env["RIALTO_E2E_LONG"] === "1";

/** Tests that begin with a build of an earlier commit: see scripts/test-upgrade.sh. */
const isUpgradeRun = process.env["RIALTO_E2E_PREVIOUS"] !== undefined;

/** A test runs if it has all of these tags. On several nodes, that is a test whose result depends on the nodes. */
const requiredTags = [
  ...(nodeCount > 1 ? ["@nodes"] : []),
  ...(isExclusiveRun ? ["@exclusive"] : []),
  ...(isLongRun ? ["@long"] : []),
  ...(isUpgradeRun ? ["@previous"] : []),
];

/** A test with one of these tags runs only if the tag is required. */
const excludedTags = ["@exclusive", "@long", "@previous"].filter((tag) => !requiredTags.includes(tag));

/** The caller's choice (scripts/env.sh), or the first browser on PATH. */
function findSystemBrowser(): string | undefined {
  const chosen = process.env["RIALTO_CHROMIUM"];
  if (chosen !== undefined && chosen !== "") return chosen;
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const names = ["chromium", "google-chrome", "google-chrome-stable"];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

export default defineConfig({
  // Several expressions would be alternatives: one lookahead for each tag requires all of them.
  grep: new RegExp(`^${requiredTags.map((tag) => `(?=.*${tag}\\b)`).join("")}`),
  grepInvert: excludedTags.map((tag) => new RegExp(`${tag}\\b`)),
  testDir: "tests",
  outputDir: isExclusiveRun ? "test-results/artifacts-exclusive" : "test-results/artifacts",
  timeout: 150_000,
  expect: { timeout: 10_000 },
  // Every test has its own server and browser contexts, so any tests may run in parallel.
  fullyParallel: true,
  workers: isExclusiveRun ? 1 : Number(process.env["RIALTO_E2E_WORKERS"] ?? 2),
  // A busy machine may fail a test once. A test that passes on retry is listed at the end
  // (tests/support/summary-reporter.ts), because an intermittent bug is a bug.
  retries: 1,
  forbidOnly: true,
  reporter: [["list"], ["./tests/support/summary-reporter.ts"]],
  use: {
    browserName: "chromium",
    headless: true,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    screenshot: "only-on-failure",
    launchOptions: {
      // Without one, Playwright uses the browser that prepare.sh installed.
      executablePath: findSystemBrowser(),
      // Chromium's sandbox does not run as root, and many build machines run as root.
      args: process.getuid?.() === 0 ? ["--no-sandbox", ...chromiumFlags] : chromiumFlags,
      // In another locale, Chromium names a download whose name is not ASCII "download".
      env: { ...process.env, LC_ALL: "C.UTF-8" },
    },
  },
});
