/** A program that the server under test needs, started by a test and killed with the tests at the latest. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

const START_TIMEOUT_MS = 10_000;
const READY_POLL_INTERVAL_MS = 20;

const runningChildren = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of runningChildren) child.kill("SIGKILL");
});

export function killOnExit(child: ChildProcess): void {
  runningChildren.add(child);
  child.once("exit", () => runningChildren.delete(child));
}

/** Returns an unused TCP port of 127.0.0.1. */
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
    /** Environment variables besides PATH. */
    private readonly environment: Record<string, string> = {},
  ) {}

  /** Starts the program and waits until `isReady` resolves to true. */
  async launch(isReady: () => Promise<boolean>): Promise<void> {
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin`;
    const env = { PATH: path, ...this.environment };
    const child = spawn(this.executable, this.options, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.child = child;
    killOnExit(child);
    child.once("error", (error) => (this.stderr += String(error)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await isReady())) {
      if (Date.now() > deadline) throw new Error(`${this.executable} is not ready:\n${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_INTERVAL_MS));
    }
  }

  /** Sends the signal, unless the program has exited, and waits for its exit. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}
