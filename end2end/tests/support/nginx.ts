/** nginx in front of several nodes: whichever connection comes, another node gets it. Nothing keeps a browser at one of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

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
    await writeFile(file, this.configuration(nodes));
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

  private configuration(nodes: string[]): string {
    const upstream = nodes.map((node) => `server ${new URL(node).host} max_fails=0;`).join(" ");
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const folders = temporary.map((name) => `${name}_temp_path ${this.folder}/${name};`).join("\n    ");
    return `
daemon off;
pid ${this.folder}/pid;
worker_processes 1;
error_log stderr warn;
events { worker_connections 512; }
http {
    ${folders}
    access_log off;
    client_max_body_size 100m;
    map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
    upstream nodes { ${upstream} }
    server {
        listen 127.0.0.1:${this.port};
        location / {
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }
    }
}
`;
  }
}
