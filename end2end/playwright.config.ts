// The browser tests: real browsers against the real program. Each test starts a server of its own on a free port, so there
// is no `webServer` here. See tests/support/ for what tests are made of.
import { defineConfig } from "@playwright/test";

/** Fake devices, real connections: what makes a call work in a headless browser on a machine with loopback only. */
const flags = [
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
const alone = process.env["RIALTO_E2E_ALONE"] === "1";

export default defineConfig({
  ...(alone ? { grep: /@alone/ } : { grepInvert: /@alone/ }),
  testDir: "tests",
  outputDir: alone ? "test-results/artifacts-alone" : "test-results/artifacts",
  timeout: 150_000,
  expect: { timeout: 10_000 },
  // Every test has a server and browsers of its own, so it does not matter which run beside each other.
  fullyParallel: true,
  workers: alone ? 1 : Number(process.env["RIALTO_E2E_WORKERS"] ?? 2),
  // What a busy machine fails once passes when it is tried again, and is named at the end (tests/support/count.ts): a bug that
  // comes now and then is a bug.
  retries: 1,
  forbidOnly: true,
  reporter: [["list"], ["./tests/support/count.ts"]],
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
      args: process.getuid?.() === 0 ? ["--no-sandbox", ...flags] : flags,
    },
  },
});
