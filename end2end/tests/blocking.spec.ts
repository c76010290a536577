/** Who may reach a person: blocks, hidden conversations, who may call, and calls through the relay only. */
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { expectVideoStreams, joinGroupCall } from "./support/group-calls.ts";

async function blockInRoom(visitor: Visitor, name: string, text: string): Promise<void> {
  await visitor.chat.message(text).locator("summary").click();
  await visitor.chat
    .message(text)
    .getByRole("button", { name: `Block ${name}` })
    .click();
}

/** A call that is refused: its preview stays open. */
async function tryToCall(visitor: Visitor, name: string): Promise<void> {
  await visitor.page
    .locator(".chat-rooms")
    .getByRole("button", { name: `Call ${name}`, exact: true })
    .click();
  await visitor.calls.preview.getByRole("button", { name: "Start voice call" }).click();
}

test(
  "a blocked person is not seen, cannot write or call, and is there again after the block",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, mallory, grace] = [await join("Ada"), await join("Mallory"), await join("Grace")];
    await mallory.chat.sendMessage("An insult");
    await grace.chat.sendMessage("A kindness");
    await mallory.chat.openDirectRoom("Ada");
    await mallory.chat.sendMessage("Are you there?");
    await expect(ada.chat.roomLink("Mallory")).toBeVisible();
    const other = await ada.openTab("/chat/general");

    await blockInRoom(ada, "Mallory", "An insult");
    for (const { chat } of [ada, other]) {
      await expect(chat.message("A kindness")).toBeVisible();
      await expect(chat.message("An insult"), "on every page of hers").toHaveCount(0);
      await expect(chat.roomLink("Mallory")).toHaveCount(0);
      await expect(chat.personRow("Mallory")).toHaveCount(0);
    }
    await mallory.chat.sendMessage("Hello?");
    await expect(mallory.chat.message("Hello?")).toContainText("This person does not accept messages from you.");
    await tryToCall(mallory, "Ada");
    await expect(mallory.page.getByText("Ada does not accept calls from you.")).toBeVisible();
    await mallory.open("/chat/general");
    await mallory.chat.sendMessage("Another insult");
    await grace.chat.sendMessage("Another kindness");
    await expect(ada.chat.message("Another kindness")).toBeVisible();
    expect(await ada.chat.sentTexts()).toEqual(["A kindness", "Another kindness"]);
    await ada.page.reload();
    await expect(ada.chat.message("Another kindness"), "also as rendered").toBeVisible();
    expect(await ada.chat.sentTexts()).toEqual(["A kindness", "Another kindness"]);
    await expect(ada.calls.incoming).toHaveCount(0);

    await ada.open("/settings");
    await ada.page.getByRole("button", { name: "Unblock Mallory" }).click();
    await expect(ada.page.getByText("You have blocked nobody.")).toBeVisible();
    await expect(other.chat.message("An insult"), "nothing was lost").toBeVisible();
    await other.chat.roomLink("Mallory").click();
    await expect(other.chat.message("Are you there?")).toBeVisible();
  },
);

test("who is blocked while they ring no longer rings", async ({ join }) => {
  const [ada, mallory] = [await join("Ada"), await join("Mallory")];
  await mallory.chat.sendMessage("An insult");
  await expect(ada.chat.message("An insult")).toBeVisible();
  await mallory.calls.call("Ada", "voice");
  await expect(ada.calls.incoming).toBeVisible();
  await blockInRoom(ada, "Mallory", "An insult");
  await expect(ada.calls.incoming).toHaveCount(0);
  await expect(mallory.calls.endedCard).toContainText("Voice call declined");
});

test("in a room's call, two of whom one is blocked neither see nor hear each other", async ({ join }) => {
  const [ada, mallory, grace] = [await join("Ada"), await join("Mallory"), await join("Grace")];
  await mallory.chat.sendMessage("An insult");
  await joinGroupCall(ada, true);
  await joinGroupCall(mallory);
  await joinGroupCall(grace);
  await expectVideoStreams([ada, mallory, grace], 2);
  const tile = (visitor: Visitor, name: string) => visitor.calls.stage.getByRole("listitem").filter({ hasText: name });
  await expect(tile(ada, "Mallory").locator("video, audio")).not.toHaveCount(0);
  await grace.calls.microphoneButton.click();
  await expect(tile(ada, "Mallory"), "the only one who is heard").toHaveClass(/is-speaking/);
  // The call hides the message on the page that it is on.
  await blockInRoom(await ada.openTab("/chat/general"), "Mallory", "An insult");
  await expect(tile(ada, "Mallory")).toContainText("Blocked: you neither see nor hear each other");
  await expect(tile(ada, "Mallory").locator("video, audio")).toHaveCount(0);
  await expect(tile(ada, "Mallory"), "has the large tile no more").not.toHaveClass(/is-speaking/);
  await expect(tile(mallory, "Ada")).toContainText("Camera off");
  await expect(tile(mallory, "Ada")).toContainText("Muted: ");
  await expect(tile(mallory, "Grace")).not.toContainText("Camera off");
  await expect(tile(grace, "Mallory")).not.toContainText("Camera off");
  await grace.calls.expectAudiblePlayback(2);
});

