/** Names, passwords, roles and settings, the connection test and the server checks. */
import { TEST_PASSWORD, type Visitor, expect, test } from "./support/fixtures.ts";

test("a newcomer reads the news without a name, and is asked for one where it is required", async ({
  visitAnonymously,
  publisher,
}) => {
  await publisher.publish({ headline: "Open to all" });
  const newcomer = await visitAnonymously();
  const { page } = newcomer;
  await expect(page.getByRole("link", { name: "Open to all" })).toBeVisible();
  for (const path of ["/chat", "/chat/general", "/calls", "/settings"]) {
    await newcomer.open(path);
    await expect(page.getByRole("heading", { name: "Pick a name first" })).toBeVisible();
  }
  await newcomer.open("/chat/general");
  await page.getByRole("main").getByRole("link", { name: "Pick a name" }).click();
  await page.getByLabel("Name").first().fill("Ada");
  await page.getByRole("button", { name: "Join" }).click();
  await expect(page, "back on the requested page").toHaveURL(/\/chat\/general$/);
  await expect(page.getByRole("textbox", { name: "Message to General" })).toBeVisible();
});

test("a guest sets a password, signs out, and signs in again as the same person", async ({ join }) => {
  const ada = await join("Ada");
  const { page } = ada;
  await ada.chat.sendMessage("Remember me");
  await ada.chat.expectAllAcknowledged();
  await ada.open("/settings");
  await page.getByLabel("New password").fill(TEST_PASSWORD);
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("Password set")).toBeVisible();
  await ada.signOut();

  await ada.open("/signin?next=/chat/general");
  await ada.signIn("ada", "not the password");
  await expect(page.getByText("Wrong name or password")).toBeVisible();
  await ada.signIn("ada", TEST_PASSWORD);
  await expect(page).toHaveURL(/\/chat\/general$/);
  await expect(page.locator(".account-name")).toHaveText("Ada");
  await expect(ada.chat.message("Remember me")).toHaveClass(/mine/);
});

test(
  "the one-time link makes one administrator, and then no more",
  { tag: "@nodes" },
  async ({ joinAsAdministrator, visitAnonymously, server }) => {
    const portia = await joinAsAdministrator({ startPath: "/admin" });
    await expect(portia.page.getByRole("heading", { name: "Administration" })).toBeVisible();
    const second = await visitAnonymously({ startPath: (server.claimUrl ?? "").replace(server.url, "") });
    await second.page.getByLabel("Name").fill("Shylock");
    await second.page.getByLabel("New password").fill(TEST_PASSWORD);
    await second.page.getByRole("button", { name: "Become the administrator" }).click();
    await expect(second.page.getByText("This link was already used")).toBeVisible();
  },
);

test("a guest is refused the administration page, with a reason", async ({ join }) => {
  const { page, browserErrors } = await join("Ada", { startPath: "/admin" });
  browserErrors.allow(/403/, "the page is refused");
  await expect(page.getByText("Only administrators can do that")).toBeVisible();
});

for (const javaScriptEnabled of [true, false]) {
  test(`an invalid name is refused with a reason, ${javaScriptEnabled ? "with" : "without"} JavaScript`, async ({
    join,
    visitAnonymously,
  }) => {
    await join("Grace");
    const { page } = await visitAnonymously({ startPath: "/signin", javaScriptEnabled });
    const form = page.locator("form").filter({ hasText: "Pick a name" });
    const submit = async (name: string) => {
      // Turns off the browser's validation, to reach the server's.
      await form.evaluate((element: HTMLFormElement) => {
        element.noValidate = true;
      });
      await form.getByLabel("Name").fill(name);
      await form.getByRole("button", { name: "Join" }).click();
    };
    const refusal = form.getByRole("alert");
    await submit("gRACE");
    await expect(refusal).toContainText("That name is taken");
    await expect(form.getByLabel("Name"), "the form keeps its input").toHaveValue("gRACE");
    await submit("   ");
    await expect(refusal).toContainText("Enter at least one character");
    await submit("x".repeat(41));
    await expect(refusal).toContainText("40");
    await submit("Heloise");
    await expect(page).toHaveURL(/\/chat$/);
  });
}

test("a name that is too long is kept, with its excess in words, and not sent", async ({ visitAnonymously }) => {
  const { page } = await visitAnonymously({ startPath: "/signin?next=%2Fcalls" });
  const form = page.locator("form").filter({ hasText: "Pick a name" });
  const name = form.getByLabel("Name");
  const tooLong = "Name ".repeat(9);
  await name.fill(`  ${tooLong}`);
  await expect(name, "white space at the ends does not count").toHaveAccessibleDescription(/4 characters too many/);
  await expect(name).toHaveAttribute("aria-invalid", "true");
  await form.getByRole("button", { name: "Join" }).click();
  await expect(name, "the browser shows why the form is not sent").toBeFocused();
  await expect(name).toHaveValue(`  ${tooLong}`);
  // Each emoji is one character, and two UTF-16 code units.
  await name.fill("😀".repeat(40));
  await expect(form.getByText("too many")).toHaveCount(0);
  await form.getByRole("button", { name: "Join" }).click();
  await expect(page.locator(".account-name")).toHaveText("😀".repeat(40));
  await expect(page).toHaveURL(/\/calls$/);
});

