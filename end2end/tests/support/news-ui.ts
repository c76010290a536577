/** Page object of the news, and a client of the publishing API. */
import { type Locator, type Page } from "@playwright/test";
import type { Server } from "./server.ts";

export class NewsUi {
  readonly headlines: Locator;
  readonly pill: Locator;
  /** Tells screen readers which story was shown at once. */
  readonly arrival: Locator;
  readonly banner: Locator;
  readonly interruption: Locator;

  constructor(page: Page) {
    this.headlines = page.locator(".stories .story h2");
    this.pill = page.getByText(/^\d+( or more)? new stor(y|ies)$/);
    this.arrival = page.getByRole("status").filter({ hasText: /^(New story: |\d+ new stories, the newest: )/ });
    this.banner = page.locator(".banner");
    this.interruption = page.getByText("Live updates have been interrupted");
  }

  headline(text: string): Locator {
    return this.headlines.filter({ hasText: text });
  }
}

/** Body of a request to publish a story. */
export interface NewStory {
  headline: string;
  body?: string;
  topic?: string;
  urgency?: "normal" | "breaking";
}

/** Publishes stories with an API token. */
export class Publisher {
  private constructor(
    private readonly server: Server,
    private readonly token: string,
  ) {}

  static async create(server: Server, name = "Agency"): Promise<Publisher> {
    return new Publisher(server, await server.runCli("token", "create", name));
  }

  /** Publishes a story. Returns its path and the times of request and response, in milliseconds since 1970. */
  async publish(draft: NewStory): Promise<{ path: string; requestedAt: number; respondedAt: number }> {
    const requestedAt = Date.now();
    const response = await fetch(`${this.server.url}/api/v1/stories`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: JSON.stringify(draft),
    });
    const respondedAt = Date.now();
    if (response.status !== 201) throw new Error(`publishing failed: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
    return { path: response.headers.get("location") ?? "", requestedAt, respondedAt };
  }
}
