"""A file is there as a whole, and on the disk, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recbole_llminit.utils.writing import replacing, write_text


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "a.txt"
    write_text("old", file)
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    with pytest.raises(OSError, match="full"), replacing(file) as temporary:
        temporary.write_text("ha")
        raise OSError("full")
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_the_content_is_on_the_disk_before_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("on the disk"), sync(number)))
    monkeypatch.setattr(Path, "replace", lambda *args: (done.append("renamed"), rename(*args))[1])
    write_text("content", tmp_path / "a.txt")
    assert done == ["on the disk", "renamed"]
