/**
 * What both pages do while it rings, so that whoever accepts sees the other one at once, and what they keep to themselves until
 * then.
 */
import { type Page } from "@playwright/test";
import { expect, test } from "./support/fixtures.ts";
import { PAST_THE_SERVER, nodes } from "./support/nodes.ts";

/** How often each is measured; what counts is the median. */
const ROUNDS = 5;

/** How long somebody takes to read who calls and to press Accept, at the least, in milliseconds. */
const REACTION = 1_000;

/** What a browser needs at the least, in milliseconds. */
interface Bare {
  /** To open a microphone and a camera. */
  devices: number;
  /** From the offer to the first picture. */
  picture: number;
}

/**
 * Two bare peer connections in one page, with a camera that is open already. Nobody can be quicker than that who begins when a
 * call is accepted.
 */
async function bare(page: Page): Promise<Bare> {
  return page.evaluate(async () => {
    const asked = performance.now();
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
    const picture = await seen;
    one.close();
    other.close();
    video.remove();
    for (const track of stream.getTracks()) track.stop();
    return { devices: began - asked, picture };
  });
}

/** What a page says of a call from now on, by its kind: actions, and in place of `signal` what kind of one. */
function listen(page: Page): { kind: string; text: string }[] {
  const said: { kind: string; text: string }[] = [];
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => {
      const text = payload.toString();
      if (!text.startsWith("{")) return;
      const frame = JSON.parse(text) as { type: string; action?: string; signal?: { kind: string } };
      if (frame.type === "call") said.push({ kind: frame.signal?.kind ?? frame.action ?? "", text });
    });
  });
  return said;
}

test("a page that rings says what it will answer and not where it is, and an answer on it is all that is missing", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const said = listen(grace.page);
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toBeVisible();
  const kinds = () => said.map(({ kind }) => kind);
  await expect.poll(kinds, "it says what it will answer").toContain("pranswer");
  // Long enough for its browser to have found all its own addresses.
  await grace.page.waitForFunction(() => window.observed.peers.at(-1)?.iceGatheringState === "complete");
  expect(kinds().toSorted()).toEqual(["pranswer", "ringing"]);
  expect(
    said.filter(({ text }) => text.includes("a=candidate")),
    "and names no address",
  ).toEqual([]);
  const pairs = await grace.page.evaluate(async () => {
    const stats = await window.observed.peers.at(-1)?.getStats();
    return [...(stats?.values() ?? [])].filter(({ type }: { type: string }) => type === "candidate-pair").length;
  });
  expect(pairs, "nor tries any of the caller's").toBe(0);
  said.length = 0;
  await grace.calls.accept();
  await expect.poll(() => said.length).toBeGreaterThan(1);
  expect(kinds().slice(0, 2)).toEqual(["accept", "answer"]);
  expect(said[1]?.text, "from now on it does").toContain("a=candidate");
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

test("who connects before somebody has answered neither sees nor hears the caller", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const candidates: object[] = [];
  const said = listen(grace.page);
  grace.page.on("websocket", (socket) => {
    socket.on("framereceived", ({ payload }) => {
      const frame = JSON.parse(payload.toString()) as {
        type: string;
        signal?: { kind: string; candidate: string; sdp_mid: string };
      };
      if (frame.type !== "signal" || frame.signal?.kind !== "candidate") return;
      candidates.push({ candidate: frame.signal.candidate, sdpMid: frame.signal.sdp_mid });
    });
  });
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect.poll(() => said.map(({ kind }) => kind)).toContain("pranswer");
  await expect.poll(() => candidates.length).toBeGreaterThan(0);
  // What a page of hers would do that was made to.
  await grace.page.evaluate(async (candidates) => {
    const peer = window.observed.peers.at(-1);
    for (const candidate of candidates) await peer?.addIceCandidate(candidate);
  }, candidates);
  await grace.page.waitForFunction(() => window.observed.peers.at(-1)?.connectionState === "connected");
  await ada.page.waitForFunction(() => window.observed.peers.at(-1)?.connectionState === "connected");
  await expect(ada.calls.state).toContainText("Ringing…");
  // Twice as long as pictures need to come.
  await new Promise((done) => setTimeout(done, 2_000));
  expect(await grace.calls.received(), "and nothing comes").toBe(0);
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

test("the answer may come from another page than the one that said what it would be", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const said = listen(grace.page);
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect.poll(() => said.map(({ kind }) => kind)).toContain("pranswer");
  const other = await grace.tab("/settings");
  await expect(other.calls.incoming).toBeVisible();
  await other.calls.accept();
  await Promise.all([ada.calls.connected(), other.calls.connected()]);
  await Promise.all([ada.calls.plays(), other.calls.plays()]);
  await expect(grace.calls.incoming).toHaveCount(0);
});

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
    const times = { devices: [] as number[], bare: [] as number[], callee: [] as number[], caller: [] as number[] };
    for (let round = 0; round < ROUNDS; round += 1) {
      const { devices, picture } = await bare(grace.page);
      times.devices.push(devices);
      times.bare.push(picture);
      await ada.calls.call("Grace");
      await expect(grace.calls.incoming).toBeVisible();
      await new Promise((done) => setTimeout(done, REACTION));
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
    // Whoever accepts is not seen before their camera is open.
    const open = median(times.devices);
    const [seen, shown] = [callee / least, caller / (least + open)];
    console.log(
      `    from Accept to the first picture: ${callee} ms for the callee (${seen.toFixed(2)} × bare), ` +
        `${caller} ms for the caller (${shown.toFixed(2)} × bare and the devices); ` +
        `bare ${Math.round(least)} ms, devices ${Math.round(open)} ms`,
    );
    // What is aimed at is 1.3. On few cores, three programs share what one page has to itself in the bare case.
    expect(seen, "the callee").toBeLessThan(2.5);
    expect(shown, "the caller").toBeLessThan(4);
  },
);
