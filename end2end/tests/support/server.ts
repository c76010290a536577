/**
 * The site under test: the program, with a data folder of its own.
 *
 * With `RIALTO_E2E_NODES` it is so many programs behind nginx, which hands every connection to another of them, on one PostgreSQL
 * database and one NATS server (`scripts/e2e.sh --nodes N` provides both). Tests do not know.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "./database.ts";
import { Nginx } from "./nginx.ts";
import { ServerNode, type LaunchTarget, type ServerEnv } from "./server-node.ts";
import { nodeCount } from "./node-count.ts";

export type { ServerEnv } from "./server-node.ts";

export class Server {
  private constructor(
    private readonly dataDir: string,
    private readonly nodes: ServerNode[],
    /** What only several nodes have. */
    private readonly cluster: { database: Database; loadBalancer: Nginx } | undefined,
  ) {}

  /** Starts one that is told this. At another place than the tests, it is one program in any case. */
  static async start(settings: ServerEnv, target?: LaunchTarget): Promise<Server> {
    const data = await mkdtemp(join(tmpdir(), "rialto-e2e-"));
    if (nodeCount === 1 || target !== undefined) {
      const server = new Server(data, [new ServerNode(data, settings, target)], undefined);
      await server.launch();
      return server;
    }
    const bus = settings["RIALTO_BUS"] ?? process.env["RIALTO_TEST_BUS"];
    if (bus === undefined) throw new Error("several nodes need NATS: scripts/e2e.sh --nodes N");
    const database = await Database.create();
    const front = await Nginx.prepare(data);
    const common = {
      ...settings,
      RIALTO_BUS: bus,
      RIALTO_DATABASE_URL: database.url,
      RIALTO_PUBLIC_URL: front.url,
    };
    const nodes = Array.from({ length: nodeCount }, () => new ServerNode(data, common));
    const server = new Server(data, nodes, { database, loadBalancer: front });
    await server.launch();
    return server;
  }

  /** Where people find it. */
  get url(): string {
    return this.cluster?.loadBalancer.url ?? this.firstNode.url;
  }

  /** The one-time link, as long as nobody is the administrator. Every node that starts makes a new one. */
  get claimUrl(): string | undefined {
    return this.nodes.at(-1)?.claimUrl;
  }

  /** Starts it, at first on any free port and later on the same one. */
  async launch(): Promise<void> {
    for (const node of this.nodes) await node.launch();
    await this.cluster?.loadBalancer.launch(this.nodes.map((node) => node.url));
  }

  /** As if the power had gone. */
  async kill(): Promise<void> {
    await this.cluster?.loadBalancer.kill();
    await Promise.all(this.nodes.map((node) => node.kill()));
  }

  /** Stops it and starts a newer build in its place. */
  async upgrade(): Promise<void> {
    await this.cluster?.loadBalancer.kill();
    for (const node of this.nodes) await node.upgrade();
    await this.cluster?.loadBalancer.launch(this.nodes.map((node) => node.url));
  }

  /** Stops it as an operator would, and complains about whatever it complained about. */
  async stop(): Promise<void> {
    try {
      await Promise.all(this.nodes.map((node) => node.stop()));
    } finally {
      await this.cluster?.loadBalancer.kill();
      await this.cluster?.database.drop();
      await rm(this.dataDir, { recursive: true, force: true });
    }
  }

  /** Runs another command of the program on the same data, and returns what it printed. */
  async runCli(...args: string[]): Promise<string> {
    return await this.firstNode.runCli(...args);
  }

  private get firstNode(): ServerNode {
    const [first] = this.nodes;
    if (first === undefined) throw new Error("RIALTO_E2E_NODES is at least 1");
    return first;
  }
}
