/** One node of the server under test: the real program on a free port. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { type Build, currentBuild } from "./builds.ts";
import { killOnExit } from "./helper-process.ts";

/** Environment variables of a node, besides the defaults below. */
export type ServerEnv = Record<string, string>;

/** Where a node runs, if not in the namespace of the tests. */
export interface LaunchTarget {
  listenAddress: string;
  /** The command that runs the node there. */
  commandPrefix: string[];
}

/** All tests use one IP address, which needs a higher rate limit for signing in. */
const DEFAULT_ENV: ServerEnv = {
  RIALTO_LIMITS: "sign-ins=10000",
  // No requests leave this machine.
  RIALTO_STUN_SERVER: "off",
  RIALTO_TIME_SERVER: "off",
};

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 8_000;

export class ServerNode {
  /** Its URL. It keeps the port when it is restarted. */
  url = "";
  /** The one-time link, while there is no administrator. */
  claimUrl: string | undefined;

  private child: ChildProcess | undefined;
  private stderr = "";

  constructor(
    private readonly dataDir: string,
    private readonly env: ServerEnv,
    private readonly target?: LaunchTarget,
    private build: Build = currentBuild,
  ) {}

  /** Starts the node: on a free port the first time, later on the same one. */
  async launch(): Promise<void> {
    const listen = this.url === "" ? (this.target?.listenAddress ?? "127.0.0.1:0") : new URL(this.url).host;
    const command = [
      ...(this.target?.commandPrefix ?? []),
      this.build.binary,
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
    const listening = new Promise<void>((done, fail) => {
      const timer = setTimeout(() => {
        fail(new Error(`${this.build.binary} printed no address within ${START_TIMEOUT_MS} ms\n${this.stderr}`));
      }, START_TIMEOUT_MS);
      child.once("error", fail);
      child.once("exit", (code) => {
        clearTimeout(timer);
        fail(new Error(`${this.build.binary} exited with code ${code}\n${this.stderr}`));
      });
      lines.on("line", (line) => {
        this.claimUrl = /https?:\S+claim=\S+/.exec(line)?.[0] ?? this.claimUrl;
        const address = /^listening on (http:\S+)/.exec(line)?.[1];
        if (address === undefined) return;
        clearTimeout(timer);
        this.url = address;
        done();
      });
    });
    await listening;
    await this.expectReady();
  }

  /** Kills the node, as a power failure would. */
  async kill(): Promise<void> {
    await this.signalAndWait("SIGKILL");
  }

  /**
   * Stops the node and starts a newer build in its place: the one under test. If it runs already, a copy that has one
   * more browser file, by which a build is identified.
   */
  async upgrade(): Promise<void> {
    await this.signalAndWait("SIGTERM");
    if (this.build.binary === currentBuild.binary) {
      const siteRoot = await mkdtemp(join(this.dataDir, "newer-"));
      await cp(this.build.siteRoot, siteRoot, { recursive: true });
      await writeFile(join(siteRoot, "pkg/newer.txt"), siteRoot);
      this.build = { ...currentBuild, siteRoot };
    } else {
      this.build = currentBuild;
    }
    await this.launch();
  }

  /** Stops the node with SIGTERM. Fails if it logged an error, panicked or exited with a non-zero code. */
  async stop(): Promise<void> {
    const running = this.child?.exitCode === null && this.child.signalCode === null;
    const code = running ? await this.signalAndWait("SIGTERM") : 0;
    const bad = this.stderr.split("\n").filter((line) => /panicked| ERROR /.test(line));
    if (bad.length > 0) throw new Error(`the server logged errors:\n${this.stderr}`);
    if (code !== 0) throw new Error(`on SIGTERM the server exited with code ${code}\n${this.stderr}`);
  }

  /** Runs another command of the program on the same data folder, and returns its output. */
  async runCli(...args: string[]): Promise<string> {
    const done = await promisify(execFile)(this.build.binary, args, {
      env: { ...this.environment(), RIALTO_DATA: this.dataDir },
    });
    return done.stdout.trim();
  }

  private environment(): NodeJS.ProcessEnv {
    return { PATH: process.env["PATH"], LEPTOS_SITE_ROOT: this.build.siteRoot, ...DEFAULT_ENV, ...this.env };
  }

  /** Waits for `/readyz`: the address is printed shortly before requests are answered. */
  private async expectReady(): Promise<void> {
    // The tests cannot reach another namespace.
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
    } catch (error) {
      child.kill("SIGKILL");
      throw new Error(`the server did not stop within ${STOP_TIMEOUT_MS} ms of ${signal}\n${this.stderr}`, {
        cause: error,
      });
    }
  }
}
