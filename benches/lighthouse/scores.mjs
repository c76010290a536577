/**
 * Lighthouse (its mobile profile) against the release build: the news as a stranger sees them, and a room of somebody with a name.
 *
 *     make lighthouse              five times each; what is shown is the median
 *     make lighthouse RUNS=11
 *
 * Exits with 1 when a median is below its target. The score for performance depends on the machine: it is no part of `make test`.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

const TARGETS = { performance: 95, accessibility: 100, "best-practices": 100 };
const STORIES = 20;
const MESSAGES = 20;

const root = resolve(import.meta.dirname, "../..");
const program = process.env["RIALTO_BIN"] ?? join(root, "target/release/rialto");
const runs = Number(process.env["RUNS"] ?? 5);

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Starts the program on a free port; gives its address once it listens. */
async function serve(data) {
  const env = { LEPTOS_SITE_ROOT: join(root, "target/site"), ...process.env };
  const args = ["serve", "--data", data, "--listen", "127.0.0.1:0"];
  const server = spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: server.stdout })) {
    const [, url] = /^listening on (\S+)/.exec(line) ?? [];
    if (url !== undefined) {
      // Nobody reads what it says from now on.
      server.stdout.resume();
      return { server, url };
    }
  }
  throw new Error(`${program} does not start`);
}

/** Posts a form as a page of the site does. */
async function post(url, path, fields, headers = {}) {
  const body = new URLSearchParams(fields);
  const answer = await fetch(url + path, { method: "POST", body, headers: { origin: url, ...headers }, redirect: "manual" });
  if (answer.status >= 400) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

/** Stories to read, somebody with a name, and a room where they have spoken. Gives what their browser sends. */
async function furnish(url, data) {
  for (let n = 1; n <= STORIES; n += 1) {
    const args = ["news", "publish", `The bridge, part ${n}`, "--body", "It is **open**.", "--topic", `Topic ${n % 4}`];
    const command = spawn(program, [...args, "--data", data], { stdio: "ignore" });
    await new Promise((done) => command.once("exit", done));
  }
  const joined = await post(url, "/fn/pick-name", { name: "Ada", next: "/" });
  const [cookie] = joined.headers.getSetCookie()[0].split(";");
  for (let n = 1; n <= MESSAGES; n += 1) {
    const page = await (await fetch(`${url}/chat/general`, { headers: { cookie } })).text();
    const form = page.slice(page.indexOf('action="/fn/post"'));
    const field = (name) => new RegExp(`name="${name}" value="([^"]*)"`).exec(form)?.[1];
    const fields = { id: field("id"), room: field("room"), slug: "general", text: `Message ${n}: what news on the Rialto?` };
    await post(url, "/fn/post", fields, { cookie });
  }
  return cookie;
}

/** One run of Lighthouse in a browser of its own. */
async function look(url, path, cookie) {
  const isRoot = process.getuid?.() === 0;
  const chromeFlags = ["--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  const chrome = await launch({
    chromePath: process.env["RIALTO_CHROMIUM"] || undefined,
    // Chromium refuses its sandbox to root.
    chromeFlags: isRoot ? ["--no-sandbox", ...chromeFlags] : chromeFlags,
  });
  try {
    if (cookie !== undefined) {
      const browser = await puppeteer.connect({ browserURL: `http://127.0.0.1:${chrome.port}` });
      const [name, value] = cookie.split(/=(.*)/s);
      await browser.setCookie({ name, value, domain: new URL(url).hostname, path: "/" });
      await browser.disconnect();
    }
    const { lhr } = await lighthouse(url + path, {
      port: chrome.port,
      logLevel: "error",
      onlyCategories: Object.keys(TARGETS),
      disableStorageReset: true,
    });
    const scores = Object.keys(TARGETS).map((name) => Math.round(lhr.categories[name].score * 100));
    const millis = ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time"];
    return [...scores, ...millis.map((name) => Math.round(lhr.audits[name].numericValue))];
  } finally {
    chrome.kill();
  }
}

const data = await mkdtemp(join(tmpdir(), "rialto-lighthouse-"));
const { server, url } = await serve(data);
let missed = false;
try {
  const cookie = await furnish(url, data);
  console.log("page            performance  accessibility  best practices   first paint, ms  largest  blocking");
  for (const [path, who] of [
    ["/", undefined],
    ["/chat/general", cookie],
  ]) {
    const all = [];
    for (let run = 0; run < runs; run += 1) all.push(await look(url, path, who));
    const medians = all[0].map((_, at) => median(all.map((values) => values[at])));
    const widths = [12, 14, 15, 17, 8, 9];
    console.log(path.padEnd(15) + medians.map((value, at) => String(value).padStart(widths[at])).join(""));
    console.log(`                (performance: ${all.map(([performance]) => performance).join(", ")})`);
    missed ||= Object.values(TARGETS).some((target, at) => medians[at] < target);
  }
} finally {
  server.kill();
  await rm(data, { recursive: true });
}
if (missed) {
  console.log(`missed: ${JSON.stringify(TARGETS)} is wanted of each page`);
  process.exitCode = 1;
}
