/** A NATS server of one test, which the test can kill and restart while nodes use it. */
import { once } from "node:events";
import { connect } from "node:net";
import type { ServerEnv } from "./server-node.ts";
import { HelperProcess, findFreePort } from "./helper-process.ts";

export class Nats {
  private readonly process: HelperProcess;

  private constructor(private readonly port: number) {
    this.process = new HelperProcess("nats-server", ["--addr", "127.0.0.1", "--port", String(port)]);
  }

  static async start(): Promise<Nats> {
    const nats = new Nats(await findFreePort());
    await nats.launch();
    return nats;
  }

  /** Environment of nodes that use it. */
  get serverEnv(): ServerEnv {
    return { RIALTO_BUS: `nats://127.0.0.1:${this.port}` };
  }

  /** Starts it, always on the same port. */
  async launch(): Promise<void> {
    await this.process.launch(() => this.isReady());
  }

  /** Kills it, as a power failure would. */
  async kill(): Promise<void> {
    await this.process.kill("SIGKILL");
  }

  private async isReady(): Promise<boolean> {
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
