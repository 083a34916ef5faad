"""Objects as numpy arrays: `numpy.asarray(dump["pid_hash"])`. Imported when that is asked for, as numpy need not be there."""

from __future__ import annotations

from typing import Any, Optional

import numpy

from ._crashlens import Object, Type


def dtype(type: Type) -> numpy.dtype:
    """The dtype of a type: structs become records. Bit-fields, and members without a name or a size, are left out of them."""
    kind = type.kind
    if kind in ("int", "enum"):
        return numpy.dtype(f"<{'i' if type.is_signed else 'u'}{type.size}")
    if kind == "bool":
        return numpy.dtype("?")
    if kind == "float":
        return numpy.dtype(f"<f{type.size}")
    if kind == "pointer":
        return numpy.dtype("<u8")
    if kind == "array" and type.length is not None and type.type_ is not None:
        return numpy.dtype((dtype(type.type_), (type.length,)))
    if kind in ("struct", "union"):
        named = [m for m in type.members if m.name and m.bit_field_size is None and _fits(m.type_)]
        fields: Any = {
            "names": [m.name for m in named],
            "formats": [dtype(m.type_) for m in named],
            "offsets": [m.offset for m in named],
            "itemsize": type.size,
        }
        return numpy.dtype(fields)
    raise TypeError(f"numpy has no type for {type.name}")


def _fits(type: Type) -> bool:
    return type.kind not in ("void", "function") and not (type.kind == "array" and type.length is None)


def array(obj: Object, wanted: Optional[Any] = None, copy: Optional[bool] = None) -> numpy.ndarray:
    """An object's bytes as an array (of no dimension, where it is none): a copy, which changes nothing in the dump."""
    if copy is False:
        raise ValueError("an array of what a dump holds is always a copy")
    own = dtype(obj.type_)
    shape = own.shape
    out = numpy.frombuffer(bytearray(obj.bytes_()), dtype=own.base).reshape(shape)
    return out if wanted is None else out.astype(wanted)
