/** What comes out of a speaker, recorded there. The browsers of all other tests are mute. */
import type { LaunchOptions } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { gather } from "./support/gathering.ts";
import { Machine } from "./support/machine.ts";
import { Speaker } from "./support/speaker.ts";

/** Below it nothing is heard, and well below it nothing but rounding is left. */
const SILENCE = 0.001;

/** Somebody at a machine of their own, and what is heard there. */
interface Listener {
  who: Visitor;
  speaker: Speaker;
}

class House {
  private readonly speakers: Speaker[] = [];
  private readonly machines: Machine[] = [];

  constructor(
    private readonly join: (name: string, manner: { machine: Machine }) => Promise<Visitor>,
    private readonly options: LaunchOptions,
  ) {}

  async come(name: string): Promise<Listener> {
    const speaker = await Speaker.start();
    this.speakers.push(speaker);
    // Playwright has a browser without windows play nothing.
    const sounding = { ...this.options, ignoreDefaultArgs: ["--mute-audio"], env: speaker.environment };
    const machine = await Machine.start(sounding);
    this.machines.push(machine);
    return { who: await this.join(name, { machine }), speaker };
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.machines.map((machine) => machine.close()));
    await Promise.all(this.speakers.map((speaker) => speaker.close()));
  }
}

async function isHeard({ speaker }: Listener): Promise<void> {
  await expect.poll(() => speaker.loudness(), { timeout: 30_000 }).toBeGreaterThan(SILENCE * 10);
}

async function isSilent({ speaker }: Listener): Promise<void> {
  await expect.poll(() => speaker.loudness(), { timeout: 30_000 }).toBeLessThan(SILENCE);
}

const it = test.extend<{ house: House }>({
  house: async ({ join, launchOptions }, use) => {
    const house = new House(join, launchOptions);
    try {
      await use(house);
    } finally {
      await house.close();
    }
  },
});

// eslint-disable-next-line playwright/no-skipped-test -- why is said
it.skip(
  !Speaker.isPossible(),
  "pulseaudio and parec are not installed (scripts/bootstrap.sh test installs them where no other sound server is)",
);

it("a call rings aloud, both are heard, and who is muted is not", async ({ house }) => {
  const [ada, grace] = [await house.come("Ada"), await house.come("Grace")];
  await isSilent(grace);
  await ada.who.calls.call("Grace");
  await expect(grace.who.calls.incoming).toBeVisible();
  await isHeard(grace);
  await isSilent(ada);
  await grace.who.calls.accept();
  await Promise.all([ada.who.calls.connected(), grace.who.calls.connected()]);
  for (const listener of [ada, grace]) await isHeard(listener);
  await ada.who.calls.microphone.click();
  await isSilent(grace);
  await isHeard(ada);
  await ada.who.calls.hangUp();
  await isSilent(ada);
});

it("everybody in a room's call is heard by everybody else", async ({ house }) => {
  const [ada, grace] = [await house.come("Ada"), await house.come("Grace")];
  await gather(ada.who, true);
  await isSilent(ada);
  await gather(grace.who);
  await expect(ada.who.calls.state).toContainText("2 people");
  for (const listener of [ada, grace]) await isHeard(listener);
  await ada.who.calls.microphone.click();
  await isSilent(grace);
  await isHeard(ada);
});
