/** Screenshots of a small community in test-results/pictures and, with RIALTO_SCREENSHOT=1, those of the README. */
import { copyFile, mkdir } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import type { Publisher } from "./support/news-ui.ts";
import { duskPng } from "./support/png.ts";

const SCREENSHOT_FOLDER = joinPath(import.meta.dirname, "../test-results/pictures");
const README_FOLDER = joinPath(import.meta.dirname, "../../docs/images");
const README_PICTURES = ["news", "room", "call"];
const VIEWPORTS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

const picturePath = (name: string, device: string, colorScheme: string) =>
  joinPath(SCREENSHOT_FOLDER, `${name}-${device}-${colorScheme}.png`);

/** Takes screenshots of a page in both sizes and both themes. */
async function takeScreenshots({ page }: Visitor, name: string): Promise<void> {
  for (const [device, size] of Object.entries(VIEWPORTS)) {
    await page.setViewportSize(size);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: picturePath(name, device, colorScheme) });
    }
  }
  await page.setViewportSize(VIEWPORTS.desktop);
  await page.emulateMedia({ colorScheme: "light" });
}

/** Replaces the pictures of the README, which are in the repository, only on request. */
async function updateReadmePictures(): Promise<void> {
  if (process.env["RIALTO_SCREENSHOT"] !== "1") return;
  await mkdir(README_FOLDER, { recursive: true });
  for (const name of README_PICTURES) {
    await copyFile(picturePath(name, "desktop", "light"), joinPath(README_FOLDER, `${name}.png`));
  }
}

/** Replaces the browser's test pattern with a camera that shows somebody in front of a wall. */
function installFakeCamera(hue: number): void {
  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [960, 540];
  const draw = () => {
    const context2d = canvas.getContext("2d");
    if (context2d === null) return;
    const sway = Math.sin(performance.now() / 900) * 6;
    const wall = context2d.createLinearGradient(0, 0, 960, 540);
    wall.addColorStop(0, `hsl(${hue} 30% 78%)`);
    wall.addColorStop(1, `hsl(${hue + 40} 28% 48%)`);
    context2d.fillStyle = wall;
    context2d.fillRect(0, 0, 960, 540);
    context2d.fillStyle = `hsl(${hue + 20} 35% 88%)`;
    context2d.fillRect(640, 60, 200, 240);
    context2d.fillStyle = `hsl(${hue + 180} 30% 34%)`;
    context2d.beginPath();
    context2d.ellipse(440 + sway, 600, 250, 230, 0, 0, Math.PI * 2);
    context2d.fill();
    context2d.fillStyle = `hsl(${(hue * 3) % 40} 38% 62%)`;
    context2d.beginPath();
    context2d.ellipse(440 + sway, 270, 92, 116, 0, 0, Math.PI * 2);
    context2d.fill();
    context2d.fillStyle = `hsl(${hue} 25% 20%)`;
    context2d.beginPath();
    context2d.ellipse(440 + sway, 218, 100, 84, 0, Math.PI, Math.PI * 2);
    context2d.fill();
  };
  setInterval(draw, 40);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const audioTracks = constraints?.audio ? (await getUserMedia({ audio: constraints.audio })).getTracks() : [];
    return new MediaStream([...audioTracks, ...(constraints?.video ? canvas.captureStream(25).getTracks() : [])]);
  };
}

async function publishStories(publisher: Publisher): Promise<string> {
  const stories: [string, string, string][] = [
    [
      "Rowing club opens its new boathouse",
      "Sports",
      "Forty boats, one lift, and a stove that works. Come by on **Sunday**.",
    ],
    [
      "Market moves to the north square for two weeks",
      "Town",
      "The fountain is repaired from Monday on. Stalls keep their numbers.",
    ],
    ["Library lends telescopes", "Culture", "Six of them, with a star map. Bring a warm coat, and bring them back."],
    ["Ferry timetable for the winter", "Harbour", "The last boat leaves at *22:40*; on Fridays at 23:30."],
  ];
  for (const [headline, topic, body] of stories) await publisher.publish({ headline, topic, body });
  const { path } = await publisher.publish({
    headline: "High water expected tonight",
    topic: "Harbour",
    body: [
      "The tide office expects **118 cm** at 23:10. The lower quay is closed from 21:00 on, and the ferry calls at the north pier until the water has gone down.",
      "## What to do",
      "- Bring in what stands outside.\n- Use the raised walkways from 22:00 on.\n- Look in on your neighbours.",
      "> It will be no record, but your cellar will notice.",
      "The [tide tables](https://example.org/tides) are renewed every ten minutes.",
    ].join("\n\n"),
  });
  return path;
}

