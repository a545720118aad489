"""The package's metadata; pyproject.toml holds the build system and the settings of the tools."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """``__version__`` of the package, read without importing it."""
    found = re.search(r'^__version__ = "([^"]+)"$', (HERE / "natdeploy" / "__init__.py").read_text(), re.MULTILINE)
    if not found:
        raise RuntimeError('natdeploy/__init__.py: no line __version__ = "..."')
    return found[1]


#: Of the documentation: `make docs`.
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=1"]
#: A client of MLflow, and what that needs to keep runs in a file, without a server: ``sqlite:///mlflow.db``.
MLFLOW = ["mlflow-skinny>=2.20", "sqlalchemy>=1.4,<3", "alembic>1.10,<2"]

setup(
    name="natdeploy",
    version=version(),
    description="From images, a device and a latency budget to compiled, verified models",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    # These stand beside the package in the repository and are installed inside it.
    packages=[*find_packages(include=["natdeploy", "natdeploy.*"]), "natdeploy.hwprofiles", "natdeploy.examples"],
    package_dir={"natdeploy.hwprofiles": "hwprofiles", "natdeploy.examples": "examples"},
    package_data={
        "natdeploy": ["py.typed"],
        "natdeploy.hwprofiles": ["*.yaml"],
        "natdeploy.examples": ["*.yaml"],
        "natdeploy.data.sources": ["known.yaml"],
        "natdeploy.supernets": ["box/*", "*.cpp"],
        "natdeploy.compiler": ["runtime/*", "gpu/host/*"],
        "natdeploy.deploy": ["consumers/*", "consumers/*/*"],
        "natdeploy.devices": ["*.c", "*.h"],
        "natdeploy.latency": ["shipped/README.md", "shipped/prior.json", "shipped/*/*.json"],
        "natdeploy.report": ["page/*"],
        "natdeploy.search": ["accuracy/shipped/*"],
    },
    include_package_data=False,
    install_requires=[
        "torch>=2.4",
        "numpy>=1.26",
        "pillow>=10",
        "onnx>=1.16",
        "onnxruntime>=1.18",
        # With a later tvm-ffi, layout conversion and some code generators crash the process.
        "apache-tvm==0.27.0.post1",
        "apache-tvm-ffi==0.1.14.post1",
        "pymoo>=0.6.2",
        "moocore>=0.1",
        "threadpoolctl>=3",
        # The same module without CUDA's libraries, which Linux wheels of xgboost pull in.
        "xgboost-cpu>=2.1; sys_platform == 'linux'",
        "xgboost>=2.1; sys_platform != 'linux'",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "pydantic>=2.6",
        "typer>=0.12",
        "rich>=13",
        "plotly>=5.20",
        "matplotlib>=3.7",
        "datasets>=2.19",
        "safetensors>=0.4.3",
        "pyyaml>=6",
        "psutil>=5.9",
        "ziglang>=0.13",
    ],
    extras_require={
        "ray": ["ray>=2.40"],  # evaluation and builds on several machines
        "docs": DOCS,
        "mlflow": MLFLOW,
        "dev": [
            *DOCS,
            *MLFLOW,
            "ruff",
            "mypy",
            "pytest>=8",
            "pytest-xdist",
            "pytest-timeout",
            "tornado",  # TVM's tracker and RPC server, in tests
            "hypothesis",
            "types-PyYAML",
            "pre-commit",
            # of the workflows
            "check-jsonschema",
            "zizmor",
        ],
    },
    entry_points={"console_scripts": ["natdeploy = natdeploy.cli.main:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
