/**
 * Two clients behind NAT routers and a server between them, in isolated network namespaces of one test. Each router maps
 * every destination to another port ("symmetric", RFC 4787 section 4.1), so the clients find no path to each other without
 * a relay.
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

/** Runs a browser in a namespace. Playwright controls it through pipes, which cross namespaces. */
const NAMESPACE_BROWSER_SCRIPT = fileURLToPath(new URL("in-namespace.sh", import.meta.url));
const SERVER_ADDRESS = "10.50.0.1";
const SERVER_PORT = 8080;

export type ClientHost = "alice" | "bob";

const NETWORK_EMULATOR_SCRIPT = fileURLToPath(new URL("network_emulator.py", import.meta.url));
/** Number of polls, 50 ms apart, until the emulator's devices must exist. */
const MAX_DEVICE_POLLS = 100;

/** Delay and packet loss of a network path. */
export interface NetworkImpairment {
  /** One-way delay in milliseconds. */
  delayMs: number;
  /** The share of frames that are lost, from 0 to 1. */
  lossRatio: number;
}

/** Subnet of each client: 10.51.0.0/24 and 10.52.0.0/24. */
const subnetNumber: Record<ClientHost, number> = { alice: 1, bob: 2 };

/** The reason why these tests cannot run here, if any. */
export function missingRequirement(): string | undefined {
  if (process.getuid?.() !== 0) return "only root may create network namespaces";
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
  for (const testbed of activeTestbeds) testbed.deleteNamespaces();
});

export class NetworkTestbed {
  private readonly prefix = `rialto-${process.pid}-${(testbedCount += 1)}`;
  private readonly browserProcesses: BrowserProcess[] = [];
  private readonly emulators: ChildProcess[] = [];

  private constructor(private readonly impairment: NetworkImpairment | undefined) {
    activeTestbeds.add(this);
  }

  /** Creates the namespaces. An impairment applies to all traffic of Alice. */
  static create(impairment?: NetworkImpairment): NetworkTestbed {
    const testbed = new NetworkTestbed(impairment);
    testbed.createNamespaces();
    return testbed;
  }

  get serverTarget(): LaunchTarget {
    return {
      listenAddress: `${SERVER_ADDRESS}:${SERVER_PORT}`,
      commandPrefix: ["ip", "netns", "exec", this.namespaceName("server")],
    };
  }

  /** Starts the browser of a client. It treats the server's origin as secure, so that pages may use the camera. */
  async launchBrowser(host: ClientHost, options: LaunchOptions): Promise<BrowserProcess> {
    const secure = `--unsafely-treat-insecure-origin-as-secure=http://${SERVER_ADDRESS}:${SERVER_PORT}`;
    const browserProcess = await BrowserProcess.start({
      ...options,
      executablePath: NAMESPACE_BROWSER_SCRIPT,
      args: [...(options.args ?? []), secure],
      env: {
        ...environmentWithSbin(),
        RIALTO_NAMESPACE: this.namespaceName(host),
        RIALTO_BROWSER: options.executablePath ?? "chromium",
      },
    });
    this.browserProcesses.push(browserProcess);
    return browserProcess;
  }

  /** Makes the router of a client drop UDP, as in many offices. */
  blockUdp(host: ClientHost): void {
    this.runIptables(host, "-I", "FORWARD", "-p", "udp", "-j", "DROP");
  }

  /** Silently drops all packets of a client, like a train in a tunnel. */
  cutConnection(host: ClientHost): void {
    this.runIptables(host, "-I", "FORWARD", "-j", "DROP");
  }

  restoreConnection(host: ClientHost): void {
    this.runIptables(host, "-D", "FORWARD", "-j", "DROP");
  }

  /** Changes the IP address of a client at once, like a phone that leaves the Wi-Fi. */
  changeAddress(host: ClientHost): void {
    const [namespace, lan] = [this.namespaceName(host), `10.5${subnetNumber[host]}.0`];
    this.ip("-n", namespace, "addr", "add", `${lan}.77/24`, "dev", "eth0");
    this.ip("-n", namespace, "addr", "del", `${lan}.2/24`, "dev", "eth0");
    // Removing a primary address also removes its secondaries, unless promote_secondaries is set.
    this.tryIp("-n", namespace, "addr", "add", `${lan}.77/24`, "dev", "eth0");
    this.ip("-n", namespace, "route", "replace", "default", "via", `${lan}.1`);
  }

  /** Limits an impaired path to `rate` kbit/s in each direction; 0 removes the limit. */
  limitBandwidth(rate = 0): void {
    for (const emulator of this.emulators) emulator.stdin?.write(`rate ${rate}\n`);
  }

  async close(): Promise<void> {
    await Promise.all(this.browserProcesses.map((browserProcess) => browserProcess.close()));
    this.deleteNamespaces();
  }

  deleteNamespaces(): void {
    for (const emulator of this.emulators) emulator.kill();
    for (const name of ["server", "alice", "bob", "alice-router", "bob-router"]) {
      this.tryIp("netns", "del", this.namespaceName(name));
    }
    activeTestbeds.delete(this);
  }

