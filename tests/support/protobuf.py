# SPDX-License-Identifier: MIT
"""protobuf.py - reads messages of protobuf, such as profiles for pprof. It knows no schema."""
import collections
import sys


def varint(data, at):
    """Returns the number that begins at a byte, and the place of the next byte."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Returns for each field of a message, by its number, the list of its numbers or bytes."""
    found, at = collections.defaultdict(list), 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            found[key >> 3].append(data[at:at + value])
            at += value
        elif key & 7 == 0:
            found[key >> 3].append(value)
        else:
            sys.exit("FAILED: wire type %d" % (key & 7))
    return found


def packed(data):
    """Returns the numbers of a packed field."""
    values, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values
