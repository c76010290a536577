/** A separate browser process that tests can suspend, resume and kill, like one person's machine. */
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

  /** Suspends all its processes until `resume`. */
  suspend(): void {
    this.signal("SIGSTOP");
  }

  resume(): void {
    this.signal("SIGCONT");
  }

  /** Kills it without a chance to close connections. */
  async kill(): Promise<void> {
    await this.browserServer.kill();
  }

  async close(): Promise<void> {
    if (this.browser.isConnected()) {
      this.resume();
      await this.browserServer.close();
    }
  }

  /** Signals the process group: Playwright starts each browser as a group leader. */
  private signal(signal: NodeJS.Signals): void {
    const { pid } = this.browserServer.process();
    if (pid !== undefined) process.kill(-pid, signal);
  }
}
