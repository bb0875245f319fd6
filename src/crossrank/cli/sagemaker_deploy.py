"""crossrank sagemaker deploy, status, invoke and delete: manage an endpoint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from crossrank.cli.options import PassagesFile, Query, TopNOfAll
from crossrank.cli.output import notify, print_json, print_line, print_ranking, progress_bar
from crossrank.cli.sagemaker import sagemaker_app
from crossrank.errors import InputError

__all__ = ["sagemaker_app"]

Name: TypeAlias = Annotated[str, typer.Argument(help="The endpoint's name.", show_default=False)]
Archive: TypeAlias = Annotated[
    str, typer.Argument(help="What `crossrank sagemaker package` wrote, or s3://...", show_default=False)
]
Environment: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="KEY=VALUE for the container; can be repeated.")
]
Region: TypeAlias = Annotated[
    str | None, typer.Option(help="The AWS region; by default that of the environment or the profile.")
]
Profile: TypeAlias = Annotated[str | None, typer.Option(help="The AWS profile.")]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Print the requests that would change something; send none.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@sagemaker_app.command("deploy")
def deploy(
    name: Name,
    archive: Archive,
    image: Annotated[str, typer.Option(help="The container image's address in Amazon ECR.")],
    role: Annotated[str, typer.Option(help="ARN of the role that SageMaker assumes.")],
    bucket: Annotated[str | None, typer.Option(help="The S3 bucket for the archive.")] = None,
    prefix: Annotated[str, typer.Option(help="Folder in the bucket.")] = "crossrank",
    instance_type: Annotated[str, typer.Option(help="For a real-time endpoint.")] = "ml.c6i.xlarge",
    instance_count: Annotated[int, typer.Option(help="How many instances.")] = 1,
    serverless: Annotated[bool, typer.Option("--serverless", help="A serverless endpoint instead.")] = False,
    memory: Annotated[int, typer.Option(help="MB for a serverless endpoint.")] = 4096,
    max_concurrency: Annotated[int, typer.Option(help="Maximum concurrent requests, serverless.")] = 5,
    env: Environment = None,
    region: Region = None,
    profile: Profile = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is in service.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Upload an archive, and create a model, an endpoint configuration and an endpoint from it.

    AWS charges for these until they are deleted. Check with --dry-run first.

    Example: crossrank sagemaker deploy reranker model.tar.gz --image ... --role ... --bucket ... --dry-run
    """
    from crossrank.sagemaker.aws import Aws
    from crossrank.sagemaker.deploying import deploy as make
    from crossrank.sagemaker.deployment import Deployment

    deployment = Deployment(
        name,
        archive if archive.startswith("s3://") else Path(archive),
        image,
        role,
        bucket=bucket,
        prefix=prefix,
        instance_type=instance_type,
        instance_count=instance_count,
        serverless_memory=memory if serverless else None,
        serverless_concurrency=max_concurrency,
        environment=_environment(env or []),
    )
    if dry_run:
        requests = [request.to_dict() for request in deployment.requests]
        _print_requests(requests, as_json, billing=deployment.billing)
        return
    report = make(deployment, Aws(region, profile_name=profile), wait=not no_wait, on_step=notify)
    if as_json:
        print_json({**report, "billing": deployment.billing})
        return
    _print_status(report)
    from crossrank.cli.screen import console

    console().print(deployment.billing, soft_wrap=True)
    console().print(
        f"Delete it: crossrank sagemaker delete {name} --region {report['region']}",
        soft_wrap=True,
    )


@sagemaker_app.command("status")
def status(name: Name, region: Region = None, profile: Profile = None, as_json: AsJson = False) -> None:
    """Show whether an endpoint is in service, and its model and instances.

    Example: crossrank sagemaker status reranker --region eu-west-1
    """
    from crossrank.sagemaker.aws import Aws
    from crossrank.sagemaker.deploying import status as look

    report = look(name, Aws(region, profile_name=profile))
    print_json(report) if as_json else _print_status(report)