async function sendConversation(visitors: Record<"jessica" | "lorenzo" | "bassanio", Visitor>): Promise<void> {
  const lines: [Visitor, string][] = [
    [visitors.jessica, "Good evening! Has anybody been down at the quay?"],
    [visitors.lorenzo, "Just came from there. The water is at the second step already."],
    [visitors.lorenzo, "The forecast: https://example.org/tides"],
    [visitors.bassanio, "I am taking the chairs in. Who has the key to the boathouse?"],
    [visitors.jessica, "I do. Ten minutes."],
  ];
  for (const [visitor, text] of lines) {
    await visitor.chat.sendMessage(text);
    await visitor.chat.expectAllAcknowledged();
  }
  const picture = { name: "From the bridge.png", mimeType: "image/png", buffer: duskPng(960, 300) };
  const table = { name: "Tides in December.pdf", mimeType: "application/pdf", buffer: Buffer.alloc(184_000, "%PDF-") };
  await visitors.lorenzo.chat.sendFiles(picture, table);
  const { messages } = visitors.jessica.chat;
  const image = messages.getByRole("img", { name: picture.name });
  await expect.poll(() => image.evaluate((img: HTMLImageElement) => img.complete && img.naturalWidth)).toBe(960);
  await expect(messages.getByRole("link", { name: table.name })).toBeVisible();
  await visitors.jessica.chat.sendMessage("Beautiful. And the pumps are on.");
  await visitors.jessica.chat.expectAllAcknowledged();
}

test("screenshots of a small community are taken", async ({
  joinAsAdministrator,
  join,
  visitAnonymously,
  publisher,
}) => {
  test.setTimeout(180_000);
  await mkdir(SCREENSHOT_FOLDER, { recursive: true });
  const story = await publishStories(publisher);
  const stranger = await visitAnonymously({ startPath: "/signin" });
  await takeScreenshots(stranger, "signin");
  const portia = await joinAsAdministrator({ startPath: "/news/new" });
  await takeScreenshots(portia, "editor");
  const [jessica, lorenzo, bassanio] = [await join("Jessica"), await join("Lorenzo"), await join("Bassanio")];
  await jessica.context.addInitScript(installFakeCamera, 200);
  await lorenzo.context.addInitScript(installFakeCamera, 20);
  await jessica.open("/chat/general");
  await lorenzo.open("/chat/general");
  await sendConversation({ jessica, lorenzo, bassanio });
  await takeScreenshots(jessica, "room");

  await bassanio.calls.call("Jessica");
  await expect(jessica.calls.incoming).toBeVisible();
  await takeScreenshots(jessica, "ringing");
  await jessica.calls.decline();
  await bassanio.chat.roomLink("Jessica").click();
  await bassanio.chat.sendMessage("Later, then.");
  await takeScreenshots(bassanio, "direct");

  await jessica.calls.call("Lorenzo");
  await lorenzo.calls.accept();
  await Promise.all([jessica.calls.expectConnected(), lorenzo.calls.expectConnected()]);
  await jessica.calls.expectMovingVideo();
  await publisher.publish({
    headline: "Raised walkways are open between the bridge and the market",
    urgency: "breaking",
    topic: "Harbour",
  });
  await expect(jessica.news.banner).toBeVisible();
  await takeScreenshots(jessica, "call");
  await jessica.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "News" }).click();
  await expect(jessica.news.headline("High water")).toBeVisible();
  await jessica.calls.expectMovingVideo();
  await takeScreenshots(jessica, "call-small");
  await jessica.calls.stage.getByRole("button", { name: "Expand call" }).click();
  await jessica.calls.hangUp();
  await takeScreenshots(jessica, "call-over");

  for (const [name, at] of [
    ["news", "/"],
    ["story", story],
    ["chat", "/chat"],
    ["calls", "/calls"],
    ["settings", "/settings"],
  ] as const) {
    await jessica.open(at);
    await takeScreenshots(jessica, name);
  }
  await portia.open("/admin");
  await takeScreenshots(portia, "admin");
  await updateReadmePictures();
});
