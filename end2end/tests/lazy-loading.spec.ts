/** Lazy loading of WebAssembly chunks, and what pages do when a chunk fails to load. */
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
  // A live update, which arrives after all requests of the initial load.
  await publisher.publish({ headline: "The harbour is open again" });
  await expect(reader.page.getByRole("link", { name: "The harbour is open again" })).toBeVisible();
  expect(requestsFor(MAIN_CHUNK_URL)).toHaveLength(1);
  expect(requestsFor(CALLS_CHUNK_URL)).toEqual([]);
  expect(requestsFor(PAGES_CHUNK_URL)).toEqual([]);
  await reader.open("/signin");
  expect(requestsFor(PAGES_CHUNK_URL)).toHaveLength(1);
  expect(requestsFor(CALLS_CHUNK_URL)).toEqual([]);
  // Chunks of other builds are a 404, which must not be cached.
  const other = await fetch(
    server.url + (requestsFor(PAGES_CHUNK_URL)[0] ?? "").replace(/\/pkg\/\w+\//, "/pkg/0123456789ab/"),
  );
  expect(other.status).toBe(404);
  expect(other.headers.get("cache-control")).toBe("no-store");
});

test("a page whose build is no longer served reloads itself", async ({ visitAnonymously, server }) => {
  const reader = await visitAnonymously({ startPath: "/signin" });
  reader.browserErrors.allow(/404/, "the chunk of this build is gone");
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
  expect(documents, "it reloads once").toBe(2);
});

test("the main chunk is refetched until it loads", async ({ visitAnonymously }) => {
  const reader = await visitAnonymously({ startPath: "/signin" });
  reader.browserErrors.allow(/net::ERR_FAILED|Failed to fetch/, "the main chunk fails at first");
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
  // The page retries by itself.
  await expect(reader.page.getByText("Pick a name to make calls.")).toBeVisible({ timeout: 40_000 });
  await expect(alert).toHaveCount(0);
  expect(reader.page.url()).toBe(`${server.url}/calls`);
});

test("a call started before the calls chunk loads shows so, and can start once it loads", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const unblock = await blockChunk(ada, CALLS_CHUNK_URL);
  await ada.page.reload();
  await ada.page.waitForFunction(() => window.instrumentation.welcomeCount > 0);
  const button = ada.page.locator(".chat-rooms").getByRole("button", { name: "Video call Grace", exact: true });
  await button.click();
  await expect(ada.calls.dock).toContainText("Calls could not be loaded");
  // Closing the message gives up; the button starts over.
  await ada.calls.dock.getByRole("button", { name: "Close" }).click();
  await expect(ada.calls.dock).toHaveCount(0);
  await button.click();
  await ada.calls.dock.getByRole("button", { name: "Try again" }).click();
  await expect(ada.calls.dock).toContainText("Calls could not be loaded");
  await unblock();
  // The page retries by itself.
  await expect(ada.calls.preview).toBeVisible({ timeout: 40_000 });
  await ada.calls.startFromPreview();
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});

test("an incoming call before the calls chunk loads rings once it loads, and connects", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const unblock = await blockChunk(grace, CALLS_CHUNK_URL);
  await grace.page.reload();
  await grace.page.waitForFunction(() => window.instrumentation.welcomeCount > 0);
  await ada.calls.call("Grace");
  await expect(ada.calls.state).toContainText(/Calling|Ringing/);
  await expect(grace.calls.incoming).toHaveCount(0);
  await expect(grace.calls.dock, "the calls chunk is not loaded").toHaveCount(0);
  await unblock();
  // The page retries by itself.
  await expect(grace.calls.incoming).toBeVisible({ timeout: 20_000 });
  await expect(grace.calls.incoming, "the focus moves there unless the user is typing").toBeFocused();
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});
