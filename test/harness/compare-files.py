# Compares the same number of bytes of files, each from an offset of its own: compare-files.py LENGTH PATH OFFSET PATH OFFSET …
# Holes are not read: a gigabyte of them would take seconds. Prints where the first difference is, and ends with 1 then.
import errno
import os
import sys

CHUNK = 4 << 20

length = int(sys.argv[1])
files = [(path, os.open(path, os.O_RDONLY), int(start)) for path, start in zip(sys.argv[2::2], sys.argv[3::2])]


def with_data(handle, start):
    """Ranges that are no holes, relative to the start."""
    at = start
    while at < start + length:
        try:
            at = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        if at >= start + length:
            return
        end = min(os.lseek(handle, at, os.SEEK_HOLE), start + length)
        yield at - start, end - start
        at = end


done = 0
for begin, end in sorted(piece for _, handle, start in files for piece in with_data(handle, start)):
    for at in range(max(begin, done), end, CHUNK):
        size = min(CHUNK, end - at)
        first, *others = [os.pread(handle, size, start + at) for _, handle, start in files]
        for (path, _, _), other in zip(files[1:], others):
            if other == first:
                continue
            place = next((i for i, (a, b) in enumerate(zip(first, other)) if a != b), min(len(first), len(other)))
            print(f"{files[0][0]} and {path} differ at byte {at + place}")
            sys.exit(1)
    done = max(done, end)
