/** One browser tab of a person, with its page objects. */
import { type BrowserContext, type Page, expect } from "@playwright/test";
import { CallsUi } from "./calls-ui.ts";
import { ChatUi } from "./chat-ui.ts";
import { NewsUi } from "./news-ui.ts";
import type { Server } from "./server.ts";
import type { BrowserErrors } from "./browser-errors.ts";

export class Visitor {
  readonly chat: ChatUi;
  readonly calls: CallsUi;
  readonly news: NewsUi;

  constructor(
    /** Empty for a visitor who has not picked a name. */
    readonly name: string,
    readonly page: Page,
    readonly browserErrors: BrowserErrors,
    private readonly server: Server,
  ) {
    this.chat = new ChatUi(page);
    this.calls = new CallsUi(page);
    this.news = new NewsUi(page);
  }

  get context(): BrowserContext {
    return this.page.context();
  }

  /** Opens a page and waits until it is connected. */
  async open(path: string): Promise<void> {
    await this.page.goto(this.server.url + path);
    await this.waitUntilConnected();
  }

  /**
   * Waits until the page is hydrated and connected. Its news stream is open. For a visitor with a name, the WebSocket has
   * received its welcome and the call dock is loaded as well.
   */
  async waitUntilConnected(): Promise<void> {
    await this.page.waitForFunction(() => {
      const { eventSources, welcomeCount } = window.instrumentation;
      const isNamed = document.querySelector(".account-link") !== null;
      const isReachable = welcomeCount > 0 && document.querySelector(".call-dock") !== null;
      return eventSources.some((source) => source.readyState === EventSource.OPEN) && (!isNamed || isReachable);
    });
  }

  /** On the sign-in page: signs in with a name that has a password. */
  async signIn(name: string, password: string): Promise<void> {
    const form = this.page.locator("form").filter({ hasText: "If you have set a password" });
    await form.getByLabel("Name").fill(name);
    await form.getByLabel("Password").fill(password);
    await form.getByRole("button", { name: "Sign in" }).click();
  }

  /** From any page: signs out on the settings page. */
  async signOut(): Promise<void> {
    await this.open("/settings");
    await this.page.getByRole("button", { name: "Sign out" }).click();
    await expect(this.page.getByRole("link", { name: "Join" })).toBeVisible();
  }

  /** On the sign-in page: picks a name. */
  async pickName(name: string): Promise<void> {
    await this.page.getByLabel("Name").first().fill(name);
    await this.page.getByRole("button", { name: "Join" }).click();
    await expect(this.page.locator(".account-name")).toHaveText(name);
    await this.waitUntilConnected();
  }

  /** Another tab of the same browser, with the same session. */
  async openTab(path: string): Promise<Visitor> {
    const tab = new Visitor(this.name, await this.context.newPage(), this.browserErrors, this.server);
    await tab.open(path);
    return tab;
  }

  /** Makes the page believe that its tab is hidden, or visible again. */
  async setVisibility(visible: boolean): Promise<void> {
    await this.page.evaluate((visible) => {
      Object.defineProperty(document, "visibilityState", { value: visible ? "visible" : "hidden", configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, visible);
  }

  /** Takes all tabs offline until `goOnline`. */
  async goOffline(): Promise<void> {
    this.browserErrors.allow(
      /ERR_INTERNET_DISCONNECTED|Failed to fetch|WebSocket connection to .* failed/,
      "the browser is offline",
    );
    await this.context.setOffline(true);
  }

  async goOnline(): Promise<void> {
    await this.context.setOffline(false);
  }

  /** Takes only this tab offline. The returned function ends that. */
  async takeTabOffline(): Promise<() => Promise<void>> {
    this.browserErrors.allow(
      /ERR_INTERNET_DISCONNECTED|Failed to fetch|WebSocket connection to .* failed/,
      "the browser is offline",
    );
    const session = await this.context.newCDPSession(this.page);
    const emulate = async (offline: boolean) => {
      await session.send("Network.emulateNetworkConditions", {
        offline,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: -1,
      });
    };
    await emulate(true);
    return () => emulate(false);
  }

  /** Allows the errors of an outage, before the server is killed or the network is cut. */
  allowOutageErrors(): void {
    // Pending requests fail with various network errors.
    this.browserErrors.allow(
      /net::ERR_[A-Z_]+|Failed to fetch|WebSocket connection to .* failed/,
      "the server is unreachable",
    );
  }
}
