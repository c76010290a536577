/**
 * Two people behind routers that let nothing in, and a server between them: network namespaces of this test's own, from which
 * nothing leaves. Each router gives every destination another port ("symmetric", RFC 4787 section 4.1), so the two find no path
 * to each other without a relay.
 *
 * ```text
 * alice 10.51.0.2 ── router 10.50.0.2 ──┐
 *                                       ├── server 10.50.0.1
 * bob   10.52.0.2 ── router 10.50.0.3 ──┘
 * ```
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { type LaunchOptions } from "@playwright/test";
import { fileURLToPath } from "node:url";
import { BrowserProcess } from "./browser-process.ts";
import type { LaunchTarget } from "./server-node.ts";
import { nodeCount } from "./node-count.ts";

/** Runs a browser inside of a namespace; Playwright speaks with it through pipes, which go everywhere. */
const NAMESPACE_BROWSER_SCRIPT = fileURLToPath(new URL("in-namespace.sh", import.meta.url));
/** The server's address, and the port of its pages. */
const SERVER_ADDRESS = "10.50.0.1";
const SERVER_PORT = 8080;

export type ClientHost = "alice" | "bob";

/** What carries a poor line, and how long it may take to be there, in tries of 50 ms. */
const NETWORK_EMULATOR_SCRIPT = fileURLToPath(new URL("network_emulator.py", import.meta.url));
const MAX_DEVICE_POLLS = 100;

/** A line that is slow and loses some of what it carries. */
export interface NetworkImpairment {
  /** In milliseconds, in each direction. */
  delayMs: number;
  /** The share of what is lost, from 0 to 1. */
  lossRatio: number;
}

/** Which of the two networks is whose. */
const subnetNumber: Record<ClientHost, number> = { alice: 1, bob: 2 };

/** Why these tests cannot run here; nothing if they can. */
export function missingRequirement(): string | undefined {
  if (nodeCount > 1) return "its networks have one server between them, not several nodes";
  if (process.getuid?.() !== 0) return "only root may make network namespaces";
  try {
    execFileSync("ip", ["netns", "list"], { stdio: "pipe", env: environmentWithSbin() });
    execFileSync("iptables", ["--version"], { stdio: "pipe", env: environmentWithSbin() });
    execFileSync("python3", ["--version"], { stdio: "pipe" });
  } catch {
    return "ip, iptables and python3 are needed: install Debian's iproute2, iptables and python3";
  }
  return undefined;
}

let testbedCount = 0;
const activeTestbeds = new Set<NetworkTestbed>();
process.once("exit", () => {
  for (const networks of activeTestbeds) networks.deleteNamespaces();
});

export class NetworkTestbed {
  private readonly prefix = `rialto-${process.pid}-${(testbedCount += 1)}`;
  private readonly browserProcesses: BrowserProcess[] = [];
  private readonly emulators: ChildProcess[] = [];

  private constructor(private readonly impairment: NetworkImpairment | undefined) {
    activeTestbeds.add(this);
  }

  /** With a line, everything that goes to and from Alice goes by it. */
  static create(line?: NetworkImpairment): NetworkTestbed {
    const networks = new NetworkTestbed(line);
    networks.createNamespaces();
    return networks;
  }

  /** Where the server runs. */
  get serverTarget(): LaunchTarget {
    return {
      listenAddress: `${SERVER_ADDRESS}:${SERVER_PORT}`,
      commandPrefix: ["ip", "netns", "exec", this.namespaceName("server")],
    };
  }

  /** A browser of one of the two. It takes the server's address for a secure one, so that there is a camera. */
  async launchBrowser(who: ClientHost, options: LaunchOptions): Promise<BrowserProcess> {
    const secure = `--unsafely-treat-insecure-origin-as-secure=http://${SERVER_ADDRESS}:${SERVER_PORT}`;
    const machine = await BrowserProcess.start({
      ...options,
      executablePath: NAMESPACE_BROWSER_SCRIPT,
      args: [...(options.args ?? []), secure],
      env: {
        ...environmentWithSbin(),
        RIALTO_NAMESPACE: this.namespaceName(who),
        RIALTO_BROWSER: options.executablePath ?? "chromium",
      },
    });
    this.browserProcesses.push(machine);
    return machine;
  }

  /** The router of one of the two lets no UDP out, as in many offices. */
  blockUdp(who: ClientHost): void {
    this.runIptables(who, "-I", "FORWARD", "-p", "udp", "-j", "DROP");
  }

  /** The network of one of the two is gone, and nobody is told: as on a train in a tunnel. */
  cutConnection(who: ClientHost): void {
    this.runIptables(who, "-I", "FORWARD", "-j", "DROP");
  }

  /** And is there again. */
  restoreConnection(who: ClientHost): void {
    this.runIptables(who, "-D", "FORWARD", "-j", "DROP");
  }

  /** One of the two is in another network from one moment to the next: as when a phone leaves the Wi-Fi. */
  changeAddress(who: ClientHost): void {
    const [space, lan] = [this.namespaceName(who), `10.5${subnetNumber[who]}.0`];
    this.ip("-n", space, "addr", "add", `${lan}.77/24`, "dev", "eth0");
    this.ip("-n", space, "addr", "del", `${lan}.2/24`, "dev", "eth0");
    // Addresses of the same network go with the first of them, unless the system is told otherwise.
    this.tryIp("-n", space, "addr", "add", `${lan}.77/24`, "dev", "eth0");
    this.ip("-n", space, "route", "replace", "default", "via", `${lan}.1`);
  }

