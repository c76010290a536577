/** Test fixtures: a server, visitors with browsers, and a publisher. */
import { type BrowserContextOptions, test as base } from "@playwright/test";
import { currentBuild, previousBuild } from "./builds.ts";
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

/** The browser context of a visitor, and the page it starts at. */
export interface VisitorOptions extends BrowserContextOptions {
  /** The browser process, if not the shared one. */
  browserProcess?: Pick<BrowserProcess, "browser">;
  /** The first page; for `join`, the page after picking a name. */
  startPath?: string;
}

export interface Fixtures {
  serverEnv: ServerEnv;
  /** The build that the server starts with; `server.upgrade()` goes on with the one under test. */
  firstBuild: "current" | "previous";
  /** A NATS server of this test, for a `serverEnv` that names it. None with a single node. */
  nats: Nats | undefined;
  server: Server;
  /** Publishes stories with an API token. */
  publisher: Publisher;
  /** A separate browser process, for one visitor. */
  browserProcess: BrowserProcess;
  /** Opens a browser of a visitor without a name. */
  visitAnonymously: (options?: VisitorOptions) => Promise<Visitor>;
  /** Opens a browser and picks a name through the page, as on a first visit. */
  join: (name: string, options?: VisitorOptions) => Promise<Visitor>;
  /** Opens a browser and becomes the administrator by the one-time link. */
  joinAsAdministrator: (options?: VisitorOptions) => Promise<Visitor>;
}

/** The password of every account that sets one. */
export const TEST_PASSWORD = "correct horse battery";

type CreateVisitor = (name: string, options?: VisitorOptions) => Promise<Visitor>;

export const test = base.extend<Fixtures & { createVisitor: CreateVisitor }>({
  serverEnv: [{}, { option: true }],
  firstBuild: ["current", { option: true }],

  nats: async ({}, use) => {
    const nats = nodeCount > 1 ? await Nats.start() : undefined;
    await use(nats);
    await nats?.kill();
  },

  server: async ({ serverEnv, firstBuild }, use) => {
    const build = firstBuild === "previous" ? previousBuild() : currentBuild;
    const server = await Server.start(serverEnv, undefined, build);
    await use(server);
    await server.stop();
  },

  publisher: async ({ server }, use) => {
    await use(await Publisher.create(server));
  },

  browserProcess: async ({ launchOptions }, use) => {
    const browserProcess = await BrowserProcess.start(launchOptions);
    await use(browserProcess);
    await browserProcess.close();
  },

  createVisitor: async ({ browser, server }, use) => {
    const allErrors: BrowserErrors[] = [];
    const closeContexts: (() => Promise<void>)[] = [];
    await use(async (name, { startPath, browserProcess, ...contextOptions } = {}) => {
      const context = await (browserProcess?.browser ?? browser).newContext({
        permissions: ["camera", "microphone"],
        ...contextOptions,
      });
      closeContexts.push(() => context.close());
      const browserErrors = new BrowserErrors(name || "a visitor", context);
      allErrors.push(browserErrors);
      if (contextOptions.javaScriptEnabled === false) {
        browserErrors.allow(
          /\.js: csp$|was preloaded using link preload/,
          "with JavaScript off, preloaded scripts are not used",
        );
      }
      await context.addInitScript(instrumentPage);
      return new Visitor(name, await context.newPage(), browserErrors, server);
    });
    await Promise.all(closeContexts.map((done) => done()));
    const unexpected = allErrors.flatMap((errors) => errors.unexpectedErrors());
    base.expect(unexpected, "unexpected errors in browsers").toEqual([]);
  },

  visitAnonymously: async ({ createVisitor, server }, use) => {
    await use(async (options = {}) => {
      const visitor = await createVisitor("", options);
      if (options.javaScriptEnabled === false) await visitor.page.goto(server.url + (options.startPath ?? "/"));
      else await visitor.open(options.startPath ?? "/");
      return visitor;
    });
  },

  join: async ({ createVisitor, server }, use) => {
    await use(async (name, options = {}) => {
      const { startPath = "/chat/general" } = options;
      const visitor = await createVisitor(name, options);
      const { page } = visitor;
      await page.goto(`${server.url}/signin?next=${encodeURIComponent(startPath)}`);
      const form = page.locator("form").filter({ hasText: "Pick a name" });
      await form.getByLabel("Name").fill(name);
      await form.getByRole("button", { name: "Join" }).click();
      await page.waitForURL(server.url + startPath);
      if (options.javaScriptEnabled !== false) await visitor.waitUntilConnected();
      return visitor;
    });
  },

  joinAsAdministrator: async ({ createVisitor, server }, use) => {
    await use(async (options = {}) => {
      const visitor = await createVisitor("Portia", options);
      const { page } = visitor;
      if (server.claimUrl === undefined) throw new Error("the server printed no one-time link");
      await page.goto(server.claimUrl);
      await page.getByLabel("Name").fill(visitor.name);
      await page.getByLabel("New password").fill(TEST_PASSWORD);
      await page.getByRole("button", { name: "Become the administrator" }).click();
      await page.waitForURL(`${server.url}/`);
      if (options.startPath !== undefined) await page.goto(server.url + options.startPath);
      if (options.javaScriptEnabled !== false) await visitor.waitUntilConnected();
      return visitor;
    });
  },
});
