/** What makes a page live comes in parts: what is needed first, and the rest when it is needed. On a bad network some of it does not come. */
import { expect, test } from "./support/fixtures.ts";
import { beginning, calls, pages, without } from "./support/parts.ts";

test("who reads is sent neither what calls need nor pages that few open", async ({ visit, agency, server }) => {
  const reader = await visit({ at: "/signin" });
  const asked = new Set<string>();
  reader.page.on("request", (request) => asked.add(new URL(request.url()).pathname));
  const of = (file: RegExp) => [...asked].filter((path) => file.test(path));
  await reader.open("/");
  // Something that comes later than what the page's beginning asks for.
  await agency.publish({ headline: "The harbour is open again" });
  await expect(reader.page.getByText("The harbour is open again")).toBeVisible();
  expect(of(beginning)).toHaveLength(1);
  expect(of(calls)).toEqual([]);
  expect(of(pages)).toEqual([]);
  await reader.open("/signin");
  expect(of(pages)).toHaveLength(1);
  expect(of(calls)).toEqual([]);
  // Of another build there is nothing, and that is no answer to keep.
  const other = await fetch(server.url + (of(pages)[0] ?? "").replace(/\/pkg\/\w+\//, "/pkg/0123456789ab/"));
  expect(other.status).toBe(404);
  expect(other.headers.get("cache-control")).toBe("no-store");
});

test("a page whose build is gone loads itself anew", async ({ visit, server }) => {
  const reader = await visit({ at: "/signin" });
  reader.trouble.allow(/404/, "the program of the page's build is gone");
  let failures = 0;
  await reader.context.route(beginning, async (route) => {
    failures += 1;
    await (failures === 1 ? route.fulfill({ status: 404 }) : route.fallback());
  });
  let documents = 0;
  reader.page.on("request", (request) => (documents += Number(request.isNavigationRequest())));
  await reader.page.goto(server.url, { waitUntil: "commit" });
  await expect.poll(() => documents).toBe(2);
  await reader.live();
  expect(documents, "once").toBe(2);
});

test("what makes a page live is asked for until it comes", async ({ visit }) => {
  const reader = await visit({ at: "/signin" });
  reader.trouble.allow(/net::ERR_FAILED|Failed to fetch/, "the program does not come at first");
  let failures = 0;
  await reader.context.route(beginning, async (route) => {
    failures += 1;
    await (failures <= 2 ? route.abort() : route.fallback());
  });
  await reader.open("/");
  expect(failures).toBe(3);
});

test("a page whose code does not come says so, and comes as soon as it can", async ({ begin, server }) => {
  const reader = await begin("");
  const comes = await without(reader, pages);
  let asked = 0;
  reader.page.on("requestfailed", (request) => (asked += Number(pages.test(request.url()))));
  await reader.open("/");
  await reader.page.locator(".site-nav").getByRole("link", { name: "Calls" }).click();
  const alert = reader.page.locator("main").getByRole("alert");
  await expect(alert).toContainText("This page could not be loaded");
  const before = asked;
  await alert.getByRole("button", { name: "Try again" }).click();
  await expect.poll(() => asked).toBeGreaterThan(before);
  await expect(alert).toContainText("This page could not be loaded");
  await comes();
  // Nobody presses anything.
  await expect(reader.page.getByText("Calls are between people with a name.")).toBeVisible({ timeout: 40_000 });
  await expect(alert).toHaveCount(0);
  expect(reader.page.url()).toBe(`${server.url}/calls`);
});

test("who calls before the code for it is there is told, and calls when it is", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const comes = await without(ada, calls);
  await ada.page.reload();
  await ada.page.waitForFunction(() => window.observed.welcomes > 0);
  const button = ada.page.locator(".chat-rooms").getByRole("button", { name: "Video call Grace", exact: true });
  await button.click();
  await expect(ada.calls.dock).toContainText("What calls need could not be loaded");
  // Who gives up is not asked any more, and may want it again.
  await ada.calls.dock.getByRole("button", { name: "Close" }).click();
  await expect(ada.calls.dock).toHaveCount(0);
  await button.click();
  await ada.calls.dock.getByRole("button", { name: "Try again" }).click();
  await expect(ada.calls.dock).toContainText("What calls need could not be loaded");
  await comes();
  // It is tried again without anybody's doing.
  await expect(ada.calls.preview).toBeVisible({ timeout: 40_000 });
  await ada.calls.start();
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

test("a call that comes before the code for it is there rings when it is, and connects", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const comes = await without(grace, calls);
  await grace.page.reload();
  await grace.page.waitForFunction(() => window.observed.welcomes > 0);
  await ada.calls.call("Grace");
  await expect(ada.calls.state).toContainText(/Calling|Ringing/);
  await expect(grace.calls.incoming).toHaveCount(0);
  await expect(grace.calls.dock, "nothing for calls is here").toHaveCount(0);
  await comes();
  // Nobody presses anything.
  await expect(grace.calls.incoming).toBeVisible({ timeout: 20_000 });
  await expect(grace.calls.incoming, "who does not write is taken to it").toBeFocused();
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});