  /** The line, where there is one, takes so many kilobits a second from now on; without a number, as many as it can. */
  limitBandwidth(rate = 0): void {
    for (const link of this.emulators) link.stdin?.write(`rate ${rate}\n`);
  }

  async close(): Promise<void> {
    await Promise.all(this.browserProcesses.map((machine) => machine.close()));
    this.deleteNamespaces();
  }

  deleteNamespaces(): void {
    for (const link of this.emulators) link.kill();
    for (const name of ["server", "alice", "bob", "alice-router", "bob-router"]) {
      this.tryIp("netns", "del", this.namespaceName(name));
    }
    activeTestbeds.delete(this);
  }

  private createNamespaces(): void {
    for (const name of ["server", "alice", "bob", "alice-router", "bob-router"]) {
      const space = this.namespaceName(name);
      this.ip("netns", "add", space);
      // A browser takes the addresses of IPv6 that come up a second later for a change of network.
      this.runInNamespace(
        space,
        "sysctl",
        "-qw",
        "net.ipv6.conf.all.disable_ipv6=1",
        "net.ipv6.conf.default.disable_ipv6=1",
      );
      this.ip("-n", space, "link", "set", "lo", "up");
    }
    const server = this.namespaceName("server");
    this.ip("-n", server, "link", "add", "bridge", "type", "bridge");
    this.ip("-n", server, "addr", "add", `${SERVER_ADDRESS}/24`, "dev", "bridge");
    this.ip("-n", server, "link", "set", "bridge", "up");
    // Goes nowhere; without one, a program finds no address that it sends from.
    this.ip("-n", server, "route", "add", "default", "dev", "bridge");
    for (const who of ["alice", "bob"] as const) this.connectClient(who);
  }

  private connectClient(who: ClientHost): void {
    const [server, space, router] = [
      this.namespaceName("server"),
      this.namespaceName(who),
      this.namespaceName(`${who}-router`),
    ];
    const [wan, lan] = [`10.50.0.${subnetNumber[who] + 1}`, `10.5${subnetNumber[who]}.0`];
    this.ip("link", "add", "wan", "netns", router, "type", "veth", "peer", "name", `to-${who}`, "netns", server);
    if (who === "alice" && this.impairment !== undefined) this.startEmulator(router, space, this.impairment);
    else this.ip("link", "add", "lan", "netns", router, "type", "veth", "peer", "name", "eth0", "netns", space);
    this.ip("-n", server, "link", "set", `to-${who}`, "master", "bridge", "up");
    this.ip("-n", router, "addr", "add", `${wan}/24`, "dev", "wan");
    this.ip("-n", router, "addr", "add", `${lan}.1/24`, "dev", "lan");
    this.ip("-n", router, "link", "set", "wan", "up");
    this.ip("-n", router, "link", "set", "lan", "up");
    this.ip("-n", space, "addr", "add", `${lan}.2/24`, "dev", "eth0");
    this.ip("-n", space, "link", "set", "eth0", "up");
    this.ip("-n", space, "route", "add", "default", "via", `${lan}.1`);
    this.runInNamespace(router, "sysctl", "-qw", "net.ipv4.ip_forward=1");
    this.runIptables(who, "-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE", "--random-fully");
    this.runIptables(who, "-P", "FORWARD", "DROP");
    this.runIptables(who, "-A", "FORWARD", "-i", "lan", "-o", "wan", "-j", "ACCEPT");
    const answers = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"];
    this.runIptables(who, "-A", "FORWARD", "-i", "wan", "-o", "lan", ...answers, "-j", "ACCEPT");
    this.runIptables(who, "-A", "INPUT", "-i", "wan", "-j", "DROP");
  }

  /** Makes the line between a router and whoever is behind it. */
  private startEmulator(router: string, space: string, { delayMs, lossRatio }: NetworkImpairment): void {
    const link = spawn(
      "python3",
      [NETWORK_EMULATOR_SCRIPT, router, "lan", space, "eth0", String(delayMs), String(lossRatio)],
      {
        stdio: ["pipe", "ignore", "inherit"],
      },
    );
    this.emulators.push(link);
    for (let tries = 0; tries < MAX_DEVICE_POLLS; tries += 1) {
      const devices = [
        [router, "lan"],
        [space, "eth0"],
      ] as const;
      if (devices.every(([space, device]) => this.hasDevice(space, device))) return;
      execFileSync("sleep", ["0.05"]);
    }
    throw new Error("the line between the networks does not come up");
  }

  private hasDevice(space: string, device: string): boolean {
    try {
      this.ip("-n", space, "link", "show", device);
      return true;
    } catch {
      return false;
    }
  }

  private namespaceName(name: string): string {
    return `${this.prefix}-${name}`;
  }

  private runIptables(who: ClientHost, ...rule: string[]): void {
    this.runInNamespace(this.namespaceName(`${who}-router`), "iptables", ...rule);
  }

  private runInNamespace(space: string, ...command: string[]): void {
    this.ip("netns", "exec", space, ...command);
  }

  private ip(...args: string[]): void {
    execFileSync("ip", args, { stdio: "pipe", env: environmentWithSbin() });
  }

  private tryIp(...args: string[]): void {
    try {
      this.ip(...args);
    } catch {
      // It was so already.
    }
  }
}

/** Debian puts what only root uses where only root looks. */
function environmentWithSbin(): Record<string, string> {
  return { ...(process.env as Record<string, string>), PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
}
