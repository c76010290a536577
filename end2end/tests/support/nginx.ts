/** nginx in front of several nodes: whichever connection comes, another node gets it. Nothing keeps a browser at one of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What people put in front of their nodes. */
const DEPLOYED = fileURLToPath(new URL("../../../deploy/nginx.conf", import.meta.url));
/** How long it may take to start. */
const START = 10_000;

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Nginx {
  private child: ChildProcess | undefined;
  private said = "";

  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {}

  /** Finds a port for it, before there is anything behind it. */
  static async prepare(data: string): Promise<Nginx> {
    const folder = join(data, "nginx");
    await mkdir(folder);
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    return new Nginx(folder, port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, in front of these addresses. */
  async run(nodes: string[]): Promise<void> {
    const file = join(this.folder, "nginx.conf");
    const deployed = await readFile(DEPLOYED, "utf8");
    await writeFile(file, configuration(deployed, this.folder, this.port, nodes));
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin`;
    const child = spawn("nginx", ["-p", this.folder, "-c", file, "-e", "stderr"], {
      env: { PATH: path },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child = child;
    running.add(child);
    child.once("exit", () => running.delete(child));
    child.once("error", (why) => (this.said += String(why)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.said += text));
    const overdue = Date.now() + START;
    while (!(await this.answers())) {
      if (Date.now() > overdue) throw new Error(`nginx does not answer:\n${this.said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it at once, and every connection through it. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    // It ends its workers, and does not wait for what is under way.
    child.kill("SIGTERM");
    await exited;
  }

  private async answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/readyz`)).ok;
    } catch {
      return false;
    }
  }
}

/** What is deployed, on a port of this test, with its own folder, and in front of its nodes. */
function configuration(deployed: string, folder: string, port: number, nodes: string[]): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const folders = temporary.map((name) => `    ${name}_temp_path ${folder}/${name};`).join("\n");
  const servers = nodes.map((node) => `server ${new URL(node).host} $1;`).join("\n        ");
  const changes: [RegExp, string][] = [
    [/^worker_processes auto;$/m, `worker_processes 1;\ndaemon off;\npid ${folder}/pid;\nerror_log stderr warn;`],
    [/^worker_rlimit_nofile \d+;$/m, ""],
    [/^http \{$/m, `http {\n${folders}`],
    [/server rialto1:3000 ([^;]*);(\s*server rialto\d:3000 [^;]*;)*/, servers],
    [/listen 8080;/, `listen 127.0.0.1:${port};`],
  ];
  let text = deployed;
  for (const [from, to] of changes) {
    if (!from.test(text)) throw new Error(`deploy/nginx.conf has no ${String(from)}`);
    text = text.replace(from, to);
  }
  return text;
}
