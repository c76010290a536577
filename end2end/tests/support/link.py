#!/usr/bin/env python3
"""Carries Ethernet frames between a device in one network namespace and a device in another, later than they came and not all of them.

    link.py SPACE DEVICE SPACE DEVICE DELAY LOSS

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
LONGEST_FRAME = 65_536
# What would wait longer than this for its turn is lost, in seconds: a router's queue.
LONGEST_WAIT = 0.3

libc = ctypes.CDLL(None, use_errno=True)


def tap(space, name):
    """A device of this name in a namespace: what is read from it was sent there, what is written to it arrives there."""
    handle = os.open(f"/run/netns/{space}", os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {space}")
    os.close(handle)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


class Way:
    """One direction."""

    def __init__(self, into):
        self.into = into
        # What is on the way, and when it arrives. The delay is the same for all, so what came first leaves first.
        self.waiting = collections.deque()
        self.free_at = 0.0

    def take(self, frame, delay, rate):
        now = time.monotonic()
        leaves = now
        if rate:
            leaves = max(now, self.free_at)
            if leaves - now > LONGEST_WAIT:
                return
            leaves += len(frame) * 8 / (rate * 1_000)
            self.free_at = leaves
        self.waiting.append((leaves + delay, frame))

    def deliver(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, frame = self.waiting.popleft()
            try:
                os.write(self.into, frame)
            except (BlockingIOError, OSError):
                # The device is full, or not up yet: lost, as on any line.
                pass


def main():
    one = tap(sys.argv[1], sys.argv[2])
    other = tap(sys.argv[3], sys.argv[4])
    delay, loss = float(sys.argv[5]) / 1_000, float(sys.argv[6])
    print("ready", flush=True)

    rate = 0.0
    ways = [Way(other), Way(one)]
    ready = selectors.DefaultSelector()
    ready.register(one, selectors.EVENT_READ, ways[0])
    ready.register(other, selectors.EVENT_READ, ways[1])
    ready.register(sys.stdin, selectors.EVENT_READ)
    told = b""
    while True:
        due = [way.waiting[0][0] for way in ways if way.waiting]
        patience = max(0, min(due) - time.monotonic()) if due else None
        for key, _ in ready.select(patience):
            if key.fileobj is sys.stdin:
                words = os.read(0, 1_000)
                if not words:
                    return
                *lines, told = (told + words).split(b"\n")
                for line in lines:
                    rate = float(line.removeprefix(b"rate "))
                    for way in ways:
                        way.free_at = 0.0
                continue
            while True:
                try:
                    frame = os.read(key.fd, LONGEST_FRAME)
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    key.data.take(frame, delay, rate)
        for way in ways:
            way.deliver()


main()
