"""Pictures and tables from a finished or running run."""

from natdeploy.report.compare import write_comparison
from natdeploy.report.picture import check_picture, write_picture
from natdeploy.report.predictor import judged_on, quality_table
from natdeploy.report.report import write_report
from natdeploy.report.table import Column, Table
from natdeploy.report.tables import front_table, result_table

__all__ = [
    "Column",
    "Table",
    "check_picture",
    "front_table",
    "judged_on",
    "quality_table",
    "result_table",
    "write_comparison",
    "write_picture",
    "write_report",
]
