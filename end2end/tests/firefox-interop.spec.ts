/** Calls between Chromium and Firefox, whose WebRTC implementations differ. */
import { execFileSync } from "node:child_process";
import { firefox } from "@playwright/test";
import { type Visitor, expect, test as base } from "./support/fixtures.ts";

/** The distribution's Firefox, which Playwright drives unpatched. */
const FIREFOX_PATH = process.env["RIALTO_FIREFOX"] ?? "/usr/bin/firefox-esr";

function missingRequirement(): string | undefined {
  try {
    execFileSync(FIREFOX_PATH, ["--version"], { stdio: "pipe" });
    return undefined;
  } catch {
    return `${FIREFOX_PATH} does not run: install Debian's firefox-esr, or set RIALTO_FIREFOX to another Firefox`;
  }
}

const skipReason = missingRequirement();
if (skipReason !== undefined) console.log(`firefox-interop.spec.ts is skipped: ${skipReason}`);

/** A fake camera and microphone, and no requests to outside services. */
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

const test = base.extend<{ pair: { chromium: Visitor; firefox: Visitor } }>({
  pair: async ({ join }, use) => {
    const browser = await firefox.launch({
      channel: "moz-firefox",
      executablePath: FIREFOX_PATH,
      headless: true,
      firefoxUserPrefs: preferences,
    });
    const chromium = await join("Ada");
    // No permissions: its devices are fake, and it does not know Chromium's permission names.
    const firefoxVisitor = await join("Grace", { browserProcess: { browser }, permissions: [] });
    firefoxVisitor.browserErrors.allow(/NS_BINDING_ABORTED/, "a navigation aborts pending requests");
    firefoxVisitor.browserErrors.allow(/blocked an inline style/, "the browser driver adds an inline style to pages");
    await use({ chromium, firefox: firefoxVisitor });
    await browser.close();
  },
});

// eslint-disable-next-line playwright/no-skipped-test -- the reason is printed above
test.skip(skipReason !== undefined, skipReason);

async function connectCall(caller: Visitor, callee: Visitor): Promise<void> {
  await caller.calls.call(callee.name);
  await callee.calls.accept();
  await Promise.all([caller.calls.expectConnected(), callee.calls.expectConnected()]);
  await Promise.all([caller.calls.expectAudioAndVideo(), callee.calls.expectAudioAndVideo()]);
}

test("Chromium calls Firefox, and each sees and hears the other", async ({ pair }) => {
  await connectCall(pair.chromium, pair.firefox);
  await pair.firefox.calls.hangUp();
  await expect(pair.chromium.calls.endedCard).toContainText(/Video call, \d+ s/);
});

test("Firefox calls Chromium, and each sees and hears the other", async ({ pair }) => {
  await connectCall(pair.firefox, pair.chromium);
  await pair.chromium.calls.hangUp();
  await expect(pair.firefox.calls.endedCard).toContainText(/Video call, \d+ s/);
});
