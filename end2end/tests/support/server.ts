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
import { Node, type Place, type Settings } from "./node.ts";
import { nodes as howMany } from "./nodes.ts";

export type { Settings } from "./node.ts";

export class Server {
  private constructor(
    private readonly data: string,
    private readonly nodes: Node[],
    /** What only several nodes have. */
    private readonly shared: { database: Database; front: Nginx } | undefined,
  ) {}

  /** Starts one that is told this. At another place than the tests, it is one program in any case. */
  static async start(settings: Settings, place?: Place): Promise<Server> {
    const data = await mkdtemp(join(tmpdir(), "rialto-e2e-"));
    if (howMany === 1 || place !== undefined) {
      const server = new Server(data, [new Node(data, settings, place)], undefined);
      await server.run();
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
    const nodes = Array.from({ length: howMany }, () => new Node(data, common));
    const server = new Server(data, nodes, { database, front });
    await server.run();
    return server;
  }

  /** Where people find it. */
  get url(): string {
    return this.shared?.front.url ?? this.first.url;
  }

  /** The one-time link, as long as nobody is the administrator. Every node that starts makes a new one. */
  get claim(): string | undefined {
    return this.nodes.at(-1)?.claim;
  }

  /** Starts it, at first on any free port and later on the same one. */
  async run(): Promise<void> {
    for (const node of this.nodes) await node.run();
    await this.shared?.front.run(this.nodes.map((node) => node.url));
  }

  /** As if the power had gone. */
  async kill(): Promise<void> {
    await this.shared?.front.kill();
    await Promise.all(this.nodes.map((node) => node.kill()));
  }

  /** Stops it and starts a newer build in its place. */
  async update(): Promise<void> {
    await this.shared?.front.kill();
    for (const node of this.nodes) await node.update();
    await this.shared?.front.run(this.nodes.map((node) => node.url));
  }

  /** Stops it as an operator would, and complains about whatever it complained about. */
  async stop(): Promise<void> {
    try {
      await Promise.all(this.nodes.map((node) => node.stop()));
    } finally {
      await this.shared?.front.kill();
      await this.shared?.database.drop();
      await rm(this.data, { recursive: true, force: true });
    }
  }

  /** Runs another command of the program on the same data, and returns what it printed. */
  async command(...args: string[]): Promise<string> {
    return await this.first.command(...args);
  }

  private get first(): Node {
    const [first] = this.nodes;
    if (first === undefined) throw new Error("RIALTO_E2E_NODES is at least 1");
    return first;
  }
}
