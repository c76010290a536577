/** Browsers that lack APIs, because of a private mode, a policy, an extension or their age. */
import { type Page } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { Visitor as Tab } from "./support/visitor.ts";
import type { Server } from "./support/server.ts";

/** What the program asks for, or might. `src/ui/browser_apis.rs` says what happens without each. */
const apis = [
  "RTCPeerConnection",
  "Notification",
  "ResizeObserver",
  "IntersectionObserver",
  "AudioContext",
  "BroadcastChannel",
  "MessageChannel",
  "localStorage",
  "sessionStorage",
  "Intl",
  "visualViewport",
  "navigator.mediaDevices",
  "navigator.locks",
  "navigator.userActivation",
  "navigator.serviceWorker",
  "navigator.wakeLock",
  "navigator.clipboard",
  "navigator.share",
  "navigator.setAppBadge",
  "navigator.clearAppBadge",
  "crypto.subtle",
  "crypto.randomUUID",
  "document.startViewTransition",
  "document.pictureInPictureEnabled",
  "document.fullscreenEnabled",
  "AbortSignal.timeout",
];

type Absence = "missing" | "undefined" | "throwing";

/** Runs in the page, so it must not refer to anything outside itself. */
function removeApis({ apis, absence }: { apis: string[]; absence: Absence }): void {
  for (const api of apis) {
    const names = api.split(".");
    const name = names.pop() ?? "";
    let owner = names.reduce<object>((object, name) => Reflect.get(object, name) as object, window);
    // A constructor is missing or undefined, but never throws.
    const isConstructor = /^[A-Z]/.test(name);
    if (absence !== "missing") {
      const get = () => {
        if (absence === "throwing" && !isConstructor)
          throw new DOMException("Access is denied for this document.", "SecurityError");
      };
      Object.defineProperty(owner, name, { get, configurable: true });
      continue;
    }
    for (; !Object.hasOwn(owner, name) && name in owner;) owner = Reflect.getPrototypeOf(owner) ?? owner;
    Reflect.deleteProperty(owner, name);
  }
}

/** A further tab of a visitor's browser, without these APIs. */
async function createTab(visitor: Visitor, server: Server, apis: string[], absence: Absence): Promise<Visitor> {
  const page: Page = await visitor.context.newPage();
  await page.addInitScript(removeApis, { apis, absence });
  return new Tab(visitor.name, page, visitor.browserErrors, server);
}

test("every page works without the APIs that a browser may lack, and a message can be sent", async ({
  join,
  visitAnonymously,
  server,
}) => {
  const [ada, stranger] = [await join("Ada"), await visitAnonymously({ startPath: "/signin" })];
  for (const absence of ["missing", "undefined", "throwing"] as const) {
    const tab = await createTab(ada, server, apis, absence);
    for (const path of ["/", "/settings", "/calls", "/chat/general"]) await tab.open(path);
    await tab.chat.sendMessage(`Sent with APIs ${absence}`);
    await expect(ada.chat.message(`Sent with APIs ${absence}`)).toBeVisible();
    // Without Intl, times are in UTC.
    await expect(tab.chat.message(`Sent with APIs ${absence}`).locator("time")).toHaveText(/^\d\d:\d\d UTC$/);
    await tab.page.close();
    const signIn = await createTab(stranger, server, apis, absence);
    await signIn.open("/signin");
    await signIn.page.close();
  }
  for (const api of ["Notification", "ResizeObserver", "MessageChannel", "sessionStorage", "Intl"]) {
    const tab = await createTab(ada, server, [api], "undefined");
    await tab.open("/chat/general");
    await tab.page.close();
  }
});

test("without session storage an outdated page shows a notice instead of reloading for ever", async ({
  join,
  server,
}) => {
  const ada = await join("Ada");
  const tab = await createTab(ada, server, ["sessionStorage"], "throwing");
  await tab.page.addInitScript(() => {
    addEventListener("DOMContentLoaded", () => {
      document.querySelector("meta[name=rialto-build]")?.setAttribute("content", "former");
    });
  });
  let documents = 0;
  tab.page.on("domcontentloaded", () => (documents += 1));
  await tab.open("/settings");
  await expect(tab.page.getByText("A new version of Rialto is available.")).toBeVisible();
  expect(documents).toBe(1);
});

test("without WebAssembly a page stays plain HTML, in which messages can be sent", async ({ join, server }) => {
  const ada = await join("Ada");
  const tab = await createTab(ada, server, ["WebAssembly"], "missing");
  const programs: string[] = [];
  tab.page.on("request", (request) => {
    if (request.url().endsWith(".wasm")) programs.push(request.url());
  });
  await tab.page.goto(`${server.url}/chat/general`);
  // The program would be loaded after the first paint.
  await tab.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => setTimeout(done)))));
  expect(programs).toEqual([]);
  await tab.chat.composer.fill("Sent as a form");
  await tab.page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(tab.chat.message("Sent as a form")).toBeVisible();
  await expect(ada.chat.message("Sent as a form")).toBeVisible();
});

test("a browser without WebRTC starts and answers no call, and both sides read why", async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const tab = await createTab(grace, server, ["RTCPeerConnection"], "undefined");
  await tab.open("/chat/general");
  await grace.page.close();

  await tab.page.locator(".chat-rooms").getByRole("button", { name: "Video call Ada" }).click();
  await expect(tab.calls.preview).toContainText("This browser cannot make calls");
  await expect(tab.calls.preview.getByRole("button")).toHaveText(["Cancel"]);
  expect(await tab.calls.openDevices(), "no device is asked for").toEqual({ microphone: false, camera: false });
  await tab.calls.preview.getByRole("button", { name: "Cancel" }).click();

  const title = await tab.page.title();
  await ada.calls.call("Grace", "voice");
  await expect(ada.calls.endedCard).toContainText("Voice call, could not connect");
  await expect(ada.calls.endedCard).toContainText("Grace's browser cannot make calls. Send a message");
  await expect(tab.calls.endedCard).toContainText("This browser cannot make calls");
  expect(await tab.page.title(), "it did not ring").toBe(title);

  // A page of another browser of hers rings.
  const capable = await grace.openTab("/chat/general");
  await ada.calls.endedCard.getByRole("button", { name: "Call back" }).click();
  await ada.calls.startFromPreview();
  await expect(tab.calls.incoming).toContainText("This browser cannot make calls");
  await expect(tab.calls.incoming.getByRole("button")).toHaveText(["Decline"]);
  expect(await tab.page.title(), "it does not ring").toBe(title);
  await capable.calls.accept();
  await Promise.all([ada.calls.expectConnected(), capable.calls.expectConnected()]);
  await expect(tab.calls.incoming).toHaveCount(0);
});
