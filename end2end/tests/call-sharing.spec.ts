/** Shared screens and file transfers during calls, full screen and the safety code. Files go from peer to peer. */
import { type Page } from "@playwright/test";
import { sha256Hex, createRandomFile, fileTransferRow } from "./support/call-file-transfers.ts";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { expectMovingVideo, fakeDisplayMedia } from "./support/screen-sharing.ts";

async function connectCall(ada: Visitor, grace: Visitor): Promise<void> {
  await ada.calls.call("Grace");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
}

test("a screen is shared beside the camera, by button and by key, and both sides see it", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await fakeDisplayMedia(ada.page);
  await connectCall(ada, grace);
  const share = ada.calls.stage.getByRole("button", { name: "Share screen" });
  const shown = grace.calls.stage.getByLabel("Ada's screen");
  await expect(shown).toBeHidden();
  await share.click();
  await expect(ada.calls.stage).toContainText("You are sharing your screen.");
  await expect(shown).toBeVisible();
  await expectMovingVideo(shown);
  await grace.calls.expectMovingVideo();
  expect(
    await grace.page.evaluate(() => window.instrumentation.peerConnections.length),
    "no new connection is made",
  ).toBe(1);

  await ada.calls.stage.getByRole("button", { name: "Stop sharing" }).click();
  await expect(shown).toBeHidden();
  await ada.calls.stage.focus();
  await ada.page.keyboard.press("d");
  await expect(shown).toBeVisible();
  await expectMovingVideo(shown);
  // Stops sharing as the browser's own button would.
  await ada.page.evaluate(() => {
    const shared = window.instrumentation.localTracks.findLast((track) => track.kind === "video");
    shared?.stop();
    shared?.dispatchEvent(new Event("ended"));
  });
  await expect(shown).toBeHidden();
  await expect(ada.calls.stage).not.toContainText("You are sharing your screen.");
  await grace.calls.expectAudioAndVideo();
});

test("the remote video goes full screen and picture-in-picture, whose window closes with what it shows", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await fakeDisplayMedia(grace.page);
  await connectCall(ada, grace);
  await ada.calls.expectMovingVideo();
  await ada.calls.stage.getByRole("button", { name: "Full screen" }).click();
  const full = () => ada.page.evaluate(() => document.fullscreenElement?.className);
  await expect.poll(full).toBe("call-pictures");
  await ada.calls.stage.getByRole("button", { name: "Full screen" }).click();
  await expect.poll(full).toBeUndefined();
  const pictureInPictureButton = ada.calls.stage.getByRole("button", { name: "Picture-in-picture" });
  const pictureInPictureLabel = () =>
    ada.page.evaluate(() => document.pictureInPictureElement?.getAttribute("aria-label"));
  await pictureInPictureButton.click();
  await expect.poll(pictureInPictureLabel).toBe("Grace's camera");
  await pictureInPictureButton.click();
  await expect.poll(pictureInPictureLabel).toBeUndefined();
  await ada.calls.expectMovingVideo();

  await pictureInPictureButton.click();
  await expect.poll(pictureInPictureLabel).toBe("Grace's camera");
  await grace.calls.cameraButton.click();
  await expect.poll(pictureInPictureLabel, "the camera is off").toBeUndefined();

  await grace.calls.stage.getByRole("button", { name: "Share screen" }).click();
  await expect(ada.calls.stage.getByLabel("Grace's screen")).toBeVisible();
  // Perhaps before its first frame.
  await pictureInPictureButton.click();
  await expect.poll(pictureInPictureLabel).toBe("Grace's screen");
  await grace.calls.stage.getByRole("button", { name: "Stop sharing" }).click();
  await expect.poll(pictureInPictureLabel, "the screen is no longer shared").toBeUndefined();

  await grace.calls.cameraButton.click();
  await ada.calls.expectMovingVideo();
  await pictureInPictureButton.click();
  await expect.poll(pictureInPictureLabel).toBe("Grace's camera");
  // The element leaves the page with the call, its window does not by itself.
  const video = await ada.page.locator(".call-their-video").elementHandle();
  await video?.evaluate((video: HTMLElement) => {
    video.addEventListener("leavepictureinpicture", () => (video.dataset["window"] = "closed"));
  });
  await grace.calls.hangUp();
  await expect(ada.calls.endedCard).toBeVisible();
  await expect.poll(() => video?.evaluate(({ dataset }: HTMLElement) => dataset["window"])).toBe("closed");
  expect(await video?.evaluate((video: HTMLVideoElement) => video.srcObject)).toBeNull();
});

test("both sides see the same safety code, which differs from call to call", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  const codes: string[] = [];
  for (const { calls } of [ada, grace]) {
    await calls.stage.getByRole("button", { name: /^Connection: / }).click();
    const code = calls.stage.locator(".call-safety strong");
    await expect(code).toHaveText(/^\d{5}( \d{5}){5}$/);
    codes.push((await code.textContent()) ?? "");
  }
  expect(codes[0]).toBe(codes[1]);
  await ada.calls.hangUp();
  for (const { calls } of [ada, grace]) await calls.endedCard.getByRole("button", { name: "Close" }).click();
  await connectCall(ada, grace);
  await ada.calls.stage.getByRole("button", { name: /^Connection: / }).click();
  const secondCode = ada.calls.stage.locator(".call-safety strong");
  await expect(secondCode).toHaveText(/^\d{5}( \d{5}){5}$/);
  await expect(secondCode, "another call has other keys").not.toHaveText(codes[0] ?? "");
});

