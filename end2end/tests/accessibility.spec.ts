/**
 * Every page, for every role that may open it: no console errors or hydration warnings (which every test checks), nothing
 * wider than a phone, and no serious or critical axe violations in light and dark themes on desktop and phone.
 */
import AxeBuilder from "@axe-core/playwright";
import type { Server } from "./support/server.ts";
import type { Publisher } from "./support/news-ui.ts";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { CALLS_CHUNK_URL, PAGES_CHUNK_URL, blockChunk } from "./support/lazy-chunks.ts";
import { duskPng } from "./support/png.ts";

const desktop = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };

/** Checks the current screen in every size and theme. */
async function expectAccessible({ page }: Visitor, label: string): Promise<void> {
  for (const size of [desktop, phone]) {
    await page.setViewportSize(size);
    const excessWidth = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect.soft(excessWidth, `${label}: pixels wider than ${size.width}`).toBeLessThanOrEqual(0);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      // Without frames there is nothing to collect, for which axe opens another page each time.
      const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ["violations"] });
      // A theme changes only colours.
      const { violations } = await (colorScheme === "light" ? axe : axe.withRules("color-contrast")).analyze();
      const severeViolations = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      const descriptions = severeViolations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`),
      );
      expect.soft(descriptions, `${label}, ${size.width} px, ${colorScheme}`).toEqual([]);
    }
  }
  await page.setViewportSize(desktop);
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

async function expectAccessiblePages(visitor: Visitor, paths: string[]): Promise<void> {
  for (const path of paths) {
    await visitor.open(path);
    await expectAccessible(visitor, path);
  }
}

const LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
  .repeat(2)
  .slice(0, 150);

/** Publishes normal and breaking stories, and returns the path of one. */
async function publishSampleStories(publisher: Publisher): Promise<string> {
  const body = "# A heading\n\n- one\n- two\n\n> And a quotation with `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
  const { path } = await publisher.publish({ headline: "The harbour is frozen", body, topic: "Harbour" });
  await publisher.publish({ headline: "A match is won", topic: "Sports" });
  await publisher.publish({
    headline: LONG_WORD,
    body: `${LONG_WORD}\n\n    ${LONG_WORD}`,
    topic: LONG_WORD.slice(0, 40),
  });
  await publisher.publish({ headline: "The bridge is closed", body, topic: "Harbour", urgency: "breaking" });
  return path;
}

/** Enough for many pages, each in two sizes and two themes. */
const AUDIT_TIMEOUT_MS = 300_000;

const EXPECTED_REFUSALS = /answered 40[134]: GET|status of 40[134]/;

// A call rings while both pages are checked.
test.use({ serverEnv: { RIALTO_RING_SECONDS: "300" } });

test("pages for a visitor without a name", async ({ visitAnonymously, publisher }) => {
  test.setTimeout(AUDIT_TIMEOUT_MS);
  const story = await publishSampleStories(publisher);
  const stranger = await visitAnonymously();
  stranger.browserErrors.allow(EXPECTED_REFUSALS, "some pages are refused to strangers");
  await expectAccessiblePages(stranger, [
    "/",
    "/?topic=Sports",
    "/?topic=Nothing",
    story,
    "/news/there-is-none",
    "/news/new",
  ]);
  await expectAccessiblePages(stranger, [
    "/chat",
    "/chat/general",
    "/calls",
    "/settings",
    "/admin",
    "/signin",
    "/signin?claim=no",
    "/no-page",
  ]);
});