@sagemaker_app.command("invoke")
def invoke(
    name: Name,
    query: Query,
    file: PassagesFile,
    top_n: TopNOfAll = None,
    max_pairs: Annotated[int, typer.Option(help="Maximum number of pairs per request.")] = 128,
    max_bytes: Annotated[
        int, typer.Option(help="Maximum size of a request; 4 MiB for serverless.")
    ] = 6_291_456,
    region: Region = None,
    profile: Profile = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/ranking.schema.json).")] = False,
) -> None:
    """Rank passages for a question, like `crossrank rerank`, with the model on an endpoint.

    Example: crossrank sagemaker invoke reranker "Who bakes bread?" candidates.jsonl --top-n 3
    """
    from crossrank.ranking.reranker import Reranker, check_query
    from crossrank.sagemaker.client import SagemakerCrossEncoder
    from crossrank.text.passages import read_passages

    if top_n is not None and top_n < 1:
        raise InputError(f"--top-n must be at least 1; it is {top_n}")
    check_query(query)
    passages = read_passages(sys.stdin.buffer.read() if str(file) == "-" else file)
    model = SagemakerCrossEncoder(
        name, region, profile_name=profile, max_pairs=max_pairs, max_bytes=max_bytes
    )
    if dry_run:
        pairs = [(query, passage.content) for passage in passages]
        requests = [
            {
                "service": "sagemaker-runtime",
                "operation": "invoke_endpoint",
                "parameters": {**parameters, "Body": parameters["Body"].decode()},
            }
            for parameters in model.requests(pairs)
        ]
        _print_requests(requests, as_json)
        return
    with progress_bar("Ranking", len(passages)) as progress:
        ranking = Reranker(model).rank(query, passages, top_n=top_n, progress=progress)
    print_ranking(ranking, as_json=as_json)


@sagemaker_app.command("delete")
def delete(
    name: Name,
    region: Region = None,
    profile: Profile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete an endpoint, its configuration and its models, after asking; the archive in S3 is kept.

    Example: crossrank sagemaker delete reranker --region eu-west-1
    """
    from crossrank.sagemaker.aws import Aws
    from crossrank.sagemaker.deploying import delete as remove
    from crossrank.sagemaker.deploying import plan_deletion

    aws = Aws(region, profile_name=profile)
    deletion = plan_deletion(name, aws)
    if dry_run:
        _print_requests([request.to_dict() for request in deletion.requests], as_json)
        return
    parts = ", ".join(deletion.deletes)
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"nobody is there to be asked whether to delete {parts}; give --yes")
        if not typer.confirm(f"Delete {parts} in {aws.region}?", err=True):
            raise typer.Abort
    remove(deletion, aws, on_step=notify)
    if as_json:
        print_json({"deleted": deletion.deletes, "remains": list(deletion.remains)})
        return
    print_line(f"Deleted {parts}.")
    for archive in deletion.remains:
        print_line(f"Still in S3, and billed as storage: {archive}; remove it with `aws s3 rm {archive}`")


def _environment(given: Sequence[str]) -> dict[str, str]:
    for entry in given:
        if not entry.partition("=")[0] or "=" not in entry:
            raise InputError(f"--env must be KEY=VALUE; it is {entry!r}")
    return dict(entry.split("=", 1) for entry in given)


def _print_requests(requests: Sequence[dict[str, Any]], as_json: bool, **more: str) -> None:
    if as_json:
        print_json({"requests": list(requests), **more})
        return
    for request in requests:
        print_line(f"{request['service']} {request['operation']}")
        print_json(request["parameters"], indent=2)
    for line in more.values():
        print_line(line)
    print_line("Nothing was sent.")


def _print_status(report: dict[str, Any]) -> None:
    from crossrank.cli.screen import console

    screen = console()
    rows = {key: report[key] for key in ("name", "region", "status", "failure", "created")}
    for variant in report["variants"]:
        rows |= variant
    for key, value in rows.items():
        if value is not None:
            screen.print(f"{key.replace('_', ' '):>16}  {value}", soft_wrap=True)
