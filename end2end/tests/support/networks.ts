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
import { Machine } from "./machine.ts";
import type { Place } from "./node.ts";
import { nodes } from "./nodes.ts";

/** Runs a browser inside of a namespace; Playwright speaks with it through pipes, which go everywhere. */
const BROWSER = fileURLToPath(new URL("in-namespace.sh", import.meta.url));
/** The server's address, and the port of its pages. */
const SERVER = "10.50.0.1";
const PORT = 8080;

export type Who = "alice" | "bob";

/** What carries a poor line, and how long it may take to be there, in tries of 50 ms. */
const LINK = fileURLToPath(new URL("link.py", import.meta.url));
const TRIES = 100;

/** A line that is slow and loses some of what it carries. */
export interface Line {
  /** In milliseconds, in each direction. */
  delay: number;
  /** The share of what is lost, from 0 to 1. */
  loss: number;
}

/** Which of the two networks is whose. */
const number: Record<Who, number> = { alice: 1, bob: 2 };

/** Why these tests cannot run here; nothing if they can. */
export function missing(): string | undefined {
  if (nodes > 1) return "its networks have one server between them, not several nodes";
  if (process.getuid?.() !== 0) return "only root may make network namespaces";
  try {
    execFileSync("ip", ["netns", "list"], { stdio: "pipe", env: environment() });
    execFileSync("iptables", ["--version"], { stdio: "pipe", env: environment() });
    execFileSync("python3", ["--version"], { stdio: "pipe" });
  } catch {
    return "ip, iptables and python3 are needed: install Debian's iproute2, iptables and python3";
  }
  return undefined;
}

let made = 0;
const standing = new Set<Networks>();
process.once("exit", () => {
  for (const networks of standing) networks.down();
});

export class Networks {
  private readonly prefix = `rialto-${process.pid}-${(made += 1)}`;
  private readonly machines: Machine[] = [];
  private readonly links: ChildProcess[] = [];

  private constructor(private readonly line: Line | undefined) {
    standing.add(this);
  }

  /** With a line, everything that goes to and from Alice goes by it. */
  static up(line?: Line): Networks {
    const networks = new Networks(line);
    networks.build();
    return networks;
  }

  /** Where the server runs. */
  get server(): Place {
    return { listen: `${SERVER}:${PORT}`, through: ["ip", "netns", "exec", this.space("server")] };
  }

  /** A browser of one of the two. It takes the server's address for a secure one, so that there is a camera. */
  async machine(who: Who, options: LaunchOptions): Promise<Machine> {
    const secure = `--unsafely-treat-insecure-origin-as-secure=http://${SERVER}:${PORT}`;
    const machine = await Machine.start({
      ...options,
      executablePath: BROWSER,
      args: [...(options.args ?? []), secure],
      env: {
        ...environment(),
        RIALTO_NAMESPACE: this.space(who),
        RIALTO_BROWSER: options.executablePath ?? "chromium",
      },
    });
    this.machines.push(machine);
    return machine;
  }

  /** The router of one of the two lets no UDP out, as in many offices. */
  blockUdp(who: Who): void {
    this.rule(who, "-I", "FORWARD", "-p", "udp", "-j", "DROP");
  }

  /** The network of one of the two is gone, and nobody is told: as on a train in a tunnel. */
  cut(who: Who): void {
    this.rule(who, "-I", "FORWARD", "-j", "DROP");
  }

  /** And is there again. */
  mend(who: Who): void {
    this.rule(who, "-D", "FORWARD", "-j", "DROP");
  }

  /** One of the two is in another network from one moment to the next: as when a phone leaves the Wi-Fi. */
  move(who: Who): void {
    const [space, lan] = [this.space(who), `10.5${number[who]}.0`];
    this.ip("-n", space, "addr", "add", `${lan}.77/24`, "dev", "eth0");
    this.ip("-n", space, "addr", "del", `${lan}.2/24`, "dev", "eth0");
    // Addresses of the same network go with the first of them, unless the system is told otherwise.
    this.try("-n", space, "addr", "add", `${lan}.77/24`, "dev", "eth0");
    this.ip("-n", space, "route", "replace", "default", "via", `${lan}.1`);
  }

  /** The line, where there is one, takes so many kilobits a second from now on; without a number, as many as it can. */
  narrow(rate = 0): void {
    for (const link of this.links) link.stdin?.write(`rate ${rate}\n`);
  }

