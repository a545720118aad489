"""Pictures and tables from a finished or running run."""

from natdeploy.report.predictor import judged_on, quality_table
from natdeploy.report.report import write_report
from natdeploy.report.table import Column, Table
from natdeploy.report.tables import front_table, result_table

__all__ = ["Column", "Table", "front_table", "judged_on", "quality_table", "result_table", "write_report"]
