"""Examples and the README's command lines: they must parse, and name what exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.models import CommandInfo

from natdeploy.cli.main import app
from natdeploy.runs import SearchSettings, load_job
from natdeploy.search import check_names

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = sorted((CHECKOUT / "examples").glob("*.yaml"))
PAPER = (
    "initial",
    "iterations",
    "archive",
    "population",
    "surrogate_evaluations",
    "crossover_probability",
    "mutation_eta",
)
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (CHECKOUT / "docs").glob("*.md")))


def command_lines(text: str) -> list[str]:
    """Commands ``natdeploy ...`` in shell blocks, continued lines joined, and examples of the help."""
    blocks = "\n".join(re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line.split(" # ")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in blocks.splitlines()]
    return [line for line in lines if line.startswith("natdeploy ")]


def parse(line: str) -> None:
    """Parse a command line without doing it; a wrong verb, option or value raises."""
    group = get_command(app)
    verb, *args = shlex.split(line)[1:]
    if verb.startswith("-"):
        return
    command = group.commands[verb]  # type: ignore[attr-defined]
    while hasattr(command, "commands") and args and args[0] in command.commands:  # a group: ci build
        verb, *args = args
        command = command.commands[verb]
    context = command.make_context(verb, [*args], resilient_parsing=False)
    if hasattr(command, "resolve_command") and (rest := [*context._protected_args, *context.args]):
        command.resolve_command(context, rest)


def commands() -> list[CommandInfo]:
    """All commands, those of groups included."""
    groups = [group.typer_instance for group in app.registered_groups]
    return [command for one in (app, *groups) if one is not None for command in one.registered_commands]


def epilogs() -> list[str]:
    examples = [command.epilog.removeprefix("Example: ") for command in commands() if command.epilog]
    return [line for example in examples for line in example.split("; ")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid_jobs(path: Path) -> None:
    job = load_job(path)
    check_names(job.run_config(1.0))


def test_there_are_examples() -> None:
    assert CHECKOUT / "examples" / "digits.yaml" in EXAMPLES


def test_the_papers_job_has_the_papers_sizes() -> None:
    """Lu et al. 2021, sections 3 and 4."""
    job = load_job(CHECKOUT / "examples" / "nat-2020.yaml")
    sizes = {name: value for name, value in SearchSettings.full().model_dump().items() if name in PAPER}
    assert {name: getattr(job.search, name) for name in PAPER} == sizes
    assert (job.search.surrogate, job.search.sampling, job.search.feasible_share) == ("rbf-ensemble", "gene", 0)
    assert (job.adapt.epochs_per_iteration, job.adapt.distribution) == (5, "archive")
    assert job.adapt.warm_up_epochs  # other classes than the supernet's: the first archive would be judged by chance
    assert "latency_ms" not in job.objectives


def test_our_job_differs_from_the_papers_only_where_it_says_so() -> None:
    paper, ours = (load_job(CHECKOUT / "examples" / name) for name in ("nat-2020.yaml", "default.yaml"))
    assert all(getattr(paper.search, name) == getattr(ours.search, name) for name in PAPER)
    search = paper.search.model_dump().items() ^ ours.search.model_dump().items()
    assert {name for name, _ in search} == {"sampling", "feasible_share", "surrogate"}
    adapt = paper.adapt.model_dump().items() ^ ours.adapt.model_dump().items()
    assert {name for name, _ in adapt} == {"average_age", "distillation"}
    assert ours.build.finetune_epochs and not paper.build.finetune_epochs


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_commands_parse(document: str) -> None:
    lines = command_lines((CHECKOUT / document).read_text(encoding="utf-8"))
    assert lines or document != "README.md"
    for line in lines:
        parse(line)


def test_the_readme_shows_every_verb() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown = {line.split()[1] for line in command_lines(text)}
    verbs = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {verb.replace("_", "-") for verb in verbs} <= shown


def test_the_readme_speaks_of_every_command_of_ci() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    group = get_command(app).commands["ci"]  # type: ignore[attr-defined]
    assert group.commands and all(f"ci {name}`" in text or f"natdeploy ci {name}" in text for name in group.commands)


def test_examples_in_help_parse() -> None:
    assert len(epilogs()) >= len(commands()) and all(command.epilog for command in commands())
    for line in epilogs():
        parse(line)


def test_documented_files_and_targets_exist() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    for path in set(re.findall(r"\]\((?!https?:|#)([^)#]+)", text)) | set(re.findall(r"examples/[\w.-]+\.yaml", text)):
        assert (CHECKOUT / path).exists(), path
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_parser_of_this_test_refuses_what_does_not_exist() -> None:
    for line in ("natdeploy search --latency-ms 2 --nope", "natdeploy build"):
        with pytest.raises(Exception, match=r"nope|run"):
            parse(line)
    for line in ("natdeploy ci build --nope", "natdeploy ci nope"):
        with pytest.raises(Exception, match=r"nope"):
            parse(line)
    with pytest.raises(KeyError):
        parse("natdeploy serve RUN")
