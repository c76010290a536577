/** Somebody with a browser of their own. */
import type { BrowserContext, Page } from "@playwright/test";
import { Calls } from "./calls.ts";
import { Chat } from "./chat.ts";
import { News } from "./news.ts";
import type { Server } from "./server.ts";
import type { Trouble } from "./trouble.ts";

export class Visitor {
  readonly chat: Chat;
  readonly calls: Calls;
  readonly news: News;

  constructor(
    /** Empty for somebody who has picked no name. */
    readonly name: string,
    readonly page: Page,
    readonly trouble: Trouble,
    private readonly server: Server,
  ) {
    this.chat = new Chat(page);
    this.calls = new Calls(page);
    this.news = new News(page);
  }

  get context(): BrowserContext {
    return this.page.context();
  }

  /** Opens a page and waits until it is live. */
  async open(path: string): Promise<void> {
    await this.page.goto(this.server.url + path);
    await this.live();
  }

  /**
   * The page is hydrated and connected: its news stream is open and, for somebody with a name, the server has welcomed its
   * socket. Both begin only once the page is live.
   */
  async live(): Promise<void> {
    await this.page.waitForFunction(() => {
      const { sources, welcomes } = window.observed;
      const isNamed = document.querySelector(".account-link") !== null;
      return sources.some((source) => source.readyState === EventSource.OPEN) && (!isNamed || welcomes > 0);
    });
  }

  /** Another tab of the same browser, with the same session. */
  async tab(path: string): Promise<Visitor> {
    const other = new Visitor(this.name, await this.context.newPage(), this.trouble, this.server);
    await other.open(path);
    return other;
  }

  /** The network goes away until `online`. */
  async offline(): Promise<void> {
    this.trouble.allow(/ERR_INTERNET_DISCONNECTED|WebSocket connection to .* failed/, "the network is away");
    await this.context.setOffline(true);
  }

  async online(): Promise<void> {
    await this.context.setOffline(false);
  }

  /** The server is about to be killed under this page. */
  expectsOutage(): void {
    this.trouble.allow(
      /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|WebSocket connection to .* failed/,
      "the server is away",
    );
  }
}
