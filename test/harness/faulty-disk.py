# nbdkit plugin: a disk in a file, whose faults a test switches on and off while it is in use. Parameters: file, and
# control, a JSON file that is read at each request: {"read": errno, "write": errno, "flush": errno, "zero": errno,
# "delay": seconds, "hang": true, "unreadable": byte}. What is left out works.
import ctypes
import errno
import json
import os
import time

import nbdkit

API_VERSION = 2
PUNCH_HOLE_KEEP_SIZE = 3
HANG_PERIOD = 0.02

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
parameters = {}


def config(key, value):
    parameters[key] = value


def thread_model():
    return nbdkit.THREAD_MODEL_PARALLEL


def open(readonly):
    return os.open(parameters["file"], os.O_RDWR)


def get_size(handle):
    return os.fstat(handle).st_size


def faults():
    # Replaced by renaming: it is never half written.
    handle = os.open(parameters["control"], os.O_RDONLY)
    try:
        return json.loads(os.read(handle, 4096))
    finally:
        os.close(handle)


def refuse(number, what):
    nbdkit.set_error(number)
    raise RuntimeError("failed as told: " + what)


def admit(kind):
    now = faults()
    while now.get("hang"):
        time.sleep(HANG_PERIOD)
        now = faults()
    if "delay" in now:
        time.sleep(now["delay"])
    if kind in now:
        refuse(now[kind], kind)
    return now


def pread(handle, buffer, offset, flags):
    place = admit("read").get("unreadable", -1)
    if offset <= place < offset + len(buffer):
        refuse(errno.EIO, "unreadable")
    os.preadv(handle, [buffer], offset)


def pwrite(handle, buffer, offset, flags):
    admit("write")
    os.pwrite(handle, buffer, offset)


def flush(handle, flags):
    admit("flush")
    os.fdatasync(handle)


def punch(handle, count, offset):
    admit("zero")
    if libc.fallocate(handle, PUNCH_HOLE_KEEP_SIZE, offset, count) != 0:
        nbdkit.set_error(ctypes.get_errno())
        raise RuntimeError("fallocate failed")


def trim(handle, count, offset, flags):
    punch(handle, count, offset)


def zero(handle, count, offset, flags):
    punch(handle, count, offset)
