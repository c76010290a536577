/** A recordable audio output: a PulseAudio server with a null sink. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { HelperProcess } from "./helper-process.ts";

/** Sample rate of the recording: enough to tell a beep from silence. */
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
    const environment = ["HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"].map((name) => [name, folder] as const);
    this.process = new HelperProcess("pulseaudio", options, Object.fromEntries(environment));
  }

  /** Whether `pulseaudio` and `parec` are installed. */
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
    const sink = new AudioSink(await mkdtemp(join(tmpdir(), "speaker-")));
    try {
      await sink.process.launch(() => sink.isReady());
    } catch (error) {
      await sink.close();
      throw error;
    }
    return sink;
  }

  /** The environment of a browser that plays into this sink. */
  get environment(): Record<string, string> {
    return { ...(process.env as Record<string, string>), PULSE_SERVER: this.address };
  }

  /** Records two seconds and returns their root mean square, from 0 to 1. */
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
    const recordingBytes = SAMPLE_RATE_HZ * 2 * Int16Array.BYTES_PER_ELEMENT;
    let recording = Buffer.alloc(0);
    for await (const chunk of recorder.stdout as AsyncIterable<Buffer>) {
      recording = Buffer.concat([recording, chunk]);
      if (recording.length >= recordingBytes) break;
    }
    recorder.kill();
    await exited;
    if (recording.length < recordingBytes) throw new Error(`recorded only ${recording.length} bytes`);
    let sum = 0;
    const samples = recordingBytes / Int16Array.BYTES_PER_ELEMENT;
    for (let at = 0; at < samples; at += 1) {
      sum += (recording.readInt16LE(at * Int16Array.BYTES_PER_ELEMENT) / 32_768) ** 2;
    }
    return Math.sqrt(sum / samples);
  }

  async close(): Promise<void> {
    await this.process.kill("SIGKILL");
    await rm(this.folder, { recursive: true, force: true });
  }

  private async isReady(): Promise<boolean> {
    const info = promisify(execFile)("pactl", ["info"], { env: this.environment });
    return info.then(
      () => true,
      () => false,
    );
  }
}
