/** What a person meets while a page is being hydrated, where its HTML was changed, and after the program has panicked. */
import { type Page } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { startTranslator } from "./support/translator.ts";

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

/** What is changed in a page before it is hydrated, and how that shows afterwards. */
const changes: { by: string; change: (page: Page) => Promise<unknown>; remains: string[] }[] = [
  {
    by: "a translator that wraps text",
    change: (page) => page.addInitScript(startTranslator, { mode: "wrap" as const, once: true }),
    remains: [],
  },
  {
    by: "a translator that replaces text",
    change: (page) => page.addInitScript(startTranslator, { mode: "replace" as const, once: true }),
    remains: [],
  },
  {
    by: "a proxy without comments and white space",
    change: (page) =>
      page.addInitScript(() => {
        document.addEventListener("DOMContentLoaded", () => {
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_COMMENT | NodeFilter.SHOW_TEXT);
          const removed: ChildNode[] = [];
          while (walker.nextNode() !== null) {
            const node = walker.currentNode as CharacterData;
            if (node instanceof Comment || node.data.trim() === "") removed.push(node);
          }
          for (const node of removed) node.remove();
          document.body.normalize();
        });
      }),
    remains: [],
  },
  {
    by: "an extension",
    change: (page) =>
      page.addInitScript(() => {
        document.addEventListener("DOMContentLoaded", () => {
          document.documentElement.dataset["extension"] = "";
          document.body.setAttribute("extension", "");
          document.head.append(document.createElement("style"));
          const ofExtension = document.createElement("div");
          ofExtension.id = "of-extension";
          document.body.prepend(ofExtension);
        });
      }),
    remains: ["#of-extension"],
  },
];

/** In each document that is loaded, somebody types a message before hydration and selects a part of it. */
function typeEarly(): void {
  document.addEventListener("DOMContentLoaded", () => {
    const field = document.querySelector("textarea");
    if (field === null) return;
    field.value = "Typed early";
    field.focus();
    field.setSelectionRange(6, 11);
  });
}

async function expectLive(ada: Visitor, grace: Visitor, texts: string[]): Promise<void> {
  for (const text of texts) {
    await grace.chat.sendMessage(text);
    await expect(ada.chat.message(text)).toBeVisible();
  }
}

for (const { by, change, remains } of changes) {
  test(`a page that was changed by ${by} is live, and keeps what was typed`, async ({ join }) => {
    const grace = await join("Grace");
    const ada = await join("Ada", { startPath: "/" });
    const { page, chat } = ada;
    ada.browserErrors.allow(/panicked|unreachable|hydrat/i, "the page cannot be hydrated");
    ada.browserErrors.allow(/Applying inline style/, "the policy does not let extensions add styles this way");
    await change(page);
    await page.addInitScript(typeEarly);
    await ada.open("/chat/general");
    await expect(chat.composer).toHaveValue("Typed early");
    await expect(chat.composer).toBeFocused();
    const document = await page.evaluate(() => performance.timeOrigin);
    const requests = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
    expect(
      requests.filter((url) => /\/fn\/(room|sidebar)/.test(url)),
      "the page has its data",
    ).toEqual([]);
    await page.keyboard.insertText("late");
    await page.keyboard.press("Enter");
    await expect(grace.chat.message("Typed late")).toBeVisible();
    await expectLive(ada, grace, ["One", "Two"]);
    expect(await chat.sentTexts()).toEqual(["Typed late", "One", "Two"]);
    for (const once of [...remains, ".skip-link", ".site-top", "main", "#latest", ".call-dock"])
      await expect(page.locator(once), once).toHaveCount(1);
    // The router follows the link once: the page before is one step back.
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "News" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "News" })).toBeVisible();
    await page.goBack();
    await expect(chat.message("Two")).toBeVisible();
    expect(await page.evaluate(() => performance.timeOrigin), "one document").toBe(document);
    await expect(page.locator(".program-stopped")).toHaveCount(0);
    // A page in a chunk of its own.
    await ada.open("/settings");
    await page.getByLabel("Dark").check();
    await page.getByRole("button", { name: "Use this theme" }).click();
    await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  });
}

test("a form works as in plain HTML while a changed page waits for the program", async ({ join, server }) => {
  const grace = await join("Grace");
  const { page, chat, browserErrors } = await join("Ada", { startPath: "/" });
  browserErrors.allow(/panicked|unreachable|hydrat|memory access|index out of bounds/i, "the page cannot be hydrated");
  // The form is hydrated, and its last button is not.
  await page.addInitScript(() => {
    document.addEventListener("DOMContentLoaded", () => document.querySelector(".send")?.prepend(new Comment()));
  });
  await page.route("**/second/**", () => new Promise<void>(() => undefined));
  const requested = page.waitForRequest("**/second/**");
  await page.goto(`${server.url}/chat/general`);
  await requested;
  await chat.composer.fill("By a plain form");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(grace.chat.message("By a plain form")).toBeVisible();
  await expect(page.locator(".program-stopped")).toHaveCount(0);
});

for (const mode of ["wrap", "replace"] as const) {
  test(`a live page goes on under a translator that can ${mode} text`, async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    const { page, chat } = ada;
    await expect(page.locator(".room-status")).toHaveText("2 people here");
    await page.evaluate(startTranslator, { mode, once: false });
    await expect(page.locator(".room-status font")).toHaveText("[2 people here]");
    await grace.chat.composer.pressSequentially("I am");
    await expect(page.locator(".typing-line")).toHaveText("[Grace is typing…]");
    await expectLive(ada, grace, ["One", "Two", "Three"]);
    await expect(page.locator(".typing-line")).toHaveText("");
    await expect(chat.timeline.locator(".message-text font")).toHaveText(["[One]", "[Two]", "[Three]"]);
    await chat.sendMessage("Four");
    await chat.expectAllAcknowledged();
    await expect(chat.timeline.locator(".message-text")).toHaveText(["[One]", "[Two]", "[Three]", "[Four]"]);
    // Another room and back.
    await grace.chat.openDirectRoom("Ada");
    await grace.chat.sendMessage("Only for you");
    await expect(chat.roomLink("Grace").locator(".badge")).toContainText("1");
    await chat.roomLink("Grace").click();
    await expect(chat.message("Only for you")).toBeVisible();
    await grace.calls.call("Ada", "voice");
    await ada.calls.decline();
    await expect(chat.timeline.locator(".message-call")).toHaveText(/declined/);
    // What the program removes is gone, and what it shows is there without the translator too.
    await page.locator("h1").evaluate((heading) => heading.firstChild?.remove());
    await expect(page.locator("h1")).toHaveText("");
    await page.evaluate(() => document.dispatchEvent(new Event("showoriginal")));
    await expect(chat.timeline.locator(".message-text")).toHaveText(/^\[?Only for you\]?$/);
    await grace.chat.sendMessage("Five");
    await expect(chat.timeline.locator(".message-text").last()).toHaveText("Five");
    await expect(page.locator(".program-stopped")).toHaveCount(0);
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
  // Hydration does not find an element that it expects, and the page cannot be mounted anew either.
  await reader.page.addInitScript(() => {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- It is called with its receiver below.
    const { createElement } = Document.prototype;
    Document.prototype.createElement = function (this: Document, name: string) {
      if (name === "main" && document.querySelector("main h1") === null) throw new Error("no element can be made");
      return createElement.call(this, name);
    };
  });
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
