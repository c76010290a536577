/** Guests to one call: a link, a name, the call, and nothing else of the site. */
import AxeBuilder from "@axe-core/playwright";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { flows, gather } from "./support/gathering.ts";

/** Makes a link in the call that somebody is in: its address within the site. */
async function invite(who: Visitor): Promise<string> {
  await who.calls.stage.getByRole("button", { name: "Invite a guest" }).click();
  await who.calls.stage.getByRole("button", { name: "Make a link" }).click();
  const link = await who.calls.stage.getByRole("textbox", { name: "Link for guests" }).inputValue();
  return new URL(link).pathname;
}

/** Gives a name, and joins. */
async function enter(guest: Visitor, name: string): Promise<void> {
  await guest.page.getByLabel("Name").fill(name);
  await guest.page.getByRole("button", { name: "Go on to the call" }).click();
  await guest.calls.preview.getByRole("button", { name: "Join the call" }).click();
  await expect(guest.calls.stage).toBeVisible();
}

test("somebody with a link gives a name, takes part, and is out when the link is ended", async ({ join, visit }) => {
  const ada = await join("Ada");
  await gather(ada, true);
  const link = await invite(ada);
  await expect(ada.calls.stage.getByText("Made by Ada")).toBeVisible();
  await ada.context.grantPermissions(["clipboard-read", "clipboard-write", "camera", "microphone"]);
  await ada.calls.stage.getByRole("button", { name: "Copy" }).click();
  await expect(ada.calls.stage.getByRole("button", { name: "Copied" })).toBeVisible();
  expect(await ada.page.evaluate(() => navigator.clipboard.readText())).toBe(new URL(link, ada.page.url()).href);

  const bob = await visit({ at: link });
  await expect(bob.page.getByText("Ada invites you to a video call")).toBeVisible();
  await expect(bob.page.getByRole("navigation")).toHaveCount(0);
  await enter(bob, "Bob");
  await flows([ada, bob], 1);
  for (const { calls } of [ada, bob]) await calls.playsAloud();
  await expect(ada.calls.stage.getByRole("listitem").filter({ hasText: "Bob (guest)" })).toBeVisible();
  await expect(bob.calls.stage.getByRole("button", { name: "Invite a guest" })).toHaveCount(0);
  await expect(bob.page.getByText("You are Bob, a guest to this call")).toBeVisible();
  const { violations } = await new AxeBuilder({ page: bob.page }).analyze();
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(grave.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ""}`)).toEqual([]);

  await ada.calls.stage.getByRole("button", { name: "End the link" }).click();
  await expect(ada.calls.stage.getByRole("listitem").filter({ hasText: "Bob (guest)" })).toHaveCount(0);
  await expect(bob.page.getByText("You are not in this call any more")).toBeVisible();
  await expect(bob.calls.stage).toHaveCount(0);
  await expect.poll(() => bob.calls.lights()).toEqual({ microphone: false, camera: false });
  const late = await visit({ at: link });
  await expect(late.page.getByRole("heading", { name: "This link does not work any more" })).toBeVisible();
});

test("a guest's call goes on through a restart of the server, and ends with the last of the room", async ({
  join,
  visit,
  server,
}) => {
  const ada = await join("Ada");
  await gather(ada, true);
  const bob = await visit({ at: await invite(ada) });
  for (const who of [ada, bob]) who.expectsOutage();
  await enter(bob, "Bob");
  await flows([ada, bob], 1);
  await server.kill();
  await flows([ada, bob], 1);
  await server.run();
  await flows([ada, bob], 1);
  await expect(bob.calls.state).toContainText("2 people");
  // The server is there again for both: what one does is told to the other.
  await ada.calls.stage.getByRole("button", { name: "Leave" }).click();
  // The last word on the call and the end of the guest's connection come by two ways, and either says so.
  await expect(bob.page.getByText(/You are not in (the|this) call any more/).first()).toBeVisible({ timeout: 30_000 });
  await expect(bob.calls.stage).toHaveCount(0);
  await expect.poll(() => bob.calls.lights()).toEqual({ microphone: false, camera: false });
  await expect(ada.chat.timeline).toContainText(/Call, (\d+ min )?\d+ s: Ada, Bob \(guest\)/);
});
