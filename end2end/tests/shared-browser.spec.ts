/** One browser, more than one person, and more than one click. */
import { TEST_PASSWORD, expect, test } from "./support/fixtures.ts";

test("an impatient double click on Join makes one guest, who is in", async ({ visitAnonymously }) => {
  const newcomer = await visitAnonymously({ startPath: "/signin?next=/chat/general" });
  const { page } = newcomer;
  await page.route("**/fn/pick-name", async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    await route.continue();
  });
  await page.getByLabel("Name").first().fill("Ada");
  await page.getByRole("button", { name: "Join" }).dblclick();
  await expect(page).toHaveURL(/\/chat\/general$/);
  await expect(page.locator(".account-name")).toHaveText("Ada");
});

test("what one person typed is not shown to the next who uses the tab", async ({ join }) => {
  const ada = await join("Ada", { startPath: "/chat/general" });
  const { page } = ada;
  const field = page.getByRole("textbox", { name: "Message to General" });
  await field.fill("For nobody's eyes yet");
  await ada.open("/settings");
  await page.getByLabel("New password").fill(TEST_PASSWORD);
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("Your password was set")).toBeVisible();
  await ada.signOut();

  await ada.open("/signin?next=/chat/general");
  await ada.pickName("Eve");
  await ada.chat.sendMessage("Hello");
  await ada.chat.expectAllAcknowledged();
  await expect(field).toHaveValue("");
  await ada.signOut();

  await ada.open("/signin?next=/chat/general");
  await ada.signIn("Ada", TEST_PASSWORD);
  await expect(field, "and it waits for whoever wrote it").toHaveValue("For nobody's eyes yet");
});

test("what one person's tab could not send yet is never sent as the next who uses the browser", async ({ join }) => {
  const ada = await join("Ada", { startPath: "/chat/general" });
  const grace = await join("Grace", { startPath: "/chat/general" });
  const other = await ada.openTab("/settings");
  const goOnline = await ada.takeTabOffline();
  await ada.chat.sendMessage("Said by Ada");
  await expect(ada.chat.message("Said by Ada")).toHaveClass(/pending/);
  await other.signOut();
  await other.open("/signin?next=/chat/general");
  await other.pickName("Eve");

  await goOnline();
  await expect(ada.page.locator(".account-name"), "the tab is the next person's now").toHaveText("Eve");
  await ada.waitUntilConnected();
  await ada.chat.sendMessage("Said by Eve");
  await expect(grace.chat.message("Said by Eve")).toBeVisible();
  await expect(grace.chat.message("Said by Ada")).toHaveCount(0);
  await expect(ada.chat.message("Said by Ada")).toHaveCount(0);
});
