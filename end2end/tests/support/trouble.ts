/** What goes wrong in a browser without a test asking: any of it fails the test, unless the test said why it must be. */
import type { BrowserContext } from "@playwright/test";

interface Allowed {
  pattern: RegExp;
  because: string;
}

/** What a navigation does to requests that are under way is no trouble. */
const always: Allowed[] = [
  { pattern: /net::ERR_ABORTED/, because: "a navigation gives up requests that are under way" },
];

export class Trouble {
  private readonly found: string[] = [];
  private readonly allowed = [...always];

  constructor(
    private readonly who: string,
    context: BrowserContext,
  ) {
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        this.found.push(`console ${message.type()} at ${message.location().url}: ${message.text()}`);
      }
    });
    context.on("weberror", (error) => this.found.push(`uncaught: ${error.error().stack ?? error.error().message}`));
    context.on("requestfailed", (request) => {
      this.found.push(`request failed: ${request.method()} ${request.url()}: ${request.failure()?.errorText ?? ""}`);
    });
    context.on("response", (response) => {
      if (response.status() >= 400) {
        this.found.push(`answered ${response.status()}: ${response.request().method()} ${response.url()}`);
      }
    });
  }

  /** From now on and before, what matches is expected. */
  allow(pattern: RegExp, because: string): void {
    this.allowed.push({ pattern, because });
  }

  /** What nobody expected. */
  unexpected(): string[] {
    const rest = this.found.filter((line) => !this.allowed.some(({ pattern }) => pattern.test(line)));
    return rest.map((line) => `${this.who}: ${line}`);
  }
}
