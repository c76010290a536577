/** A program beside the one under test: it is started, waited for, and ends with the tests at the latest. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

/** How long one may take to answer, and how often it is asked, in milliseconds. */
const START = 10_000;
const ASK = 20;

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** It does not outlive the tests, however these end. */
export function endWithTests(child: ChildProcess): void {
  running.add(child);
  child.once("exit", () => running.delete(child));
}

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

export class Program {
  private child: ChildProcess | undefined;
  private said = "";

  constructor(
    private readonly name: string,
    private readonly options: string[],
    /** What it finds in its environment, beside the path. */
    private readonly environment: Record<string, string> = {},
  ) {}

  /** Starts it, and waits until it answers. */
  async run(answers: () => Promise<boolean>): Promise<void> {
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin`;
    const env = { PATH: path, ...this.environment };
    const child = spawn(this.name, this.options, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.child = child;
    endWithTests(child);
    child.once("error", (why) => (this.said += String(why)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.said += text));
    const overdue = Date.now() + START;
    while (!(await answers())) {
      if (Date.now() > overdue) throw new Error(`${this.name} does not answer:\n${this.said}`);
      await new Promise((resolve) => setTimeout(resolve, ASK));
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
