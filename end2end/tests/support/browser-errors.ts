/** Collects errors and warnings of a browser. Each fails the test unless the test allows it. */
import type { BrowserContext } from "@playwright/test";

interface AllowedError {
  pattern: RegExp;
  reason: string;
}

const ALWAYS_ALLOWED: AllowedError[] = [
  { pattern: /net::ERR_ABORTED/, reason: "a navigation aborts pending requests" },
  {
    pattern: /answered 4\d\d: POST .*[?&]form=|[?&]form=.*status of 4\d\d/,
    reason: "a refused plain form comes back with its status, which tests see by its words",
  },
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

  /** Allows all matching errors, earlier ones included. */
  allow(pattern: RegExp, reason: string): void {
    this.allowed.push({ pattern, reason });
  }

  /** All errors that are not allowed, each with the visitor's name. */
  unexpectedErrors(): string[] {
    const rest = this.entries.filter((line) => !this.allowed.some(({ pattern }) => pattern.test(line)));
    return rest.map((line) => `${this.visitorName}: ${line}`);
  }
}
