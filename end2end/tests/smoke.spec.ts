/** The shortest path through news, chat and calls, from a first visit. */
import { expect, test } from "./support/fixtures.ts";

test("a published story appears on an open page", { tag: "@nodes" }, async ({ visitAnonymously, publisher }) => {
  const reader = await visitAnonymously();
  await expect(reader.page.getByText("No news yet")).toBeVisible();
  await publisher.publish({ headline: "The bridge is open" });
  await expect(reader.news.headline("The bridge is open")).toBeVisible();
});

test("two people pick a name and talk in the same room", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.chat.sendMessage("Hello, anybody here?");
  await expect(grace.chat.message("Hello, anybody here?")).toBeVisible();
  await grace.chat.sendMessage("I am");
  await expect(ada.chat.message("I am")).toBeVisible();
  await ada.chat.expectAllAcknowledged();
});

test(
  "two people pick a name, and one calls the other: both receive audio and video",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.calls.call("Grace");
    await expect(grace.calls.incoming).toContainText("Ada is calling");
    const firstFrames = Promise.all([ada.calls.firstVideoFrameAt(), grace.calls.firstVideoFrameAt()]);
    const accepted = Date.now();
    await grace.calls.accept();
    await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
    const [caller, callee] = await firstFrames;
    console.log("milliseconds from Accept to the first video frame:", {
      caller: caller - accepted,
      callee: callee - accepted,
    });
    await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
    await ada.calls.hangUp();
    await expect(grace.calls.stage).toBeHidden();
  },
);
