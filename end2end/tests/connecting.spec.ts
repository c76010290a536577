/** How quickly a call that is accepted shows the other one, beside what the browser needs at the least. */
import { type Page } from "@playwright/test";
import { expect, test } from "./support/fixtures.ts";
import { PAST_THE_SERVER, nodes } from "./support/nodes.ts";

/** How often each is measured; what counts is the median. */
const ROUNDS = 5;

/**
 * Two bare peer connections in one page, with a camera that is open already: from the offer to the first picture, in
 * milliseconds. Nobody can be quicker than that who begins when a call is accepted.
 */
async function bare(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    const began = performance.now();
    const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()];
    one.onicecandidate = ({ candidate }) => void other.addIceCandidate(candidate ?? undefined);
    other.onicecandidate = ({ candidate }) => void one.addIceCandidate(candidate ?? undefined);
    for (const track of stream.getTracks()) one.addTrack(track, stream);
    const video = document.createElement("video");
    video.muted = true;
    video.autoplay = true;
    document.body.append(video);
    const seen = new Promise<number>((done) => {
      video.requestVideoFrameCallback(() => {
        done(performance.now() - began);
      });
    });
    other.ontrack = ({ streams }) => {
      video.srcObject = streams[0] ?? null;
    };
    await one.setLocalDescription(await one.createOffer());
    await other.setRemoteDescription(one.localDescription as RTCSessionDescription);
    await other.setLocalDescription(await other.createAnswer());
    await one.setRemoteDescription(other.localDescription as RTCSessionDescription);
    const took = await seen;
    one.close();
    other.close();
    video.remove();
    for (const track of stream.getTracks()) track.stop();
    return took;
  });
}

function median(times: number[]): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

test(
  "whoever accepts sees the other one about as soon as two bare connections of one page would",
  { tag: "@alone" },
  async ({ join }) => {
    // eslint-disable-next-line playwright/no-skipped-test -- why is said
    test.skip(nodes > 1, PAST_THE_SERVER);
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    const times = { bare: [] as number[], callee: [] as number[], caller: [] as number[] };
    for (let round = 0; round < ROUNDS; round += 1) {
      times.bare.push(await bare(grace.page));
      await ada.calls.call("Grace");
      await expect(grace.calls.incoming).toBeVisible();
      const pictures = Promise.all([grace.calls.firstPicture(), ada.calls.firstPicture()]);
      const accept = grace.calls.incoming.getByRole("button", { name: "Accept", exact: true });
      const accepted = await accept.evaluate((button: HTMLElement) => {
        const now = Date.now();
        button.click();
        return now;
      });
      const [callee, caller] = await pictures;
      times.callee.push(callee - accepted);
      times.caller.push(caller - accepted);
      await ada.calls.hangUp();
      await expect(grace.calls.stage).toHaveCount(0);
      await ada.calls.farewell.getByRole("button", { name: "Close" }).click();
      await grace.calls.farewell.getByRole("button", { name: "Close" }).click();
    }
    const [least, callee, caller] = [median(times.bare), median(times.callee), median(times.caller)];
    const ratio = (time: number) => (time / least).toFixed(2);
    console.log(
      `    from Accept to the first picture: ${callee} ms for the callee (${ratio(callee)} × bare), ` +
        `${caller} ms for the caller (${ratio(caller)} × bare); bare ${Math.round(least)} ms`,
    );
    // What is aimed at is 1.3. Beside other tests, on few cores, three programs share what one page has to itself in the bare case.
    expect(callee / least).toBeLessThan(8);
  },
);