test("pages for a guest", async ({ join, publisher }) => {
  test.setTimeout(AUDIT_TIMEOUT_MS);
  await publishSampleStories(publisher);
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await join(LONG_WORD.slice(0, 40));
  await ada.chat.sendMessages([
    "Good morning",
    `See https://example.org/${LONG_WORD}`,
    "Three\nlines\nhere",
    LONG_WORD,
  ]);
  await ada.chat.sendFiles({ name: "dusk.png", mimeType: "image/png", buffer: duskPng(800, 500) });
  await ada.chat.sendFiles({ name: `${LONG_WORD}.txt`, mimeType: "text/plain", buffer: Buffer.from("Item one") });
  await expect(ada.chat.messages).toHaveCount(6);
  await ada.calls.call("Grace", "voice");
  await grace.calls.decline();
  await ada.calls.endedCard.getByRole("button", { name: "Close" }).click();
  await grace.chat.openDirectRoom("Ada");
  const direct = new URL(grace.page.url()).pathname;
  grace.browserErrors.allow(EXPECTED_REFUSALS, "some pages are refused to guests");
  await expectAccessiblePages(grace, [
    "/",
    "/chat",
    "/chat/general",
    direct,
    "/chat/there-is-none",
    "/calls",
    "/settings",
    "/signin",
  ]);
  await expectAccessiblePages(grace, ["/news/new", "/admin"]);
});

test("pages for the administrator", async ({ joinAsAdministrator, join, publisher }) => {
  test.setTimeout(AUDIT_TIMEOUT_MS);
  await publishSampleStories(publisher);
  await join("Ada");
  const portia = await joinAsAdministrator();
  await expectAccessiblePages(portia, ["/", "/news/new", "/chat/general", "/calls", "/settings", "/admin"]);
  await portia.open("/chat/general");
  await portia.page.getByText("New room").click();
  await expectAccessible(portia, "a new room");
});

test("pages of an empty site", async ({ visitAnonymously, join, joinAsAdministrator }) => {
  test.setTimeout(AUDIT_TIMEOUT_MS);
  await expectAccessiblePages(await visitAnonymously(), ["/"]);
  await expectAccessiblePages(await join("Ada"), ["/", "/chat", "/chat/general", "/calls"]);
  await expectAccessiblePages(await joinAsAdministrator(), ["/", "/admin"]);
});

test("temporary elements: a pill, an interruption, a menu, a failure, an outage", async ({
  join,
  visitAnonymously,
  publisher,
}) => {
  for (const headline of ["First", "Second", "Third"]) await publisher.publish({ headline });
  const reader = await visitAnonymously();
  // At the top of the page there would be no pill.
  await reader.page.setViewportSize({ width: 1280, height: 300 });
  await reader.news.headline("First").scrollIntoViewIfNeeded();
  await publisher.publish({ headline: "New" });
  await expect(reader.news.pill).toBeVisible();
  await expectAccessible(reader, "a pill");
  await reader.goOffline();
  await expect(reader.news.interruption).toBeVisible();
  await expectAccessible(reader, "an interruption");
  await reader.goOnline();

  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await grace.chat.sendMessage("Hello");
  await ada.chat.message("Hello").locator("summary").click();
  await expectAccessible(ada, "a person's menu");
  await ada.chat.sendFiles({ name: "empty", mimeType: "text/plain", buffer: Buffer.alloc(0) });
  await expect(ada.page.locator(".upload").getByRole("alert")).toBeVisible();
  await ada.goOffline();
  await ada.chat.sendMessage("Waiting");
  await expect(ada.page.getByText("You are offline")).toBeVisible();
  await expectAccessible(ada, "an outage in a room");
  await ada.goOnline();
});

test("chunks that fail to load: pages and calls", async ({ join }) => {
  const [ada] = [await join("Ada"), await join("Grace")];
  await blockChunk(ada, PAGES_CHUNK_URL);
  await blockChunk(ada, CALLS_CHUNK_URL);
  await ada.page.reload();
  await ada.page.waitForFunction(() => window.instrumentation.welcomeCount > 0);
  await ada.page.locator(".chat-rooms").getByRole("button", { name: "Video call Grace", exact: true }).click();
  await expect(ada.calls.dock).toContainText("Calls could not be loaded");
  await expectAccessible(ada, "a calls chunk that fails to load");
  await ada.calls.dock.getByRole("button", { name: "Close" }).click();
  await ada.page.locator(".site-nav").getByRole("link", { name: "Calls" }).click();
  await expect(ada.page.getByText("This page could not be loaded")).toBeVisible();
  await expectAccessible(ada, "a page that fails to load");
});

