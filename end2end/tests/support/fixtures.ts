/** What tests are made of: a server, people with browsers, and a program that publishes. */
import { type BrowserContextOptions, test as base } from "@playwright/test";
import { Machine } from "./machine.ts";
import { Nats } from "./nats.ts";
import { Agency } from "./news.ts";
import { nodes } from "./nodes.ts";
import { observe } from "./observe.ts";
import { Server, type Settings } from "./server.ts";
import { Trouble } from "./trouble.ts";
import { Visitor } from "./visitor.ts";

export { expect } from "@playwright/test";
export type { Visitor } from "./visitor.ts";

/** What a browser is like, and where its person goes first. */
export interface Manner extends BrowserContextOptions {
  /** Where the browser runs, if not where all the others do. */
  machine?: Pick<Machine, "browser">;
  /** The first page; for `join`, the one after picking a name. */
  at?: string;
}

export interface Fixtures {
  /** What the server is told by its environment. */
  settings: Settings;
  /** A bus of this test's own, for `settings` that name it; none where one node stands alone. */
  nats: Nats | undefined;
  /** A server of this test's own. */
  server: Server;
  /** A program that publishes with a token. */
  agency: Agency;
  /** Another machine to browse on. */
  machine: Machine;
  /** Somebody without a name. */
  visit: (manner?: Manner) => Promise<Visitor>;
  /** Somebody who picks a name, through the page, as on a first visit. */
  join: (name: string, manner?: Manner) => Promise<Visitor>;
  /** Who opens the one-time link. */
  administrator: (manner?: Manner) => Promise<Visitor>;
}

/** The administrator's password. */
export const PASSWORD = "correct horse battery";

type Begin = (name: string, manner?: Manner) => Promise<Visitor>;

export const test = base.extend<Fixtures & { begin: Begin }>({
  settings: [{}, { option: true }],

  nats: async ({}, use) => {
    const nats = nodes > 1 ? await Nats.start() : undefined;
    await use(nats);
    await nats?.kill();
  },

  server: async ({ settings }, use) => {
    const server = await Server.start(settings);
    await use(server);
    await server.stop();
  },

  agency: async ({ server }, use) => {
    await use(await Agency.open(server));
  },

  machine: async ({ launchOptions }, use) => {
    const machine = await Machine.start(launchOptions);
    await use(machine);
    await machine.close();
  },

  begin: async ({ browser, server }, use) => {
    const troubles: Trouble[] = [];
    const close: (() => Promise<void>)[] = [];
    await use(async (name, { at, machine, ...manner } = {}) => {
      const context = await (machine?.browser ?? browser).newContext({
        permissions: ["camera", "microphone"],
        ...manner,
      });
      close.push(() => context.close());
      const trouble = new Trouble(name || "a visitor", context);
      troubles.push(trouble);
      if (manner.javaScriptEnabled === false) {
        trouble.allow(
          /\.js: csp$|was preloaded using link preload/,
          "scripts are off, and what they need is not fetched",
        );
      }
      await context.addInitScript(observe);
      return new Visitor(name, await context.newPage(), trouble, server);
    });
    await Promise.all(close.map((done) => done()));
    const unexpected = troubles.flatMap((trouble) => trouble.unexpected());
    base.expect(unexpected, "what browsers complained of").toEqual([]);
  },

  visit: async ({ begin, server }, use) => {
    await use(async (manner = {}) => {
      const visitor = await begin("", manner);
      if (manner.javaScriptEnabled === false) await visitor.page.goto(server.url + (manner.at ?? "/"));
      else await visitor.open(manner.at ?? "/");
      return visitor;
    });
  },

  join: async ({ begin, server }, use) => {
    await use(async (name, manner = {}) => {
      const { at = "/chat/general" } = manner;
      const visitor = await begin(name, manner);
      const { page } = visitor;
      await page.goto(`${server.url}/signin?next=${encodeURIComponent(at)}`);
      const form = page.locator("form").filter({ hasText: "Pick a name" });
      await form.getByLabel("Name").fill(name);
      await form.getByRole("button", { name: "Join" }).click();
      await page.waitForURL(server.url + at);
      if (manner.javaScriptEnabled !== false) await visitor.live();
      return visitor;
    });
  },

  administrator: async ({ begin, server }, use) => {
    await use(async (manner = {}) => {
      const visitor = await begin("Portia", manner);
      const { page } = visitor;
      if (server.claim === undefined) throw new Error("the server printed no one-time link");
      await page.goto(server.claim);
      await page.getByLabel("Name").fill(visitor.name);
      await page.getByLabel("New password").fill(PASSWORD);
      await page.getByRole("button", { name: "Become the administrator" }).click();
      await page.waitForURL(`${server.url}/`);
      if (manner.at !== undefined) await page.goto(server.url + manner.at);
      if (manner.javaScriptEnabled !== false) await visitor.live();
      return visitor;
    });
  },
});
