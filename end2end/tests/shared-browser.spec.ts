/** Several people in one browser, and double clicks. */
import { TEST_PASSWORD, expect, test } from "./support/fixtures.ts";

test("a double click on Join creates one guest", { tag: "@nodes" }, async ({ visitAnonymously }) => {
  const newcomer = await visitAnonymously({ startPath: "/signin?next=/chat/general" });
  const { page } = newcomer;
  await page.route(/\/signin\?.*form=/, async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    await route.continue();
  });
  await page.getByLabel("Name").first().fill("Ada");
  await page.getByRole("button", { name: "Join" }).dblclick();
  await expect(page).toHaveURL(/\/chat\/general$/);
  await expect(page.locator(".account-name")).toHaveText("Ada");
});

test("a draft is not shown to the next person who uses the tab", async ({ join }) => {
  const ada = await join("Ada", { startPath: "/chat/general" });
  const { page } = ada;
  const field = page.getByRole("textbox", { name: "Message to General" });
  await field.fill("For nobody's eyes yet");
  await ada.open("/settings");
  await page.getByLabel("New password").fill(TEST_PASSWORD);
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("Password set")).toBeVisible();
  await ada.signOut();

  await ada.open("/signin?next=/chat/general");
  await ada.pickName("Eve");
  await ada.chat.sendMessage("Hello");
  await ada.chat.expectAllAcknowledged();
  await expect(field).toHaveValue("");
  await ada.signOut();

  await ada.open("/signin?next=/chat/general");
  await ada.signIn("Ada", TEST_PASSWORD);
  await expect(field, "the draft is kept for its author").toHaveValue("For nobody's eyes yet");
});

test("a pending message is never sent as the next person who uses the browser", async ({ join }) => {
  const ada = await join("Ada", { startPath: "/chat/general" });
  const grace = await join("Grace", { startPath: "/chat/general" });
  const tab = await ada.openTab("/settings");
  const goOnline = await ada.takeTabOffline();
  await ada.chat.sendMessage("Said by Ada");
  await expect(ada.chat.message("Said by Ada")).toHaveClass(/pending/);
  await tab.signOut();
  await tab.open("/signin?next=/chat/general");
  await tab.pickName("Eve");

  await goOnline();
  await expect(ada.page.locator(".account-name"), "the tab belongs to the next person").toHaveText("Eve");
  await ada.waitUntilConnected();
  await ada.chat.sendMessage("Said by Eve");
  await expect(grace.chat.message("Said by Eve")).toBeVisible();
  await expect(grace.chat.message("Said by Ada")).toHaveCount(0);
  await expect(ada.chat.message("Said by Ada")).toHaveCount(0);
});
