"""Features of a data directory in archives of utterances that were drawn from all of it."""

import io
import json
import logging
import os
import shutil
from pathlib import Path

import kaldiio
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from omni_asr.data.dataset import UtteranceSet
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.data_dir import COPIED, kind_of
from omni_asr.kaldi.join import CORPORA
from omni_asr.read_files import read_json, well_formed

log = logging.getLogger(__name__)

FOLDER = "shards"
"""Where the archives are in the new directory."""


def write_shards(
    data_dir: str | os.PathLike[str], out_dir: str | os.PathLike[str], utts_per_shard: int, seed: int
) -> int:
    """Write a data directory whose archives hold ``utts_per_shard`` utterances each, drawn at random from all.

    Matrices are copied as they are in the old archives, without decoding. Within an archive they keep the order of the
    old ones, because training mixes whole archives. Started again, it goes on after the last complete archive.
    ``feats.scp`` comes last.

    Returns the number of archives.

    Raises:
        UserError: the source is no sorted data directory with features, or ``out_dir`` holds something else.
    """
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    if out_dir.resolve() == data_dir.resolve():
        raise UserError(f"{out_dir} is the source itself; name another directory")
    source = UtteranceSet(data_dir, tokenizer=None, fallback=out_dir / "manifest")
    _check_sorted(source)
    shards = -(-len(source) // utts_per_shard)
    if _begin(source, out_dir, utts_per_shard, seed):
        log.info("%s is complete", out_dir)
        return shards
    shuffled = np.random.default_rng(seed).permutation(len(source)).astype(np.int32)
    shard_N, offset_N = np.empty(len(source), np.int32), np.empty(len(source), np.int64)
    with tqdm(total=len(source), desc=f"shards of {data_dir}", unit="utt", disable=None) as bar:
        for shard in range(shards):
            chosen = shuffled[shard * utts_per_shard : (shard + 1) * utts_per_shard]
            chosen = chosen[np.lexsort((source.manifest.offset[chosen], source.manifest.source[chosen]))]
            shard_N[chosen] = shard
            offset_N[chosen] = _write_shard(source, chosen, _ark(out_dir, shard, shards))
            bar.update(len(chosen))
    for path in sorted(data_dir.iterdir()):
        if path.is_file() and path.name != "feats.scp" and (kind_of(path.name) or path.name in (*COPIED, CORPORA)):
            with atomic_write(out_dir / path.name, "wb") as file, open(path, "rb") as original:
                shutil.copyfileobj(original, file)
    arks = [os.path.abspath(_ark(out_dir, shard, shards)) for shard in range(shards)]
    with atomic_write(out_dir / "feats.scp") as file:
        for utt, number, offset in zip(source.utts, shard_N, offset_N, strict=True):
            file.write(f"{utt} {arks[number]}:{offset}\n")
    return shards


def _check_sorted(source: UtteranceSet) -> None:
    previous = ""
    for utt in source.utts:
        if utt < previous:
            where, hint = f"{source.data_dir}/feats.scp", f"omni-asr fix {source.data_dir} sorts it"
            raise UserError(f"{where}: {utt!r} comes after {previous!r}; {hint}")
        previous = utt


def _begin(source: UtteranceSet, out_dir: Path, utts_per_shard: int, seed: int) -> bool:
    """Note what the shards are made from, or compare with the note; return whether nothing is left to do."""
    tables = source.manifest.path.name.partition("-")[0]
    made_from = {"data_dir": str(source.data_dir.resolve()), "tables": tables}
    made_from |= {"utts_per_shard": utts_per_shard, "seed": seed}  # type: ignore[dict-item]
    note = out_dir / FOLDER / "made_from.json"
    if not note.exists():
        if (out_dir / "feats.scp").exists():
            raise UserError(f"{out_dir} is a data directory already; name another one")
        with atomic_write(note) as file:
            json.dump(made_from, file)
    advice = f"remove {out_dir} and start again"
    if read_json(note, advice) != made_from:
        raise UserError(
            f"{out_dir} holds shards of other data, or with another size or seed; remove it or name another directory"
        )
    return (out_dir / "feats.scp").exists()


def _ark(out_dir: Path, shard: int, shards: int) -> Path:
    return out_dir / FOLDER / f"feats.{shard:0{len(str(shards))}d}.ark"


def _write_shard(source: UtteranceSet, chosen: NDArray, ark: Path) -> NDArray[np.int64]:
    """Write one archive; return where each matrix begins. What an earlier start wrote is kept."""
    index = ark.with_suffix(".offsets.npy")
    if index.exists() and ark.exists():
        with well_formed(index, "the index of an archive", f"remove {ark} and start again"):
            offsets = np.load(index)
            if offsets.shape != (len(chosen),) or offsets.dtype != np.int64:
                raise ValueError(f"it is of {offsets.size} matrices, not {len(chosen)}")
            return offsets
    offsets = np.empty(len(chosen), np.int64)
    with atomic_write(ark, "wb") as file:
        for place, row in enumerate(chosen.tolist()):
            file.write(f"{source.utts[row]} ".encode())
            offsets[place] = file.tell()
            data = source.load_bytes(row)
            if data is not None:
                file.write(data)
            else:
                kaldiio.matio.write_array(file, source.load(row))
    array = io.BytesIO()  # NumPy would write past the file object, which knows its name
    np.save(array, offsets)
    with atomic_write(index, "wb") as file:
        file.write(array.getvalue())
    return offsets
