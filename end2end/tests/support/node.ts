/** The program under test: the real binary, on a free port. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { endWithTests } from "./program.ts";

/** What the program is told by its environment, beside the defaults below. */
export type Settings = Record<string, string>;

/** Where the program runs, if not where the tests do. */
export interface Place {
  /** The address it listens on. */
  listen: string;
  /** The command that takes it there. */
  through: string[];
}

const root = resolve(import.meta.dirname, "../../..");
const program = resolve(process.env["RIALTO_BIN"] ?? join(root, "target/release/rialto"));
const site = resolve(process.env["LEPTOS_SITE_ROOT"] ?? join(root, "target/site"));

/** All tests come from one address, so it may sign in more often than a person would. */
const defaults: Settings = {
  RIALTO_SIGN_IN_BURST: "10000",
  // Nobody outside of this machine is asked for anything.
  RIALTO_STUN_SERVER: "off",
  RIALTO_TIME_SERVER: "off",
};

/** How long the program may take to start, and to stop. */
const START = 20_000;
const STOP = 8_000;

export class Node {
  /** Where it listens; it comes back there when it is started again. */
  url = "";
  /** The one-time link, as long as nobody is the administrator. */
  claim: string | undefined;

  private program = program;
  private child: ChildProcess | undefined;
  private said = "";

  constructor(
    /** The data folder. */
    private readonly data: string,
    private readonly settings: Settings,
    private readonly place?: Place,
  ) {}

  /** Starts the program, at first on any free port and later on the same one. */
  async run(): Promise<void> {
    const listen = this.url === "" ? (this.place?.listen ?? "127.0.0.1:0") : new URL(this.url).host;
    const command = [...(this.place?.through ?? []), this.program, "serve", "--listen", listen, "--data", this.data];
    const [first = "", ...rest] = command;
    const child = spawn(first, rest, {
      env: this.environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    endWithTests(child);
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.said += text));
    const lines = createInterface({ input: child.stdout });
    const greeted = new Promise<void>((done, fail) => {
      const overdue = setTimeout(() => {
        fail(new Error(`no greeting from ${this.program} in ${START} ms\n${this.said}`));
      }, START);
      child.once("error", fail);
      child.once("exit", (code) => {
        clearTimeout(overdue);
        fail(new Error(`${this.program} ended with ${code}\n${this.said}`));
      });
      lines.on("line", (line) => {
        this.claim = /https?:\S+claim=\S+/.exec(line)?.[0] ?? this.claim;
        const address = /^listening on (http:\S+)/.exec(line)?.[1];
        if (address === undefined) return;
        clearTimeout(overdue);
        this.url = address;
        done();
      });
    });
    await greeted;
    await this.answers();
  }

  /** As if the power had gone. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /**
   * Stops it and starts a newer build in its place: to a page that is one whose browser files have other hashes. The hashes
   * stay, because the files do; a line that means nothing makes the difference.
   */
  async update(): Promise<void> {
    await this.end("SIGTERM");
    const folder = await mkdtemp(join(this.data, "newer-"));
    this.program = join(folder, "rialto");
    await copyFile(program, this.program);
    const hashes = await readFile(join(dirname(program), "hash.txt"), "utf8");
    await writeFile(join(folder, "hash.txt"), `${hashes}\nnewer: yes\n`);
    await this.run();
  }

  /** Stops it as an operator would, and complains about whatever it complained about. */
  async stop(): Promise<void> {
    const running = this.child?.exitCode === null && this.child.signalCode === null;
    const code = running ? await this.end("SIGTERM") : 0;
    const bad = this.said.split("\n").filter((line) => /panicked| ERROR /.test(line));
    if (bad.length > 0) throw new Error(`the server said:\n${this.said}`);
    if (code !== 0) throw new Error(`asked to stop, the server ended with ${code}\n${this.said}`);
  }

  /** Runs another command of the program on the same data, and returns what it printed. */
  async command(...args: string[]): Promise<string> {
    const done = await promisify(execFile)(this.program, args, {
      env: { ...this.environment(), RIALTO_DATA: this.data },
    });
    return done.stdout.trim();
  }

  private environment(): NodeJS.ProcessEnv {
    return { PATH: process.env["PATH"], LEPTOS_SITE_ROOT: site, ...defaults, ...this.settings };
  }

  /** The greeting comes a moment before the first answer. */
  private async answers(): Promise<void> {
    // From here, another place cannot be asked.
    if (this.place !== undefined) return;
    const ready = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(START) });
    if (!ready.ok) throw new Error(`not ready: ${await ready.text()}`);
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (child === undefined) return null;
    const exited = once(child, "exit", { signal: AbortSignal.timeout(STOP) });
    child.kill(signal);
    try {
      const [code] = (await exited) as [number | null];
      return code;
    } catch (why) {
      child.kill("SIGKILL");
      throw new Error(`the server did not stop within ${STOP} ms of ${signal}\n${this.said}`, { cause: why });
    }
  }
}
