"""``ci publish``: the bundles as archives, with an index for programs and a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.runs.pipeline import PipelineEntry
    from natdeploy.runs.signing import SigningSettings
    from natdeploy.verbs.ci.record import BuiltBundle

INDEX, SUMMARY, SUMS = "index.json", "summary.md", "SHA256SUMS"
#: In the pipeline's folder.
PUBLISHED = "published"


@dataclass(frozen=True)
class PublishResult(Result):
    """What was published.

    Attributes:
        folder: where; replaced as a whole.
        index: list of bundles for programs.
        summary: the table for people, Markdown.
        archives: one per bundle.
    """

    folder: Path
    index: Path
    summary: Path
    archives: tuple[Path, ...]


def publish(file: str | Path = "natdeploy.yaml", *, out: str | Path | None = None) -> PublishResult:
    """Write archives of all bundles of a pipeline with their digests, an index and a summary.

    ::

        index.json             every bundle: entry, device, figures, archive with size and SHA-256
        summary.md             the same as a table
        ENTRY-ARCH.tar.gz      a bundle; equal bundles give equal bytes
        SHA256SUMS             digests of all files above, for sha256sum -c

    Args:
        file: the pipeline; every entry must be built.
        out: the folder; None means ``published`` in the pipeline's own.

    Where the pipeline says how, each bundle is signed first; the index says which are.

    Raises BadInput for an entry that was not built and for a bundle that cannot be signed, VerificationFailed for one
    that lacks a file, holds a link or was changed; nothing is published then.
    """
    from natdeploy.deploy.archive import SUFFIX, pack_folder
    from natdeploy.ground.files import atomic_folder, sha256_file, write_json, write_text
    from natdeploy.runs.pipeline import load_pipeline
    from natdeploy.verbs.ci.markdown import bundles_summary, front_chart
    from natdeploy.verbs.ci.record import built_bundles

    pipeline = load_pipeline(file)
    root = Path(pipeline.config.out)
    built = [(entry, one) for entry in pipeline.entries for one in built_bundles(root / entry.name, entry.device)]
    folder = Path(out) if out is not None else root / PUBLISHED
    for _, bundle in built:
        _sign(bundle.path, pipeline.config.signing)
    with atomic_folder(folder) as new:
        rows, names = [], []
        for entry, bundle in built:
            names.append(f"{entry.name}-{bundle.manifest.model.arch_id}{SUFFIX}")
            archive = pack_folder(bundle.path, new / names[-1])
            about = {"archive": names[-1], "sha256": sha256_file(archive), "bytes": archive.stat().st_size}
            rows.append({**_row(entry, bundle), **about})
        write_json(new / INDEX, {"schema_version": 1, "bundles": rows})
        text = bundles_summary([(entry.name, one.manifest) for entry, one in built])
        charts = [front_chart(entry.name, _front(root / entry.name)) for entry in pipeline.entries]
        write_text(new / SUMMARY, "\n".join([text, *filter(None, charts)]))
        files = sorted([*names, INDEX, SUMMARY])
        write_text(new / SUMS, "".join(f"{sha256_file(new / name)}  {name}\n" for name in files))
    return PublishResult(folder, folder / INDEX, folder / SUMMARY, tuple(folder / name for name in names))


def _sign(bundle: Path, signing: SigningSettings | None) -> None:
    """Sign a bundle if the pipeline says how; else a signature of an earlier one is left as it is."""
    from natdeploy.deploy.signature import check_signature, sign

    if signing is not None:
        sign(bundle, signing.sign)
        if signing.verify is not None:
            check_signature(bundle, signing.verify)


def _row(entry: PipelineEntry, bundle: BuiltBundle) -> Mapping[str, Any]:
    from natdeploy.deploy.integrity import SIGNATURE
    from natdeploy.verbs.bundle_info import bundle_info
    from natdeploy.verbs.result import plain

    value = plain(bundle_info(bundle.path, bundle.manifest))
    model_bytes = value.pop("bytes")
    del value["path"]
    signature = SIGNATURE if (bundle.path / SIGNATURE).is_file() else None
    return {
        **value,
        "signature": signature,
        "entry": entry.name,
        "task": entry.task,
        "bundle": bundle.path.name,
        "model_bytes": model_bytes,
    }


def _front(folder: Path) -> Sequence[tuple[float, float]]:
    from natdeploy.verbs.ci.record import read_record

    record = read_record(folder)
    return () if record is None else record.front