test("a block in a direct room stands in place of the composer", async ({ join }) => {
  const [ada, mallory] = [await join("Ada"), await join("Mallory")];
  await ada.chat.openDirectRoom("Mallory");
  const menu = ada.page.locator(".room-menu");
  await menu.locator("summary").click();
  await menu.getByRole("button", { name: "Block Mallory" }).click();
  await expect(ada.page.getByText("You have blocked Mallory.")).toBeVisible();
  await expect(menu.locator(".menu-panel"), "the menu closes").toBeHidden();
  await expect(ada.chat.composer).toHaveCount(0);
  await ada.page.locator(".blocked-notice").getByRole("button", { name: "Unblock Mallory" }).click();
  await expect(ada.chat.composer).toBeVisible();

  await menu.locator("summary").click();
  await menu.getByRole("button", { name: "Hide until the next message" }).click();
  await expect(ada.page).toHaveURL(/\/chat$/);
  await expect(ada.chat.roomLink("Mallory")).toHaveCount(0);
  await mallory.chat.openDirectRoom("Ada");
  await mallory.chat.sendMessage("Here I am");
  await expect(ada.chat.roomLink("Mallory").locator(".badge")).toHaveText("1 unread");
});

test("blocking works without JavaScript, and is shown in the settings", async ({ join }) => {
  const mallory = await join("Mallory");
  await mallory.chat.sendMessage("An insult");
  await mallory.chat.expectAllAcknowledged();
  const ada = await join("Ada", { javaScriptEnabled: false });
  await blockInRoom(ada, "Mallory", "An insult");
  await expect(ada.page).toHaveURL(/\/settings\?done=block#blocked$/);
  await expect(ada.page.locator("#blocked")).toContainText("Mallory");
  await ada.page.goto(new URL("/chat/general", ada.page.url()).href);
  await expect(ada.chat.composer).toBeVisible();
  await expect(ada.chat.message("An insult")).toHaveCount(0);
  await ada.page.goto(new URL("/settings", ada.page.url()).href);
  await ada.page.getByRole("button", { name: "Unblock Mallory" }).click();
  await expect(ada.page.locator("#blocked")).toContainText("You have blocked nobody.");
});

test("who may call is chosen in the settings, and so is the relay", async ({ join }) => {
  const [ada, grace] = [await join("Ada", { startPath: "/settings" }), await join("Grace")];
  const save = async () => {
    await ada.page.locator("form").filter({ hasText: "Who can call me" }).getByRole("button", { name: "Save" }).click();
    await expect(ada.page.getByText("Saved", { exact: true })).toBeVisible();
  };
  await ada.page.getByLabel("Nobody", { exact: true }).check();
  await save();
  await tryToCall(grace, "Ada");
  await expect(grace.page.getByText("Ada does not accept calls from you.")).toBeVisible();

  await grace.calls.preview.getByRole("button", { name: "Cancel" }).click();

  await ada.page.getByLabel("Everyone", { exact: true }).check();
  await ada.page.getByLabel("Hide my network address in calls").check();
  await save();
  await ada.page.reload();
  await expect(ada.page.getByLabel("Hide my network address in calls")).toBeChecked();
  await grace.calls.call("Ada", "voice");
  await ada.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  const candidates = await ada.page.evaluate(() => {
    const peers = window.instrumentation.peerConnections;
    return peers.flatMap((peer) => peer.localDescription?.sdp.match(/typ \w+/g) ?? []);
  });
  expect(new Set(candidates), "nothing else tells an address").toEqual(new Set(["typ relay"]));
});

test("administrators and editors are marked beside their names", async ({ join, joinAsAdministrator }) => {
  const admin = await joinAsAdministrator({ startPath: "/chat/general" });
  const ada = await join("Ada");
  await admin.chat.sendMessage("By the administrator");
  await ada.chat.sendMessage("By a guest");
  await expect(ada.chat.message("By the administrator").locator(".role-mark")).toHaveText("Admin");
  await expect(ada.chat.message("By a guest")).toBeVisible();
  await expect(ada.chat.message("By a guest").locator(".role-mark")).toHaveCount(0);
  await expect(ada.chat.personRow(admin.name).locator(".role-mark")).toHaveText("Admin");
});
