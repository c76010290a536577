/** Calls between Chromium and Firefox, which share neither code nor habits. */
import { execFileSync } from "node:child_process";
import { firefox } from "@playwright/test";
import { type Visitor, expect, test as base } from "./support/fixtures.ts";
import { PAST_THE_SERVER, nodes } from "./support/nodes.ts";

/** The distribution's Firefox, which Playwright drives as it is. */
const PROGRAM = process.env["RIALTO_FIREFOX"] ?? "/usr/bin/firefox-esr";

function missing(): string | undefined {
  try {
    execFileSync(PROGRAM, ["--version"], { stdio: "pipe" });
    return undefined;
  } catch {
    return `there is no ${PROGRAM}: install Debian's firefox-esr, or name one in RIALTO_FIREFOX`;
  }
}

const reason = missing() ?? (nodes > 1 ? PAST_THE_SERVER : undefined);
if (reason !== undefined) console.log(`firefox.spec.ts is left out: ${reason}`);

/** A camera that needs none, and no word with the outside. */
const preferences = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.peerconnection.ice.loopback": true,
  "media.autoplay.default": 0,
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "toolkit.telemetry.enabled": false,
};

const test = base.extend<{ two: { chromium: Visitor; firefox: Visitor } }>({
  two: async ({ join }, use) => {
    const browser = await firefox.launch({
      channel: "moz-firefox",
      executablePath: PROGRAM,
      headless: true,
      firefoxUserPrefs: preferences,
    });
    const chromium = await join("Ada");
    // It is asked for nothing: its camera is a fake one, and it knows no names of permissions.
    const fox = await join("Grace", { machine: { browser }, permissions: [] });
    fox.trouble.allow(/NS_BINDING_ABORTED/, "a navigation gives up requests that are under way");
    fox.trouble.allow(/blocked an inline style/, "what drives this browser puts a style of its own into pages");
    await use({ chromium, firefox: fox });
    await browser.close();
  },
});

// eslint-disable-next-line playwright/no-skipped-test -- why, and what to install, is said above
test.skip(reason !== undefined, reason);

async function connect(caller: Visitor, callee: Visitor): Promise<void> {
  await caller.calls.call(callee.name);
  await callee.calls.accept();
  await Promise.all([caller.calls.connected(), callee.calls.connected()]);
  await Promise.all([caller.calls.plays(), callee.calls.plays()]);
}

test("Chromium calls Firefox, and each sees and hears the other", async ({ two }) => {
  await connect(two.chromium, two.firefox);
  await two.firefox.calls.hangUp();
  await expect(two.chromium.calls.farewell).toContainText(/Video call, \d+ s/);
});

test("Firefox calls Chromium, and each sees and hears the other", async ({ two }) => {
  await connect(two.firefox, two.chromium);
  await two.chromium.calls.hangUp();
  await expect(two.firefox.calls.farewell).toContainText(/Video call, \d+ s/);
});
