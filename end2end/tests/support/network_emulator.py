#!/usr/bin/env python3
"""Forwards Ethernet frames between TAP devices in two network namespaces, with delay, loss and a rate limit.

    network_emulator.py NAMESPACE DEVICE NAMESPACE DEVICE DELAY LOSS

DELAY is the one-way delay in milliseconds; LOSS is the share of frames that are lost, from 0 to 1. Prints "ready" once both
devices exist, and exits at the end of its standard input. The input line "rate N" limits each direction to N kbit/s; 0, the
initial value, means no limit. It replaces netem, which some kernels lack.
"""

import collections
import ctypes
import fcntl
import os
import random
import selectors
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
MAX_FRAME_BYTES = 65_536
# A frame that would queue longer is dropped, as by a router with a full queue.
MAX_QUEUE_DELAY_SECONDS = 0.3

libc = ctypes.CDLL(None, use_errno=True)


def open_tap_device(namespace, name):
    """Creates a TAP device in a namespace. Reads return frames sent there; written frames arrive there."""
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    os.close(handle)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


class OneWayPath:
    """The queue of one direction."""

    def __init__(self, output_device):
        self.output_device = output_device
        # Pairs of arrival time and frame, in order of arrival because the delay is constant.
        self.queue = collections.deque()
        # When the last frame has been sent at the limited rate.
        self.free_at = 0.0

    def enqueue(self, frame, delay, rate):
        now = time.monotonic()
        sent_at = now
        if rate:
            sent_at = max(now, self.free_at)
            if sent_at - now > MAX_QUEUE_DELAY_SECONDS:
                return
            sent_at += len(frame) * 8 / (rate * 1_000)
            self.free_at = sent_at
        self.queue.append((sent_at + delay, frame))

    def deliver_due(self):
        while self.queue and self.queue[0][0] <= time.monotonic():
            _, frame = self.queue.popleft()
            try:
                os.write(self.output_device, frame)
            except (BlockingIOError, OSError):
                # The device is full or not up yet: the frame is lost.
                pass


def main():
    one = open_tap_device(sys.argv[1], sys.argv[2])
    other = open_tap_device(sys.argv[3], sys.argv[4])
    delay, loss = float(sys.argv[5]) / 1_000, float(sys.argv[6])
    print("ready", flush=True)

    rate = 0.0
    paths = [OneWayPath(other), OneWayPath(one)]
    ready = selectors.DefaultSelector()
    ready.register(one, selectors.EVENT_READ, paths[0])
    ready.register(other, selectors.EVENT_READ, paths[1])
    ready.register(sys.stdin, selectors.EVENT_READ)
    pending_input = b""
    while True:
        due = [path.queue[0][0] for path in paths if path.queue]
        select_timeout = max(0, min(due) - time.monotonic()) if due else None
        for key, _ in ready.select(select_timeout):
            if key.fileobj is sys.stdin:
                data = os.read(0, 1_000)
                if not data:
                    return
                *lines, pending_input = (pending_input + data).split(b"\n")
                for line in lines:
                    rate = float(line.removeprefix(b"rate "))
                    for path in paths:
                        path.free_at = 0.0
                continue
            while True:
                try:
                    frame = os.read(key.fd, MAX_FRAME_BYTES)
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    key.data.enqueue(frame, delay, rate)
        for path in paths:
            path.deliver_due()


main()
