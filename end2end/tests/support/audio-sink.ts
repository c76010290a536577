/** A speaker that can be listened to: the sound server of one machine, which plays into nothing (PulseAudio's null sink). */
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { HelperProcess } from "./helper-process.ts";

/** How often the sound is looked at, in samples a second: enough to tell a beep from silence. */
const SAMPLE_RATE_HZ = 8_000;

export class AudioSink {
  private readonly process: HelperProcess;
  private readonly address: string;

  private constructor(private readonly folder: string) {
    this.address = `unix:${join(folder, "socket")}`;
    const modules = [
      `module-native-protocol-unix socket=${join(folder, "socket")} auth-anonymous=1`,
      "module-null-sink sink_name=speaker",
    ];
    const options = ["-n", "--daemonize=no", "--exit-idle-time=-1", ...modules.map((module) => `--load=${module}`)];
    const places = ["HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"].map((name) => [name, folder] as const);
    this.process = new HelperProcess("pulseaudio", options, Object.fromEntries(places));
  }

  /** Whether this machine has what it takes. */
  static isSupported(): boolean {
    try {
      execFileSync("pulseaudio", ["--version"], { stdio: "ignore" });
      execFileSync("parec", ["--version"], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  }

  static async start(): Promise<AudioSink> {
    const speaker = new AudioSink(await mkdtemp(join(tmpdir(), "speaker-")));
    try {
      await speaker.process.launch(() => speaker.isReady());
    } catch (why) {
      await speaker.close();
      throw why;
    }
    return speaker;
  }

  /** What a browser that is to play here finds in its environment. */
  get environment(): Record<string, string> {
    return { ...(process.env as Record<string, string>), PULSE_SERVER: this.address };
  }

  /** How loud two seconds of it were: the root of the mean square, 1 being as loud as it gets. */
  async measureRms(): Promise<number> {
    const options = [
      "--device=speaker.monitor",
      "--format=s16le",
      `--rate=${SAMPLE_RATE_HZ}`,
      "--channels=1",
      "--latency-msec=50",
    ];
    const recorder = spawn("parec", options, { env: this.environment, stdio: ["ignore", "pipe", "ignore"] });
    const exited = once(recorder, "exit");
    const enough = SAMPLE_RATE_HZ * 2 * Int16Array.BYTES_PER_ELEMENT;
    let sound = Buffer.alloc(0);
    for await (const chunk of recorder.stdout as AsyncIterable<Buffer>) {
      sound = Buffer.concat([sound, chunk]);
      if (sound.length >= enough) break;
    }
    recorder.kill();
    await exited;
    if (sound.length < enough) throw new Error(`only ${sound.length} bytes could be recorded`);
    let sum = 0;
    const samples = enough / Int16Array.BYTES_PER_ELEMENT;
    for (let at = 0; at < samples; at += 1) {
      sum += (sound.readInt16LE(at * Int16Array.BYTES_PER_ELEMENT) / 32_768) ** 2;
    }
    return Math.sqrt(sum / samples);
  }

  async close(): Promise<void> {
    await this.process.kill("SIGKILL");
    await rm(this.folder, { recursive: true, force: true });
  }

  private async isReady(): Promise<boolean> {
    const asked = promisify(execFile)("pactl", ["info"], { env: this.environment });
    return asked.then(
      () => true,
      () => false,
    );
  }
}
