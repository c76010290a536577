/** One browser, more than one person, and more than one click. */
import { PASSWORD, expect, test } from "./support/fixtures.ts";

test("an impatient double click on Join makes one guest, who is in", async ({ visit }) => {
  const newcomer = await visit({ at: "/signin?next=/chat/general" });
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
  const ada = await join("Ada", { at: "/chat/general" });
  const { page } = ada;
  const field = page.getByRole("textbox", { name: "Message to General" });
  await field.fill("For nobody's eyes yet");
  await ada.open("/settings");
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("Your password was set")).toBeVisible();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("link", { name: "Join" })).toBeVisible();

  await ada.open("/signin?next=/chat/general");
  await page.getByLabel("Name").first().fill("Eve");
  await page.getByRole("button", { name: "Join" }).click();
  await expect(page.locator(".account-name")).toHaveText("Eve");
  await ada.chat.say("Hello");
  await ada.chat.allSent();
  await expect(field).toHaveValue("");
  await ada.open("/settings");
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("link", { name: "Join" })).toBeVisible();

  await ada.open("/signin?next=/chat/general");
  const form = page.locator("form").filter({ hasText: "If you gave your name a password" });
  await form.getByLabel("Name").fill("Ada");
  await form.getByLabel("Password").fill(PASSWORD);
  await form.getByRole("button", { name: "Sign in" }).click();
  await expect(field, "and it waits for whoever wrote it").toHaveValue("For nobody's eyes yet");
});
