#!/usr/bin/env python3
"""Carries Ethernet frames between a device in one network namespace and a device in another, later than they came and not all of them.

    link.py SPACE DEVICE SPACE DEVICE DELAY LOSS

DELAY is in milliseconds, in each direction; LOSS is the share that is lost, from 0 to 1. Says "ready" when both devices are there, and
ends when its standard input does. Kernels without netem have no other way to make a line poor.
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


def main():
    one = tap(sys.argv[1], sys.argv[2])
    other = tap(sys.argv[3], sys.argv[4])
    delay, loss = float(sys.argv[5]) / 1_000, float(sys.argv[6])
    print("ready", flush=True)

    # The delay is the same for all, so what came first leaves first.
    waiting = collections.deque()
    ready = selectors.DefaultSelector()
    ready.register(one, selectors.EVENT_READ, other)
    ready.register(other, selectors.EVENT_READ, one)
    ready.register(sys.stdin, selectors.EVENT_READ)
    while True:
        patience = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in ready.select(patience):
            if key.fileobj is sys.stdin:
                if not os.read(0, 1):
                    return
                continue
            while True:
                try:
                    frame = os.read(key.fd, LONGEST_FRAME)
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    waiting.append((time.monotonic() + delay, key.data, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, device, frame = waiting.popleft()
            try:
                os.write(device, frame)
            except (BlockingIOError, OSError):
                # The device is full, or not up yet: lost, as on any line.
                pass


main()
