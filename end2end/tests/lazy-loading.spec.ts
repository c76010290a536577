/** What makes a page live comes in parts: what is needed first, and the rest when it is needed. On a bad network some of it does not come. */
import { expect, test } from "./support/fixtures.ts";
import { MAIN_CHUNK_URL, CALLS_CHUNK_URL, PAGES_CHUNK_URL, blockChunk } from "./support/lazy-chunks.ts";

test("a reader downloads neither the calls chunk nor the pages chunk", async ({
  visitAnonymously,
  publisher,
  server,
}) => {
  const reader = await visitAnonymously({ startPath: "/signin" });
  const requestedPaths = new Set<string>();
  reader.page.on("request", (request) => requestedPaths.add(new URL(request.url()).pathname));
  const requestsFor = (file: RegExp) => [...requestedPaths].filter((path) => file.test(path));
  await reader.open("/");
  // Something that comes later than what the page's beginning asks for.
  await publisher.publish({ headline: "The harbour is open again" });
  await expect(reader.page.getByText("The harbour is open again")).toBeVisible();
  expect(requestsFor(MAIN_CHUNK_URL)).toHaveLength(1);
  expect(requestsFor(CALLS_CHUNK_URL)).toEqual([]);
  expect(requestsFor(PAGES_CHUNK_URL)).toEqual([]);
  await reader.open("/signin");
  expect(requestsFor(PAGES_CHUNK_URL)).toHaveLength(1);
  expect(requestsFor(CALLS_CHUNK_URL)).toEqual([]);
  // Of another build there is nothing, and that is no answer to keep.
  const other = await fetch(
    server.url + (requestsFor(PAGES_CHUNK_URL)[0] ?? "").replace(/\/pkg\/\w+\//, "/pkg/0123456789ab/"),
  );
  expect(other.status).toBe(404);
  expect(other.headers.get("cache-control")).toBe("no-store");
});

test("a page whose build is no longer served reloads itself", async ({ visitAnonymously, server }) => {
  const reader = await visitAnonymously({ startPath: "/signin" });
  reader.browserErrors.allow(/404/, "the program of the page's build is gone");
  let failures = 0;
  await reader.context.route(MAIN_CHUNK_URL, async (route) => {
    failures += 1;
    await (failures === 1 ? route.fulfill({ status: 404 }) : route.fallback());
  });
  let documents = 0;
  reader.page.on("request", (request) => (documents += Number(request.isNavigationRequest())));
  await reader.page.goto(server.url, { waitUntil: "commit" });
  await expect.poll(() => documents).toBe(2);
  await reader.waitUntilConnected();
  expect(documents, "once").toBe(2);
});

test("the main chunk is refetched until it loads", async ({ visitAnonymously }) => {
  const reader = await visitAnonymously({ startPath: "/signin" });
  reader.browserErrors.allow(/net::ERR_FAILED|Failed to fetch/, "the program does not come at first");
  let failures = 0;
  await reader.context.route(MAIN_CHUNK_URL, async (route) => {
    failures += 1;
    await (failures <= 2 ? route.abort() : route.fallback());
  });
  await reader.open("/");
  expect(failures).toBe(3);
});

test("a page whose chunk fails to load says so, and is shown as soon as it loads", async ({
  createVisitor,
  server,
}) => {
  const reader = await createVisitor("");
  const unblock = await blockChunk(reader, PAGES_CHUNK_URL);
  let failedRequestCount = 0;
  reader.page.on("requestfailed", (request) => (failedRequestCount += Number(PAGES_CHUNK_URL.test(request.url()))));
  await reader.open("/");
  await reader.page.locator(".site-nav").getByRole("link", { name: "Calls" }).click();
  const alert = reader.page.locator("main").getByRole("alert");
  await expect(alert).toContainText("This page could not be loaded");
  const before = failedRequestCount;
  await alert.getByRole("button", { name: "Try again" }).click();
  await expect.poll(() => failedRequestCount).toBeGreaterThan(before);
  await expect(alert).toContainText("This page could not be loaded");
  await unblock();
  // Nobody presses anything.
  await expect(reader.page.getByText("Calls are between people with a name.")).toBeVisible({ timeout: 40_000 });
  await expect(alert).toHaveCount(0);
  expect(reader.page.url()).toBe(`${server.url}/calls`);
});

test("who calls before the calls chunk is loaded is shown so, and calls when it is", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const unblock = await blockChunk(ada, CALLS_CHUNK_URL);
  await ada.page.reload();
  await ada.page.waitForFunction(() => window.instrumentation.welcomeCount > 0);
  const button = ada.page.locator(".chat-rooms").getByRole("button", { name: "Video call Grace", exact: true });
  await button.click();
  await expect(ada.calls.dock).toContainText("What calls need could not be loaded");
  // Who gives up is not asked any more, and may want it again.
  await ada.calls.dock.getByRole("button", { name: "Close" }).click();
  await expect(ada.calls.dock).toHaveCount(0);
  await button.click();
  await ada.calls.dock.getByRole("button", { name: "Try again" }).click();
  await expect(ada.calls.dock).toContainText("What calls need could not be loaded");
  await unblock();
  // It is tried again without anybody's doing.
  await expect(ada.calls.preview).toBeVisible({ timeout: 40_000 });
  await ada.calls.startFromPreview();
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});

test("an incoming call before the calls chunk is loaded rings when it is, and connects", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const unblock = await blockChunk(grace, CALLS_CHUNK_URL);
  await grace.page.reload();
  await grace.page.waitForFunction(() => window.instrumentation.welcomeCount > 0);
  await ada.calls.call("Grace");
  await expect(ada.calls.state).toContainText(/Calling|Ringing/);
  await expect(grace.calls.incoming).toHaveCount(0);
  await expect(grace.calls.dock, "nothing for calls is here").toHaveCount(0);
  await unblock();
  // Nobody presses anything.
  await expect(grace.calls.incoming).toBeVisible({ timeout: 20_000 });
  await expect(grace.calls.incoming, "who does not write is taken to it").toBeFocused();
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});
