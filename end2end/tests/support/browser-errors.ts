/** What goes wrong in a browser without a test asking: any of it fails the test, unless the test said why it must be. */
import type { BrowserContext } from "@playwright/test";

interface AllowedError {
  pattern: RegExp;
  reason: string;
}

/** What a navigation does to requests that are under way is no trouble. */
const ALWAYS_ALLOWED: AllowedError[] = [
  { pattern: /net::ERR_ABORTED/, reason: "a navigation gives up requests that are under way" },
];

export class BrowserErrors {
  private readonly entries: string[] = [];
  private readonly allowed = [...ALWAYS_ALLOWED];

  constructor(
    private readonly visitorName: string,
    context: BrowserContext,
  ) {
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        this.entries.push(`console ${message.type()} at ${message.location().url}: ${message.text()}`);
      }
    });
    context.on("weberror", (error) => this.entries.push(`uncaught: ${error.error().stack ?? error.error().message}`));
    context.on("requestfailed", (request) => {
      this.entries.push(`request failed: ${request.method()} ${request.url()}: ${request.failure()?.errorText ?? ""}`);
    });
    context.on("response", (response) => {
      if (response.status() >= 400) {
        this.entries.push(`answered ${response.status()}: ${response.request().method()} ${response.url()}`);
      }
    });
  }

  /** From now on and before, what matches is expected. */
  allow(pattern: RegExp, reason: string): void {
    this.allowed.push({ pattern, reason });
  }

  /** What nobody expected. */
  unexpectedErrors(): string[] {
    const rest = this.entries.filter((line) => !this.allowed.some(({ pattern }) => pattern.test(line)));
    return rest.map((line) => `${this.visitorName}: ${line}`);
  }
}
