/** Upgrades from a build of an earlier commit: its data folder, and pages that were open (scripts/test-upgrade.sh). */
import { expect, test } from "./support/fixtures.ts";

test.use({ firstBuild: "previous" });

test(
  "a data folder and an open page of the previous version go on working",
  { tag: "@previous" },
  async ({ join, joinAsAdministrator, visitAnonymously, publisher, server }) => {
    const admin = await joinAsAdministrator();
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    for (const visitor of [admin, ada, grace]) visitor.allowOutageErrors();
    await publisher.publish({ headline: "The bridge is open", body: "As of today.", topic: "Traffic" });
    const earlier = Array.from({ length: 120 }, (_, index) => `Message number ${index}.`);
    await ada.chat.sendMessages(earlier);
    await ada.chat.expectAllAcknowledged();
    await expect(grace.chat.message("Message number 119.")).toBeVisible();
    // Buttons may have had other names in the previous version.
    await ada.chat.personRow("Grace").locator('form[action*="open-direct"] button').click();
    await expect(ada.page.getByRole("heading", { level: 1, name: "Grace" })).toBeVisible();
    await ada.chat.sendMessage("Between the two of us");
    await ada.chat.expectAllAcknowledged();
    const directRoom = new URL(ada.page.url()).pathname;
    // A draft keeps the page of the previous version open.
    await ada.open("/chat/general");
    await ada.chat.composer.fill("Written before the upgrade");

    await server.upgrade();

    await expect(ada.page.locator(".newer-build")).toBeVisible({ timeout: 20_000 });
    // Grace had nothing to lose: her page is the new one.
    await expect(async () => {
      const builds = [ada, grace].map(({ page }) => page.locator('meta[name="rialto-build"]').getAttribute("content"));
      const [old, current] = await Promise.all(builds);
      expect(current).not.toBe(old);
    }).toPass();
    await grace.open(directRoom);
    await expect(grace.chat.message("Between the two of us")).toBeVisible();
    await grace.chat.sendMessage("I read it on the new page");
    await grace.open("/chat/general");
    await grace.chat.sendMessage("I write on the new page");

    // The page of the previous version still receives, reads what is older, and sends.
    await expect(ada.chat.message("I write on the new page")).toBeVisible();
    await ada.page.getByRole("link", { name: "Older messages" }).click();
    await expect(ada.chat.message("Message number 60.")).toBeVisible();
    await expect(ada.page.locator(".newer-build")).toBeVisible();
    await ada.chat.composer.press("Enter");
    await expect(grace.chat.message("Written before the upgrade")).toHaveCount(1);
    await ada.chat.personRow("Grace").locator('form[action*="open-direct"] button').click();
    await expect(ada.chat.message("I read it on the new page")).toBeVisible();

    // What the data folder holds.
    await admin.open("/admin");
    await expect(admin.page.getByRole("heading", { name: "People" })).toBeVisible();
    const reader = await visitAnonymously({ startPath: "/news/the-bridge-is-open" });
    await expect(reader.page.getByText("As of today.")).toBeVisible();
    await expect(grace.chat.message("Message number 119.")).toBeVisible();
  },
);
