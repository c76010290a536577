/** A program beside the one under test: it is started, waited for, and ends with the tests at the latest. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

/** How long one may take to answer, and how often it is asked, in milliseconds. */
const START_TIMEOUT_MS = 10_000;
const READY_POLL_INTERVAL_MS = 20;

const runningChildren = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of runningChildren) child.kill("SIGKILL");
});

/** It does not outlive the tests, however these end. */
export function killOnExit(child: ChildProcess): void {
  runningChildren.add(child);
  child.once("exit", () => runningChildren.delete(child));
}

/** A port on which nothing listens. */
export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

export class HelperProcess {
  private child: ChildProcess | undefined;
  private stderr = "";

  constructor(
    private readonly executable: string,
    private readonly options: string[],
    /** What it finds in its environment, beside the path. */
    private readonly environment: Record<string, string> = {},
  ) {}

  /** Starts it, and waits until it answers. */
  async launch(isReady: () => Promise<boolean>): Promise<void> {
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin`;
    const env = { PATH: path, ...this.environment };
    const child = spawn(this.executable, this.options, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.child = child;
    killOnExit(child);
    child.once("error", (why) => (this.stderr += String(why)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    const overdue = Date.now() + START_TIMEOUT_MS;
    while (!(await isReady())) {
      if (Date.now() > overdue) throw new Error(`${this.executable} does not answer:\n${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_INTERVAL_MS));
    }
  }

  /** Ends it at once, and every connection through it. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}
