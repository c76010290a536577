/** What comes out of a speaker, recorded there. The browsers of all other tests are mute. */
import type { LaunchOptions } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { joinGroupCall } from "./support/group-calls.ts";
import { BrowserProcess } from "./support/browser-process.ts";
import { AudioSink } from "./support/audio-sink.ts";

/** Below it nothing is heard, and well below it nothing but rounding is left. */
const MAX_SILENT_RMS = 0.001;

/** Somebody at a machine of their own, and what is heard there. */
interface Listener {
  visitor: Visitor;
  sink: AudioSink;
}

class AudibleBrowsers {
  private readonly sinks: AudioSink[] = [];
  private readonly browserProcesses: BrowserProcess[] = [];

  constructor(
    private readonly join: (name: string, manner: { browserProcess: BrowserProcess }) => Promise<Visitor>,
    private readonly options: LaunchOptions,
  ) {}

  async joinListener(name: string): Promise<Listener> {
    const speaker = await AudioSink.start();
    this.sinks.push(speaker);
    // Playwright has a browser without windows play nothing.
    const sounding = { ...this.options, ignoreDefaultArgs: ["--mute-audio"], env: speaker.environment };
    const machine = await BrowserProcess.start(sounding);
    this.browserProcesses.push(machine);
    return { visitor: await this.join(name, { browserProcess: machine }), sink: speaker };
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.browserProcesses.map((machine) => machine.close()));
    await Promise.all(this.sinks.map((speaker) => speaker.close()));
  }
}

async function expectSound({ sink }: Listener): Promise<void> {
  await expect.poll(() => sink.measureRms(), { timeout: 30_000 }).toBeGreaterThan(MAX_SILENT_RMS * 10);
}

async function expectSilence({ sink }: Listener): Promise<void> {
  await expect.poll(() => sink.measureRms(), { timeout: 30_000 }).toBeLessThan(MAX_SILENT_RMS);
}

const audioTest = test.extend<{ browsers: AudibleBrowsers }>({
  browsers: async ({ join, launchOptions }, use) => {
    const house = new AudibleBrowsers(join, launchOptions);
    try {
      await use(house);
    } finally {
      await house.close();
    }
  },
});

// eslint-disable-next-line playwright/no-skipped-test -- why is said
audioTest.skip(
  !AudioSink.isSupported(),
  "pulseaudio and parec are not installed (scripts/bootstrap.sh test installs them where no other sound server is)",
);

audioTest("a call rings aloud, both are heard, and who is muted is not", async ({ browsers }) => {
  const [ada, grace] = [await browsers.joinListener("Ada"), await browsers.joinListener("Grace")];
  await expectSilence(grace);
  await ada.visitor.calls.call("Grace");
  await expect(grace.visitor.calls.incoming).toBeVisible();
  await expectSound(grace);
  await expectSilence(ada);
  await grace.visitor.calls.accept();
  await Promise.all([ada.visitor.calls.expectConnected(), grace.visitor.calls.expectConnected()]);
  for (const listener of [ada, grace]) await expectSound(listener);
  await ada.visitor.calls.microphoneButton.click();
  await expectSilence(grace);
  await expectSound(ada);
  await ada.visitor.calls.hangUp();
  await expectSilence(ada);
});

audioTest("everybody in a group call is audible to everybody else", async ({ browsers }) => {
  const [ada, grace] = [await browsers.joinListener("Ada"), await browsers.joinListener("Grace")];
  await joinGroupCall(ada.visitor, true);
  await expectSilence(ada);
  await joinGroupCall(grace.visitor);
  await expect(ada.visitor.calls.state).toContainText("2 people");
  for (const listener of [ada, grace]) await expectSound(listener);
  await ada.visitor.calls.microphoneButton.click();
  await expectSilence(grace);
  await expectSound(ada);
});
