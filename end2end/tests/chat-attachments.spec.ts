/** Files sent to a room. */
import { readFile } from "node:fs/promises";
import type { Locator } from "@playwright/test";
import { expect, test } from "./support/fixtures.ts";
import { duskPng } from "./support/png.ts";

test(
  "an image is sent with a progress bar and shown to all, and its space is reserved before it is loaded",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    // Large enough to take a moment, and wider than the box it is shown in.
    const buffer = Buffer.concat([duskPng(1600, 1000), Buffer.alloc(12_000_000)]);
    const progressed = ada.page.waitForFunction(() => {
      const bar = document.querySelector<HTMLProgressElement>(".upload progress");
      return bar !== null && bar.value > 0 && bar.value < 100;
    });
    await ada.chat.sendFiles({ name: "Dusk.png", mimeType: "image/png", buffer });
    await progressed;
    for (const { chat, page } of [ada, grace]) {
      const image = chat.messages.getByRole("img", { name: "Dusk.png" });
      await expect(image).toBeVisible();
      await expect(image).toHaveAttribute("width", "480");
      await expect(image).toHaveAttribute("height", "300");
      await expect.poll(() => image.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(1600);
      await expect(page.locator(".upload")).toHaveCount(0);
    }

    let release: () => void = () => undefined;
    const held = new Promise<void>((done) => (release = done));
    await grace.page.route("**/files/**", async (route) => {
      await held;
      await route.continue();
    });
    await grace.open("/chat/general");
    const image = grace.chat.messages.getByRole("img", { name: "Dusk.png" });
    const isLoaded = () => image.evaluate((img: HTMLImageElement) => img.complete && img.naturalWidth > 0);
    await expect(image).toBeVisible();
    expect(await isLoaded()).toBe(false);
    const before = await image.boundingBox();
    const shifted = await grace.page.evaluate(() => window.instrumentation.layoutShiftSum);
    release();
    await expect.poll(isLoaded).toBe(true);
    expect(await image.boundingBox()).toEqual(before);
    expect(await grace.page.evaluate(() => window.instrumentation.layoutShiftSum)).toBe(shifted);
  },
);

/** Pastes or drops what a page receives from another program. Returns whether the browser would act on it as well. */
async function transfer(
  target: Locator,
  type: "paste" | "dragover" | "drop",
  data: { text?: string; image?: Buffer },
): Promise<boolean> {
  const { text, image } = data;
  return target.evaluate(
    (element, { type, text, bytes }) => {
      const data = new DataTransfer();
      if (text !== undefined) data.setData("text/plain", text);
      if (bytes !== undefined) data.items.add(new File([new Uint8Array(bytes)], "image.png", { type: "image/png" }));
      const options = { bubbles: true, cancelable: true };
      return element.dispatchEvent(
        type === "paste"
          ? new ClipboardEvent(type, { ...options, clipboardData: data })
          : new DragEvent(type, { ...options, dataTransfer: data }),
      );
    },
    { type, text, bytes: image && [...image] },
  );
}

test("a chosen, pasted or dropped picture is shown before it is sent, and text of the same copy is preferred", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { chat, page } = ada;
  const image = duskPng(40, 30);
  const staged = page.getByRole("list", { name: "Files to send" }).getByRole("listitem");
  expect(await transfer(chat.composer, "paste", { text: "1\t2", image }), "the browser pastes text").toBe(true);
  await expect(staged).toHaveCount(0);

  expect(await transfer(chat.composer, "paste", { image })).toBe(false);
  await expect(staged).toHaveCount(1);
  await expect.poll(() => staged.locator("img").evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(40);
  await staged.getByRole("button", { name: "Remove image.png" }).click();
  await expect(staged).toHaveCount(0);
  await expect(chat.composer).toBeFocused();

  expect(await transfer(chat.timeline, "dragover", { image })).toBe(false);
  await expect(page.locator(".composer")).toHaveClass(/files-over/);
  expect(await transfer(chat.timeline, "drop", { image }), "anywhere on the page").toBe(false);
  await expect(page.locator(".composer")).not.toHaveClass(/files-over/);
  await expect(staged).toHaveCount(1);
  await chat.roomLink("General").click();
  expect(await transfer(chat.composer, "dragover", { text: "Words" }), "text is the field's").toBe(true);
  await chat.sendMessage("With a picture");
  await expect(staged).toHaveCount(0);
  for (const { chat } of [ada, grace]) {
    await expect(chat.message("With a picture")).toBeVisible();
    await expect(chat.messages.getByRole("img", { name: "image.png" })).toHaveCount(1);
  }

  await page.getByLabel("Add files").setInputFiles({ name: "image.png", mimeType: "image/png", buffer: image });
  await expect(staged.locator("img")).toBeVisible();
  await expect(chat.composer).toBeFocused();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(grace.chat.messages.getByRole("img", { name: "image.png" }), "without words").toHaveCount(2);

  await ada.open("/");
  for (const type of ["dragover", "drop"] as const) {
    expect(await transfer(page.locator("main"), type, { image }), "no page is left by a drop").toBe(false);
  }
});

