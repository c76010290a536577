/** Upgrades of the server while pages are open. */
import type { Page } from "@playwright/test";
import { expect, test } from "./support/fixtures.ts";

const build = (page: Page) => page.locator('meta[name="rialto-build"]').getAttribute("content");

test("a page of an older build reloads itself when nothing would be lost", async ({
  visitAnonymously,
  join,
  server,
}) => {
  const reader = await visitAnonymously();
  const ada = await join("Ada");
  reader.allowOutageErrors();
  ada.allowOutageErrors();
  const old = await build(reader.page);
  await server.upgrade();
  for (const { page } of [reader, ada]) {
    await expect.poll(() => build(page), { timeout: 20_000 }).not.toBe(old);
    await expect(page.getByText("A new version of Rialto is available")).toHaveCount(0);
  }
  await ada.waitUntilConnected();
  await ada.chat.sendMessage("Nothing happened");
  await ada.chat.expectAllAcknowledged();
});

test("a page with a draft announces a newer build, and keeps the draft across the reload", async ({ join, server }) => {
  const ada = await join("Ada");
  ada.allowOutageErrors();
  await ada.chat.composer.fill("Half a thought");
  await server.upgrade();
  const notice = ada.page.getByText("A new version of Rialto is available");
  await expect(notice).toBeVisible({ timeout: 20_000 });
  await expect(ada.chat.composer).toHaveValue("Half a thought");
  await ada.page.getByRole("button", { name: "Reload" }).click();
  await expect(notice).toHaveCount(0);
  await ada.waitUntilConnected();
  await expect(ada.chat.composer).toHaveValue("Half a thought");
});

test("a hidden page of an older build leaves its room unread, and reloads once it is visible", async ({
  join,
  server,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.allowOutageErrors();
  grace.allowOutageErrors();
  const old = await build(grace.page);
  await grace.setVisibility(false);
  await server.upgrade();
  await expect.poll(() => build(ada.page), { timeout: 20_000 }).not.toBe(old);
  await ada.waitUntilConnected();
  await ada.chat.sendMessage("Are you there?");
  await expect(grace.chat.roomLink("General").locator(".badge")).toHaveText("1 unread");
  expect(await build(grace.page)).toBe(old);
  await grace.setVisibility(true);
  await expect.poll(() => build(grace.page), { timeout: 20_000 }).not.toBe(old);
});

test("a page that reloaded itself a moment ago announces a newer build instead", async ({ join, server }) => {
  const ada = await join("Ada");
  ada.allowOutageErrors();
  await ada.page.evaluate(() => {
    sessionStorage.setItem("rialto.reloaded", String(Date.now()));
  });
  await server.upgrade();
  await expect(ada.page.getByText("A new version of Rialto is available")).toBeVisible({ timeout: 20_000 });
});

test("an upgrade does not interrupt a call", { tag: "@nodes" }, async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.allowOutageErrors();
  grace.allowOutageErrors();
  await ada.calls.call("Grace");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await server.upgrade();
  await expect(ada.page.getByText("A new version of Rialto is available")).toBeVisible({ timeout: 20_000 });
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});
