"""Links of an HDF5 file to other files. The helper process runs this text, so it imports nothing of ephysfit."""

import h5py

#: kind, name, file that it leads to, what of that file
Found = list[tuple[str, str, str, str]]
DAMAGED = OSError, LookupError, ValueError, TypeError, RuntimeError


def find_external_links(file: h5py.File) -> Found:
    """Find everything that a file takes from other files; nothing of it is followed.

    Kinds are ``"link"`` (external link), ``"storage"`` (samples in another file, byte by byte), ``"source"`` (a virtual
    dataset made of others) and ``"unlisted"`` (too damaged to be determined). Soft links stay inside a file.
    """
    found: Found = []
    visited: set[int] = set()
    todo = [("", file["/"].id)]
    while todo:
        path, group = todo.pop()
        try:
            names: list[tuple[bytes, int]] = []
            group.links.iterate(lambda name, info, names=names: names.append((name, info.type)), info=True)
        except DAMAGED:
            found.append(("unlisted", path or "/", "", ""))
            continue
        for name, kind in names:
            here = f"{path}/{_decode_name(name)}"
            if kind == h5py.h5l.TYPE_EXTERNAL:
                other, inside = group.links.get_val(name)
                found.append(("link", here, _decode_name(other), _decode_name(inside)))
            elif kind == h5py.h5l.TYPE_HARD:
                try:
                    item = _open_once(group, name, visited)
                except DAMAGED:
                    found.append(("unlisted", here, "", ""))
                    continue
                if isinstance(item, h5py.h5g.GroupID):
                    todo.append((here, item))
                elif isinstance(item, h5py.h5d.DatasetID):
                    found += _find_outside_samples(here, item)
    return found


def _decode_name(name: bytes | str) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def _open_once(group: h5py.h5g.GroupID, name: bytes, visited: set[int]) -> h5py.h5g.GroupID | h5py.h5d.DatasetID | None:
    """Open an object that was not visited yet; None if it was, or if it cannot be opened."""
    try:
        item = h5py.h5o.open(group, name)
    except DAMAGED:
        return None
    address = h5py.h5o.get_info(item).addr
    if address in visited:
        return None
    visited.add(address)
    return item


def _find_outside_samples(here: str, dataset: h5py.h5d.DatasetID) -> Found:
    try:
        made = dataset.get_create_plist()
        if made.get_layout() == h5py.h5d.VIRTUAL:
            count = made.get_virtual_count()
            sources = [(made.get_virtual_filename(k), made.get_virtual_dsetname(k)) for k in range(count)]
            return [
                ("source", here, _decode_name(a), _decode_name(b))
                for a, b in dict.fromkeys(sources)
                if _decode_name(a) != "."
            ]
        files = dict.fromkeys(made.get_external(k)[0] for k in range(made.get_external_count()))
        return [("storage", here, _decode_name(name), "") for name in files]
    except DAMAGED:
        return [("unlisted", here, "", "")]
