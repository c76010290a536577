/** The program under test: the real binary, on a free port. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { killOnExit } from "./helper-process.ts";

/** What the program is told by its environment, beside the defaults below. */
export type ServerEnv = Record<string, string>;

/** Where the program runs, if not where the tests do. */
export interface LaunchTarget {
  /** The address it listens on. */
  listenAddress: string;
  /** The command that takes it there. */
  commandPrefix: string[];
}

const repositoryRoot = resolve(import.meta.dirname, "../../..");
const releaseBinary = resolve(process.env["RIALTO_BIN"] ?? join(repositoryRoot, "target/release/rialto"));
const siteRoot = resolve(process.env["LEPTOS_SITE_ROOT"] ?? join(repositoryRoot, "target/site"));

/** All tests come from one address, so it may sign in more often than a person would. */
const DEFAULT_ENV: ServerEnv = {
  RIALTO_SIGN_IN_BURST: "10000",
  // Nobody outside of this machine is asked for anything.
  RIALTO_STUN_SERVER: "off",
  RIALTO_TIME_SERVER: "off",
};

/** How long the program may take to start, and to stop. */
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 8_000;

export class ServerNode {
  /** Where it listens; it comes back there when it is started again. */
  url = "";
  /** The one-time link, as long as nobody is the administrator. */
  claimUrl: string | undefined;

  private binary = releaseBinary;
  private child: ChildProcess | undefined;
  private stderr = "";

  constructor(
    /** The data folder. */
    private readonly dataDir: string,
    private readonly env: ServerEnv,
    private readonly target?: LaunchTarget,
  ) {}

  /** Starts the program, at first on any free port and later on the same one. */
  async launch(): Promise<void> {
    const listen = this.url === "" ? (this.target?.listenAddress ?? "127.0.0.1:0") : new URL(this.url).host;
    const command = [
      ...(this.target?.commandPrefix ?? []),
      this.binary,
      "serve",
      "--listen",
      listen,
      "--data",
      this.dataDir,
    ];
    const [first = "", ...rest] = command;
    const child = spawn(first, rest, {
      env: this.environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    killOnExit(child);
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    const lines = createInterface({ input: child.stdout });
    const greeted = new Promise<void>((done, fail) => {
      const overdue = setTimeout(() => {
        fail(new Error(`no greeting from ${this.binary} in ${START_TIMEOUT_MS} ms\n${this.stderr}`));
      }, START_TIMEOUT_MS);
      child.once("error", fail);
      child.once("exit", (code) => {
        clearTimeout(overdue);
        fail(new Error(`${this.binary} ended with ${code}\n${this.stderr}`));
      });
      lines.on("line", (line) => {
        this.claimUrl = /https?:\S+claim=\S+/.exec(line)?.[0] ?? this.claimUrl;
        const address = /^listening on (http:\S+)/.exec(line)?.[1];
        if (address === undefined) return;
        clearTimeout(overdue);
        this.url = address;
        done();
      });
    });
    await greeted;
    await this.expectReady();
  }

  /** As if the power had gone. */
  async kill(): Promise<void> {
    await this.signalAndWait("SIGKILL");
  }

  /**
   * Stops it and starts a newer build in its place: to a page that is one whose browser files have other hashes. The hashes
   * stay, because the files do; a line that means nothing makes the difference.
   */
  async upgrade(): Promise<void> {
    await this.signalAndWait("SIGTERM");
    const folder = await mkdtemp(join(this.dataDir, "newer-"));
    this.binary = join(folder, "rialto");
    await copyFile(releaseBinary, this.binary);
    const hashes = await readFile(join(dirname(releaseBinary), "hash.txt"), "utf8");
    await writeFile(join(folder, "hash.txt"), `${hashes}\nnewer: yes\n`);
    await this.launch();
  }

  /** Stops it as an operator would, and complains about whatever it complained about. */
  async stop(): Promise<void> {
    const running = this.child?.exitCode === null && this.child.signalCode === null;
    const code = running ? await this.signalAndWait("SIGTERM") : 0;
    const bad = this.stderr.split("\n").filter((line) => /panicked| ERROR /.test(line));
    if (bad.length > 0) throw new Error(`the server said:\n${this.stderr}`);
    if (code !== 0) throw new Error(`asked to stop, the server ended with ${code}\n${this.stderr}`);
  }

  /** Runs another command of the program on the same data, and returns what it printed. */
  async runCli(...args: string[]): Promise<string> {
    const done = await promisify(execFile)(this.binary, args, {
      env: { ...this.environment(), RIALTO_DATA: this.dataDir },
    });
    return done.stdout.trim();
  }

  private environment(): NodeJS.ProcessEnv {
    return { PATH: process.env["PATH"], LEPTOS_SITE_ROOT: siteRoot, ...DEFAULT_ENV, ...this.env };
  }

  /** The greeting comes a moment before the first answer. */
  private async expectReady(): Promise<void> {
    // From here, another place cannot be asked.
    if (this.target !== undefined) return;
    const ready = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
    if (!ready.ok) throw new Error(`not ready: ${await ready.text()}`);
  }

  private async signalAndWait(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (child === undefined) return null;
    const exited = once(child, "exit", { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
    child.kill(signal);
    try {
      const [code] = (await exited) as [number | null];
      return code;
    } catch (why) {
      child.kill("SIGKILL");
      throw new Error(`the server did not stop within ${STOP_TIMEOUT_MS} ms of ${signal}\n${this.stderr}`, {
        cause: why,
      });
    }
  }
}