const LARGE_FILE_BYTES = 100_000_000;

/** Throughput of a plain data channel within one page, with chunks of the same size as Rialto's. */
async function measureBaselineBytesPerSecond(page: Page, bytes: number): Promise<number> {
  return page.evaluate(async (bytes) => {
    const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()];
    one.onicecandidate = ({ candidate }) => void other.addIceCandidate(candidate ?? undefined);
    other.onicecandidate = ({ candidate }) => void one.addIceCandidate(candidate ?? undefined);
    const from = one.createDataChannel("baseline", { negotiated: true, id: 0 });
    const to = other.createDataChannel("baseline", { negotiated: true, id: 0 });
    to.binaryType = "arraybuffer";
    let receivedBytes = 0;
    const done = new Promise<void>((resolve) => {
      to.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
        receivedBytes += data.byteLength;
        if (receivedBytes >= bytes) resolve();
      };
    });
    await one.setLocalDescription(await one.createOffer());
    await other.setRemoteDescription(one.localDescription as RTCSessionDescription);
    await other.setLocalDescription(await other.createAnswer());
    await one.setRemoteDescription(other.localDescription as RTCSessionDescription);
    await new Promise((open) => {
      from.onopen = open;
    });
    const began = performance.now();
    const chunk = new Uint8Array(64 * 1024);
    from.bufferedAmountLowThreshold = 1024 * 1024;
    for (let sent = 0; sent < bytes; sent += chunk.length) {
      if (from.bufferedAmount > 4 * 1024 * 1024) {
        await new Promise((low) => {
          from.onbufferedamountlow = low;
        });
      }
      from.send(chunk);
    }
    await done;
    const took = performance.now() - began;
    one.close();
    other.close();
    return (bytes * 1000) / took;
  }, bytes);
}

test("100 MB go from peer to peer and arrive intact", { tag: "@exclusive" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const baselineBytesPerSecond = await measureBaselineBytesPerSecond(ada.page, LARGE_FILE_BYTES);
  await connectCall(ada, grace);
  const file = createRandomFile("film.bin", LARGE_FILE_BYTES);
  await ada.calls.stage.locator("input[type=file]").setInputFiles(file);
  await expect(fileTransferRow(ada, "film.bin")).toContainText("100 MB, waiting for an answer");
  await expect(fileTransferRow(grace, "film.bin")).toContainText("100 MB, offered to you");
  const saved = grace.page.waitForEvent("download", { timeout: 100_000 });
  const began = Date.now();
  await fileTransferRow(grace, "film.bin").getByRole("button", { name: "Accept" }).click();
  await expect(fileTransferRow(grace, "film.bin").getByRole("progressbar")).toBeVisible();
  const download = await saved;
  const took = Date.now() - began;
  await expect(fileTransferRow(ada, "film.bin")).toContainText("100 MB, delivered and checked");
  expect(download.suggestedFilename()).toBe("film.bin");
  expect(await sha256Hex(await download.path())).toBe(await sha256Hex(file));
  const speed = (LARGE_FILE_BYTES * 1000) / took;
  console.log(
    `    100 MB in ${took} ms: ${Math.round(speed / 1e6)} MB/s, ${(speed / baselineBytesPerSecond).toFixed(2)} × the baseline ` +
      `(${Math.round(baselineBytesPerSecond / 1e6)} MB/s), beside two cameras`,
  );
  await grace.calls.expectAudioAndVideo();
});

test("a file transfer that is declined, stopped or ended by the end of the call shows so on both sides", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  const input = ada.calls.stage.locator("input[type=file]");
  await input.setInputFiles(createRandomFile("small.txt", 1_000));
  await fileTransferRow(grace, "small.txt").getByRole("button", { name: "Decline" }).click();
  await expect(fileTransferRow(ada, "small.txt")).toContainText("Declined");
  await expect(fileTransferRow(grace, "small.txt")).toContainText("You declined it");

  await input.setInputFiles(createRandomFile("empty.txt", 0));
  const saved = grace.page.waitForEvent("download");
  await fileTransferRow(grace, "empty.txt").getByRole("button", { name: "Accept" }).click();
  await saved;
  await expect(fileTransferRow(ada, "empty.txt")).toContainText("0 bytes, delivered and checked");

  await input.setInputFiles(createRandomFile("long.bin", LARGE_FILE_BYTES));
  await fileTransferRow(grace, "long.bin").getByRole("button", { name: "Accept" }).click();
  await fileTransferRow(ada, "long.bin").getByRole("button", { name: /^Stop/ }).click();
  await expect(fileTransferRow(ada, "long.bin")).toContainText("You cancelled it");
  await expect(fileTransferRow(grace, "long.bin")).toContainText("Cancelled by the other person", { timeout: 30_000 });

  await input.setInputFiles(createRandomFile("late.bin", 2_000));
  await expect(fileTransferRow(grace, "late.bin")).toContainText("offered to you");
  await ada.calls.hangUp();
  await expect(fileTransferRow(grace, "late.bin")).toContainText("The call ended during the transfer");
  await expect(
    fileTransferRow(grace, "empty.txt").getByRole("link", { name: "Save" }),
    "received files can still be saved",
  ).toBeVisible();
});