test("any other file downloads unchanged and as an attachment, and strangers cannot fetch it", async ({
  join,
  visitAnonymously,
  server,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const buffer = Buffer.from("<script>window.ran = true</script> é");
  await ada.chat.sendFiles({ name: 'Plan "B" é.html', mimeType: "text/html", buffer });
  const link = grace.chat.messages.getByRole("link", { name: /Plan/ });
  await expect(link).toContainText('Plan "B" é.html');
  await expect(link).toContainText(`${buffer.length} bytes`);
  const [download] = await Promise.all([grace.page.waitForEvent("download"), link.click()]);
  expect(download.suggestedFilename()).toMatch(/^Plan .B. é\.html$/);
  expect(await readFile(await download.path())).toEqual(buffer);

  const path = (await link.getAttribute("href")) ?? "";
  const response = await grace.context.request.get(server.url + path);
  expect(response.headers()).toMatchObject({
    "content-disposition": "attachment; filename*=UTF-8''Plan%20%22B%22%20%C3%A9.html",
    "content-type": "application/octet-stream",
    "x-content-type-options": "nosniff",
  });
  const stranger = await visitAnonymously();
  expect((await stranger.context.request.get(server.url + path)).status(), "strangers are refused").toBe(401);
});

test("an upload resumes after a network outage", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const buffer = Buffer.alloc(20_000_000, "rialto");
  const begun = ada.page.waitForFunction(() => {
    const bar = document.querySelector<HTMLProgressElement>(".upload progress");
    return bar !== null && bar.value > 0;
  });
  await ada.chat.sendFiles({ name: "long.bin", mimeType: "application/octet-stream", buffer });
  await begun;
  await ada.goOffline();
  await expect(ada.page.getByText("You are offline")).toBeVisible();
  await ada.goOnline();
  const link = grace.chat.messages.getByRole("link", { name: /long\.bin/ });
  await expect(link).toBeVisible({ timeout: 20_000 });
  const [download] = await Promise.all([grace.page.waitForEvent("download"), link.click()]);
  expect((await readFile(await download.path())).equals(buffer)).toBe(true);
});

test("a cancelled upload appears to nobody", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const buffer = Buffer.alloc(24_000_000, "rialto");
  await ada.chat.sendFiles({ name: "no.bin", mimeType: "application/octet-stream", buffer });
  await ada.page.getByRole("button", { name: "Cancel no.bin" }).click();
  await expect(ada.page.locator(".upload")).toHaveCount(0);
  await ada.chat.sendMessage("Never mind");
  await expect(grace.chat.message("Never mind")).toBeVisible();
  await expect(grace.chat.messages).toHaveCount(1);
});

test.describe("with a limit of 1 MB", () => {
  test.use({ serverEnv: { RIALTO_UPLOAD_BYTES: "1000000" } });

  test("a file that is too large or empty is refused with a reason, and others are sent", async ({ join }) => {
    const { page, chat } = await join("Ada");
    const send = (name: string, bytes: number) =>
      chat.sendFiles({ name, mimeType: "text/plain", buffer: Buffer.alloc(bytes, "a") });
    await send("large.txt", 1_500_000);
    const refusal = page.locator(".upload").filter({ hasText: "large.txt" });
    await expect(refusal.getByRole("alert")).toHaveText("Not sent. The file is 1.5 MB; the limit is 1 MB.");
    await refusal.getByRole("button", { name: "Dismiss large.txt" }).click();
    await expect(refusal).toHaveCount(0);
    await send("empty.txt", 0);
    await expect(page.locator(".upload").getByRole("alert")).toContainText("is empty, so there is nothing to send");
    await send("right.txt", 1_000_000);
    await expect(chat.messages.getByRole("link", { name: /right\.txt/ })).toBeVisible();
  });
});
