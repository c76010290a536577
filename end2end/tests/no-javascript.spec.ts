/** The site without JavaScript: everything but live updates and calls works by links and forms. */
import { TEST_PASSWORD, expect, test } from "./support/fixtures.ts";

const WITHOUT_JAVASCRIPT = { javaScriptEnabled: false };

test("the news list, a story, a topic and older stories can be read", async ({ visitAnonymously, publisher }) => {
  for (let at = 1; at <= 21; at += 1)
    await publisher.publish({ headline: `Story ${at}`, topic: at === 3 ? "Sports" : "" });
  await publisher.publish({ headline: "It breaks", body: "Here is **how**.", urgency: "breaking", topic: "Harbour" });
  const { page, news } = await visitAnonymously(WITHOUT_JAVASCRIPT);
  await expect(news.headlines).toHaveCount(20);
  await expect(news.banner).toContainText("It breaks");
  await expect(news.banner.getByRole("button"), "no button that needs JavaScript").toHaveCount(0);
  await expect(page.locator("time").first()).toContainText("UTC");
  await news.headline("It breaks").getByRole("link").click();
  await expect(page.locator(".story-body strong")).toHaveText("how");
  await page.getByRole("link", { name: "All news" }).click();
  await page.getByRole("link", { name: "Older stories" }).click();
  await expect(news.headlines).toHaveText(["Story 2", "Story 1"]);
  await page.getByRole("navigation", { name: "Topics" }).getByRole("link", { name: "Sports" }).click();
  await expect(news.headlines).toHaveText(["Story 3"]);
});

test("a newcomer picks a name and posts a message, which others see live", { tag: "@nodes" }, async ({ join }) => {
  const ada = await join("Ada");
  const grace = await join("Grace", WITHOUT_JAVASCRIPT);
  await grace.chat.composer.fill("By a plain form\nin two lines");
  await grace.page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(ada.chat.message("By a plain form").locator(".message-text")).toHaveText(
    "By a plain form\nin two lines",
  );
  await expect(grace.chat.message("By a plain form")).toBeVisible();
  await ada.chat.sendMessage("Welcome");
  await ada.chat.expectAllAcknowledged();
  await grace.page.reload();
  await expect(grace.chat.message("Welcome")).toBeVisible();
  expect(await grace.chat.sentTexts(), "a reload does not post again").toHaveLength(2);
});

test("a message and a room's name that are refused are kept", async ({ joinAsAdministrator }) => {
  const { page, chat } = await joinAsAdministrator({ ...WITHOUT_JAVASCRIPT, startPath: "/chat/general" });
  const tooLong = "a".repeat(4_001);
  await chat.composer.fill(tooLong);
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(page.getByText("at most 4000 characters; this one has 4001")).toBeVisible();
  await expect(chat.composer).toHaveValue(tooLong);
  await chat.composer.fill("Shorter");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(chat.message("Shorter")).toBeVisible();
  await page.getByText("New room").click();
  await page.getByLabel("Name").fill("general");
  await page.getByRole("button", { name: "Create room" }).click();
  await expect(chat.rooms.getByRole("alert")).toBeVisible();
  await expect(page.getByLabel("Name")).toHaveValue("general");
});

test("older messages are on pages with links both ways", async ({ join }) => {
  const ada = await join("Ada");
  await ada.chat.sendMessages(Array.from({ length: 120 }, (_, at) => `Line ${at + 1}`));
  await ada.chat.expectAllAcknowledged();
  const { page, chat } = await join("Grace", WITHOUT_JAVASCRIPT);
  const expectMessagesFrom = async (first: string, count: number) => {
    await expect(chat.timeline.locator(".message-text").first()).toHaveText(first);
    await expect(chat.messages).toHaveCount(count);
  };
  await expectMessagesFrom("Line 71", 50);
  await page.getByRole("link", { name: "Older messages" }).click();
  await expectMessagesFrom("Line 21", 50);
  await page.getByRole("link", { name: "Older messages" }).click();
  await expectMessagesFrom("Line 1", 20);
  await expect(page.getByRole("link", { name: "Older messages" })).toHaveCount(0);
  await page.getByRole("link", { name: "Back to the newest messages" }).click();
  await expectMessagesFrom("Line 71", 50);
});

