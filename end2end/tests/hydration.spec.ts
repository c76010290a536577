/** What a person meets while a page is being hydrated, and after the program has panicked. */
import { type Page } from "@playwright/test";
import { expect, test } from "./support/fixtures.ts";

/**
 * Hydration yields to the event loop by a message to itself. Holds the messages from the given one on, in the first
 * document of the tab, until `releaseHydration`.
 */
async function holdHydration(page: Page, firstHeld: number): Promise<void> {
  await page.addInitScript((firstHeld) => {
    if (sessionStorage.getItem("held") !== null) return;
    sessionStorage.setItem("held", "");
    // eslint-disable-next-line @typescript-eslint/unbound-method -- It is called with its receiver below.
    const { postMessage } = MessagePort.prototype;
    const held: (() => void)[] = [];
    let count = 0;
    MessagePort.prototype.postMessage = function (this: MessagePort, ...sent: unknown[]) {
      const send = () => {
        postMessage.apply(this, sent as Parameters<typeof postMessage>);
      };
      count += 1;
      if (count < firstHeld) send();
      else held.push(send);
    };
    Object.assign(window, {
      heldCount: () => held.length,
      releaseHydration: () => {
        MessagePort.prototype.postMessage = postMessage;
        for (const send of held.splice(0)) send();
      },
    });
  }, firstHeld);
}

interface HeldWindow {
  heldCount: () => number;
  releaseHydration?: () => void;
}

for (const firstHeld of [2, 4]) {
  test(`a link that is clicked before hydration chunk ${firstHeld} opens its page`, async ({
    visitAnonymously,
    publisher,
    server,
  }) => {
    await publisher.publish({ headline: "The bridge is open", body: "As of today." });
    const reader = await visitAnonymously({ startPath: "/signin" });
    await holdHydration(reader.page, firstHeld);
    await reader.page.goto(server.url);
    await reader.page.waitForFunction(() => (window as unknown as HeldWindow).heldCount() === 1);
    await reader.page.getByRole("link", { name: "The bridge is open" }).click();
    await reader.page
      .evaluate(() => (window as unknown as HeldWindow).releaseHydration?.())
      .catch(() => "the page was left meanwhile");
    await expect(reader.page).toHaveURL(/\/news\/the-bridge-is-open/);
    await expect(reader.page.getByText("As of today.")).toBeVisible();
    await reader.waitUntilConnected();
    // The router answers again.
    await reader.page.locator(".site-nav").getByRole("link", { name: "News" }).click();
    await expect(reader.page.getByRole("link", { name: "The bridge is open" })).toBeVisible();
  });
}

test("a page whose program panics offers to reload, and its links and forms work as in plain HTML", async ({
  visitAnonymously,
  publisher,
  server,
}) => {
  await publisher.publish({ headline: "The bridge is open", body: "As of today." });
  const reader = await visitAnonymously({ startPath: "/signin" });
  reader.browserErrors.allow(/panicked|unreachable|RuntimeError|hydrat/i, "the program panics");
  let documents = 0;
  // Hydration does not find an element that it expects.
  await reader.page.route(server.url + "/", async (route) => {
    const response = await route.fetch();
    documents += 1;
    const html = (await response.text()).replace(/<h1[^>]*>.*?<\/h1>/s, "");
    await (documents === 1 ? route.fulfill({ response, body: html }) : route.fulfill({ response }));
  });
  await reader.page.goto(server.url);
  const alert = reader.page.getByRole("alert").filter({ hasText: "This page has stopped working" });
  await expect(alert).toBeVisible();
  const before = await reader.page.evaluate(() => performance.timeOrigin);
  await reader.page.getByRole("link", { name: "The bridge is open" }).click();
  await expect(reader.page.getByText("As of today.")).toBeVisible();
  expect(await reader.page.evaluate(() => performance.timeOrigin), "a new document").not.toBe(before);

  documents = 0;
  await reader.page.goto(server.url);
  await alert.getByRole("button", { name: "Reload" }).click();
  await reader.waitUntilConnected();
  await expect(alert).toHaveCount(0);
});
