/** nginx in front of several nodes, without sticky sessions: each connection may reach another node. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HelperProcess, findFreePort } from "./helper-process.ts";

/** The configuration for deployments, which the tests adapt. */
const DEPLOYED_CONFIG_PATH = fileURLToPath(new URL("../../../deploy/nginx.conf", import.meta.url));

export class Nginx {
  private readonly configPath: string;
  private readonly process: HelperProcess;

  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {
    this.configPath = join(folder, "nginx.conf");
    this.process = new HelperProcess("nginx", ["-p", folder, "-c", this.configPath, "-e", "stderr"]);
  }

  /** Reserves a folder and a port, before the nodes run. */
  static async prepare(dataDir: string): Promise<Nginx> {
    const folder = join(dataDir, "nginx");
    await mkdir(folder);
    return new Nginx(folder, await findFreePort());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it in front of the given node URLs. */
  async launch(nodes: string[]): Promise<void> {
    const deployed = await readFile(DEPLOYED_CONFIG_PATH, "utf8");
    await writeFile(this.configPath, adaptConfig(deployed, this.folder, this.port, nodes));
    await this.process.launch(() => this.isReady());
  }

  /** Stops it and closes every connection through it. */
  async kill(): Promise<void> {
    // A fast shutdown: nginx stops its workers without waiting for pending requests.
    await this.process.kill("SIGTERM");
  }

  private async isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/readyz`)).ok;
    } catch {
      return false;
    }
  }
}

/** The deployed configuration with the test's own port, folder and nodes. */
function adaptConfig(deployed: string, folder: string, port: number, nodes: string[]): string {
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
