/** Somebody with a browser of their own. */
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
    /** Empty for somebody who has picked no name. */
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

  /** Opens a page and waits until it is live. */
  async open(path: string): Promise<void> {
    await this.page.goto(this.server.url + path);
    await this.waitUntilConnected();
  }

  /**
   * The page is hydrated and connected: its news stream is open and, for somebody with a name, the server has welcomed its
   * socket and what calls need is here. All of it begins only once the page is live.
   */
  async waitUntilConnected(): Promise<void> {
    await this.page.waitForFunction(() => {
      const { eventSources, welcomeCount } = window.instrumentation;
      const isNamed = document.querySelector(".account-link") !== null;
      const isReachable = welcomeCount > 0 && document.querySelector(".call-dock") !== null;
      return eventSources.some((source) => source.readyState === EventSource.OPEN) && (!isNamed || isReachable);
    });
  }

  /** On the page that asks for a name: comes back with one that has a password. */
  async signIn(name: string, password: string): Promise<void> {
    const form = this.page.locator("form").filter({ hasText: "If you gave your name a password" });
    await form.getByLabel("Name").fill(name);
    await form.getByLabel("Password").fill(password);
    await form.getByRole("button", { name: "Sign in" }).click();
  }

  /** From any page: gives up the session. */
  async signOut(): Promise<void> {
    await this.open("/settings");
    await this.page.getByRole("button", { name: "Sign out" }).click();
    await expect(this.page.getByRole("link", { name: "Join" })).toBeVisible();
  }

  /** On the page that asks for a name: picks one. */
  async pickName(name: string): Promise<void> {
    await this.page.getByLabel("Name").first().fill(name);
    await this.page.getByRole("button", { name: "Join" }).click();
    await expect(this.page.locator(".account-name")).toHaveText(name);
    await this.waitUntilConnected();
  }

  /** Another tab of the same browser, with the same session. */
  async openTab(path: string): Promise<Visitor> {
    const other = new Visitor(this.name, await this.context.newPage(), this.browserErrors, this.server);
    await other.open(path);
    return other;
  }

  /** The network goes away until `online`. */
  async goOffline(): Promise<void> {
    this.browserErrors.allow(
      /ERR_INTERNET_DISCONNECTED|Failed to fetch|WebSocket connection to .* failed/,
      "the network is away",
    );
    await this.context.setOffline(true);
  }

  async goOnline(): Promise<void> {
    await this.context.setOffline(false);
  }

  /** As `offline`, for this tab alone: the others of its browser stay online. Gives what ends it. */
  async takeTabOffline(): Promise<() => Promise<void>> {
    this.browserErrors.allow(
      /ERR_INTERNET_DISCONNECTED|Failed to fetch|WebSocket connection to .* failed/,
      "the network is away",
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

  /** The server is about to be killed under this page. */
  allowOutageErrors(): void {
    // However the network says it: what was under way when the server was killed ends in many ways.
    this.browserErrors.allow(
      /net::ERR_[A-Z_]+|Failed to fetch|WebSocket connection to .* failed/,
      "the server is away",
    );
  }
}
