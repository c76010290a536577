/**
 * The server under test, with its own data folder.
 *
 * `RIALTO_E2E_NODES` sets the number of nodes. Several nodes run behind nginx, on one PostgreSQL database and one NATS
 * server, which `scripts/e2e.sh --nodes N` provides. Tests need not know.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Build } from "./builds.ts";
import { Database } from "./database.ts";
import { Nginx } from "./nginx.ts";
import { ServerNode, type LaunchTarget, type ServerEnv } from "./server-node.ts";
import { nodeCount } from "./node-count.ts";

export type { ServerEnv } from "./server-node.ts";

export class Server {
  private constructor(
    private readonly dataDir: string,
    private readonly nodes: ServerNode[],
    /** Only with several nodes. */
    private readonly cluster: { database: Database; loadBalancer: Nginx } | undefined,
  ) {}

  /** Starts a server with these environment variables. With a launch target, it always has one node. */
  static async start(serverEnv: ServerEnv, target?: LaunchTarget, build?: Build): Promise<Server> {
    const dataDir = await mkdtemp(join(tmpdir(), "rialto-e2e-"));
    if (nodeCount === 1 || target !== undefined) {
      const server = new Server(dataDir, [new ServerNode(dataDir, serverEnv, target, build)], undefined);
      await server.launch();
      return server;
    }
    const bus = serverEnv["RIALTO_BUS"] ?? process.env["RIALTO_TEST_BUS"];
    if (bus === undefined) throw new Error("several nodes need NATS: scripts/e2e.sh --nodes N");
    const database = await Database.create();
    const loadBalancer = await Nginx.prepare(dataDir);
    const nodeEnv = {
      ...serverEnv,
      RIALTO_BUS: bus,
      RIALTO_DATABASE_URL: database.url,
      RIALTO_PUBLIC_URL: loadBalancer.url,
    };
    const nodes = Array.from({ length: nodeCount }, () => new ServerNode(dataDir, nodeEnv, undefined, build));
    const server = new Server(dataDir, nodes, { database, loadBalancer });
    await server.launch();
    return server;
  }

  /** The URL that browsers open: of nginx, or of the only node. */
  get url(): string {
    return this.cluster?.loadBalancer.url ?? this.firstNode.url;
  }

  /** The one-time link, while there is no administrator. Each starting node replaces it. */
  get claimUrl(): string | undefined {
    return this.nodes.at(-1)?.claimUrl;
  }

  /** Starts all nodes: on free ports the first time, later on the same ones. */
  async launch(): Promise<void> {
    for (const node of this.nodes) await node.launch();
    await this.cluster?.loadBalancer.launch(this.nodes.map((node) => node.url));
  }

  /** Kills nginx and all nodes, as a power failure would. */
  async kill(): Promise<void> {
    await this.cluster?.loadBalancer.kill();
    await Promise.all(this.nodes.map((node) => node.kill()));
  }

  /** Stops all nodes and starts a newer build in their place. */
  async upgrade(): Promise<void> {
    await this.cluster?.loadBalancer.kill();
    for (const node of this.nodes) await node.upgrade();
    await this.cluster?.loadBalancer.launch(this.nodes.map((node) => node.url));
  }

  /** Stops all nodes with SIGTERM and deletes the data. Fails if a node logged an error. */
  async stop(): Promise<void> {
    try {
      await Promise.all(this.nodes.map((node) => node.stop()));
    } finally {
      await this.cluster?.loadBalancer.kill();
      await this.cluster?.database.drop();
      await rm(this.dataDir, { recursive: true, force: true });
    }
  }

  /** Runs another command of the binary on the same data folder, and returns its output. */
  async runCli(...args: string[]): Promise<string> {
    return await this.firstNode.runCli(...args);
  }

  private get firstNode(): ServerNode {
    const [first] = this.nodes;
    if (first === undefined) throw new Error("RIALTO_E2E_NODES must be at least 1");
    return first;
  }
}