test("a call in every state: preview, ringing, connected, minimised, ended", async ({ join }) => {
  test.setTimeout(AUDIT_TIMEOUT_MS);
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.page.locator(".chat-rooms").getByRole("button", { name: "Video call Grace" }).click();
  await expect(ada.calls.preview).toBeVisible();
  await expectAccessible(ada, "the preview");
  await ada.calls.startFromPreview();
  await expect(grace.calls.incoming).toBeVisible();
  await expectAccessible(ada, "calling");
  await expectAccessible(grace, "an incoming call");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await ada.calls.expectMovingVideo();
  await expectAccessible(ada, "a call");
  await grace.calls.cameraButton.click();
  await grace.calls.microphoneButton.click();
  await expect(ada.calls.remoteView).toContainText("Grace is muted");
  await expectAccessible(ada, "a call without remote video");
  await grace.calls.stage.getByRole("button", { name: "Minimise call" }).click();
  await expectAccessible(grace, "a minimised call");
  await ada.calls.hangUp();
  await expect(grace.calls.endedCard).toBeVisible();
  await expectAccessible(grace, "an ended call");
});

test("call waiting, devices, files, and a group call seen from outside and from inside", async ({ join }) => {
  test.setTimeout(AUDIT_TIMEOUT_MS);
  const [ada, grace, eve] = [await join("Ada"), await join("Grace"), await join("Eve")];
  await ada.calls.call("Grace");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await eve.calls.call("Grace", "voice");
  await expect(grace.calls.callWaiting).toBeVisible();
  await expectAccessible(grace, "a waiting call");
  await grace.calls.callWaiting.getByRole("button", { name: "Decline" }).click();
  await ada.calls.stage
    .locator("input[type=file]")
    .setInputFiles({ name: `${LONG_WORD}.txt`, mimeType: "text/plain", buffer: Buffer.from("Item one") });
  await expect(grace.calls.stage.getByRole("list", { name: "Files" })).toBeVisible();
  await grace.calls.stage.getByRole("button", { name: "Devices" }).click();
  await grace.calls.stage.getByRole("button", { name: /^Connection: / }).click();
  await expectAccessible(grace, "devices, statistics and a file");
  await grace.calls.hangUp();
  for (const { calls } of [ada, grace])
    await calls.endedCard.getByRole("button", { name: "Close", exact: true }).click();

  await ada.page.getByRole("button", { name: "Start a call in this room" }).click();
  await ada.calls.preview.getByRole("button", { name: "Join the call" }).click();
  await expectAccessible(ada, "a group call with one member");
  const card = grace.page.getByLabel("Call in this room", { exact: true });
  await card.getByRole("button", { name: "Join" }).click();
  await grace.calls.preview.getByRole("button", { name: "Join the call" }).click();
  await expect(ada.calls.state).toContainText("2 people");
  await expectAccessible(ada, "a group call with two members");
  await eve.calls.endedCard.getByRole("button", { name: "Close", exact: true }).click();
  await expectAccessible(eve, "a room with a group call");
});

test("on a phone a minimised call leaves the composer usable", async ({ join }) => {
  const ada = await join("Ada", { viewport: phone });
  const grace = await join("Grace");
  await grace.calls.call("Ada");
  await ada.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await ada.calls.stage.getByRole("button", { name: "Minimise call" }).click();
  await ada.chat.composer.click();
  await ada.page.keyboard.type("I can write and talk");
  await ada.page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(grace.chat.message("I can write and talk")).toBeVisible();
  await expect(ada.chat.message("I can write and talk")).toBeInViewport();
  await ada.calls.hangUp();
  await expect(grace.calls.stage).toHaveCount(0);
});

