/** Generated PNG images. */
import { crc32, deflateSync } from "node:zlib";

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** Encodes a PNG (W3C PNG, third edition). `colour` returns red, green and blue of a pixel, from 0 to 255. */
export function encodePng(
  width: number,
  height: number,
  colour: (x: number, y: number) => [number, number, number],
): Buffer {
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      rows.set(colour(x, y), y * (1 + width * 3) + 1 + x * 3);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits per channel, truecolour.
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

export const duskPng = (width: number, height: number) =>
  encodePng(width, height, (x, y) => {
    const [across, down] = [x / width, y / height];
    if (down > 0.6) {
      const ripple = Math.sin(down * 140 + Math.sin(across * 30) * 2) * 10;
      return [60 + ripple + across * 20, 80 + ripple, 120 + ripple].map((c) => Math.round(c)) as [
        number,
        number,
        number,
      ];
    }
    return [Math.round(250 - down * 120), Math.round(180 - down * 60 - across * 30), Math.round(120 + down * 80)];
  });
