"""What natdeploy does, one function per verb of the command line. Each returns plain data and prints nothing."""

from natdeploy.verbs import ci
from natdeploy.verbs.add_device import add_device
from natdeploy.verbs.bench import bench
from natdeploy.verbs.build import build
from natdeploy.verbs.check_profile import check_profile
from natdeploy.verbs.compile import compile
from natdeploy.verbs.devices import devices
from natdeploy.verbs.diff import diff
from natdeploy.verbs.doctor import doctor
from natdeploy.verbs.estimate import estimate
from natdeploy.verbs.export import export
from natdeploy.verbs.import_measurements import import_measurements
from natdeploy.verbs.mlflow import mlflow
from natdeploy.verbs.predict import predict
from natdeploy.verbs.pretrain import pretrain
from natdeploy.verbs.profile import plan_profile, profile
from natdeploy.verbs.report import report, watch_report
from natdeploy.verbs.retire_timings import retire_timings
from natdeploy.verbs.run import run
from natdeploy.verbs.search import search
from natdeploy.verbs.tune import tune
from natdeploy.verbs.validate import validate
from natdeploy.verbs.verify import verify

__all__ = [
    "add_device",
    "bench",
    "build",
    "check_profile",
    "ci",
    "compile",
    "devices",
    "diff",
    "doctor",
    "estimate",
    "export",
    "import_measurements",
    "mlflow",
    "plan_profile",
    "predict",
    "pretrain",
    "profile",
    "report",
    "retire_timings",
    "run",
    "search",
    "tune",
    "validate",
    "verify",
    "watch_report",
]
