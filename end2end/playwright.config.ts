// The browser tests: real browsers against the real program. Each test starts a server of its own on a free port, so there
// is no `webServer` here. See tests/support/ for what tests are made of.
import { defineConfig } from "@playwright/test";

/** Fake devices, real connections: what makes a call work in a headless browser on a machine with loopback only. */
const chromiumFlags = [
  // Half the frames of a real camera, because the machine encodes and decodes all of them for everybody.
  "--use-fake-device-for-media-stream=fps=15",
  "--allow-loopback-in-peer-connection",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--disable-background-networking",
  "--disable-component-update",
  "--no-first-run",
];

/** Tests that want the machine to themselves run one by one, after all the others: see scripts/e2e.sh. */
const isExclusiveRun = process.env["RIALTO_E2E_EXCLUSIVE"] === "1";

export default defineConfig({
  ...(isExclusiveRun ? { grep: /@exclusive/ } : { grepInvert: /@exclusive/ }),
  testDir: "tests",
  outputDir: isExclusiveRun ? "test-results/artifacts-exclusive" : "test-results/artifacts",
  timeout: 150_000,
  expect: { timeout: 10_000 },
  // Every test has a server and browsers of its own, so it does not matter which run beside each other.
  fullyParallel: true,
  workers: isExclusiveRun ? 1 : Number(process.env["RIALTO_E2E_WORKERS"] ?? 2),
  // What a busy machine fails once passes when it is tried again, and is named at the end (tests/support/summary-reporter.ts): a bug that
  // comes now and then is a bug.
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
      // Empty means: wherever Playwright finds one.
      executablePath: process.env["RIALTO_CHROMIUM"] || undefined,
      // Chromium refuses its sandbox to root, which is what many build machines run as.
      args: process.getuid?.() === 0 ? ["--no-sandbox", ...chromiumFlags] : chromiumFlags,
    },
  },
});