  async close(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.close()));
    this.down();
  }

  down(): void {
    for (const link of this.links) link.kill();
    for (const name of ["server", "alice", "bob", "alice-router", "bob-router"]) {
      this.try("netns", "del", this.space(name));
    }
    standing.delete(this);
  }

  private build(): void {
    for (const name of ["server", "alice", "bob", "alice-router", "bob-router"]) {
      const space = this.space(name);
      this.ip("netns", "add", space);
      // A browser takes the addresses of IPv6 that come up a second later for a change of network.
      this.run(space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1");
      this.ip("-n", space, "link", "set", "lo", "up");
    }
    const server = this.space("server");
    this.ip("-n", server, "link", "add", "bridge", "type", "bridge");
    this.ip("-n", server, "addr", "add", `${SERVER}/24`, "dev", "bridge");
    this.ip("-n", server, "link", "set", "bridge", "up");
    // Goes nowhere; without one, a program finds no address that it sends from.
    this.ip("-n", server, "route", "add", "default", "dev", "bridge");
    for (const who of ["alice", "bob"] as const) this.connect(who);
  }

  private connect(who: Who): void {
    const [server, space, router] = [this.space("server"), this.space(who), this.space(`${who}-router`)];
    const [wan, lan] = [`10.50.0.${number[who] + 1}`, `10.5${number[who]}.0`];
    this.ip("link", "add", "wan", "netns", router, "type", "veth", "peer", "name", `to-${who}`, "netns", server);
    if (who === "alice" && this.line !== undefined) this.carry(router, space, this.line);
    else this.ip("link", "add", "lan", "netns", router, "type", "veth", "peer", "name", "eth0", "netns", space);
    this.ip("-n", server, "link", "set", `to-${who}`, "master", "bridge", "up");
    this.ip("-n", router, "addr", "add", `${wan}/24`, "dev", "wan");
    this.ip("-n", router, "addr", "add", `${lan}.1/24`, "dev", "lan");
    this.ip("-n", router, "link", "set", "wan", "up");
    this.ip("-n", router, "link", "set", "lan", "up");
    this.ip("-n", space, "addr", "add", `${lan}.2/24`, "dev", "eth0");
    this.ip("-n", space, "link", "set", "eth0", "up");
    this.ip("-n", space, "route", "add", "default", "via", `${lan}.1`);
    this.run(router, "sysctl", "-qw", "net.ipv4.ip_forward=1");
    this.rule(who, "-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE", "--random-fully");
    this.rule(who, "-P", "FORWARD", "DROP");
    this.rule(who, "-A", "FORWARD", "-i", "lan", "-o", "wan", "-j", "ACCEPT");
    const answers = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"];
    this.rule(who, "-A", "FORWARD", "-i", "wan", "-o", "lan", ...answers, "-j", "ACCEPT");
    this.rule(who, "-A", "INPUT", "-i", "wan", "-j", "DROP");
  }

  /** Makes the line between a router and whoever is behind it. */
  private carry(router: string, space: string, { delay, loss }: Line): void {
    const link = spawn("python3", [LINK, router, "lan", space, "eth0", String(delay), String(loss)], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    this.links.push(link);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const there = [
        [router, "lan"],
        [space, "eth0"],
      ] as const;
      if (there.every(([space, device]) => this.has(space, device))) return;
      execFileSync("sleep", ["0.05"]);
    }
    throw new Error("the line between the networks does not come up");
  }

  private has(space: string, device: string): boolean {
    try {
      this.ip("-n", space, "link", "show", device);
      return true;
    } catch {
      return false;
    }
  }

  private space(name: string): string {
    return `${this.prefix}-${name}`;
  }

  private rule(who: Who, ...rule: string[]): void {
    this.run(this.space(`${who}-router`), "iptables", ...rule);
  }

  private run(space: string, ...command: string[]): void {
    this.ip("netns", "exec", space, ...command);
  }

  private ip(...args: string[]): void {
    execFileSync("ip", args, { stdio: "pipe", env: environment() });
  }

  private try(...args: string[]): void {
    try {
      this.ip(...args);
    } catch {
      // It was so already.
    }
  }
}

/** Debian puts what only root uses where only root looks. */
function environment(): Record<string, string> {
  return { ...(process.env as Record<string, string>), PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
}
