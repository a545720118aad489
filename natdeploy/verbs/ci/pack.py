"""``ci pack`` and ``ci unpack``: an entry as one file, from the job that built it to the one that compares."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from natdeploy.verbs.result import Result

#: In the pipeline's folder.
PACKED = "packed"


@dataclass(frozen=True)
class PackResult(Result):
    """Archives of entries that were written, or entries that archives were unpacked to."""

    paths: tuple[Path, ...]


def pack(file: str | Path = "natdeploy.yaml", *, device: str | None = None, task: str | None = None) -> PackResult:
    """Write an archive of each built entry: its record, bundles and report, not its searches.

    Equal entries give equal bytes.

    Raises BadInput for an entry that was not built, VerificationFailed for a bundle that is not whole.
    """
    from natdeploy.deploy.archive import SUFFIX, pack_folder
    from natdeploy.deploy.integrity import plain_files
    from natdeploy.runs.pipeline import load_pipeline
    from natdeploy.verbs.ci.record import FRONT, RECORD, REPORT, built_bundles, bundles_folder

    pipeline = load_pipeline(file)
    out = Path(pipeline.config.out)
    written = []
    for entry in pipeline.select(device, task):
        folder = out / entry.name
        bundles = [bundle.path for bundle in built_bundles(folder, entry.device)]
        names = [f"{bundles_folder(folder).name}/{path.name}/{name}" for path in bundles for name in plain_files(path)]
        names += [name for name in (RECORD, REPORT, FRONT) if (folder / name).is_file()]
        written.append(pack_folder(folder, out / PACKED / f"{entry.name}{SUFFIX}", names=names))
    return PackResult(tuple(written))


def unpack(source: str | Path, file: str | Path = "natdeploy.yaml") -> PackResult:
    """Unpack archives of entries into the pipeline's folder, as if they had been built here.

    Args:
        source: an archive, or a folder with archives at any depth.
        file: the pipeline.

    Raises BadInput for an archive of no entry of the pipeline and for an entry that has searches here already,
    VerificationFailed for an archive or a bundle that is damaged or reaches outside of its folder.
    """
    from natdeploy.deploy.archive import SUFFIX, unpack_folder
    from natdeploy.ground.errors import BadInput
    from natdeploy.runs.pipeline import load_pipeline
    from natdeploy.verbs.ci.record import built_bundles

    pipeline = load_pipeline(file)
    entries = {entry.name: entry for entry in pipeline.entries}
    source, out = Path(source), Path(pipeline.config.out)
    archives = sorted(source.rglob(f"*{SUFFIX}")) if source.is_dir() else [source]
    if not archives:
        raise BadInput(f"{source}: holds no archive of an entry (*{SUFFIX}); natdeploy ci pack writes them")
    for archive in archives:
        name = archive.name.removesuffix(SUFFIX)
        if name not in entries:
            raise BadInput(f"{archive}: {name!r} is no entry of {pipeline.path}; it has {', '.join(entries)}")
        if (out / name / "runs").exists():
            raise BadInput(f"{out / name}: was built here; unpacking would replace it, remove it first")
        unpack_folder(archive, out / name)
        try:
            built_bundles(out / name, entries[name].device)
        except BaseException:
            shutil.rmtree(out / name)
            raise
    return PackResult(tuple(out / archive.name.removesuffix(SUFFIX) for archive in archives))
