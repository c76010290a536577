/** Audio output of browsers, recorded from a sound server. The browsers of all other tests are muted. */
import type { LaunchOptions } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { joinGroupCall } from "./support/group-calls.ts";
import { BrowserProcess } from "./support/browser-process.ts";
import { AudioSink } from "./support/audio-sink.ts";

/** A lower RMS counts as silence, which leaves room for rounding errors. */
const MAX_SILENT_RMS = 0.001;

/** A visitor with a separate browser process, and its audio output. */
interface Listener {
  visitor: Visitor;
  sink: AudioSink;
}

class AudibleBrowsers {
  private readonly sinks: AudioSink[] = [];
  private readonly browserProcesses: BrowserProcess[] = [];

  constructor(
    private readonly join: (name: string, options: { browserProcess: BrowserProcess }) => Promise<Visitor>,
    private readonly launchOptions: LaunchOptions,
  ) {}

  async joinListener(name: string): Promise<Listener> {
    const sink = await AudioSink.start();
    this.sinks.push(sink);
    // By default, Playwright mutes headless browsers.
    const audibleOptions = { ...this.launchOptions, ignoreDefaultArgs: ["--mute-audio"], env: sink.environment };
    const browserProcess = await BrowserProcess.start(audibleOptions);
    this.browserProcesses.push(browserProcess);
    return { visitor: await this.join(name, { browserProcess }), sink };
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.browserProcesses.map((browserProcess) => browserProcess.close()));
    await Promise.all(this.sinks.map((sink) => sink.close()));
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
    const browsers = new AudibleBrowsers(join, launchOptions);
    try {
      await use(browsers);
    } finally {
      await browsers.close();
    }
  },
});

// eslint-disable-next-line playwright/no-skipped-test -- the reason is printed
audioTest.skip(
  !AudioSink.isSupported(),
  "pulseaudio and parec are not installed (scripts/bootstrap.sh test installs them unless there is another sound server)",
);

audioTest("a call rings audibly, both sides hear each other, and a muted side is silent", async ({ browsers }) => {
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
