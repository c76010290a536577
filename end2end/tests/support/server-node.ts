/** One node of the server under test: the real binary on a free port. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { killOnExit } from "./helper-process.ts";

/** Environment variables of a node, besides the defaults below. */
export type ServerEnv = Record<string, string>;

/** Where a node runs, if not in the namespace of the tests. */
export interface LaunchTarget {
  listenAddress: string;
  /** The command that runs the node there. */
  commandPrefix: string[];
}

const repositoryRoot = resolve(import.meta.dirname, "../../..");
const binary = resolve(process.env["RIALTO_BIN"] ?? findLatestBuild());
const builtSiteRoot = resolve(process.env["LEPTOS_SITE_ROOT"] ?? join(repositoryRoot, "target/site"));

/** All tests use one IP address, which needs a higher rate limit for signing in. */
const DEFAULT_ENV: ServerEnv = {
  RIALTO_SIGN_IN_BURST: "10000",
  // No requests leave this machine.
  RIALTO_STUN_SERVER: "off",
  RIALTO_TIME_SERVER: "off",
};

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 8_000;

/** The program that was built last, which `cargo leptos end-to-end` has just done. */
function findLatestBuild(): string {
  const builds = ["debug", "release"].map((profile) => join(repositoryRoot, "target", profile, "rialto"));
  const [latest] = builds.filter((path) => existsSync(path)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (latest === undefined) throw new Error("there is no program to test: run `cargo leptos build` first");
  return latest;
}

export class ServerNode {
  /** Its URL. It keeps the port when it is restarted. */
  url = "";
  /** The one-time link, while there is no administrator. */
  claimUrl: string | undefined;

  private siteRoot = builtSiteRoot;
  private child: ChildProcess | undefined;
  private stderr = "";

  constructor(
    private readonly dataDir: string,
    private readonly env: ServerEnv,
    private readonly target?: LaunchTarget,
  ) {}

  /** Starts the node: on a free port the first time, later on the same one. */
  async launch(): Promise<void> {
    const listen = this.url === "" ? (this.target?.listenAddress ?? "127.0.0.1:0") : new URL(this.url).host;
    const command = [
      ...(this.target?.commandPrefix ?? []),
      binary,
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
        fail(new Error(`${binary} printed no address within ${START_TIMEOUT_MS} ms\n${this.stderr}`));
      }, START_TIMEOUT_MS);
      child.once("error", fail);
      child.once("exit", (code) => {
        clearTimeout(timer);
        fail(new Error(`${binary} exited with code ${code}\n${this.stderr}`));
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
   * Stops the node and starts a newer build in its place. A build is identified by its browser files, so the newer one
   * has one file more.
   */
  async upgrade(): Promise<void> {
    await this.signalAndWait("SIGTERM");
    const newerSite = await mkdtemp(join(this.dataDir, "newer-"));
    await cp(this.siteRoot, newerSite, { recursive: true });
    await writeFile(join(newerSite, "pkg/newer.txt"), newerSite);
    this.siteRoot = newerSite;
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

  /** Runs another command of the binary on the same data folder, and returns its output. */
  async runCli(...args: string[]): Promise<string> {
    const done = await promisify(execFile)(binary, args, {
      env: { ...this.environment(), RIALTO_DATA: this.dataDir },
    });
    return done.stdout.trim();
  }

  private environment(): NodeJS.ProcessEnv {
    return { PATH: process.env["PATH"], LEPTOS_SITE_ROOT: this.siteRoot, ...DEFAULT_ENV, ...this.env };
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