test("a direct room can be opened and written in", async ({ join }) => {
  const ada = await join("Ada");
  const { page, chat } = await join("Grace", WITHOUT_JAVASCRIPT);
  await chat.openDirectRoom("Ada");
  await chat.composer.fill("Just us");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(chat.message("Just us")).toBeVisible();
  await ada.chat.roomLink("Grace").click();
  await expect(ada.chat.message("Just us")).toBeVisible();
  await expect(chat.rooms.getByRole("button", { name: "Call Ada" }), "calls need JavaScript").toBeHidden();
});

test("name, theme and password can be changed, and signing out and in works", async ({ join }) => {
  const { page } = await join("Ada", { ...WITHOUT_JAVASCRIPT, startPath: "/settings" });
  await page.getByLabel("Name", { exact: true }).fill("Ada L.");
  await page.getByRole("button", { name: "Change name" }).click();
  await expect(page.getByText("Name changed")).toBeVisible();
  await page.getByLabel("Dark", { exact: true }).check();
  await page.getByRole("button", { name: "Use this theme" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByLabel("New password").fill("short");
  await page
    .locator("form")
    .filter({ has: page.getByLabel("New password") })
    .evaluate((form: HTMLFormElement) => {
      form.noValidate = true;
    });
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("A password needs at least 8 characters")).toBeVisible();
  await page.getByLabel("New password").fill(TEST_PASSWORD);
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("Password set")).toBeVisible();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Join" }).click();
  const form = page.locator("form").filter({ hasText: "If you have set a password" });
  await form.getByLabel("Name").fill("Ada L.");
  await form.getByLabel("Password").fill(TEST_PASSWORD);
  await form.getByRole("button", { name: "Sign in" }).click();
  await expect(page.locator(".account-name")).toHaveText("Ada L.");
});

test("the administrator publishes with the editor form, which keeps its input when it is rejected", async ({
  joinAsAdministrator,
}) => {
  const editor = await joinAsAdministrator({ ...WITHOUT_JAVASCRIPT, startPath: "/news/new" });
  const { page } = editor;
  editor.browserErrors.allow(/answered 4\d\d: POST .*\/news\/new|status of 4\d\d/, "the form returns with an error");
  await page.getByLabel("Headline").fill("   ");
  await page.getByLabel("Body").fill('A body <with> & "signs"');
  await page.getByLabel("Topic").fill("Harbour");
  await page.getByRole("radio", { name: /^Breaking/ }).check();
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await expect(page.locator(".form-outcome")).toContainText(/headline/i);
  await expect(page.getByLabel("Body")).toHaveValue('A body <with> & "signs"');
  await expect(page.getByRole("radio", { name: /^Breaking/ })).toBeChecked();
  await page.getByLabel("Headline").fill("Published plainly");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Published plainly" })).toBeVisible();
  await expect(page.locator(".story-facts").first()).toContainText("Harbour");
});

test("the administrator creates a room and appoints an editor", async ({ joinAsAdministrator, join }) => {
  await join("Ada");
  const { page } = await joinAsAdministrator({ ...WITHOUT_JAVASCRIPT, startPath: "/chat" });
  await page.getByText("New room").click();
  await page.getByLabel("Name").fill("Harbour watch");
  await page.getByRole("button", { name: "Create room" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Harbour watch" })).toBeVisible();
  await page.goto(new URL("/admin", page.url()).href);
  await page.getByLabel("Role of Ada", { exact: true }).selectOption("editor");
  await page.getByRole("button", { name: "Change the role of Ada" }).click();
  await expect(page.getByText("Role changed")).toBeVisible();
  await expect(page.getByLabel("Role of Ada", { exact: true })).toHaveValue("editor");
});

test("past calls are listed", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await grace.calls.call("Ada", "voice");
  await ada.calls.decline();
  await expect(grace.calls.endedCard).toBeVisible();
  // Ada's session in a browser without JavaScript.
  const cookies = await ada.context.cookies();
  const { page } = await join("Eve", { ...WITHOUT_JAVASCRIPT, startPath: "/calls" });
  await page.context().addCookies(cookies);
  await page.reload();
  await expect(page.getByText("Calls need JavaScript")).toBeVisible();
  await expect(page.getByText("You declined a voice call")).toBeVisible();
});