test("name and theme can be changed in the settings", async ({ join }) => {
  const { page } = await join("Ada", { startPath: "/settings" });
  await page.getByLabel("Name", { exact: true }).fill("Ada L.");
  await page.getByRole("button", { name: "Change name" }).click();
  await expect(page.getByText("Name changed")).toBeVisible();
  await expect(page.locator(".account-name")).toHaveText("Ada L.");
  const html = page.locator("html");
  for (const theme of ["Dark", "Light"]) {
    await page.getByLabel(theme, { exact: true }).check();
    await page.getByRole("button", { name: "Use this theme" }).click();
    await expect(page.getByText("Theme changed")).toBeVisible();
    await expect(html).toHaveAttribute("data-theme", theme.toLowerCase());
  }
  await page.getByLabel("System", { exact: true }).check();
  await page.getByRole("button", { name: "Use this theme" }).click();
  await expect(html).not.toHaveAttribute("data-theme");
});

test("a form shows its latest answer only", async ({ join }) => {
  await join("Grace");
  const { page, browserErrors } = await join("Ada", { startPath: "/settings" });
  browserErrors.allow(/fn\/rename|status of 4\d\d/, "the name is taken");
  const form = page.locator("form").filter({ hasText: "Change name" });
  const changeName = async (name: string) => {
    await form.getByLabel("Name", { exact: true }).fill(name);
    await form.getByRole("button", { name: "Change name" }).click();
  };
  for (const name of ["Ada L.", "Ada M."]) {
    await changeName(name);
    await expect(form.getByRole("status")).toContainText("Name changed");
    await expect(form.getByRole("alert")).toHaveCount(0);
    await changeName("Grace");
    await expect(form.getByRole("alert")).toContainText("That name is taken");
    await expect(page.getByText("Name changed")).toHaveCount(0);
  }
});

test("a failure that repeats is announced again", async ({ join }) => {
  await join("Grace");
  const { page, browserErrors } = await join("Ada", { startPath: "/settings" });
  browserErrors.allow(/fn\/rename|status of 4\d\d/, "the name is taken");
  const form = page.locator("form").filter({ hasText: "Change name" });
  await form.getByLabel("Name", { exact: true }).fill("Grace");
  const submit = form.getByRole("button", { name: "Change name" });
  await submit.click();
  await expect(form.getByRole("alert")).toContainText("That name is taken");
  const first = await form.getByRole("alert").elementHandle();
  await submit.click();
  await expect.poll(() => first?.evaluate((alert) => alert.isConnected), "a new alert").toBe(false);
  await expect(form.getByRole("alert")).toContainText("That name is taken");
});

test("a slow answer does not bring back the page that was left", async ({ join }) => {
  const { page, chat } = await join("Ada", { startPath: "/settings" });
  let release: () => void = () => undefined;
  const held = new Promise<void>((done) => (release = done));
  await page.route("**/fn/rename", async (route) => {
    await held;
    await route.continue();
  });
  await page.getByLabel("Name", { exact: true }).fill("Ada L.");
  const answered = page.waitForResponse("**/fn/rename");
  await page.getByRole("button", { name: "Change name" }).click();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Chat" }).click();
  await expect(page.getByRole("heading", { name: "Choose a room" })).toBeVisible();
  release();
  await (await answered).finished();
  await page.getByRole("link", { name: "Open General" }).click();
  await chat.sendMessage("Still in the chat");
  await chat.expectAllAcknowledged();
  await expect(page).toHaveURL(/\/chat\/general$/);
});

test("a page from before the password was set asks for it", async ({ join }) => {
  const ada = await join("Ada", { startPath: "/settings" });
  ada.browserErrors.allow(/fn\/set-password|status of 4\d\d/, "the current password is missing");
  const tab = await ada.openTab("/settings");
  const setPassword = async ({ page }: Visitor, password: string) => {
    await page.getByLabel("New password").fill(password);
    await page.getByRole("button", { name: "Set password" }).click();
  };
  await setPassword(tab, TEST_PASSWORD);
  await expect(tab.page.getByText("Password set")).toBeVisible();
  await setPassword(ada, "another good password");
  await expect(ada.page.getByText("You already have a password")).toBeVisible();
  await ada.page.getByLabel("Current password").fill(TEST_PASSWORD);
  await ada.page.getByRole("button", { name: "Set password" }).click();
  await expect(ada.page.getByText("Password set")).toBeVisible();
});

