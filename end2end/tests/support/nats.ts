/** A NATS server of a test's own, to be stopped and started again under its nodes. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Settings } from "./node.ts";
import { Program, freePort } from "./program.ts";

export class Nats {
  private readonly program: Program;

  private constructor(private readonly port: number) {
    this.program = new Program("nats-server", ["--addr", "127.0.0.1", "--port", String(port)]);
  }

  static async start(): Promise<Nats> {
    const nats = new Nats(await freePort());
    await nats.run();
    return nats;
  }

  /** What nodes are told that are to use it. */
  get settings(): Settings {
    return { RIALTO_BUS: `nats://127.0.0.1:${this.port}` };
  }

  /** Starts it where it was. */
  async run(): Promise<void> {
    await this.program.run(() => this.answers());
  }

  /** As if its machine had lost its power. */
  async kill(): Promise<void> {
    await this.program.kill("SIGKILL");
  }

  private async answers(): Promise<boolean> {
    const socket = connect(this.port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}