  private createNamespaces(): void {
    for (const name of ["server", "alice", "bob", "alice-router", "bob-router"]) {
      const namespace = this.namespaceName(name);
      this.ip("netns", "add", namespace);
      // No IPv6: its addresses come up a second later, which a browser takes for a change of network.
      this.runInNamespace(
        namespace,
        "sysctl",
        "-qw",
        "net.ipv6.conf.all.disable_ipv6=1",
        "net.ipv6.conf.default.disable_ipv6=1",
      );
      this.ip("-n", namespace, "link", "set", "lo", "up");
    }
    const server = this.namespaceName("server");
    this.ip("-n", server, "link", "add", "bridge", "type", "bridge");
    this.ip("-n", server, "addr", "add", `${SERVER_ADDRESS}/24`, "dev", "bridge");
    this.ip("-n", server, "link", "set", "bridge", "up");
    // Leads nowhere, but without a default route programs find no source address.
    this.ip("-n", server, "route", "add", "default", "dev", "bridge");
    for (const host of ["alice", "bob"] as const) this.connectClient(host);
  }

  private connectClient(host: ClientHost): void {
    const [server, namespace, router] = [
      this.namespaceName("server"),
      this.namespaceName(host),
      this.namespaceName(`${host}-router`),
    ];
    const [wan, lan] = [`10.50.0.${subnetNumber[host] + 1}`, `10.5${subnetNumber[host]}.0`];
    this.ip("link", "add", "wan", "netns", router, "type", "veth", "peer", "name", `to-${host}`, "netns", server);
    if (host === "alice" && this.impairment !== undefined) this.startEmulator(router, namespace, this.impairment);
    else this.ip("link", "add", "lan", "netns", router, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    this.ip("-n", server, "link", "set", `to-${host}`, "master", "bridge", "up");
    this.ip("-n", router, "addr", "add", `${wan}/24`, "dev", "wan");
    this.ip("-n", router, "addr", "add", `${lan}.1/24`, "dev", "lan");
    this.ip("-n", router, "link", "set", "wan", "up");
    this.ip("-n", router, "link", "set", "lan", "up");
    this.ip("-n", namespace, "addr", "add", `${lan}.2/24`, "dev", "eth0");
    this.ip("-n", namespace, "link", "set", "eth0", "up");
    this.ip("-n", namespace, "route", "add", "default", "via", `${lan}.1`);
    this.runInNamespace(router, "sysctl", "-qw", "net.ipv4.ip_forward=1");
    this.runIptables(host, "-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE", "--random-fully");
    this.runIptables(host, "-P", "FORWARD", "DROP");
    this.runIptables(host, "-A", "FORWARD", "-i", "lan", "-o", "wan", "-j", "ACCEPT");
    const answers = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"];
    this.runIptables(host, "-A", "FORWARD", "-i", "wan", "-o", "lan", ...answers, "-j", "ACCEPT");
    this.runIptables(host, "-A", "INPUT", "-i", "wan", "-j", "DROP");
  }

  /** Starts the emulator between a router and its client, and waits for its devices. */
  private startEmulator(router: string, namespace: string, { delayMs, lossRatio }: NetworkImpairment): void {
    const emulator = spawn(
      "python3",
      [NETWORK_EMULATOR_SCRIPT, router, "lan", namespace, "eth0", String(delayMs), String(lossRatio)],
      {
        stdio: ["pipe", "ignore", "inherit"],
      },
    );
    this.emulators.push(emulator);
    for (let tries = 0; tries < MAX_DEVICE_POLLS; tries += 1) {
      const devices = [
        [router, "lan"],
        [namespace, "eth0"],
      ] as const;
      if (devices.every(([namespace, device]) => this.hasDevice(namespace, device))) return;
      execFileSync("sleep", ["0.05"]);
    }
    throw new Error("the network emulator does not create its devices");
  }

  private hasDevice(namespace: string, device: string): boolean {
    try {
      this.ip("-n", namespace, "link", "show", device);
      return true;
    } catch {
      return false;
    }
  }

  private namespaceName(name: string): string {
    return `${this.prefix}-${name}`;
  }

  private runIptables(host: ClientHost, ...rule: string[]): void {
    this.runInNamespace(this.namespaceName(`${host}-router`), "iptables", ...rule);
  }

  private runInNamespace(namespace: string, ...command: string[]): void {
    this.ip("netns", "exec", namespace, ...command);
  }

  private ip(...args: string[]): void {
    execFileSync("ip", args, { stdio: "pipe", env: environmentWithSbin() });
  }

  private tryIp(...args: string[]): void {
    try {
      this.ip(...args);
    } catch {
      // Already in the wanted state.
    }
  }
}

/** Debian installs these tools in directories that are only on root's PATH. */
function environmentWithSbin(): Record<string, string> {
  return { ...(process.env as Record<string, string>), PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
}