test("the keyboard is enough to skip to the content, send a message and answer a call", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.page.keyboard.press("Tab");
  await expect(ada.page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await ada.page.keyboard.press("Enter");
  await expect(ada.page.locator("#main")).toBeFocused();
  await ada.chat.composer.focus();
  await ada.page.keyboard.type("By keyboard");
  await ada.page.keyboard.press("Enter");
  await expect(grace.chat.message("By keyboard")).toBeVisible();
  await expect(ada.chat.composer).toBeFocused();
  await ada.calls.call("Grace", "voice");
  await expect(grace.calls.incoming, "the focus moves there unless the user is typing").toBeFocused();
  await grace.page.keyboard.press("Tab");
  await expect(grace.calls.incoming.getByRole("button", { name: "Accept", exact: true })).toBeFocused();
  await grace.page.keyboard.press("Enter");
  await ada.calls.expectConnected();
});

test("an incoming call does not take the focus from somebody who is typing", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await grace.chat.composer.focus();
  await grace.page.keyboard.type("In the middle of ");
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toBeVisible();
  await grace.page.keyboard.type("a sentence");
  await expect(grace.chat.composer).toBeFocused();
  await expect(grace.chat.composer).toHaveValue("In the middle of a sentence");
  await grace.page.getByText("Ada is calling").waitFor();
});

/** Paths of the style sheet, WebAssembly and scripts that a page loads before hydration. */
async function fetchAssetPaths(server: Server, path: string): Promise<string[]> {
  const html = await (await fetch(server.url + path)).text();
  const style = /href="(\/pkg\/[^"]+\.css)"/.exec(html)?.[1] ?? "";
  const { wasm, scripts } = JSON.parse(/const app = (.*);/.exec(html)?.[1] ?? "") as {
    wasm: string;
    scripts: string[];
  };
  return [style, wasm, ...scripts];
}

test("pages are not cached, the files of a build are immutable, and large responses are compressed", async ({
  server,
}) => {
  const html = await fetch(server.url);
  expect(html.headers.get("cache-control")).toBe("no-store");
  expect(html.headers.get("content-security-policy")).toContain("script-src 'self' 'nonce-");
  expect(html.headers.get("content-security-policy")).not.toContain("unsafe-inline");
  const files = await fetchAssetPaths(server, "/");
  expect(files.map((file) => file.split(".").pop()).sort()).toEqual(["css", "js", "js", "wasm"]);
  for (const file of files) {
    expect(file, "in the folder of its build").toMatch(/^\/pkg\/[0-9a-f]{12}\/[^/]+$/);
    const response = await fetch(server.url + file, { headers: { "accept-encoding": "br, gzip" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toContain("immutable");
    expect(response.headers.get("content-encoding"), file).toBe("br");
    // A conditional request keeps the asset immutable as well.
    const since = response.headers.get("last-modified") ?? "";
    const same = await fetch(server.url + file, { headers: { "if-modified-since": since } });
    expect(same.status).toBe(304);
    expect(same.headers.get("cache-control")).toContain("immutable");
  }
  // A 404 is not cached: during an upgrade, a newer node may already have the file.
  const missing = await fetch(server.url + (files.at(-1) ?? "").replace(/\/pkg\/\w+/, "/pkg/0123456789ab"));
  expect(missing.status).toBe(404);
  expect(missing.headers.get("cache-control")).toBe("no-store");
});

test("a page is hydrated in chunks, between which the browser handles other events", async ({ visitAnonymously }) => {
  const reader = await visitAnonymously({ startPath: "/signin" });
  // After each chunk, hydration yields to the event loop through a MessageChannel.
  await reader.page.addInitScript(() => {
    const counted = window as unknown as { messageChannelCount: number };
    counted.messageChannelCount = 0;
    window.MessageChannel = class extends MessageChannel {
      constructor() {
        super();
        counted.messageChannelCount += 1;
      }
    };
  });
  await reader.open("/");
  const hydrationChunkCount = await reader.page.evaluate(
    () => (window as unknown as { messageChannelCount: number }).messageChannelCount,
  );
  // Chunks include the header, the banner area, the call dock, the page, and each deferred task.
  expect(hydrationChunkCount).toBeGreaterThan(5);
});
