/** A browser process of its own, which can fall asleep and lose its power like the machine of one person. */
import { type Browser, type BrowserServer, type LaunchOptions, chromium } from "@playwright/test";

export class BrowserProcess {
  private constructor(
    private readonly browserServer: BrowserServer,
    readonly browser: Browser,
  ) {}

  static async start(options: LaunchOptions): Promise<BrowserProcess> {
    const server = await chromium.launchServer({ ...options, headless: true });
    return new BrowserProcess(server, await chromium.connect(server.wsEndpoint()));
  }

  /** Nothing of it runs and nothing is sent or received, until `wake`. */
  suspend(): void {
    this.signal("SIGSTOP");
  }

  resume(): void {
    this.signal("SIGCONT");
  }

  /** No time for farewells. */
  async kill(): Promise<void> {
    await this.browserServer.kill();
  }

  async close(): Promise<void> {
    if (this.browser.isConnected()) {
      this.resume();
      await this.browserServer.close();
    }
  }

  /** To all of the browser's processes: Playwright starts each browser as the leader of a group. */
  private signal(signal: NodeJS.Signals): void {
    const { pid } = this.browserServer.process();
    if (pid !== undefined) process.kill(-pid, signal);
  }
}
