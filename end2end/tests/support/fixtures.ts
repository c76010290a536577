/** What tests are made of: a server, people with browsers, and a program that publishes. */
import { type BrowserContextOptions, test as base } from "@playwright/test";
import { BrowserProcess } from "./browser-process.ts";
import { Nats } from "./nats.ts";
import { Publisher } from "./news-ui.ts";
import { nodeCount } from "./node-count.ts";
import { instrumentPage } from "./page-instrumentation.ts";
import { Server, type ServerEnv } from "./server.ts";
import { BrowserErrors } from "./browser-errors.ts";
import { Visitor } from "./visitor.ts";

export { expect } from "@playwright/test";
export type { Visitor } from "./visitor.ts";

/** What a browser is like, and where its person goes first. */
export interface VisitorOptions extends BrowserContextOptions {
  /** Where the browser runs, if not where all the others do. */
  browserProcess?: Pick<BrowserProcess, "browser">;
  /** The first page; for `join`, the one after picking a name. */
  startPath?: string;
}

export interface Fixtures {
  /** What the server is told by its environment. */
  serverEnv: ServerEnv;
  /** A bus of this test's own, for `settings` that name it; none where one node stands alone. */
  nats: Nats | undefined;
  /** A server of this test's own. */
  server: Server;
  /** A program that publishes with a token. */
  publisher: Publisher;
  /** Another machine to browse on. */
  browserProcess: BrowserProcess;
  /** Somebody without a name. */
  visitAnonymously: (manner?: VisitorOptions) => Promise<Visitor>;
  /** Somebody who picks a name, through the page, as on a first visit. */
  join: (name: string, manner?: VisitorOptions) => Promise<Visitor>;
  /** Who opens the one-time link. */
  joinAsAdministrator: (manner?: VisitorOptions) => Promise<Visitor>;
}

/** The administrator's password. */
export const TEST_PASSWORD = "correct horse battery";

type CreateVisitor = (name: string, manner?: VisitorOptions) => Promise<Visitor>;

export const test = base.extend<Fixtures & { createVisitor: CreateVisitor }>({
  serverEnv: [{}, { option: true }],

  nats: async ({}, use) => {
    const nats = nodeCount > 1 ? await Nats.start() : undefined;
    await use(nats);
    await nats?.kill();
  },

  server: async ({ serverEnv }, use) => {
    const server = await Server.start(serverEnv);
    await use(server);
    await server.stop();
  },

  publisher: async ({ server }, use) => {
    await use(await Publisher.create(server));
  },

  browserProcess: async ({ launchOptions }, use) => {
    const machine = await BrowserProcess.start(launchOptions);
    await use(machine);
    await machine.close();
  },

  createVisitor: async ({ browser, server }, use) => {
    const errorLogs: BrowserErrors[] = [];
    const closeContexts: (() => Promise<void>)[] = [];
    await use(async (name, { startPath: at, browserProcess: machine, ...options } = {}) => {
      const context = await (machine?.browser ?? browser).newContext({
        permissions: ["camera", "microphone"],
        ...options,
      });
      closeContexts.push(() => context.close());
      const browserErrors = new BrowserErrors(name || "a visitor", context);
      errorLogs.push(browserErrors);
      if (options.javaScriptEnabled === false) {
        browserErrors.allow(
          /\.js: csp$|was preloaded using link preload/,
          "scripts are off, and what they need is not fetched",
        );
      }
      await context.addInitScript(instrumentPage);
      return new Visitor(name, await context.newPage(), browserErrors, server);
    });
    await Promise.all(closeContexts.map((done) => done()));
    const unexpected = errorLogs.flatMap((trouble) => trouble.unexpectedErrors());
    base.expect(unexpected, "what browsers complained of").toEqual([]);
  },

  visitAnonymously: async ({ createVisitor, server }, use) => {
    await use(async (manner = {}) => {
      const visitor = await createVisitor("", manner);
      if (manner.javaScriptEnabled === false) await visitor.page.goto(server.url + (manner.startPath ?? "/"));
      else await visitor.open(manner.startPath ?? "/");
      return visitor;
    });
  },

  join: async ({ createVisitor, server }, use) => {
    await use(async (name, manner = {}) => {
      const { startPath = "/chat/general" } = manner;
      const visitor = await createVisitor(name, manner);
      const { page } = visitor;
      await page.goto(`${server.url}/signin?next=${encodeURIComponent(startPath)}`);
      const form = page.locator("form").filter({ hasText: "Pick a name" });
      await form.getByLabel("Name").fill(name);
      await form.getByRole("button", { name: "Join" }).click();
      await page.waitForURL(server.url + startPath);
      if (manner.javaScriptEnabled !== false) await visitor.waitUntilConnected();
      return visitor;
    });
  },

  joinAsAdministrator: async ({ createVisitor, server }, use) => {
    await use(async (manner = {}) => {
      const visitor = await createVisitor("Portia", manner);
      const { page } = visitor;
      if (server.claimUrl === undefined) throw new Error("the server printed no one-time link");
      await page.goto(server.claimUrl);
      await page.getByLabel("Name").fill(visitor.name);
      await page.getByLabel("New password").fill(TEST_PASSWORD);
      await page.getByRole("button", { name: "Become the administrator" }).click();
      await page.waitForURL(`${server.url}/`);
      if (manner.startPath !== undefined) await page.goto(server.url + manner.startPath);
      if (manner.javaScriptEnabled !== false) await visitor.waitUntilConnected();
      return visitor;
    });
  },
});