test("signing out ends the chat in every other tab, which says so", { tag: "@nodes" }, async ({ join }) => {
  const ada = await join("Ada");
  const tab = await ada.openTab("/settings");
  await tab.page.getByRole("button", { name: "Sign out" }).click();
  await expect(tab.page.getByRole("link", { name: "Join" })).toBeVisible();
  await expect(ada.page.getByText("You were signed out")).toBeVisible();
  await ada.page.getByRole("button", { name: "Reload" }).click();
  await expect(ada.page.getByRole("heading", { name: "Pick a name first" })).toBeVisible();
});

test(
  "the administrator appoints an editor, who can then publish",
  { tag: "@nodes" },
  async ({ joinAsAdministrator, join }) => {
    const ada = await join("Ada", { startPath: "/" });
    await expect(ada.page.getByRole("link", { name: "Publish a story" })).toHaveCount(0);
    const { page } = await joinAsAdministrator({ startPath: "/admin" });
    await page.getByLabel("Role of Ada", { exact: true }).selectOption("editor");
    await page.getByRole("button", { name: "Change the role of Ada" }).click();
    await expect(page.getByText("Role changed")).toBeVisible();
    await ada.open("/");
    await ada.page.getByRole("link", { name: "Publish a story" }).first().click();
    await expect(ada.page.getByLabel("Headline")).toBeVisible();
  },
);

test("a choice on the administration page stays beside its person", async ({ joinAsAdministrator, join }) => {
  await join("Ada");
  await join("Bob");
  const { page } = await joinAsAdministrator({ startPath: "/admin" });
  const roleOf = (name: string) => page.getByLabel(`Role of ${name}`, { exact: true });
  const change = (name: string) => page.getByRole("button", { name: `Change the role of ${name}` });
  await roleOf("Ada").selectOption("editor");
  await join("Newcomer");
  await roleOf("Bob").selectOption("member");
  await change("Bob").click();
  await expect(roleOf("Newcomer"), "the list is fetched again").toHaveValue("guest");
  await expect(roleOf("Bob")).toHaveValue("member");
  await expect(roleOf("Ada")).toHaveValue("editor");
  await expect(change("Bob")).toBeFocused();
  await change("Ada").click();
  await expect(page.getByText("Role changed")).toBeVisible();
  await page.reload();
  await expect(roleOf("Ada")).toHaveValue("editor");
  await expect(roleOf("Newcomer")).toHaveValue("guest");
});

test("a right-to-left name is truncated at its end, and aligned like every name", async ({ join }) => {
  const name = "محمد بن عبد الله بن عبد الرحمن البغدادي";
  const [ada] = [await join("Ada", { viewport: { width: 800, height: 800 } }), await join(name)];
  await ada.chat.openDirectRoom(name);
  const shown = [ada.chat.personRow(name), ada.chat.roomLink(name)].map((row) => row.locator(".room-title"));
  for (const title of [...shown, ada.page.getByRole("heading", { level: 1, name })]) {
    await expect(title).toHaveCSS("direction", "rtl");
    await expect(title).toHaveCSS("text-align", /left/);
  }
  const beginning = await shown[0]?.evaluate((title) => {
    const range = document.createRange();
    range.setStart(title.firstChild ?? title, 0);
    range.setEnd(title.firstChild ?? title, 1);
    const [first, box] = [range.getBoundingClientRect(), title.getBoundingClientRect()];
    return {
      isCut: title.scrollWidth > title.clientWidth,
      isSeen: first.right <= box.right + 1 && first.left >= box.left,
    };
  });
  expect(beginning).toEqual({ isCut: true, isSeen: true });
});

test("anybody can test their connection for calls, with measured times", { tag: "@nodes" }, async ({ join }) => {
  const ada = await join("Ada", { startPath: "/settings" });
  const card = ada.page.getByRole("region", { name: "Call connection test" });
  await card.getByRole("button", { name: "Test my connection" }).click();
  for (const route of ["Relay over UDP", "Relay over TCP"]) {
    const row = card.locator(".finding").filter({ hasText: route });
    await expect(row).toContainText(/Connected after \d+ ms; round trip \d+ ms\./, { timeout: 30_000 });
  }
  await expect(card.locator(".finding").filter({ hasText: "Calls from here" })).toContainText("Calls will connect.");
});

test("an administrator runs the server's checks, with and without JavaScript", async ({
  joinAsAdministrator,
  server,
  browser,
}) => {
  const portia = await joinAsAdministrator({ startPath: "/admin" });
  await portia.page.getByRole("button", { name: "Run checks" }).click();
  const findings = portia.page.getByRole("region", { name: "Calls through this server" }).locator(".finding");
  await expect(findings.filter({ hasText: "Relay over UDP" })).toContainText("made the round trip", {
    timeout: 30_000,
  });
  await expect(findings.filter({ hasText: "Relay over TCP" })).toContainText("OK");
  const context = await browser.newContext({
    javaScriptEnabled: false,
    storageState: await portia.context.storageState(),
  });
  const page = await context.newPage();
  await page.goto(`${server.url}/admin?doctor=run`);
  await expect(page.locator(".finding").filter({ hasText: "Relay over UDP" })).toContainText("OK");
  await context.close();
});
