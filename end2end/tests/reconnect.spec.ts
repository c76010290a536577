/** Calls whose network, server or page goes away. */
import { type Visitor, expect, test } from "./support/fixtures.ts";

async function connect(caller: Visitor, callee: Visitor): Promise<void> {
  await caller.calls.call(callee.name);
  await callee.calls.accept();
  await Promise.all([caller.calls.connected(), callee.calls.connected()]);
  await Promise.all([caller.calls.plays(), callee.calls.plays()]);
}

test("a page that loses the server shows it to both, keeps sound and picture, and is connected again", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connect(ada, grace);
  await ada.offline();
  await expect(grace.calls.state).toContainText("Reconnecting…");
  await Promise.all([ada.calls.showsMotion(), grace.calls.showsMotion()]);
  await ada.online();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
  await grace.calls.hangUp();
  await expect(ada.calls.farewell).toContainText(/Video call, \d+ s/);
});

test("a machine that falls asleep is missed by the other one, and the call goes on when it wakes", async ({
  join,
  machine,
}) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { machine });
  await connect(ada, grace);
  machine.sleep();
  // A browser takes about seven seconds to miss the other side.
  await expect(ada.calls.state).toContainText("Reconnecting…", { timeout: 20_000 });
  await expect(ada.calls.stage).toContainText("Another path is being looked for");
  machine.wake();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
  await ada.calls.hangUp();
  await expect(grace.calls.farewell).toContainText(/Video call, \d+ s/);
});

test("a server that is killed in the middle of a call does not end it", async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.expectsOutage();
  grace.expectsOutage();
  await connect(ada, grace);
  await Promise.all([ada.calls.watchFrames(), grace.calls.watchFrames()]);
  await server.kill();
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
  await server.run();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
  for (const { calls } of [ada, grace])
    expect(await calls.longestPause(), "the picture never stops").toBeLessThan(1_500);
  await ada.chat.say("Did you notice?");
  await expect(grace.chat.message("Did you notice?")).toBeVisible();
  await ada.calls.hangUp();
  await expect(grace.calls.farewell).toContainText(/Video call, \d+ s/);
});

test("a server that is killed while it rings goes on ringing when it is back", async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.expectsOutage();
  grace.expectsOutage();
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toBeVisible();
  await server.kill();
  await expect(ada.calls.state).toContainText("No connection to the server");
  await grace.calls.accept();
  await expect(grace.calls.state).toContainText("No connection to the server. The call is answered when it is back.");
  await server.run();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

test.describe("with three seconds to come back", () => {
  test.use({ settings: { RIALTO_CALL_GRACE_SECONDS: "3" } });

  test("a machine that loses its power ends the call for the other one, in words", async ({ join, machine }) => {
    const ada = await join("Ada");
    const grace = await join("Grace", { machine });
    await connect(ada, grace);
    await machine.losePower();
    await expect(ada.calls.state).toContainText("Reconnecting…");
    await expect(ada.calls.farewell).toContainText(/Video call, connection lost after \d+ s/);
    await expect.poll(() => ada.calls.lights()).toEqual({ microphone: false, camera: false });
    await ada.chat.room("Grace").click();
    await expect(ada.chat.timeline.locator(".message-call")).toContainText(/connection lost after/);
  });
});
