/** A browser process of its own, which can fall asleep and lose its power like the machine of one person. */
import { type Browser, type BrowserServer, type LaunchOptions, chromium } from "@playwright/test";

export class Machine {
  private constructor(
    private readonly server: BrowserServer,
    readonly browser: Browser,
  ) {}

  static async start(options: LaunchOptions): Promise<Machine> {
    const server = await chromium.launchServer({ ...options, headless: true });
    return new Machine(server, await chromium.connect(server.wsEndpoint()));
  }

  /** Nothing of it runs and nothing is sent or received, until `wake`. */
  sleep(): void {
    this.signal("SIGSTOP");
  }

  wake(): void {
    this.signal("SIGCONT");
  }

  /** No time for farewells. */
  async losePower(): Promise<void> {
    await this.server.kill();
  }

  async close(): Promise<void> {
    if (this.browser.isConnected()) {
      this.wake();
      await this.server.close();
    }
  }

  /** To all of the browser's processes: Playwright starts each browser as the leader of a group. */
  private signal(signal: NodeJS.Signals): void {
    const { pid } = this.server.process();
    if (pid !== undefined) process.kill(-pid, signal);
  }
}
