"""MkDocs hook: the reference pages, made from what they describe whenever the documentation is built."""

from __future__ import annotations

import json
from collections.abc import Iterator

from commands import commands_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from rooms import ROOMS, room_pages, room_path
from schemas import schema_page

MANIFEST = """# The manifest

Every bundle has a `manifest.json`. Unknown fields are errors, so that a misspelt one is not a silent one;
`schema_version` rises with every change of meaning. The same as a [JSON schema](manifest.schema.json).

Two builds from the same inputs give the same bytes but for what `measurement_fields` names: timings, what was chosen by
them, and the digests of the files that repeat them.
"""
JOB = """# A job's file

What `natdeploy run` and `natdeploy validate` read; [example files](../your-own-data.md) come with natdeploy. Flags of
the command line override a file's fields (`--set search.iterations=3`). The same as a [JSON schema](job.schema.json),
with which editors complete fields: `# yaml-language-server: $schema=job.schema.json`.
"""
PIPELINE = """# natdeploy.yaml

What `natdeploy ci` reads: tasks, devices with their budgets, and gates ([CI in ten lines](../ci.md)). A task has
the [fields of a job](job.md) but `device` and `out`; a device has its budget and whatever field of a job is its own.
The same as a [JSON schema](pipeline.schema.json).
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the rooms into the navigation, where the file names their folder."""
    (reference,) = (part["Reference"] for part in config.nav or () if "Reference" in part)
    reference[-1] = {"Python": [{f"natdeploy.{room}": room_path(room)} for room in ROOMS]}
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages to those that were written."""
    for path, content in _pages():
        files.append(File.generated(config, path, content=content))
    return files


def _pages() -> Iterator[tuple[str, str]]:
    from natdeploy.deploy.manifest import Manifest
    from natdeploy.runs import JobConfig
    from natdeploy.runs.pipeline import PipelineConfig

    yield "reference/cli.md", commands_page()
    for name, model, introduction in (
        ("manifest", Manifest, MANIFEST),
        ("job", JobConfig, JOB),
        ("pipeline", PipelineConfig, PIPELINE),
    ):
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
        yield f"reference/{name}.md", f"{introduction}\n{schema_page(model)}"
        yield f"reference/{name}.schema.json", json.dumps(schema, indent=2) + "\n"
    yield from room_pages()
