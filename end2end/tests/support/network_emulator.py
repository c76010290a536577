#!/usr/bin/env python3
"""Carries Ethernet frames between a device in one network namespace and a device in another, later than they came and not all of them.

    network_emulator.py SPACE DEVICE SPACE DEVICE DELAY LOSS

DELAY is in milliseconds, in each direction; LOSS is the share that is lost, from 0 to 1. Says "ready" when both devices are there, and
ends when its standard input does. A line "rate N" on it makes the way N kilobits a second wide in each direction from then on; 0 is as wide
as can be, as at first. Kernels without netem have no other way to make a line poor.
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
# What would wait longer than this for its turn is lost, in seconds: a router's queue.
MAX_QUEUE_DELAY_SECONDS = 0.3

libc = ctypes.CDLL(None, use_errno=True)


def open_tap_device(space, name):
    """A device of this name in a namespace: what is read from it was sent there, what is written to it arrives there."""
    handle = os.open(f"/run/netns/{space}", os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {space}")
    os.close(handle)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


class OneWayPath:
    """One direction."""

    def __init__(self, output_device):
        self.output_device = output_device
        # What is on the way, and when it arrives. The delay is the same for all, so what came first leaves first.
        self.queue = collections.deque()
        self.free_at = 0.0

    def enqueue(self, frame, delay, rate):
        now = time.monotonic()
        leaves = now
        if rate:
            leaves = max(now, self.free_at)
            if leaves - now > MAX_QUEUE_DELAY_SECONDS:
                return
            leaves += len(frame) * 8 / (rate * 1_000)
            self.free_at = leaves
        self.queue.append((leaves + delay, frame))

    def deliver_due(self):
        while self.queue and self.queue[0][0] <= time.monotonic():
            _, frame = self.queue.popleft()
            try:
                os.write(self.output_device, frame)
            except (BlockingIOError, OSError):
                # The device is full, or not up yet: lost, as on any line.
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
        due = [way.queue[0][0] for way in paths if way.queue]
        select_timeout = max(0, min(due) - time.monotonic()) if due else None
        for key, _ in ready.select(select_timeout):
            if key.fileobj is sys.stdin:
                words = os.read(0, 1_000)
                if not words:
                    return
                *lines, pending_input = (pending_input + words).split(b"\n")
                for line in lines:
                    rate = float(line.removeprefix(b"rate "))
                    for way in paths:
                        way.free_at = 0.0
                continue
            while True:
                try:
                    frame = os.read(key.fd, MAX_FRAME_BYTES)
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    key.data.enqueue(frame, delay, rate)
        for way in paths:
            way.deliver_due()


main()
