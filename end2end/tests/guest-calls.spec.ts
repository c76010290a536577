/** Guests who join one call by a link and a name, without access to the rest of the site. */
import AxeBuilder from "@axe-core/playwright";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { expectVideoStreams, joinGroupCall } from "./support/group-calls.ts";

/** Creates a guest link in the visitor's current call, and returns its path. */
async function createGuestLink(visitor: Visitor): Promise<string> {
  await visitor.calls.stage.getByRole("button", { name: "Invite a guest" }).click();
  await visitor.calls.stage.getByRole("button", { name: "Create link" }).click();
  const link = await visitor.calls.stage.getByRole("textbox", { name: "Guest link" }).inputValue();
  return new URL(link).pathname;
}

async function joinAsGuest(guest: Visitor, name: string): Promise<void> {
  await guest.page.getByLabel("Name").fill(name);
  await guest.page.getByRole("button", { name: "Continue to the call" }).click();
  await guest.calls.preview.getByRole("button", { name: "Join the call" }).click();
  await expect(guest.calls.stage).toBeVisible();
}

test(
  "a guest joins by link and name, and is removed when the link is revoked",
  { tag: "@nodes" },
  async ({ join, visitAnonymously }) => {
    const ada = await join("Ada");
    await joinGroupCall(ada, true);
    const link = await createGuestLink(ada);
    await expect(ada.calls.stage.getByText("Created by Ada")).toBeVisible();
    await ada.context.grantPermissions(["clipboard-read", "clipboard-write", "camera", "microphone"]);
    await ada.calls.stage.getByRole("button", { name: "Copy" }).click();
    await expect(ada.calls.stage.getByRole("button", { name: "Copied" })).toBeVisible();
    expect(await ada.page.evaluate(() => navigator.clipboard.readText())).toBe(new URL(link, ada.page.url()).href);

    const bob = await visitAnonymously({ startPath: link });
    await expect(bob.page.getByText("Ada invites you to a video call")).toBeVisible();
    await expect(bob.page.getByRole("navigation")).toHaveCount(0);
    await joinAsGuest(bob, "Bob");
    await expectVideoStreams([ada, bob], 1);
    for (const { calls } of [ada, bob]) await calls.expectAudiblePlayback();
    await expect(ada.calls.stage.getByRole("listitem").filter({ hasText: "Bob (guest)" })).toBeVisible();
    await expect(bob.calls.stage.getByRole("button", { name: "Invite a guest" })).toHaveCount(0);
    await expect(bob.page.getByText("You are Bob, a guest in this call")).toBeVisible();
    const { violations } = await new AxeBuilder({ page: bob.page }).analyze();
    const severeViolations = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(severeViolations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ""}`)).toEqual([]);

    await ada.calls.stage.getByRole("button", { name: "Revoke link" }).click();
    await expect(ada.calls.stage.getByRole("listitem").filter({ hasText: "Bob (guest)" })).toHaveCount(0);
    await expect(bob.page.getByText("You are no longer in this call")).toBeVisible();
    await expect(bob.calls.stage).toHaveCount(0);
    await expect.poll(() => bob.calls.openDevices()).toEqual({ microphone: false, camera: false });
    const late = await visitAnonymously({ startPath: link });
    late.browserErrors.allow(/404/, "the link was revoked");
    await expect(late.page.getByRole("heading", { name: "This link is no longer valid" })).toBeVisible();
  },
);

test(
  "a guest's call survives a restart of the server, and ends when the last member leaves",
  { tag: "@nodes" },
  async ({ join, visitAnonymously, server }) => {
    const ada = await join("Ada");
    await joinGroupCall(ada, true);
    const bob = await visitAnonymously({ startPath: await createGuestLink(ada) });
    for (const visitor of [ada, bob]) visitor.allowOutageErrors();
    await joinAsGuest(bob, "Bob");
    await expectVideoStreams([ada, bob], 1);
    await server.kill();
    await expectVideoStreams([ada, bob], 1);
    await server.launch();
    await expectVideoStreams([ada, bob], 1);
    await expect(bob.calls.state).toContainText("2 people");
    // Both are connected to the server again: when one leaves, the other is notified.
    await ada.calls.stage.getByRole("button", { name: "Leave" }).click();
    // The end of the call and the end of the guest's session arrive separately, and either shows such a message.
    await expect(bob.page.getByText(/You are no longer in (the|this) call:/).first()).toBeVisible({
      timeout: 30_000,
    });
    await expect(bob.calls.stage).toHaveCount(0);
    await expect.poll(() => bob.calls.openDevices()).toEqual({ microphone: false, camera: false });
    await expect(ada.chat.timeline).toContainText(/Call, (\d+ min )?\d+ s: Ada, Bob \(guest\)/);
  },
);
