/**
 * What both pages do while it rings, so that whoever accepts sees the other one at once, and what they keep to themselves until
 * then.
 */
import { type Page } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { PAST_THE_SERVER, nodes } from "./support/nodes.ts";

/** How often each is measured; what counts is the median. */
const ROUNDS = 5;

/** How long somebody takes to read who calls and to press Accept, at the least, in milliseconds. */
const REACTION = 1_000;

/** How long the bus is away, in milliseconds: long enough that a word which it would have carried is given up. */
const BUS_AWAY = 2_000;

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

/** What a frame says of a call: its action, or the kind of signal; of anything else nothing. */
function kindOf(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  const frame = JSON.parse(text) as { type: string; action?: string; signal?: { kind: string } };
  if (frame.type !== "call" && frame.type !== "signal") return undefined;
  return frame.signal?.kind ?? frame.action;
}

/** What a page says of a call from now on. */
function listen(page: Page): { kind: string; text: string }[] {
  const said: { kind: string; text: string }[] = [];
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => {
      const text = payload.toString();
      const kind = kindOf(text);
      if (kind !== undefined) said.push({ kind, text });
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

test("who connects before somebody has answered neither sees nor hears the caller, nor shows them files", async ({
  join,
}) => {
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
  const offerFile = (id: number) =>
    grace.page.evaluate((id) => {
      const files = window.observed.channels.findLast(({ label }) => label === "files");
      files?.send(JSON.stringify({ say: "offer", id, name: `plan-${id}.pdf`, size: 7 }));
    }, id);
  const files = ada.calls.stage.getByRole("list", { name: "Files", exact: true });
  await offerFile(1);
  // Twice as long as pictures need to come.
  await new Promise((done) => setTimeout(done, 2_000));
  expect.soft(await grace.calls.received(), "and nothing comes").toBe(0);
  await expect.soft(files, "nor goes").toHaveCount(0);
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
  await offerFile(2);
  await expect(files).toContainText("plan-2.pdf");
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

test("an offer that comes again while it rings, and once more as somebody answers, makes no difference", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const said = listen(grace.page);
  const answers = () => said.filter(({ kind }) => kind === "answer").length;
  const again: (() => void)[] = [];
  await grace.page.routeWebSocket("**/ws", (page) => {
    const server = page.connectToServer();
    server.onMessage((message) => {
      if (kindOf(message.toString()) === "offer") again.push(page.send.bind(page, message));
      page.send(message);
    });
    page.onMessage((message) => {
      // Before what the page does next.
      if (kindOf(message.toString()) === "accept") again[0]?.();
      server.send(message);
    });
  });
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect.poll(() => said.map(({ kind }) => kind)).toContain("pranswer");
  again[0]?.();
  await expect(grace.calls.incoming).toBeVisible();
  await grace.calls.accept();
  await expect.poll(answers, "each is answered").toBe(2);
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

/** The first word like that which goes from the page to the server, or from the server to the page, is lost. How many were. */
async function lose(page: Page, way: "to the server" | "to the page", word: RegExp): Promise<() => number> {
  let lost = 0;
  await page.routeWebSocket("**/ws", (socket) => {
    const server = socket.connectToServer();
    const pass = (message: string | Buffer, there: typeof way, on: typeof server) => {
      if (lost === 0 && there === way && word.test(message.toString())) lost += 1;
      else on.send(message);
    };
    socket.onMessage((message) => {
      pass(message, "to the server", server);
    });
    server.onMessage((message) => {
      pass(message, "to the page", socket);
    });
  });
  return () => lost;
}

test("an answer that is lost on its way is asked for again", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const lost = await lose(grace.page, "to the server", /"kind":"answer"/);
  const said = listen(ada.page);
  await ada.open("/chat/general");
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toBeVisible();
  await grace.calls.accept();
  await expect.poll(lost).toBe(1);
  const offers = () => said.filter(({ kind }) => kind === "offer").length;
  expect(offers()).toBe(1);
  await expect.poll(offers, "the offer is said again").toBe(2);
  await ada.page.waitForFunction(() => window.observed.peers.at(-1)?.signalingState === "stable");
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

test("an offer that is lost on its way is asked for", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const lost = await lose(grace.page, "to the page", /"kind":"offer"/);
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toBeVisible();
  await expect.poll(lost).toBe(1);
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await Promise.all([ada.calls.plays(), grace.calls.plays()]);
});

for (const { who, way, word, what } of [
  { what: "an acceptance", who: "callee", way: "to the server", word: /"action":"accept"/ },
  { what: "the word that it was accepted", who: "caller", way: "to the page", word: /"state":"connecting"/ },
] as const) {
  test(`${what} that is lost on its way comes a little later`, async ({ join }) => {
    const [caller, callee] = [await join("Ada"), await join("Grace")];
    const loser = { caller, callee }[who];
    const lost = await lose(loser.page, way, word);
    await loser.open("/chat/general");
    await caller.calls.call("Grace");
    await expect(callee.calls.incoming).toBeVisible();
    await callee.calls.accept();
    await expect.poll(lost).toBe(1);
    await Promise.all([caller.calls.connected(), callee.calls.connected()]);
    await Promise.all([caller.calls.plays(), callee.calls.plays()]);
  });
}

test("the end of a call that is lost on its way comes a little later", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const lost = await lose(ada.page, "to the server", /"action":"hang_up"/);
  await ada.open("/chat/general");
  await ada.calls.call("Grace");
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await ada.calls.hangUp();
  await expect.poll(lost).toBe(1);
  await expect(grace.calls.farewell).toBeVisible();
  await expect(grace.calls.stage).toHaveCount(0);
});

test("a ring that is over is over on a page that was not told", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const lost = await lose(grace.page, "to the page", /"state":"ended"/);
  await grace.open("/chat/general");
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toBeVisible();
  await ada.calls.hangUp();
  await expect.poll(lost).toBe(1);
  await expect(grace.calls.incoming).toHaveCount(0);
});

test.describe("with a bus of its own", () => {
  test.use({
    settings: async ({ nats }, use) => {
      await use({ ...nats?.settings });
    },
  });

  test("an answer while the bus is away is heard at the other nodes when it is back", async ({ join, nats }) => {
    // eslint-disable-next-line playwright/no-skipped-test -- why is said
    test.skip(nats === undefined, "one node alone has no bus");
    const people = [await join("Ada"), await join("Grace")] as const;
    // The node that decides on calls is that of the one, or of the other, or of nobody.
    for (const [caller, callee] of [people, people.toReversed() as [Visitor, Visitor]]) {
      await caller.calls.call(callee.name);
      await expect(callee.calls.incoming).toBeVisible();
      await nats?.kill();
      await callee.calls.accept();
      await new Promise((done) => setTimeout(done, BUS_AWAY));
      await nats?.run();
      await Promise.all([caller.calls.connected(), callee.calls.connected()]);
      await Promise.all([caller.calls.plays(), callee.calls.plays()]);
      await caller.calls.hangUp();
      for (const { calls } of [caller, callee]) await calls.farewell.getByRole("button", { name: "Close" }).click();
    }
  });
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
