"""Parquet files, read in place."""

import logging
import os
import pickle
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from ktlight.data import parquet
from ktlight.data.files import find_files
from ktlight.data.parquet import load_parquet, read_parquet
from ktlight.errors import UserError

from .conftest import encode, random_pixels

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pixels_of(row):
    return torch.from_numpy(random_pixels(row)).permute(2, 0, 1)


def write(path, rows, **options):
    cells = [{"bytes": encode(random_pixels(row)), "path": f"{row}.png"} for row in rows]
    table = pa.table({"image": pa.array(cells, STRUCT), "label": [row % 3 for row in rows]})
    pq.write_table(table, path, **options)
    return str(path)


@pytest.mark.parametrize(
    "options",
    [
        {"row_group_size": 3},
        {"compression": "zstd", "use_dictionary": False},
        {"compression": "gzip", "data_page_version": "2.0", "row_group_size": 5},
        {"compression": "none", "write_page_index": True},
    ],
)
def test_any_row_in_any_order(tmp_path, options):
    files = [write(tmp_path / "a.parquet", range(8), **options), write(tmp_path / "b.parquet", range(8, 15), **options)]
    table = read_parquet(files)
    for row in np.random.default_rng(0).permutation(15):
        assert torch.equal(table.image(row), pixels_of(row))
    assert table.labels.tolist() == [row % 3 for row in range(15)]
    assert table.images.sizes.tolist() == [len(encode(random_pixels(row))) for row in range(15)]
    assert table.images.place(9) == f"row 1 of {files[1]}"


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_plain_columns_of_bytes(tmp_path, kind):
    images = pa.array([encode(random_pixels(row)) for row in range(3)], kind)
    pq.write_table(pa.table({"png": images, "label": [0, 1, 2]}), tmp_path / "a.parquet")
    assert torch.equal(read_parquet(str(tmp_path / "a.parquet")).image(2), pixels_of(2))


def test_images_that_lie_beside_the_file(tmp_path):
    (tmp_path / "0.png").write_bytes(encode(random_pixels(0)))
    cells = [{"bytes": None, "path": str(tmp_path / name)} for name in ("0.png", "1.png")]
    pq.write_table(pa.table({"image": pa.array(cells, STRUCT), "label": [0, 1]}), tmp_path / "a.parquet")
    table = read_parquet(str(tmp_path / "a.parquet"))
    assert torch.equal(table.image(0), pixels_of(0))
    assert table.images.sizes.tolist() == [len(encode(random_pixels(0))), -1]
    with pytest.raises(UserError, match=r"1 of 2 images .*1\.png \(row 1 of .*a\.parquet\) \(No such file"):
        table.image(1)


def test_a_replaced_file_is_noticed_whatever_its_time(tmp_path):
    file = write(tmp_path / "a.parquet", range(6))
    before, time = read_parquet(file), Path(file).stat()
    identity = before.fingerprint
    write(tmp_path / "a.parquet", range(6, 12))
    os.utime(file, ns=(time.st_atime_ns, time.st_mtime_ns))
    after = read_parquet(file)
    assert after.fingerprint != identity
    assert torch.equal(after.image(0), pixels_of(6))


def test_nothing_is_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", None)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    load_parquet(None, write(tmp_path / "a.parquet", range(6))).val.image(0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_memory_holds_a_few_row_groups_of_a_large_split(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(parquet, "WHOLE_BUDGET", 2**23)
    monkeypatch.setattr(parquet, "PART_BUDGET", 2**20)
    noise = np.random.default_rng(0)
    images = [noise.bytes(2**14) for _ in range(1000)]  # 16 MiB, in groups of 320 KiB
    pq.write_table(pa.table({"image": images, "label": [0] * 1000}), tmp_path / "a.parquet", row_group_size=20)
    size = sum(map(len, images))
    with caplog.at_level(logging.INFO):
        table = read_parquet(str(tmp_path / "a.parquet"))
    assert "0.0 GB do not stay in memory, and for one image its row group of up to 0 MB is read" in caplog.text
    before, most = pa.total_allocated_bytes(), 0
    for row in noise.permutation(1000)[:200]:
        assert table.images.read(int(row)) == images[row]
        most = max(most, pa.total_allocated_bytes() - before)
    assert table.fingerprint
    assert 2**18 < most < 2**22 < size


def test_a_split_that_fits_is_read_once(tmp_path, monkeypatch):
    table = read_parquet(write(tmp_path / "a.parquet", range(30), row_group_size=4))
    assert table.fingerprint
    monkeypatch.setattr(pq, "ParquetFile", None)
    assert all(torch.equal(table.image(row), pixels_of(row)) for row in range(29, -1, -1))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes_read_too(tmp_path, context):
    table = read_parquet(write(tmp_path / "a.parquet", range(9), row_group_size=2))
    table.image(0)
    copy = pickle.loads(pickle.dumps(table))
    assert torch.equal(copy.image(8), pixels_of(8)) and copy.fingerprint == table.fingerprint
    loader = DataLoader(Images(table), batch_size=None, num_workers=2, multiprocessing_context=context)
    assert all(torch.equal(image, pixels_of(row)) for row, image in enumerate(loader))


class Images(torch.utils.data.Dataset):
    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, row):
        return self.table.image(row)


def test_names_with_brackets_and_blanks(tmp_path):
    folder = tmp_path / "set[1] of two"
    folder.mkdir()
    (tmp_path / "set1 of two").mkdir()
    names = ["a.parquet", "b [2].parquet", "c*.parquet"]
    for name in names:
        write(folder / name, range(2))
    write(tmp_path / "set1 of two" / "a.parquet", range(3))
    for name in names:
        assert find_files([str(folder / name)]) == [str(folder / name)]
    assert find_files([str(folder / "?.parquet")]) == [str(folder / "a.parquet")]
    assert find_files([str(folder / "[ab]*.parquet")]) == [str(folder / name) for name in names[:2]]
    assert find_files([str(tmp_path / "set[0-9] of*" / "a.parquet")]) == [str(tmp_path / "set1 of two" / "a.parquet")]
    assert len(find_files([str(tmp_path / "**" / "*.parquet")])) == 4
    assert len(load_parquet(None, str(folder / "a.parquet")).val) == 2


def test_files_that_do_not_fit_each_other(tmp_path):
    def named(name, classes):
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=classes)})
        rows = {"image": [{"bytes": encode(random_pixels(0)), "path": None}], "label": [1]}
        datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / name)
        return str(tmp_path / name)

    files = [named("a.parquet", ["cat", "dog"]), named("b.parquet", ["dog", "cat"])]
    with pytest.raises(UserError, match=r"class names written in .*a\.parquet and .*b\.parquet differ"):
        read_parquet(files)
    with pytest.raises(UserError, match=r"the same names in another order: class 0 is cat in the first and dog in the"):
        load_parquet(*files)
    pq.write_table(pa.table({"image": [b""], "class": [1]}), tmp_path / "c.parquet")
    with pytest.raises(UserError, match=r"c\.parquet has no column 'label'"):
        read_parquet([files[0], str(tmp_path / "c.parquet")])


def test_a_file_damaged_inside(tmp_path):
    file = tmp_path / "a.parquet"
    write(file, range(50), compression="zstd")
    content = bytearray(file.read_bytes())
    content[4:60] = bytes(56)  # the header of the first page
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read .*a\.parquet as parquet"):
        read_parquet(str(file)).image(0)
